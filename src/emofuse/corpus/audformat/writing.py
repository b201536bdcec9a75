"""A corpus as a database in audformat: db.yaml, a table of clips, a table of files, and the media."""

from __future__ import annotations

import csv
import io
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from emofuse.core.errors import CorpusError, MissingExtraError
from emofuse.core.records import Clip
from emofuse.corpus.audformat.header import HEADER
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus
from emofuse.corpus.own_labels import SHARE_PREFIX
from emofuse.system.atomic_write import write_atomically

Storage = Literal["csv", "parquet"]

_INDEX: Final = ("file", "start", "end")
_LANGUAGES: Final = {"de": "deu", "en": "eng", "pl": "pol"}
"""Languages are ISO 639-3 there."""
_SPEAKER_FACTS: Final = {"sex": "gender", "age": "age", "language": "language"}


def write_audformat(
    corpus: Corpus,
    folder: Path,
    storage: Storage = "csv",
    on_done: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> None:
    """Write a database: tables ``emotion`` (of clips) and ``files``, and copies of the recordings.

    The header is written last, so that a folder without one is not finished.

    Args:
        corpus: with the labels, ratings and shares of raters that it has.
        folder: empty, or not there yet.
        storage: of the tables.
        on_done: told how many recordings are copied, of how many.

    Raises:
        CorpusError: there is something in the folder, or a speaker or emotion cannot be written.
        MissingExtraError: PyYAML, or for Parquet pyarrow, is not installed.
        OSError: a file cannot be read or written.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("train", "writing an audformat database") from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder}: there is something already: give a folder that is empty or not there")
    names = _names(corpus)
    tables = {"emotion": _clips(corpus, names), "files": _files(corpus, names)}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (path, name) in enumerate(names.items(), 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
        on_done(number, len(names))
    if corpus.synthetic and (mark := corpus.root / SYNTHETIC_MARK).is_file():
        shutil.copyfile(mark, folder / SYNTHETIC_MARK)
    for name, rows in tables.items():
        path = folder / f"db.{name}.{storage}"
        write_atomically(path, _parquet(rows) if storage == "parquet" else _csv(rows))
    header = yaml.safe_dump(_header(corpus, tables), sort_keys=False, allow_unicode=True)
    write_atomically(folder / HEADER, header.encode())


def _names(corpus: Corpus) -> dict[Path, str]:
    """What each recording is called below the database: as below the corpus, if it lies there."""
    names: dict[Path, str] = {}
    used: set[str] = set()
    root = corpus.root.resolve()
    for path in dict.fromkeys(clip.path for clip in corpus.clips):
        whole = path.resolve()
        name = whole.relative_to(root).as_posix() if whole.is_relative_to(root) else f"media/{path.name}"
        number = 1
        while name.lower() in used:
            number += 1
            name = f"media/{number}/{path.name}"
        used.add(name.lower())
        names[path] = name
    return names


def _is_segmented(corpus: Corpus) -> bool:
    return any(clip.start_s is not None or clip.end_s is not None for clip in corpus.clips)


def _clips(corpus: Corpus, names: Mapping[Path, str]) -> list[dict[str, Any]]:
    """The rows of the table of clips; a column that says nothing is left out."""
    shared = list(dict.fromkeys(label for clip in corpus.clips for label in clip.shares))
    whose = _speakers_by_file(corpus)
    apart = any(len(speakers) > 1 for speakers in whose.values())
    rows = []
    for clip in corpus.clips:
        row: dict[str, Any] = {"file": names[clip.path]}
        if _is_segmented(corpus):
            row |= {"start": clip.start_s or 0.0, "end": clip.end_s}
        row["emotion"] = clip.emotion
        if apart:
            row["speaker"] = clip.speaker
        row["take"] = clip.take
        row |= {name: clip.ratings.get(name) for name in corpus.dimensions}
        row |= {f"{SHARE_PREFIX}{label}": clip.shares.get(label) for label in shared}
        rows.append(row)
    return rows


def _files(corpus: Corpus, names: Mapping[Path, str]) -> list[dict[str, Any]]:
    """The rows of the table of files: whose they are, where that is one person."""
    whose = _speakers_by_file(corpus)
    return [
        {"file": name, "speaker": next(iter(whose[path])) if len(whose[path]) == 1 else None}
        for path, name in names.items()
    ]


def _speakers_by_file(corpus: Corpus) -> dict[Path, set[str]]:
    whose: defaultdict[Path, set[str]] = defaultdict(set)
    for clip in corpus.clips:
        whose[clip.path].add(clip.speaker)
    return whose


def _header(corpus: Corpus, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    languages = {_LANGUAGES.get(clip.facts.get("language", ""), "") for clip in corpus.clips} - {""}
    schemes: dict[str, Any] = {
        "emotion": {"dtype": "str", "labels": list(corpus.emotions)},
        "speaker": {"dtype": "str", "labels": _people(corpus.clips)},
        "take": {"dtype": "str"},
    }
    columns = list(dict.fromkeys(name for rows in tables.values() for row in rows for name in row))
    for name in columns:
        if name not in _INDEX:
            schemes.setdefault(name, {"dtype": "float"})
    if not corpus.emotions:
        schemes["emotion"] = {"dtype": "str"}
    return {
        "name": corpus.name,
        "source": "written by emofuse corpus export",
        "usage": _usage(corpus.licence),
        **({"languages": sorted(languages)} if languages else {}),
        "license": corpus.licence,
        "schemes": schemes,
        "tables": {
            name: {
                "type": "segmented" if "start" in rows[0] else "filewise",
                "columns": {column: {"scheme_id": column} for column in rows[0] if column not in _INDEX},
            }
            for name, rows in tables.items()
        },
    }


def _people(clips: Sequence[Clip]) -> dict[str, dict[str, Any]]:
    """What is known of each speaker, by name."""
    people: dict[str, dict[str, Any]] = {}
    for clip in clips:
        about = people.setdefault(clip.speaker, {})
        for fact, name in _SPEAKER_FACTS.items():
            if (value := clip.facts.get(fact)) is not None:
                about[name] = int(value) if fact == "age" and value.isdecimal() else value
    return dict(sorted(people.items()))


def _usage(licence: str) -> str:
    """What a license allows, in the words of the format."""
    if "NC" in licence.replace("-", " ").split() or "research" in licence:
        return "research"
    return "unrestricted" if licence.startswith(("CC0", "CC BY", "ODbL")) else "other"


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            [
                _duration(value) if column in ("start", "end") else _written(value)
                for column, value in row.items()
            ]
        )
    return text.getvalue().encode()


def _written(value: Any) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _duration(seconds: float | None) -> str:
    """A time as pandas writes it: ``0 days 00:00:01.500000``; nothing where there is none."""
    if seconds is None:
        return ""
    whole = _microseconds(seconds)
    minutes, rest = divmod(whole, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} days {hours:02d}:{minutes:02d}:{rest // 1_000_000:02d}.{rest % 1_000_000:06d}"


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("train", "writing Parquet") from None
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name in ("start", "end"):
            ns = [None if value is None else 1000 * _microseconds(value) for value in values]
            columns[name] = pyarrow.array(ns, pyarrow.duration("ns"))
        else:
            number = any(isinstance(value, float) for value in values)
            kind = pyarrow.float64() if number else pyarrow.string()
            columns[name] = pyarrow.array(values, kind)
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()
