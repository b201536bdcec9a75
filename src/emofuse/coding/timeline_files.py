"""Timelines as one more coding: what emofuse said of whom and when, from its own files.

Read are JSON exports (``emofuse timeline --out talk.json``) and stored timelines (``.npz``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from emofuse.coding.spans import CodedSpan
from emofuse.core.errors import TimelineError
from emofuse.core.text import one_line
from emofuse.system.json_files import read_json
from emofuse.timeline.records import Timeline
from emofuse.timeline.stored import load_timeline

EMOFUSE: Final = "emofuse"
"""The name of the coder that is no person."""
_LARGEST_BYTES: Final = 512 * 2**20
"""Of a JSON export: windows of hours, with all probabilities."""
_SCHEMA: Final = "urn:emofuse:timeline:"
_MAX_DURATION_S: Final = 14 * 86400.0
_SEGMENTS: Final = "segments"


@dataclass(frozen=True, slots=True)
class TimelineCoding:
    """What a timeline says, as spans."""

    source: str
    """The recording, as the timeline names it."""
    start_s: float
    end_s: float
    emotions: tuple[str, ...]
    people: tuple[str, ...]
    spans: tuple[CodedSpan, ...]
    """Segments with an emotion; where emofuse abstained or had nothing to read, there is none."""

    @property
    def name(self) -> str:
        """The file name of the recording."""
        return PurePosixPath(self.source.replace("\\", "/")).name or self.source

    @classmethod
    def of(cls, timeline: Timeline) -> TimelineCoding:
        """The coding of a timeline in memory."""
        spans = tuple(
            CodedSpan(_SEGMENTS, one.start_s, one.end_s, one.emotion, one.person, EMOFUSE)
            for one in timeline.segments
            if one.emotion is not None and one.start_s < one.end_s
        )
        return cls(
            timeline.source, timeline.start_s, timeline.end_s, timeline.emotions, timeline.people, spans
        )


def read_timeline_coding(path: str | os.PathLike[str]) -> TimelineCoding:
    """Read what a timeline says from its JSON export or from a stored timeline.

    Raises:
        TimelineError: the file is missing, damaged, or neither.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        return TimelineCoding.of(load_timeline(path))
    try:
        data = read_json(path, limit_bytes=_LARGEST_BYTES)
        if isinstance(data, dict) and str(data.get("schema")).startswith(_SCHEMA):
            return _coding(data)
    except OSError as error:
        raise TimelineError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        problem = one_line(str(error)) if isinstance(error, ValueError) else "its parts do not fit together"
        raise TimelineError(f"{path} is not a timeline as JSON, or damaged: {problem}") from None
    raise TimelineError(f"{path} is not a timeline: write one with emofuse timeline FILE --out NAME.json")


def _coding(data: Mapping[str, Any]) -> TimelineCoding:
    start_s, duration_s = _number(data["start_s"]), _number(data["duration_s"])
    if not 0 <= duration_s <= _MAX_DURATION_S:
        raise ValueError(f"a duration of {duration_s:g} s")
    people = tuple(map(_text, data["people"]))
    emotions = tuple(map(_text, data["emotions"]))
    spans = []
    for segment in data["segments"]:
        emotion, person = segment["emotion"], segment["person"]
        if emotion is None:
            continue
        if emotion not in emotions or (person is not None and person not in people):
            raise ValueError("a segment names an emotion or a person that the timeline does not list")
        first, last = _number(segment["start_s"]), _number(segment["end_s"])
        if first < last:
            spans.append(CodedSpan(_SEGMENTS, first, last, emotion, person, EMOFUSE))
    return TimelineCoding(
        _text(data["source"]), start_s, start_s + duration_s, emotions, people, tuple(spans)
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
