"""What is read back is what was written: equal, and every export of it has the same bytes."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import TimelineError
from emofuse.exports.waveform import PeakMeter
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.array_files import read_arrays
from emofuse.timeline.records import FaceBox, Segment, Timeline
from emofuse.timeline.stored import LARGEST_BYTES, load_facts, load_timeline, save_timeline
from tests.support import timelines

QUALITY = {"a": True, "b": None, "c": 3, "d": "é", "": 0.1}
_DATE = re.compile(rb'DATE="[^"]+"')


def there_and_back(timeline: Timeline, folder: Path) -> Timeline:
    save_timeline(timeline, folder / "timeline.npz")
    return load_timeline(folder / "timeline.npz")


def bytes_of(timeline: Timeline, kind: str, folder: Path) -> bytes:
    """An export, without the time at which ELAN's was made."""
    return _DATE.sub(b"", write_timeline(timeline, folder / f"export{FORMATS[kind]}").read_bytes())


def assert_same_exports(timeline: Timeline, other: Timeline, folder: Path, kinds: Any = FORMATS) -> None:
    for kind in kinds:
        assert bytes_of(timeline, kind, folder) == bytes_of(other, kind, folder), kind


@pytest.mark.parametrize("seed", range(24))
def test_any_timeline_comes_back_and_has_the_same_exports(seed: int, tmp_path: Path) -> None:
    timeline = timelines.random_timeline(seed)
    again = there_and_back(timeline, tmp_path)
    assert again == timeline
    assert list(again.baselines) == list(timeline.baselines)
    facts = load_facts(tmp_path / "timeline.npz")
    assert (facts.source, facts.people) == (timeline.source, timeline.people)
    assert (facts.start_s, facts.duration_s) == (timeline.start_s, timeline.duration_s)
    # drawing a picture in pixels takes a second
    assert_same_exports(timeline, again, tmp_path, FORMATS if seed < 3 else set(FORMATS) - {"png"})


@pytest.mark.parametrize("seed", range(8))
def test_what_people_add_comes_back_too(seed: int, tmp_path: Path) -> None:
    timeline = timelines.marked_timeline(seed)
    again = there_and_back(timeline, tmp_path)
    assert again == timeline and again.excluded and again.markers and again.provenance is not None
    assert any(segment.excluded for segment in again.segments) or not seed % 2
    assert_same_exports(timeline, again, tmp_path, set(FORMATS) - {"png"})


def test_corners_come_back(tmp_path: Path) -> None:
    for more in (
        {},
        {"duration_s": 0.0, "people": ("Anna",)},
        {"start_s": -2.0, "duration_s": 1.5, "windows": (timelines.window(-2.0, -1.0),)},
        {"picture_size": (1, 2), "licence": None, "notes": ("damaged", "")},
        {"segments": (Segment(0.0, 10.0, "neutral", 0.36, alike=("calm",)), )},
        {"windows": (timelines.window(0, 1, fused=None, quality=QUALITY),)},
    ):  # fmt: skip
        timeline = timelines.timeline(**more)
        again = there_and_back(timeline, tmp_path)
        assert again == timeline
        assert_same_exports(timeline, again, tmp_path, set(FORMATS) - {"png"})
    typed = again.windows[0].quality
    assert list(map(type, typed.values())) == [bool, type(None), int, str, float]


def test_names_that_are_not_text_come_back(tmp_path: Path) -> None:
    """Two bytes of a file name that look like the halves of one character stay two."""
    for source in ('caf\udce9/<&">\x01.mp4', "\ud83d\ude00.mp4", "\x00\n"):
        assert there_and_back(timelines.timeline(source=source), tmp_path).source == source
    people = timelines.HOSTILE
    segments = tuple(Segment(1.0, 2.0, "happy", 1.0, person=name) for name in people)
    timeline = timelines.timeline(people=people, segments=segments)
    assert there_and_back(timeline, tmp_path) == timeline


def test_a_recording_that_was_read_comes_back(conversation: Path, tmp_path: Path) -> None:
    meter = PeakMeter()
    timeline = Recognizer.load().timeline(conversation, end_s=6.0, on_sound=meter.add)
    assert len(timeline.people) == 2 and timeline.faces
    assert timeline.provenance is not None and len(timeline.provenance.frame_times) > 25
    again = there_and_back(timeline, tmp_path)
    assert again == timeline
    assert_same_exports(timeline, again, tmp_path)
    page = write_timeline(timeline, tmp_path / "a.html", waveform=meter.peaks()).read_bytes()
    meter.peaks().save(tmp_path / "waveform.npz")
    peaks = type(meter.peaks()).load(tmp_path / "waveform.npz")
    assert write_timeline(again, tmp_path / "a.html", waveform=peaks).read_bytes() == page


@pytest.mark.ravdess
def test_a_real_recording_comes_back(ravdess: Path, tmp_path: Path) -> None:
    clip = next(ravdess.glob("video/*/01-01-08-01-02-02-01.mp4"))
    timeline = Recognizer.load().timeline(clip)
    assert timeline.faces and any(window.fused is not None for window in timeline.windows)
    again = there_and_back(timeline, tmp_path)
    assert again == timeline
    assert_same_exports(timeline, again, tmp_path)


def test_the_same_timeline_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_timeline(timelines.random_timeline(4), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# --- what is not a stored timeline


def saved_arrays(folder: Path) -> dict[str, Any]:
    save_timeline(timelines.marked_timeline(5), folder / "whole.npz")
    return dict(read_arrays(folder / "whole.npz"))


def refused(folder: Path, arrays: dict[str, Any]) -> str:
    np.savez(folder / "other.npz", **arrays)
    with pytest.raises(TimelineError) as caught:
        load_timeline(folder / "other.npz")
    message = str(caught.value)
    assert message.startswith(str(folder / "other.npz")) and "\n" not in message
    return message


def text_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(TimelineError, match=r"none\.npz: No such file"):
        load_timeline(tmp_path / "none.npz")
    whole = saved_arrays(tmp_path)
    data = (tmp_path / "whole.npz").read_bytes()
    rng = np.random.default_rng(3)
    for length in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.npz").write_bytes(data[:length])
        with pytest.raises(TimelineError, match="not a stored timeline"):
            load_timeline(tmp_path / "cut.npz")
    for place in rng.integers(0, len(data), 200).tolist():
        spoiled = bytearray(data)
        spoiled[place] ^= 0x55
        (tmp_path / "spoiled.npz").write_bytes(spoiled)
        try:  # some bytes, as those of the dates in the archive, mean nothing
            assert load_timeline(tmp_path / "spoiled.npz") == timelines.marked_timeline(5)
        except TimelineError:
            continue
    for name in whole:
        refused(tmp_path, {key: array for key, array in whole.items() if key != name})
        if name not in {"about", "texts", "frame_times"}:
            refused(tmp_path, whole | {name: whole[name][:-1]})
            refused(tmp_path, whole | {name: whole[name].astype(np.float16)})


def test_values_that_cannot_be_are_refused(tmp_path: Path) -> None:
    whole = saved_arrays(tmp_path)
    text = whole["about"].tobytes().decode("utf-8", "surrogatepass")
    assert "schema 2, this version reads 1: read the recording again" in refused(
        tmp_path, whole | {"about": text_array(text.replace('"schema": 1', '"schema": 2', 1))}
    )
    for wrong in (
        "[]", "{", "[" * 100_000, "\ud800", text.replace('"start_s": ', '"start_s": true, "x": ', 1),
        text.replace('"people": [', '"people": [3, ', 1), text.replace('"notes": []', '"notes": ""', 1),
    ):  # fmt: skip
        refused(tmp_path, whole | {"about": text_array(wrong)})
    for name, wrong_value in (
        ("window_people", 99), ("window_people", -7), ("face_people", -1), ("segment_codes", 99),
        ("window_readings", -0.5), ("window_times", np.nan),
    ):  # fmt: skip
        spoiled = whole[name].copy()
        spoiled[...] = wrong_value
        refused(tmp_path, whole | {name: spoiled})


@pytest.mark.skipif(sys.platform != "linux", reason="measures the memory of a process on Linux")
def test_a_header_that_lies_asks_for_no_memory(tmp_path: Path) -> None:
    import resource

    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2, 3, 8)}
    forged = io.BytesIO()
    np.lib.format.write_array_header_1_0(forged, header)
    arrays = saved_arrays(tmp_path)
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array)
            content = forged.getvalue() if name == "window_readings" else buffer.getvalue()
            archive.writestr(f"{name}.npy", content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TimelineError, match="declares"):
        load_timeline(tmp_path / "forged.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert LARGEST_BYTES < 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from emofuse.timeline.stored import save_timeline\n"
        "from tests.support.timelines import random_timeline\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        f"save_timeline(random_timeline(2), {str(tmp_path / 'a')!r})\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.returncode == 1 and "OSError" in done.stderr, done.stderr
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_ten_hours_fit(tmp_path: Path) -> None:
    """An interview of ten hours takes a few seconds and a fraction of the limit."""
    windows = tuple(
        timelines.window(i * 1.0, i + 3.0, person="Anna", quality={"level_dbfs": -23.4, "clipped": 0.0})
        for i in range(35_998)
    )
    faces = tuple(FaceBox(t / 5, "Anna", 1.5, 2.0, 3.0, 4.0) for t in range(180_000))
    whole = replace(
        timelines.timeline(duration_s=36_000.0, people=("Anna",), picture_size=(64, 64)), windows=windows,
        faces=faces,
    )  # fmt: skip
    assert there_and_back(whole, tmp_path) == whole
    size = sum(array.nbytes for array in read_arrays(tmp_path / "timeline.npz").values())
    assert size < LARGEST_BYTES / 8
