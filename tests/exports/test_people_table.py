"""The table of people, read as text."""

from __future__ import annotations

import re

import pytest

from emofuse.exports.people_table import people_table, whole_percents
from emofuse.timeline.records import Segment
from tests.support import timelines


def expressed(*segments: Segment) -> str:
    table = people_table(timelines.timeline(segments=segments, people=("Anna",)))
    (cell,) = re.findall(r'<td class="wide">.*?</svg>(.*?)</td>', table)
    return str(cell).replace("\u00a0%", " %")  # never at the start of a line


def test_what_a_face_does_not_tell_apart_is_one_result() -> None:
    segments = (
        Segment(0.0, 4.0, "neutral", 0.9, person="Anna"),
        Segment(4.0, 7.0, "calm", 0.45, person="Anna", alike=("neutral",)),
        Segment(7.0, 9.0, "neutral", 0.45, person="Anna", alike=("calm",)),
        Segment(9.0, 10.0, None, 0.2, abstained=True, person="Anna"),
    )
    assert expressed(*segments) == "neutral or calm 50 %, neutral 40 %, not sure 10 %"
    table = people_table(timelines.timeline(segments=segments, people=("Anna",)))
    assert re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="(\d)" width="([\d.]+)" height="(\d)"', table) == [
        ("e0", "0.0", "0", "50.0", "3"), ("e1", "0.0", "3", "50.0", "3"),
        ("e0", "50.0", "0", "40.0", "6"), ("unsure", "90.0", "0", "10.0", "6"),
    ]  # fmt: skip
    # striped, as in the segments: plain gray would look neutral
    (stripes,) = re.findall('<path class="unsure" d="(.*?)"/>', table)
    starts = [float(x) for x in re.findall(r"M([\d.]+) 0", stripes)]
    assert len(starts) == 10 and min(starts) > 90 and max(starts) + 0.4 < 100


def test_what_is_rare_is_the_rest() -> None:
    names = ("happy", "sad", "angry", "fearful")
    ends = (0.0, 9.1, 9.4, 9.7, 10.0)
    segments = [
        Segment(start, end, name, 0.9, person="Anna")
        for name, start, end in zip(names, ends, ends[1:], strict=False)
    ]
    assert expressed(*segments) == "happy 91 %, others 9 %"


@pytest.mark.parametrize(
    ("shares", "percents"),
    [
        ([1 / 3, 1 / 3, 1 / 3], [34, 33, 33]),
        ([0.29, 0.71], [29, 71]),
        ([0.996, 0.004], [100, 0]),
        ([1.0, 0.0], [100, 0]),
    ],
)
def test_percents_add_up(shares: list[float], percents: list[int]) -> None:
    assert whole_percents(shares) == percents
