from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import emofuse

NAMES = {
    "EMOTIONS", "LABEL_SETS", "Bundle", "EmofuseError", "EmotionClassifier", "Limits", "PeakMeter",
    "Prediction", "Profile", "Recipe", "Recognizer", "Recording", "SegmentRules", "TimedFrames",
    "Timeline", "Waveform", "WindowRules", "__version__", "convert", "convert_label",
    "heuristic_valence_arousal", "label_map", "live_windows", "load_bundle", "load_recipe",
    "merge_tables", "merge_timelines", "predict_table", "read_crema_d", "recording", "timeline_schema",
    "to_pandas", "write_overlay", "write_timeline", "write_timelines",
}  # fmt: skip


def test_public_names_are_these() -> None:
    assert set(emofuse.__all__) == NAMES
    for name in NAMES:
        assert getattr(emofuse, name) is not None
    assert emofuse.__version__ == metadata.version("emofuse")
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        emofuse.Recogniser  # noqa: B018 - the misspelling is the test


def test_dir_shows_the_public_names() -> None:
    code = "import emofuse; print(*dir(emofuse)); print(*dir(emofuse.exports)); print(emofuse.exports)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "has no attribute 'exports'" in done.stderr  # not imported yet
    shown = {name for name in done.stdout.splitlines()[0].split() if not name.startswith("__")}
    assert shown | {"__version__"} == NAMES | {"core"}
    import emofuse.exports

    assert set(emofuse.exports.__all__) <= set(dir(emofuse.exports))
    assert "lazy_names" not in dir(emofuse.exports)
    assert {"exports", *NAMES} <= set(dir(emofuse))


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, emofuse\n"
        "heavy = {'av', 'cv2', 'dlib', 'numpy', 'onnxruntime', 'platformdirs', 'pydantic', 'torch'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_error_derives_from_emofuse_error() -> None:
    from emofuse.core import errors

    kinds = [x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, Exception)]
    assert len(kinds) > 20
    assert all(issubclass(kind, emofuse.EmofuseError) for kind in kinds)
