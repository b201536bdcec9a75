"""Praat TextGrid, the long text format in UTF-8 (Praat manual, "TextGrid file formats")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from emofuse.core.text import one_line
from emofuse.core.times import decimal_seconds
from emofuse.exports.marks import MarkInterval, mark_tiers
from emofuse.exports.rating_tiers import rating_tiers
from emofuse.exports.tiers import Interval, against_own_baseline, complete_tiers, drawable_ms, label
from emofuse.timeline.records import Timeline


def write_textgrid(timeline: Timeline, file: IO[bytes]) -> None:
    """Two interval tiers per person, ``emotion`` and ``confidence``, from 0 to the end; gaps are empty.

    One more, ``baseline``, says who is read against their own baseline, if anybody is; ``purpose``,
    ``marker`` and ``excluded`` hold what people added, if they did; ``valence@Anna`` and so on hold ratings.
    Praat does not allow empty tiers: a recording without length becomes one millisecond long.
    """
    last_ms = max(drawable_ms(timeline)[1], 1)
    tiers: list[tuple[str, list[tuple[int, int, str]]]] = []
    for tier in complete_tiers(timeline):
        intervals = tier.intervals or (Interval(0, last_ms, None),)
        for kind, text in (("emotion", _emotion), ("confidence", _confidence)):
            tiers.append((tier.name(kind), [(i.start_ms, i.end_ms, text(i)) for i in intervals]))
    if (own := against_own_baseline(timeline)) is not None:
        tiers.append(("baseline", [(0, last_ms, own)]))
    if timeline.purpose is not None:
        tiers.append(("purpose", [(0, last_ms, one_line(timeline.purpose))]))
    lanes = (*mark_tiers(timeline), *rating_tiers(timeline))
    tiers += [(name, list(_filled(lane, last_ms))) for name, lane in lanes]
    for line in _lines(last_ms, tiers):
        file.write(line.encode() + b"\n")


def _filled(lane: Iterable[MarkInterval], last_ms: int) -> Iterator[MarkInterval]:
    """The intervals, with empty ones between them."""
    reached = 0
    for start_ms, end_ms, text in lane:
        if start_ms > reached:
            yield reached, start_ms, ""
        yield start_ms, end_ms, text
        reached = end_ms
    if reached < last_ms:
        yield reached, last_ms, ""


def _emotion(interval: Interval) -> str:
    return "" if interval.segment is None else label(interval.segment)


def _confidence(interval: Interval) -> str:
    if interval.segment is None or interval.segment.confidence is None:
        return ""
    return f"{interval.segment.confidence:.3f}"


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _lines(last_ms: int, tiers: list[tuple[str, list[tuple[int, int, str]]]]) -> Iterator[str]:
    end = decimal_seconds(last_ms)
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "")
    yield from ("xmin = 0.000 ", f"xmax = {end} ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: ")
    for number, (name, intervals) in enumerate(tiers, 1):
        yield f"    item [{number}]:"
        yield '        class = "IntervalTier" '
        yield f"        name = {_quoted(name)} "
        yield "        xmin = 0.000 "
        yield f"        xmax = {end} "
        yield f"        intervals: size = {len(intervals)} "
        for index, (start_ms, end_ms, text) in enumerate(intervals, 1):
            yield f"        intervals [{index}]:"
            yield f"            xmin = {decimal_seconds(start_ms)} "
            yield f"            xmax = {decimal_seconds(end_ms)} "
            yield f"            text = {_quoted(text)} "
