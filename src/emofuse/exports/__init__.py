"""Timelines as files that other programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emofuse.core.lazy import lazy_names

if TYPE_CHECKING:
    from emofuse.exports.json_schema import timeline_schema
    from emofuse.exports.tables import face_rows, frame_rows, segment_rows, summary_rows, window_rows
    from emofuse.exports.waveform import PeakMeter, Peaks
    from emofuse.exports.write import FORMATS, format_of, write_timeline

__all__ = [
    "FORMATS",
    "PeakMeter",
    "Peaks",
    "face_rows",
    "format_of",
    "frame_rows",
    "segment_rows",
    "summary_rows",
    "timeline_schema",
    "window_rows",
    "write_timeline",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FORMATS": "write",
        "PeakMeter": "waveform",
        "Peaks": "waveform",
        "face_rows": "tables",
        "format_of": "write",
        "frame_rows": "tables",
        "segment_rows": "tables",
        "summary_rows": "tables",
        "timeline_schema": "json_schema",
        "window_rows": "tables",
        "write_timeline": "write",
    },
)
