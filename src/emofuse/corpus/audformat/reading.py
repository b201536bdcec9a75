"""A database in audformat as a corpus: its header, and the tables that have emotions and speakers.

The format's own library would load pickles; here the header is plain data, tables are CSV or Parquet, and
media lie below the database's folder. The format: https://audeering.github.io/audformat/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from emofuse.core.dimensions import USUAL
from emofuse.core.errors import CorpusError
from emofuse.corpus.audformat.header import HEADER, Header, HeaderTable, read_header
from emofuse.corpus.clip_table import Row, corpus_of_rows, is_share
from emofuse.corpus.corpus import NOT_STATED, Corpus
from emofuse.corpus.parquet_tables import parquet_rows
from emofuse.system.csv_files import read_csv_table

EMOTION: Final = "emotion"
_INDEX: Final = ("file", "start", "end")
_FILES: Final = "files"
"""What the table of files is usually called."""
_DURATION: Final = re.compile(r"(?:(\d+) days? ?)?(?:(\d+):(\d{2}):(\d{2}(?:\.\d+)?))?")


def is_audformat(folder: Path) -> bool:
    """Whether a folder holds the header of a database."""
    return (folder / HEADER).is_file()


def read_audformat(
    folder: str | Path,
    labels: str | None = None,
    dimensions: Sequence[str] | None = None,
    *,
    table: str | None = None,
) -> Corpus:
    """Read a database; no recording is opened, and nothing in it is run.

    Emotions are those of the column ``emotion``, or of the only one with a scheme of this name; speakers
    those of the column ``speaker`` beside it or in a table of files. Ratings and shares of raters are read
    as those of a table of clips.

    Args:
        folder: of the database, with db.yaml.
        labels: as of :func:`emofuse.corpus.clip_table.read_clip_table`.
        dimensions: the same.
        table: the table with the emotions; None: the one called ``emotion``, or the only one that has any.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: the database holds pickles, is not one, lacks a table or column, or has invalid rows.
        MissingExtraError: PyYAML, or for Parquet pyarrow, is not installed.
    """
    folder = Path(folder)
    header = read_header(folder)
    main = _main_table(folder, header, table, dimensions)
    rows = _clip_rows(folder, header, main)
    corpus = corpus_of_rows(folder / HEADER, rows, labels, dimensions)
    clips = tuple(
        replace(clip, facts={**header.speakers.get(clip.speaker, {}), **clip.facts}) for clip in corpus.clips
    )
    return replace(corpus, name=header.name, root=folder, clips=clips, licence=header.licence or NOT_STATED)


def _main_table(
    folder: Path, header: Header, wanted: str | None, dimensions: Sequence[str] | None
) -> HeaderTable:
    scales = USUAL if dimensions is None else dimensions
    fitting = {
        name: table
        for name, table in header.tables.items()
        if table.column(EMOTION) or any(is_share(c) or c in scales for c in table.columns)
    }
    listed = ", ".join(fitting) or "none"
    if wanted is not None:
        if wanted not in fitting:
            raise CorpusError(f"{folder / HEADER}: no table {wanted} with emotions, only {listed}")
        return fitting[wanted]
    with_emotions = {name: table for name, table in fitting.items() if table.column(EMOTION)} or fitting
    if EMOTION in with_emotions:
        return with_emotions[EMOTION]
    if len(with_emotions) != 1:
        way = f"say which, as in --corpus audformat:{next(iter(fitting))}" if fitting else "there must be one"
        raise CorpusError(f"{folder / HEADER}: tables with a column emotion: {listed}; {way}")
    return next(iter(with_emotions.values()))


def _clip_rows(folder: Path, header: Header, main: HeaderTable) -> Iterator[tuple[str, Row]]:
    """The rows of the main table as those of a table of clips."""
    emotion = main.column(EMOTION)
    speaker_column = main.column("speaker")
    of_files = {} if speaker_column else _of_files(folder, header, "speaker")
    takes = {} if "take" in main.columns else _of_files(folder, header, "take", needed=False)
    renamed = {emotion: EMOTION, speaker_column: "speaker", "file": "path"}
    root = folder.resolve()
    for where, row in _rows(folder, main):
        file = _text(row.get("file"))
        _check_beneath(root, folder, file, f"{_path(folder, main).name}, {where}")
        cells = {renamed.get(column, column): _cell(value) for column, value in row.items()}
        cells["start"], cells["end"] = _seconds(row.get("start")), _seconds(row.get("end"))
        if cells["end"] is None and not cells["start"]:
            cells["start"] = None  # the whole file
        if not speaker_column:
            cells["speaker"] = of_files.get(file, "")
        if file in takes:
            cells["take"] = takes[file]
        yield f"{_path(folder, main).name}, {where}", cells


def _of_files(folder: Path, header: Header, wanted: str, *, needed: bool = True) -> dict[str, str]:
    """What the tables of files say of each file in a column, such as its speaker."""
    fitting = [table for table in header.tables.values() if table.kind == "filewise" and table.column(wanted)]
    fitting.sort(key=lambda table: table.name != _FILES)
    if not fitting:
        if needed:
            raise CorpusError(f"{folder / HEADER}: no table of files has a column {wanted}")
        return {}
    column = str(fitting[0].column(wanted))
    return {
        _text(row.get("file")): text
        for _, row in _rows(folder, fitting[0])
        if (text := _text(row.get(column)))
    }


def _path(folder: Path, table: HeaderTable) -> Path:
    """The file of a table: Parquet, if both are there, as the format's library prefers it."""
    if set(table.name) & set("/\\\0") or ".." in table.name:
        raise CorpusError(f"{folder / HEADER}: {table.name!r} cannot be the name of a table")
    for suffix in (".parquet", ".csv"):
        path = folder / f"db.{table.name}{suffix}"
        if path.is_file():
            return path
    raise CorpusError(f"{folder}: no db.{table.name}.csv or .parquet, which {HEADER} names")


def _rows(folder: Path, table: HeaderTable) -> Iterator[tuple[str, Mapping[str, object]]]:
    path = _path(folder, table)
    wanted = {*_INDEX, *table.columns}

    def choose(names: Sequence[str]) -> list[str]:
        if "file" not in names:
            raise CorpusError(f"{path}: no column file, found {', '.join(names) or 'none'}")
        return [name for name in names if name in wanted]

    if path.suffix == ".parquet":
        yield from parquet_rows(path, choose)
        return
    try:
        found = read_csv_table(path, ("file",))
        choose(found.columns)
        for line, row in found.rows():
            yield f"line {line}", row
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path}: cannot be read as a CSV table: {getattr(error, 'strerror', error)}"
        ) from None


def _check_beneath(root: Path, folder: Path, file: str, where: str) -> None:
    """Check that a medium lies below the database.

    Raises:
        CorpusError: it does not.
    """
    parts = PurePosixPath(file).parts
    windows = PureWindowsPath(file)
    outside = not file or "\0" in file or ".." in {*parts, *windows.parts} or bool(windows.anchor)
    try:
        outside = outside or not (root / file).resolve().is_relative_to(root)
    except (OSError, ValueError, RuntimeError):
        outside = True
    if outside:
        raise CorpusError(f"{folder}: {where}: {file!r:.200} is not a file below the database")


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _cell(value: object) -> object:
    """A cell as tables of clips have it: what is not a number is nothing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _seconds(value: object) -> object:
    """A time as tables of clips have it: seconds; texts such as ``0 days 00:00:01.5`` are read."""
    if value is None or isinstance(value, (int, float)):
        return _cell(value)
    text = str(value).strip()
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        return None if text in ("", "NaT") else text
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
