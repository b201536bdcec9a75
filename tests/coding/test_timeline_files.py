from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emofuse.coding.timeline_files import TimelineCoding, read_timeline_coding
from emofuse.core.errors import TimelineError
from emofuse.core.times import milliseconds
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment, Timeline
from emofuse.timeline.stored import save_timeline
from tests.exports.conftest import any_timeline  # noqa: F401
from tests.support import timelines


def rounded(coding: TimelineCoding) -> list[tuple[Any, ...]]:
    spans = [(s.person, milliseconds(s.start_s), milliseconds(s.end_s), s.label) for s in coding.spans]
    return [one for one in spans if one[1] < one[2]]


def test_both_files_say_what_the_timeline_says(any_timeline: Timeline, tmp_path: Path) -> None:  # noqa: F811
    save_timeline(any_timeline, tmp_path / "a.npz")
    stored = read_timeline_coding(tmp_path / "a.npz")
    assert stored == TimelineCoding.of(any_timeline)
    exported = read_timeline_coding(write_timeline(any_timeline, tmp_path / "a.json"))
    assert exported.emotions == stored.emotions
    assert len(exported.people) == len(stored.people)
    if not any("\x00" in one or not one.isprintable() for one in stored.people):
        assert rounded(exported) == rounded(stored)
    assert (milliseconds(exported.start_s), milliseconds(exported.end_s)) == any_timeline.span_ms


def test_where_there_is_no_emotion_nothing_is_said(tmp_path: Path) -> None:
    segments = (
        Segment(0, 1, None, 0.3, abstained=True), Segment(1, 2, None), Segment(2, 3, "sad", 0.9),
        Segment(3, 4, None, excluded=True),
    )  # fmt: skip
    timeline = timelines.timeline(source="films/talk.mp4", segments=segments)
    found = read_timeline_coding(write_timeline(timeline, tmp_path / "a.json"))
    assert [(one.start_s, one.end_s, one.label, one.coder) for one in found.spans] == [
        (2, 3, "sad", "emofuse")
    ]
    assert found.name == "talk.mp4"


@pytest.mark.parametrize(
    "change",
    [
        {"segments": None}, {"segments": [{"emotion": "odd", "person": None, "start_s": 0, "end_s": 1}]},
        {"segments": [{"emotion": "sad", "person": "who", "start_s": 0, "end_s": 1}]},
        {"segments": [{"emotion": "sad", "person": None, "start_s": "0", "end_s": 1}]}, {"people": 3},
        {"duration_s": -1}, {"duration_s": 1e300}, {"start_s": True}, {"emotions": [1]}, {"schema": "other"},
    ],
)  # fmt: skip
def test_damaged_timelines_say_so(change: dict[str, Any], tmp_path: Path) -> None:
    path = write_timeline(timelines.timeline(), tmp_path / "a.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(TimelineError, match=r"a\.json"):
        read_timeline_coding(path)


def test_what_is_no_timeline(tmp_path: Path) -> None:
    with pytest.raises(TimelineError, match="No such file"):
        read_timeline_coding(tmp_path / "none.json")
    for text in ("", "[]", "{}", "[" * 100_000):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(TimelineError, match="not a timeline"):
            read_timeline_coding(tmp_path / "a.json")
