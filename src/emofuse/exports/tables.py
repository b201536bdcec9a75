"""Tables: windows, segments, frames, people and markers as CSV (RFC 4180, UTF-8), windows as Parquet.

Where a timeline has a purpose, every table has a column with it at the end; where it has excluded spans,
segments have a column with the reason, and people one with how long they are excluded.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from emofuse.core.csv_tables import write_csv
from emofuse.core.errors import MissingExtraError
from emofuse.core.text import encodable
from emofuse.core.times import decimal_seconds
from emofuse.exports.marks import MARK_COLUMNS, has_marks, mark_rows, reason_of
from emofuse.exports.tiers import against_own_baseline
from emofuse.timeline.frame_values import frame_columns, frame_rows
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import excluded_s, summary_columns, summary_rows

__all__ = [
    "face_rows",
    "frame_rows",
    "segment_rows",
    "summary_rows",
    "window_rows",
    "windows_csv_of",
    "write_frames_csv",
    "write_markers_csv",
    "write_parquet",
    "write_rows",
    "write_segments_csv",
    "write_summary_csv",
    "write_windows_csv",
]


_OF_LABELS: Final = ("voice_", "face_", "fused_", "other_", "share_", "mean_", "low_", "high_")
"""Columns that begin so end in a label, which is no unit, whatever it is called."""


def window_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """One row per window: see :meth:`Timeline.rows`."""
    return timeline.rows("windows")


def segment_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """One row per segment: see :meth:`Timeline.rows`."""
    return timeline.rows("segments")


def face_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """One row per face and time: see :meth:`Timeline.rows`."""
    return timeline.rows("faces")


def write_windows_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """One row per window: times to three decimals, shares and probabilities to six, empty where unknown."""
    _write_table(timeline, file, timeline.columns("windows"), timeline.rows("windows"))


def windows_csv_of(timeline: Timeline) -> tuple[str, str]:
    """What :func:`write_windows_csv` writes, as two texts: the line with the names of columns, and the rest.

    For windows that come one after the other: the first line is the same for all timelines of a recognizer
    that have a purpose, or have none.
    """
    file = io.BytesIO()
    write_windows_csv(timeline, file)
    head, end, rows = file.getvalue().decode("utf-8").partition("\r\n")
    return head + end, rows


def write_segments_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """One row per segment: times to three decimals, the confidence to six, empty where unknown."""
    columns, rows = (*timeline.columns("segments"),), timeline.rows("segments")
    if timeline.excluded:
        columns = (*columns, "excluded_reason")
        reasons = (reason_of(segment, timeline) for segment in timeline.segments)
        rows = (row | {"excluded_reason": why} for row, why in zip(rows, reasons, strict=True))
    _write_table(timeline, file, columns, rows)


def write_frames_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """One row per face and frame: see :func:`frame_rows`; edges to a hundredth of a pixel."""
    _write_table(timeline, file, frame_columns(timeline.emotions), frame_rows(timeline))


def write_summary_csv(timeline: Timeline, file: IO[bytes], condition: str | None = None) -> None:
    """One row per person: see :func:`summary_rows`."""
    columns = summary_columns(timeline.emotions, timeline.dimensions)
    rows = summary_rows(timeline, condition)
    if timeline.excluded:
        columns = (*columns, "excluded_s")
        rows = (row | {"excluded_s": excluded_s(timeline, row["person"])} for row in rows)
    _write_table(timeline, file, columns, rows)


def write_markers_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """One row per marker and excluded span: see :func:`emofuse.exports.marks.mark_rows`."""
    _write_table(timeline, file, MARK_COLUMNS, mark_rows(timeline))


def _write_table(
    timeline: Timeline, file: IO[bytes], columns: Iterable[str], rows: Iterable[dict[str, Any]]
) -> None:
    """The rows, with a column for the purpose if the timeline has one."""
    if timeline.purpose is not None:
        columns = (*columns, "purpose")
        rows = (row | {"purpose": timeline.purpose} for row in rows)
    write_rows(file, columns, rows)


def write_rows(file: IO[bytes], columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    """Any rows as CSV; the unit in a column's name says how its numbers are written."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    write_csv(
        text,
        columns,
        ([_cell(column, value) for column, value in row.items()] for row in rows),
        line_end="\r\n",
    )
    text.flush()
    text.detach()


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        # times are whole milliseconds already: this removes the rounding error of the division
        if column.endswith("_s") and not column.startswith(_OF_LABELS):
            return decimal_seconds(round(value * 1000))
        in_pixels = column.endswith("_px") and not column.startswith(_OF_LABELS)
        return f"{value:.2f}" if in_pixels else f"{value:.6f}"
    return str(value)


def write_parquet(timeline: Timeline, file: IO[bytes]) -> None:
    """The rows of the windows at full precision; facts about the recording in the file's metadata.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtraError("tables", "writing Parquet") from None
    start_ms, end_ms = timeline.span_ms
    metadata = {
        "source": timeline.source,
        "start_s": decimal_seconds(start_ms),
        "duration_s": decimal_seconds(end_ms - start_ms),
        "recogniser": timeline.recogniser,
        "licence": timeline.licence or "",
        "baselines": against_own_baseline(timeline) or "",
    }
    if timeline.purpose is not None:
        metadata["purpose"] = timeline.purpose
    if has_marks(timeline):
        metadata["marks"] = json.dumps(list(mark_rows(timeline)), ensure_ascii=False)
    schema = pa.schema(
        [
            (encodable(name), pa.string() if kind == "object" else pa.float64())
            for name, kind in timeline.columns("windows").items()
        ],
        metadata={f"emofuse.{key}": encodable(value) for key, value in metadata.items()},
    )
    columns: list[list[Any]] = [[] for _ in schema]
    for row in timeline.rows("windows"):
        for column, value in zip(columns, row.values(), strict=True):
            column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
