"""WebVTT (W3C Candidate Recommendation, 4 April 2019): subtitles for players."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from emofuse.core.text import one_line
from emofuse.core.times import clock
from emofuse.exports.marks import mark_lines
from emofuse.exports.tiers import (
    NOTHING,
    Interval,
    against_own_baseline,
    drawable_ms,
    filled,
    label,
    plain_names,
)
from emofuse.timeline.records import Timeline


def write_vtt(timeline: Timeline, file: IO[bytes]) -> None:
    """One cue per segment, as spoken by the person; a dash where nobody has a segment."""
    file.write(b"WEBVTT\n\n")
    about = f"{timeline.recogniser}; {timeline.licence}" if timeline.licence else timeline.recogniser
    file.write(f"NOTE Expressed emotion, read by {_escaped(about)}\n".encode())
    if (own := against_own_baseline(timeline)) is not None:
        file.write(f"\nNOTE Read {_escaped(own)}\n".encode())
    if timeline.purpose is not None:
        file.write(f"\nNOTE Purpose: {_escaped(timeline.purpose)}\n".encode())
    for line in mark_lines(timeline):
        file.write(f"\nNOTE {_escaped(line)}\n".encode())
    names = {person: _escaped(name) for person, name in plain_names(timeline.people).items()}
    for number, interval in enumerate(filled(timeline.segments, drawable_ms(timeline)), 1):
        times = f"{clock(interval.start_ms)} --> {clock(interval.end_ms)}"
        file.write(f"\n{number}\n{times}\n{_payload(interval, names)}\n".encode())


def _escaped(text: str) -> str:
    # a note may not hold an arrow either, so the same escapes apply
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _payload(interval: Interval, names: Mapping[str, str]) -> str:
    segment = interval.segment
    if segment is None:
        return NOTHING
    text = _escaped(segment.shown_emotion or label(segment))
    if segment.emotion is not None and segment.shown_confidence is not None:
        text += f" {segment.shown_confidence * 100:.0f} %"
    if segment.person is None:
        return text
    # players without voice spans still show the name
    name = names[segment.person]
    return f"<v {name}>{name}: {text}</v>"
