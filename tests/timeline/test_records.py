from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.features.own_baseline import Reading
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

EVEN = np.full(8, 0.125)


def make(**more: Any) -> Timeline:
    given: dict[str, Any] = {
        "source": "talk.mp4", "duration_s": 10.0, "start_s": 0.5, "windows": (), "segments": (),
        "emotions": EMOTIONS, "recogniser": "r", "people": ("Anna", "Bert"),
    }  # fmt: skip
    return Timeline(**(given | more))


def window(start_s: float, end_s: float, **more: Any) -> Window:
    return Window(start_s, end_s, None, None, EVEN, **more)


def face(time_s: float, person: str = "Anna", **more: Any) -> FaceBox:
    given: dict[str, Any] = {"left": -1.5, "top": 10.0, "right": 90.0, "bottom": 120.0}
    return FaceBox(time_s, person, **(given | more))


def test_a_whole_timeline() -> None:
    whole = make(
        windows=(window(0.5, 2), window(1, 3), window(1, 3, person="Anna")),
        segments=(
            Segment(0.5, 2, "sad", 0.5),
            Segment(1, 3, None, 0.3, abstained=True, person="Anna"),
            Segment(2, 10.5 + 1e-9, None),
            Segment(3, 4, "happy", 0.5, person="Anna"),
        ),
    )
    assert whole.end_s == 10.5
    assert whole.segments[0].duration_s == 1.5
    assert list(whole.windows[0].probabilities) == ["voice", "face", "fused"]
    assert make(duration_s=0.0).end_s == 0.5
    seen = make(
        windows=(window(1, 3, person="Anna", speaker="Bert"),),
        faces=(face(0.5), face(0.5, "Bert"), face(10.5)),
        picture_size=(640, 360),
    )
    assert seen.faces[0].edges == (-1.5, 10.0, 90.0, 120.0)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"duration_s": -1.0}, "invalid span"),
        ({"duration_s": float("nan")}, "invalid span"),
        ({"start_s": float("inf")}, "invalid span"),
        ({"emotions": ()}, "emotions"),
        ({"emotions": ("sad", "sad")}, "emotions"),
        ({"people": ("Anna", "Anna")}, "different names"),
        ({"people": (" ",)}, "not a valid name"),
        ({"people": ("a\0",)}, "not a valid name"),
        ({"people": ("\udce9",)}, "not a valid name"),
        ({"windows": (window(0.4, 1),)}, "outside"),
        ({"windows": (window(10, 10.6),)}, "outside"),
        ({"windows": (window(2, 3), window(1, 4))}, "ordered by time"),
        ({"windows": (window(1, 2, person="Carl"),)}, "Carl"),
        ({"windows": (window(1, 2, speaker="Carl"),)}, "Carl"),
        ({"baselines": {"Carl": PersonBaseline({}, {})}}, "a baseline of 'Carl'"),
        ({"windows": (window(1, 2, baseline="own", other=Reading(EVEN[:1] * 8)),)}, "one for each emotion"),
        ({"faces": (face(1),)}, "picture_size"),
        ({"picture_size": (640, 0)}, "picture_size"),
        ({"picture_size": (640, 360), "faces": (face(0.4),)}, "outside"),
        ({"picture_size": (640, 360), "faces": (face(2), face(1))}, "ordered by time"),
        ({"picture_size": (640, 360), "faces": (face(2), face(2))}, "two faces"),
        ({"picture_size": (640, 360), "faces": (face(2, "Carl"),)}, "Carl"),
        ({"windows": (Window(1, 2, None, None, np.full(7, 1 / 7)),)}, "one for each emotion"),
        ({"segments": (Segment(0.4, 1, "sad", 0.5),)}, "outside"),
        ({"segments": (Segment(2, 3, "sad", 0.5), Segment(1, 2, "sad", 0.5))}, "ordered by time"),
        ({"segments": (Segment(1, 3, "sad", 0.5), Segment(2, 4, "sad", 0.5))}, "overlap"),
        ({"segments": (Segment(1, 3, "bored", 0.5),)}, "bored"),
        ({"segments": (Segment(1, 3, "sad", 0.5, person="Carl"),)}, "Carl"),
    ],
)  # fmt: skip
def test_timelines_check_themselves(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make(**more)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"end_s": 1.0}, "start before"),
        ({"start_s": float("nan")}, "start before"),
        ({"voice": EVEN.astype(np.float32)}, "float64"),
        ({"face": EVEN[None]}, "float64"),
        ({"fused": np.full(8, 0.2)}, "sum to 1"),
        ({"fused": np.array([1.5, -0.5])}, "not negative"),
        ({"fused": np.array([np.nan, 1.0])}, "finite"),
        ({"speech": 1.1}, "speech"),
        ({"face_present": float("nan")}, "face_present"),
        ({"quality": {"snr_db": float("inf")}}, "snr_db"),
        ({"quality": {"box": [1, 2]}}, "box"),
        ({"quality": {"snr_db": np.float32(1)}}, "snr_db"),
        ({"reasons": ("no face; dark",)}, "reason code"),
        ({"baseline": "own"}, "if, and only if"),
        ({"other": Reading(None, EVEN, EVEN)}, "if, and only if"),
        ({"baseline": "plain", "other": Reading(None, EVEN * 2, EVEN)}, "other face: .* sum to 1"),
    ],
)
def test_windows_check_themselves(more: dict[str, Any], problem: str) -> None:
    given: dict[str, Any] = {"start_s": 1.0, "end_s": 2.0, "voice": None, "face": None, "fused": None}
    Window(**given)
    with pytest.raises(ValueError, match=problem):
        Window(**(given | more))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"end_s": 1.0}, "start before"),
        ({"confidence": 1.1}, "between 0 and 1"),
        ({"confidence": None}, "has a confidence"),
        ({"abstained": True}, "is not abstained"),
        ({"emotion": None}, "no confidence"),
    ],
)
def test_segments_check_themselves(more: dict[str, Any], problem: str) -> None:
    given: dict[str, Any] = {"start_s": 1.0, "end_s": 2.0, "emotion": "sad", "confidence": 0.5}
    Segment(**given)
    with pytest.raises(ValueError, match=problem):
        Segment(**(given | more))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"right": -1.5}, "left < right"),
        ({"bottom": 9.0}, "top < bottom"),
        ({"left": float("nan")}, "finite"),
        ({"time_s": float("inf")}, "finite"),
    ],
)
def test_faces_check_themselves(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        face(**({"time_s": 1.0} | more))
