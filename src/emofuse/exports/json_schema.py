"""JSON that conforms to a published JSON Schema (2020-12), which lies beside this module."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from typing import IO, Any

from emofuse.core.text import encodable
from emofuse.exports.marks import MARKER, has_marks, mark_rows
from emofuse.exports.tiers import EXCLUDED
from emofuse.timeline.plain_rows import rounded
from emofuse.timeline.records import Segment, SpanMs, Timeline

SCHEMA_VERSION = 5
"""Of documents with dimensions. Others with a purpose, markers or excluded spans are of version 4, or else 3.

Incremented whenever a new document would be invalid under the old schema, or change its meaning.

2: windows name the ``speaker``; ``faces``, ``picture_size`` and ``notes``.
3: ``baselines``; windows hold both readings (``baseline``, ``other``).
4: ``purpose``, ``markers``, ``excluded``; segments that are ``excluded``.
5: ``dimensions``, in windows too; ``emotions`` may be empty.
"""
_WITHOUT_DIMENSIONS = 4
_WITHOUT_MARKS = 3


def timeline_schema() -> dict[str, Any]:
    """The JSON Schema of what :func:`write_json` writes."""
    text = resources.files(__package__).joinpath("timeline.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_json(timeline: Timeline, file: IO[bytes]) -> None:
    """The whole timeline, one line per window, segment and face, written in constant memory."""
    start_ms, end_ms = timeline.span_ms
    marks = _marks(timeline)
    version = _WITHOUT_DIMENSIONS if marks else _WITHOUT_MARKS
    if timeline.dimensions:
        version = SCHEMA_VERSION
        marks |= {"dimensions": [one.to_dict() for one in timeline.dimensions]}
    head = {
        "schema": f"urn:emofuse:timeline:{version}",
        "schema_version": version,
        "units": {
            "times": "s",
            "probabilities": "1",
            "confidence": "1",
            "speech": "1",
            "face_present": "1",
            "faces": "px",
            "picture_size": "px",
        },
        "source": timeline.source,
        "start_s": start_ms / 1000,
        "duration_s": (end_ms - start_ms) / 1000,
        "recogniser": timeline.recogniser,
        "licence": timeline.licence,
        "emotions": list(timeline.emotions),
        "people": list(timeline.people),
        "picture_size": None if timeline.picture_size is None else list(timeline.picture_size),
        "notes": list(timeline.notes),
        "baselines": {person: one.as_data() for person, one in timeline.baselines.items()},
        **marks,
    }
    file.write(b"{\n")
    for key, value in head.items():
        file.write(f' "{key}": '.encode() + _json(value) + b",\n")
    span = timeline.span_ms
    windows = (window.as_row(timeline.emotions, span) for window in timeline.windows)
    _write_list(file, "windows", map(rounded, windows))
    file.write(b",\n")
    _write_list(file, "segments", (_segment(one, span) for one in timeline.segments))
    file.write(b",\n")
    _write_list(file, "faces", map(_pixels, timeline.rows("faces")))
    file.write(b"\n}\n")


def _marks(timeline: Timeline) -> dict[str, Any]:
    """What people added, if they did."""
    if timeline.purpose is None and not has_marks(timeline):
        return {}
    rows = list(mark_rows(timeline))
    markers = [
        {"start_s": row["start_s"], "end_s": row["end_s"], "text": row["text"]}
        for row in rows
        if row["kind"] == MARKER
    ]
    excluded = [
        {
            "start_s": row["start_s"],
            "end_s": row["end_s"],
            "person": row["person"],
            "reason": row["text"],
        }
        for row in rows
        if row["kind"] == EXCLUDED
    ]
    return {"purpose": timeline.purpose, "markers": markers, "excluded": excluded}


def _segment(segment: Segment, span: SpanMs) -> dict[str, Any]:
    return rounded(segment.as_row(span)) | ({"excluded": True} if segment.excluded else {})


def _json(value: object) -> bytes:
    return encodable(json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()


def _write_list(file: IO[bytes], key: str, items: Iterable[dict[str, Any]]) -> None:
    file.write(f' "{key}": ['.encode())
    before = b"\n  "
    for item in items:
        file.write(before + _json(item))
        before = b",\n  "
    file.write(b"\n ]" if before != b"\n  " else b"]")


def _pixels(row: dict[str, Any]) -> dict[str, Any]:
    """A face's edges to a hundredth of a pixel."""
    return {
        key: round(value, 2) if isinstance(value, float) and key != "time_s" else value
        for key, value in row.items()
    }
