"""Any other corpus, from a table: one row per clip, as CSV or Parquet."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError, MissingExtraError
from emofuse.core.label_maps import convert_label, label_map, label_set
from emofuse.core.labels import EMOTIONS, LABEL_SETS, emotions_of
from emofuse.core.records import Clip, Modality
from emofuse.core.times import parse_seconds
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus
from emofuse.system.csv_files import LARGEST_BYTES, read_csv_table

REQUIRED: Final = ("path", "emotion", "speaker")
OPTIONAL: Final = ("take", "start", "end")

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
"""Files with these suffixes have only a voice; any other may have a face too."""

_MAX_LISTED: Final = 5
"""An error lists this many problems of a table and counts the rest."""
_MAX_LINES: Final = 3
"""Of a label that is no emotion, an error names this many lines and counts all."""
_MOST_ROWS: Final = 5_000_000
_LONGEST_TEXT: Final = 10_000
_BATCH_ROWS: Final = 10_000
_OTHER_NAMES: Final = {
    "joy": "happy", "fury": "angry", "scared": "fearful", "afraid": "fearful"
} | {
    label.lower(): emotion
    for labels in LABEL_SETS.values()
    for label, emotion in labels.items()
    if emotion in EMOTIONS and len(label) > 2
}  # fmt: skip
"""What the emotions are called elsewhere."""

Row = Mapping[str, object]


def read_clip_table(table: str | Path, labels: str | None = None) -> Corpus:
    """Read a table of clips, CSV (with commas, semicolons or tabs) or Parquet; no clip is opened.

    Columns: ``path`` (relative to the table), ``emotion``, ``speaker``; optionally
    ``take`` (shared by the clips of one performance; by default each clip is its own), ``start`` and ``end``
    (seconds from the start of the file). Other columns are ignored.

    Args:
        table: the file.
        labels: the label set in which its emotions are written, in capital or small letters; None: they are
            the eight emotions. A label that is none of the eight, such as boredom, leaves the clip without
            an emotion.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: the table cannot be read, lacks a column or has invalid rows; the message gives their
            lines.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    table = Path(table)
    rows = _parquet_rows(table) if table.suffix.lower() == ".parquet" else _csv_rows(table)
    return corpus_of_rows(table, rows, labels)


def corpus_of_rows(table: Path, rows: Iterable[tuple[str, Row]], labels: str | None = None) -> Corpus:
    """The corpus that the rows of a table describe, wherever they were read.

    Args:
        table: the file, beside which the clips lie; errors name it.
        rows: where each stands (``line 7``), and its cells by column.
        labels: as of :func:`read_clip_table`.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: there are no rows, or invalid ones; the message gives where they stand.
    """
    known = _Labels.of(labels)
    clips: list[Clip] = []
    lines: dict[str, str] = {}
    takes: dict[tuple[str, Modality], str] = {}
    people: dict[str, tuple[str, Clip]] = {}
    problems: list[str] = []
    unknown: dict[str, list[str]] = {}
    seen: set[str] = set()
    for line, row in rows:
        try:
            clip = _clip(row, table.parent, known)
            _check_unique(clip, lines, takes, people)
        except _UnknownEmotionError as error:
            unknown.setdefault(error.emotion, []).append(line)
            continue
        except ValueError as error:
            problems.append(f"{line}: {error}")
            continue
        seen.add(str(clip.emotion))
        lines[clip.clip_id] = line
        takes[clip.take, clip.modality] = line
        people.setdefault(clip.take, (line, clip))
        clips.append(clip)
    if unknown:
        problems.insert(0, _about_unknown(unknown, known) + _sets_with({*unknown, *seen}, labels))
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
        emotions=_distinguished(clips, labels),
    )


def _distinguished(clips: Sequence[Clip], labels: str | None) -> tuple[str, ...]:
    """The emotions of a label set; without one, those that occur."""
    if labels is not None:
        return emotions_of(labels)
    found = {clip.emotion for clip in clips}
    return tuple(emotion for emotion in EMOTIONS if emotion in found)


@dataclass(frozen=True, slots=True)
class _Labels:
    """What the emotions of a table are called: each label in small letters, and the emotion it means."""

    names: tuple[str, ...]
    meant: Mapping[str, str | None]

    @classmethod
    def of(cls, labels: str | None) -> _Labels:
        if labels is None:
            return cls(EMOTIONS, {emotion: emotion for emotion in EMOTIONS})
        to_emotions = label_map(labels, "ravdess-8")
        names = label_set(labels)
        return cls(names, {name.lower(): convert_label(name, to_emotions) for name in names})


class _UnknownEmotionError(ValueError):
    """A label that is none of the eight emotions."""

    def __init__(self, emotion: str) -> None:
        super().__init__(emotion)
        self.emotion = emotion


def _about_unknown(unknown: Mapping[str, Sequence[str]], known: _Labels) -> str:
    """One message for all labels that are no emotion: how often, where first, and what may be meant."""
    labels = sorted(unknown, key=lambda label: -len(unknown[label]))
    described = []
    for label in labels[:_MAX_LISTED]:
        lines = unknown[label]
        kind = lines[0].partition(" ")[0]
        numbers = [line.partition(" ")[2] for line in lines[:_MAX_LINES]]
        where = f"{len(lines)} {kind}s, first {', '.join(numbers)}" if len(lines) > 1 else lines[0]
        meant = _nearest(label) if known.names == EMOTIONS else None
        described.append(f"{label!r} ({where}{f'; did you mean {meant}?' if meant else ''})")
    rest = len(labels) - _MAX_LISTED
    more = f" and {rest} more" if rest > 0 else ""
    plural = "s" if len(labels) > 1 else ""
    return f"unknown emotion{plural} {', '.join(described)}{more}, use one of {', '.join(known.names)}"


def _sets_with(found: Collection[str], labels: str | None) -> str:
    """Which label sets have all labels of a table that was read as the eight emotions, as advice."""
    if labels is not None:
        return ""
    fitting = [name for name in LABEL_SETS if set(found) <= set(_Labels.of(name).meant)]
    return (
        f" (or, if they are labels of {' or '.join(fitting)}, give --labels {fitting[0]})" if fitting else ""
    )


def _nearest(label: str) -> str | None:
    """The emotion that a label may mean: by the names of other label sets, or one that is spelled alike."""
    names = {**_OTHER_NAMES, **{emotion: emotion for emotion in EMOTIONS}}
    alike = get_close_matches(label, names, n=1)
    return names[alike[0]] if alike else None


def _clip(row: Row, folder: Path, known: _Labels) -> Clip:
    """Convert one row to a clip. Raises ValueError that says what is wrong."""
    written, emotion, speaker = (_text(row, column) for column in REQUIRED)
    for column, value in zip(REQUIRED, (written, emotion, speaker), strict=True):
        if not value:
            raise ValueError(f"{column} is empty")
    emotion = emotion.lower()
    if emotion not in known.meant:
        raise _UnknownEmotionError(emotion)
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
        emotion=known.meant[emotion],
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
        found = read_csv_table(table, (*REQUIRED, *OPTIONAL))
        _check_columns(table, found.columns)
        for line, row in found.rows():
            yield f"line {line}", row
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{table}: cannot be read as a CSV table in UTF-8 or UTF-16: {getattr(error, 'strerror', error)}"
        ) from None


def _parquet_rows(table: Path) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("train", f"{table}: reading a Parquet table") from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            _check_columns(table, file.schema_arrow.names)
            _check_size(table, file)
            texts = [name for name in _wanted(file) if _is_text(file.schema_arrow.field(name).type)]
        # a text that is repeated stays one text: a small file can hold a long one a million times
        with pyarrow.parquet.ParquetFile(table, read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=_wanted(file), use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield f"row {number}", dict(zip(batch.schema.names, values, strict=True))
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{table}: cannot be read as a Parquet table: {error}") from None


def _wanted(file: Any) -> list[str]:
    return [column for column in (*REQUIRED, *OPTIONAL) if column in file.schema_arrow.names]


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_binary(kind))


def _check_size(table: Path, file: Any) -> None:
    """Fail before a table is read that would take much more memory than disk."""
    from pyarrow import types

    wanted = _wanted(file)
    nested = [name for name in wanted if types.is_nested(file.schema_arrow.field(name).type)]
    if nested:
        raise CorpusError(f"{table}: column {nested[0]} holds lists or structures, not values")
    n_rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
    n_bytes = 0
    for group in map(file.metadata.row_group, groups):
        parts = [group.column(i) for i in range(group.num_columns)]
        n_bytes += sum(part.total_uncompressed_size for part in parts if part.path_in_schema in wanted)
    if n_rows > _MOST_ROWS or n_bytes > LARGEST_BYTES:
        raise CorpusError(
            f"{table}: too large for a table of clips: {n_rows} rows, {n_bytes / 2**20:.0f} MiB; at most "
            f"{_MOST_ROWS} rows, {LARGEST_BYTES / 2**20:.0f} MiB"
        )


def _values(column: Any) -> list[Any]:
    if not hasattr(column, "dictionary"):
        values: list[Any] = column.to_pylist()
        return values
    texts = column.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]


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
