"""Tiers as ELAN reads them back, with its float32 arithmetic."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.elan.tiers import seconds, write_tiers
from emofuse.timeline.records import Segment, Timeline, part_ms
from tests.support import elan, timelines


def tiers_of(timeline: Timeline, path: Path, *, with_confidence: bool = True) -> dict[str, Any]:
    with path.open("wb") as file:
        write_tiers(timeline, file, with_confidence=with_confidence)
    return elan.read_tiers(path)


@pytest.mark.parametrize("seed", range(20))
def test_elan_reads_every_segment(seed: int, tmp_path: Path) -> None:
    whole = timelines.random_timeline(seed)
    found = tiers_of(whole, tmp_path / "tiers.xml")
    assert len(found) == 2 * (len(whole.people) + 1) or len(found) == 2 * len(whole.people)
    wanted: list[tuple[int, int, str]] = []
    for one in whole.segments:
        start, end = part_ms(one, (0, max(whole.span_ms[1], 0)))
        if start < end and one.status in {"read", "abstained"}:
            wanted.append((start, end, one.emotion or "abstained"))
    read = [one for name, spans in found.items() if name.startswith("emotion") for one in spans]
    # float32 seconds are exact to the millisecond for two hours
    tolerance = 0 if whole.duration_s < 7200 else 1
    assert len(read) == len(wanted)
    for got, want in zip(sorted(read), sorted(wanted), strict=True):
        assert got[2] == want[2] and max(abs(got[0] - want[0]), abs(got[1] - want[1])) <= tolerance


def test_no_millisecond_is_lost_in_two_hours() -> None:
    times = np.unique(np.geomspace(1, 7_200_000, 200_000).astype(int))
    assert [ms for ms in times.tolist() if elan.parse_time(seconds(ms)) != ms] == []
    assert elan.parse_time(f"{1001 / 1000:.3f}") in {1000, 1001}


def test_names_have_no_spaces_and_are_told_apart(tmp_path: Path) -> None:
    people = ("Anna Berta", "Anna_Berta", "שלום עולם", "#1")
    segments = tuple(Segment(1, 2, "happy", 0.75, person=name) for name in people)
    found = tiers_of(timelines.timeline(people=people, segments=segments), tmp_path / "tiers.xml")
    assert list(found) == [
        "emotion@Anna_Berta", "confidence@Anna_Berta", "emotion@Anna_Berta_(2)",
        "confidence@Anna_Berta_(2)", "emotion@שלום_עולם", "confidence@שלום_עולם", "emotion@#1",
        "confidence@#1",
    ]  # fmt: skip
    assert found["emotion@#1"] == [(1000, 2000, "happy")]
    assert found["confidence@#1"] == [(1000, 2000, "0.750")]


def test_without_confidences_and_with_any_labels(tmp_path: Path) -> None:
    names = tuple(f"感情 {n} <&>" for n in range(50))
    segments = tuple(Segment(n / 10, (n + 1) / 10, name, 0.5) for n, name in enumerate(names))
    whole = timelines.timeline(emotions=names, segments=segments)
    found = tiers_of(whole, tmp_path / "tiers.xml", with_confidence=False)
    assert list(found) == ["emotion"] and [one[2] for one in found["emotion"]] == list(names)


def test_excluded_and_empty(tmp_path: Path) -> None:
    excluded = Segment(1, 2, None, excluded=True)
    found = tiers_of(timelines.timeline(segments=(excluded, Segment(2, 3, None))), tmp_path / "a.xml")
    assert found["emotion"] == [(1000, 2000, "excluded")]
    assert tiers_of(timelines.timeline(), tmp_path / "b.xml") == {"emotion": [], "confidence": []}
    file = io.BytesIO()
    write_tiers(timelines.timeline(), file, with_confidence=True)
    assert b"avatech-tiers.xsd" in file.getvalue()
