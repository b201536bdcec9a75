"""Any other corpus, from a table: one row per clip, as CSV or Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError, MissingExtraError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, Modality
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus

REQUIRED: Final = ("path", "emotion", "speaker")
OPTIONAL: Final = ("take", "start", "end")

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
"""Files with these suffixes have only a voice; any other may have a face too."""

_MAX_LISTED: Final = 5
"""An error lists this many problems of a table and counts the rest."""

Row = Mapping[str, object]


def read_clip_table(table: str | Path) -> Corpus:
    """Read a table of clips; no clip is opened.

    Columns: ``path`` (relative to the table), ``emotion`` (one of the eight), ``speaker``; optionally
    ``take`` (shared by the clips of one performance; by default each clip is its own), ``start`` and ``end``
    (seconds from the start of the file). Other columns are ignored.

    Raises:
        CorpusError: the table cannot be read, lacks a column or has invalid rows; the message gives their
            lines.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    table = Path(table)
    rows = _parquet_rows(table) if table.suffix.lower() == ".parquet" else _csv_rows(table)
    clips: list[Clip] = []
    lines: dict[str, str] = {}
    takes: dict[tuple[str, Modality], str] = {}
    people: dict[str, tuple[str, Clip]] = {}
    problems: list[str] = []
    for line, row in rows:
        try:
            clip = _clip(row, table.parent)
            _check_unique(clip, lines, takes, people)
        except ValueError as error:
            problems.append(f"{line}: {error}")
            continue
        lines[clip.clip_id] = line
        takes[clip.take, clip.modality] = line
        people.setdefault(clip.take, (line, clip))
        clips.append(clip)
    if problems:
        rest = len(problems) - _MAX_LISTED
        more = f"; and {rest} more" if rest > 0 else ""
        raise CorpusError(f"{table}: {'; '.join(problems[:_MAX_LISTED])}{more}")
    if not clips:
        raise CorpusError(f"{table}: the table has no rows")
    return Corpus(
        name=table.stem,
        root=table.parent,
        clips=tuple(clips),
        synthetic=(table.parent / SYNTHETIC_MARK).is_file(),
    )


def _clip(row: Row, folder: Path) -> Clip:
    """Convert one row to a clip. Raises ValueError that says what is wrong."""
    written, emotion, speaker = (_text(row, column) for column in REQUIRED)
    for column, value in zip(REQUIRED, (written, emotion, speaker), strict=True):
        if not value:
            raise ValueError(f"{column} is empty")
    emotion = emotion.lower()
    if emotion not in EMOTIONS:
        raise ValueError(f"unknown emotion {emotion!r}, use one of {', '.join(EMOTIONS)}")
    path = folder / written
    if not path.is_file():
        raise ValueError(f"no file {path}")
    start_s, end_s = _seconds(row, "start"), _seconds(row, "end")
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(f"end {end_s:g} is not after start {start_s or 0.0:g}")
    clip_id = Path(written).as_posix()
    if start_s is not None or end_s is not None:
        clip_id += f"#{start_s or 0.0:g}-{'' if end_s is None else format(end_s, 'g')}"
    return Clip(
        path=path,
        clip_id=clip_id,
        take=_text(row, "take") or clip_id,
        speaker=speaker,
        emotion=emotion,
        modality="audio" if path.suffix.lower() in AUDIO_SUFFIXES else "audio-video",
        start_s=start_s,
        end_s=end_s,
    )


def _check_unique(
    clip: Clip,
    lines: Mapping[str, str],
    takes: Mapping[tuple[str, Modality], str],
    people: Mapping[str, tuple[str, Clip]],
) -> None:
    if clip.clip_id in lines:
        raise ValueError(f"{clip.clip_id} is already in {lines[clip.clip_id]}")
    if (clip.take, clip.modality) in takes:
        raise ValueError(
            f"take {clip.take} already has its {clip.modality} file in {takes[clip.take, clip.modality]}"
        )
    if clip.take in people:
        line, other = people[clip.take]
        if (other.speaker, other.emotion) != (clip.speaker, clip.emotion):
            raise ValueError(f"take {clip.take} has another speaker or emotion in {line}")


def _csv_rows(table: Path) -> Iterator[tuple[str, Row]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(table, reader.fieldnames or ())
            for row in reader:
                if any(value for value in row.values()):
                    yield f"line {reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{table}: cannot be read as a CSV table in UTF-8: {error}") from None


def _parquet_rows(table: Path) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("train", f"{table}: reading a Parquet table") from None
    try:
        columns = pyarrow.parquet.read_schema(table).names
        _check_columns(table, columns)
        wanted = [column for column in (*REQUIRED, *OPTIONAL) if column in columns]
        rows = pyarrow.parquet.read_table(table, columns=wanted).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{table}: cannot be read as a Parquet table: {error}") from None
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", row


def _check_columns(table: Path, found: object) -> None:
    columns = [str(column) for column in found] if isinstance(found, (list, tuple)) else []
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise CorpusError(
            f"{table}: no column {', '.join(missing)}; the first line names the columns "
            f"({', '.join(REQUIRED)}, optional {', '.join(OPTIONAL)}), found {', '.join(columns) or 'none'}"
        )


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value).strip()


def _seconds(row: Row, column: str) -> float | None:
    text = _text(row, column)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a number of seconds") from None
    if math.isnan(value):
        return None
    if value < 0 or math.isinf(value):
        raise ValueError(f"{column} {text} must be zero or more seconds")
    return value
