from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import emofuse

NAMES = {
    "EMOTIONS", "Bundle", "EmofuseError", "EmotionClassifier", "Prediction", "Profile", "Recipe",
    "Recognizer", "Recording", "TimedFrames", "Waveform", "__version__", "load_bundle", "load_recipe",
    "recording", "to_pandas",
}  # fmt: skip


def test_public_names_are_these() -> None:
    assert set(emofuse.__all__) == NAMES
    for name in NAMES:
        assert getattr(emofuse, name) is not None
    assert emofuse.__version__ == metadata.version("emofuse")
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        emofuse.Recogniser  # noqa: B018 - the misspelling is the test


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, emofuse\n"
        "heavy = {'av', 'cv2', 'dlib', 'numpy', 'onnxruntime', 'pydantic', 'torch'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_error_of_ours_has_one_root() -> None:
    from emofuse import errors

    kinds = [x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, Exception)]
    assert len(kinds) == 12
    assert all(issubclass(kind, emofuse.EmofuseError) for kind in kinds)
