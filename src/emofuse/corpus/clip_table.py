"""Any other corpus, from a table: one row per clip, as CSV or Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.records import Clip, Modality
from emofuse.core.times import parse_seconds
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus
from emofuse.corpus.label_files import folded, table_labels
from emofuse.corpus.own_labels import (
    SHARE_PREFIX,
    LabelReader,
    UnknownLabelError,
    unknown_labels,
    with_labels,
)
from emofuse.corpus.parquet_tables import parquet_rows
from emofuse.corpus.rating_columns import rating_columns, ratings
from emofuse.system.csv_files import read_csv_table

REQUIRED: Final = ("path", "emotion", "speaker")
OPTIONAL: Final = ("take", "start", "end")

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
"""Files with these suffixes have only a voice; any other may have a face too."""

_MAX_LISTED: Final = 5
"""An error lists this many problems of a table and counts the rest."""
_LONGEST_TEXT: Final = 10_000
Row = Mapping[str, object]


def read_clip_table(
    table: str | Path, labels: str | None = None, dimensions: Sequence[str] | None = None
) -> Corpus:
    """Read a table of clips, CSV (with commas, semicolons or tabs) or Parquet; no clip is opened.

    Columns: ``path`` (relative to the table), ``emotion`` (any 2 to 50 labels; empty where a clip has none),
    ``speaker``; optionally ``take`` (shared by the clips of one performance; by default each clip is its
    own), ``start`` and ``end`` (seconds from the start of the file). Columns such as ``share:happy``, beside
    ``emotion`` or in its place, have the shares, or the numbers, of a clip's raters who chose each label.
    Columns of ``dimensions`` hold ratings, numbers on any scale, empty where a clip was not rated; beside
    ``emotion`` or in its place. Other columns are ignored.

    Args:
        table: the file.
        labels: None: labels are used as they are written. Else the label set in which emotions are written,
            in capital or small letters, which become the eight, or the file of a map, see
            :func:`emofuse.corpus.label_files.table_labels`. A label that becomes none of them, such as
            boredom, leaves the clip without one.

        dimensions: the columns with ratings; None: valence, arousal and dominance, where there are any.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: the table cannot be read, lacks a column or has invalid rows; the message gives their
            lines. Or labels cannot be used, see :mod:`emofuse.core.label_names`.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    table = Path(table)
    read = _parquet_rows if table.suffix.lower() == ".parquet" else _csv_rows
    return corpus_of_rows(table, read(table, dimensions), labels, dimensions)


def corpus_of_rows(
    table: Path,
    rows: Iterable[tuple[str, Row]],
    labels: str | None = None,
    dimensions: Sequence[str] | None = None,
) -> Corpus:
    """The corpus that the rows of a table describe, wherever they were read.

    Args:
        table: the file, beside which the clips lie; errors name it.
        rows: where each stands (``line 7``), and its cells by column.
        labels: as of :func:`read_clip_table`.
        dimensions: the same.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: there are no rows, or invalid ones; the message gives where they stand.
    """
    known = None if labels is None else table_labels(labels)
    reader = LabelReader(known)
    clips: list[Clip] = []
    lines: dict[str, str] = {}
    takes: dict[tuple[str, Modality], str] = {}
    people: dict[str, tuple[str, Clip]] = {}
    problems: list[str] = []
    unknown: dict[str, list[str]] = {}
    rated: dict[str, None] = {}
    scales: dict[str, None] = {}
    for line, row in rows:
        try:
            columns = rating_columns(row, dimensions, (*REQUIRED, *OPTIONAL))
            scales |= dict.fromkeys(columns)
            clip = _clip(row, table.parent, reader, columns)
            _check_unique(clip, lines, takes, people)
        except UnknownLabelError as error:
            unknown.setdefault(error.label, []).append(line)
            continue
        except ValueError as error:
            problems.append(f"{line}: {error}")
            continue
        rated |= dict.fromkeys(clip.shares)
        lines[clip.clip_id] = line
        takes[clip.take, clip.modality] = line
        people.setdefault(clip.take, (line, clip))
        clips.append(clip)
    if unknown and known is not None:
        problems.insert(0, unknown_labels(unknown, known))
    if problems:
        rest = len(problems) - _MAX_LISTED
        more = f"; and {rest} more" if rest > 0 else ""
        raise CorpusError(f"{table}: {'; '.join(problems[:_MAX_LISTED])}{more}")
    if not clips:
        raise CorpusError(f"{table}: the table has no rows")
    try:
        clips, emotions = with_labels(clips, rated, known)
    except ValueError as error:
        raise CorpusError(f"{table}: {error}") from None
    return Corpus(
        name=table.stem,
        root=table.parent,
        clips=tuple(clips),
        synthetic=(table.parent / SYNTHETIC_MARK).is_file(),
        emotions=emotions,
        dimensions=tuple(name for name in scales if any(name in clip.ratings for clip in clips)),
    )


def _clip(row: Row, folder: Path, reader: LabelReader, scales: Sequence[str]) -> Clip:
    """Convert one row to a clip. Raises ValueError that says what is wrong."""
    written, label, speaker = (_text(row, column) for column in REQUIRED)
    for column, value in (("path", written), ("speaker", speaker)):
        if not value:
            raise ValueError(f"{column} is empty")
    emotion = reader.label(label)
    shares = reader.shares(row, (str(column) for column in row if is_share(column)))
    if not label and shares:
        emotion = max(shares, key=lambda one: shares[one])
    path = folder / written
    if not _is_file(path):
        raise ValueError(f"no file {path!s:.300}")
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
        shares=shares,
        ratings=ratings(row, scales),
    )


def is_share(column: object) -> bool:
    """Whether a column has the shares of raters."""
    return isinstance(column, str) and column.startswith(SHARE_PREFIX)


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
        if (other.speaker, folded(other.emotion or "")) != (clip.speaker, folded(clip.emotion or "")):
            raise ValueError(f"take {clip.take} has another speaker or emotion in {line}")
        for name in clip.ratings.keys() & other.ratings.keys():
            if clip.ratings[name] != other.ratings[name]:
                raise ValueError(f"take {clip.take} has another {name} in {line}")


def _csv_rows(table: Path, dimensions: Sequence[str] | None) -> Iterator[tuple[str, Row]]:
    try:
        found = read_csv_table(table, (*REQUIRED, *OPTIONAL))
        _check_columns(table, found.columns, dimensions)
        for line, row in found.rows():
            yield f"line {line}", row
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{table}: cannot be read as a CSV table in UTF-8 or UTF-16: {getattr(error, 'strerror', error)}"
        ) from None


def _parquet_rows(table: Path, dimensions: Sequence[str] | None) -> Iterator[tuple[str, Row]]:
    def choose(names: Sequence[str]) -> list[str]:
        _check_columns(table, names, dimensions)
        known = (*REQUIRED, *OPTIONAL, *rating_columns(names, dimensions, (*REQUIRED, *OPTIONAL)))
        return [column for column in names if column in known or is_share(column)]

    return parquet_rows(table, choose)


def _check_columns(table: Path, found: object, dimensions: Sequence[str] | None) -> None:
    columns = [str(column) for column in found] if isinstance(found, (list, tuple)) else []
    missing = [column for column in REQUIRED if column not in columns]
    rated = rating_columns(columns, dimensions, (*REQUIRED, *OPTIONAL))
    if missing == ["emotion"] and (rated or any(map(is_share, columns))):
        return
    if missing:
        raise CorpusError(
            f"{table}: no column {', '.join(missing)}; the first line names the columns "
            f"({', '.join(REQUIRED)}, optional {', '.join(OPTIONAL)}), found {', '.join(columns) or 'none'}"
        )


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    text = "" if value is None else str(value).strip()
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"{column} has {len(text)} characters, too many")
    return text


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False


def _seconds(row: Row, column: str) -> float | None:
    text = _text(row, column)
    if not text:
        return None
    try:
        value = parse_seconds(text)
    except ValueError as error:
        raise ValueError(f"{column} {error}") from None
    if math.isnan(value):
        return None
    if value < 0 or math.isinf(value):
        raise ValueError(f"{column} {text} must be zero or more seconds")
    return value
