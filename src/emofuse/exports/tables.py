"""Tables: windows and segments as CSV (RFC 4180, UTF-8), windows as Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal

from emofuse.core.errors import MissingExtraError
from emofuse.core.text import encodable
from emofuse.core.times import decimal_seconds, milliseconds
from emofuse.exports.times import part_ms, span_ms
from emofuse.timeline.records import Timeline

SEGMENT_COLUMNS = ("start_s", "end_s", "person", "emotion", "confidence", "abstained")
FACE_COLUMNS = ("time_s", "person", "left", "top", "right", "bottom")
_KINDS = ("voice", "face", "fused")
_TEXTS = frozenset({"person", "speaker", "emotion", "quality", "reasons"})


def window_columns(timeline: Timeline) -> tuple[str, ...]:
    """``voice_neutral`` … ``fused_surprised`` between the times and what else a window has."""
    probabilities = (f"{kind}_{emotion}" for kind in _KINDS for emotion in timeline.emotions)
    return (
        *("start_s", "end_s", "person", "speaker"),
        *probabilities,
        *("speech", "face_present", "quality", "reasons"),
    )


def window_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """A row a window, ready for ``pandas.DataFrame``; None where there is nothing.

    Times are in seconds to the millisecond, ``quality`` is JSON, ``reasons`` are joined with ``;``.
    """
    span, blank = span_ms(timeline), (None,) * len(timeline.emotions)
    for window in timeline.windows:
        start_ms, end_ms = part_ms(window, span)
        row: dict[str, Any] = {
            "start_s": start_ms / 1000,
            "end_s": end_ms / 1000,
            "person": window.person,
            "speaker": window.speaker,
        }
        for kind, array in window.probabilities.items():
            values = blank if array is None else array.tolist()
            row.update({f"{kind}_{e}": p for e, p in zip(timeline.emotions, values, strict=True)})
        quality = json.dumps(dict(window.quality), ensure_ascii=False) if window.quality else None
        yield row | {
            "speech": window.speech,
            "face_present": window.face_present,
            "quality": None if quality is None else encodable(quality),
            "reasons": ";".join(window.reasons) or None,
        }


def segment_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """A row a segment, ready for ``pandas.DataFrame``; None where there is nothing."""
    span = span_ms(timeline)
    for segment in timeline.segments:
        start_ms, end_ms = part_ms(segment, span)
        yield {
            "start_s": start_ms / 1000,
            "end_s": end_ms / 1000,
            "person": segment.person,
            "emotion": segment.emotion,
            "confidence": segment.confidence,
            "abstained": segment.abstained,
        }


def face_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """A row a face and time, ready for ``pandas.DataFrame``; edges in pixels of the upright picture."""
    first, last = span_ms(timeline)
    for face in timeline.faces:
        time_ms = min(max(milliseconds(face.time_s), first), last)
        yield dict(zip(FACE_COLUMNS, (time_ms / 1000, face.person, *face.edges), strict=True))


def table_of(
    timeline: Timeline, what: Literal["windows", "segments", "faces"]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Columns by name, and the kind of each as NumPy calls it: ``float64``, ``bool`` or ``object``.

    Raises:
        ValueError: there is no such table.
    """
    names: tuple[str, ...]
    if what == "windows":
        names, rows = window_columns(timeline), window_rows(timeline)
    elif what == "segments":
        names, rows = SEGMENT_COLUMNS, segment_rows(timeline)
    elif what == "faces":
        names, rows = FACE_COLUMNS, face_rows(timeline)
    else:
        raise ValueError(f"no table {what!r}: use windows, segments or faces")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name, value in row.items():
            columns[name].append(value)
    kinds = {
        name: "object" if name in _TEXTS else "bool" if name == "abstained" else "float64" for name in names
    }
    return columns, kinds


def write_windows_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """A row a window: times with three decimals, shares and probabilities with six, empty where unknown."""
    _write_csv(file, window_columns(timeline), window_rows(timeline))


def write_segments_csv(timeline: Timeline, file: IO[bytes]) -> None:
    """A row a segment: times with three decimals, the confidence with six, empty where unknown."""
    _write_csv(file, SEGMENT_COLUMNS, segment_rows(timeline))


def _write_csv(file: IO[bytes], columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    # The default \r\n, as RFC 4180 has it: fields with either half are quoted then, with \n alone only some.
    writer = csv.writer(text)
    writer.writerow([encodable(column) for column in columns])
    for row in rows:
        writer.writerow([_cell(column, value) for column, value in row.items()])
    text.flush()
    text.detach()


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        # Already whole milliseconds: this rounding only takes the float's tail away.
        return decimal_seconds(round(value * 1000)) if column in {"start_s", "end_s"} else f"{value:.6f}"
    return str(value)


def write_parquet(timeline: Timeline, file: IO[bytes]) -> None:
    """The rows of the windows, every figure at full length; the recording's facts in the file's metadata.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtraError("tables", "writing Parquet") from None
    start_ms, end_ms = span_ms(timeline)
    facts = {
        "source": timeline.source,
        "start_s": decimal_seconds(start_ms),
        "duration_s": decimal_seconds(end_ms - start_ms),
        "recogniser": timeline.recogniser,
        "licence": timeline.licence or "",
    }
    schema = pa.schema(
        [(encodable(c), pa.string() if c in _TEXTS else pa.float64()) for c in window_columns(timeline)],
        metadata={f"emofuse.{key}": encodable(value) for key, value in facts.items()},
    )
    columns: list[list[Any]] = [[] for _ in schema]
    for row in window_rows(timeline):
        for column, value in zip(columns, row.values(), strict=True):
            column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
