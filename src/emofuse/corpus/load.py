"""Load a corpus from a folder or a table, or several as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import emotions_of
from emofuse.corpus.clip_table import read_clip_table
from emofuse.corpus.corpus import NOT_STATED, Corpus
from emofuse.corpus.crema_d import NAMING as CREMA_D
from emofuse.corpus.emo_db import NAMING as EMO_DB
from emofuse.corpus.filename_corpora import Naming
from emofuse.corpus.joined import join_corpora
from emofuse.corpus.nemo import NAMING as NEMO
from emofuse.corpus.ravdess import read_ravdess
from emofuse.corpus.savee import NAMING as SAVEE
from emofuse.corpus.tess import NAMING as TESS

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")
FOLDER_TABLE: Final = "clips.csv"
"""The table in a folder whose file names say nothing."""
OTHERS: Final = ""
"""Stands for every table that is not named."""

_NAMINGS: Final[tuple[Naming, ...]] = (CREMA_D, SAVEE, TESS, EMO_DB, NEMO)


def load_corpus(path: str | Path, labels: str | None = None) -> Corpus:
    """Read a corpus: a folder of files that are described by their names, or a table of clips (.csv,
    .parquet); a folder whose file names say nothing is read by the table ``clips.csv`` in it.

    Names of RAVDESS are tried first; if no file has one, those of CREMA-D, SAVEE, TESS, EMO-DB and
    nEMO.

    Args:
        path: the folder or the table.
        labels: the label set in which a table names emotions; None: the eight emotions. Names of files say
            by themselves whose labels they have.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: there is nothing at ``path``, or it is neither, or the names in the folder are those of
            several corpora or of none, or the table has errors.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    path = Path(path)
    if labels is not None:
        emotions_of(labels)
    return _load(path, {} if labels is None else {OTHERS: labels}, alone=True)


def load_corpora(
    paths: Sequence[str | Path],
    *,
    labels: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    licences: Mapping[str, str] | None = None,
) -> Corpus:
    """Read one corpus, or several as one, see :func:`emofuse.corpus.joined.join_corpora`.

    A corpus is called as its file names say (RAVDESS, nEMO), a table as its file; where that is ``clips.csv``
    and not the only corpus, as its folder. Capitals do not matter in the names that are given.

    Args:
        paths: folders and tables, as of :func:`load_corpus`.
        labels: label sets of tables, by the name of the corpus; under :data:`OTHERS` that of all others.
        weights: what a clip counts in training, by name; 1 where none is given.
        licences: of tables, which state none, by name.

    Raises:
        ValueError: there is no label set of such a name.
        CorpusError: a corpus cannot be read, two have the same name, none has a name that is given, or it
            says itself what is given for it.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    sets = {name.lower(): value for name, value in (labels or {}).items()}
    for known in sets.values():
        emotions_of(known)
    corpora = [_load(Path(path), sets, alone=len(paths) == 1) for path in paths]
    _check_names(corpora, {"labels": labels, "weight": weights, "license": licences})
    terms = {name.lower(): text for name, text in (licences or {}).items()}
    for index, corpus in enumerate(corpora):
        licence = terms.get(corpus.name.lower())
        if licence is not None and corpus.licence not in (licence, NOT_STATED):
            raise CorpusError(f"--license: the licence of {corpus.name} is {corpus.licence}")
        corpora[index] = replace(corpus, licence=licence or corpus.licence)
    by_name = {name.lower(): weight for name, weight in (weights or {}).items()}
    return join_corpora(corpora, [by_name.get(corpus.name.lower(), 1.0) for corpus in corpora])


def _check_names(corpora: Sequence[Corpus], given: Mapping[str, Mapping[str, Any] | None]) -> None:
    names = [corpus.name for corpus in corpora]
    known = {name.lower() for name in names}
    for option, values in given.items():
        for name in values or {}:
            if name.lower() not in known and name != OTHERS:
                raise CorpusError(f"--{option} {name}: no corpus is called so, only {', '.join(names)}")


def _load(path: Path, labels: Mapping[str, str], *, alone: bool) -> Corpus:
    """One corpus. ``labels``: label sets of tables by the corpus' name in small letters."""
    if path.is_dir():
        table = path / FOLDER_TABLE
        try:
            corpus = _read_folder(path)
        except CorpusError:
            if not table.is_file() or _has_known_names(path):
                raise
        else:
            return _checked(corpus, labels)
    else:
        table = path
    if not table.exists():
        raise CorpusError(f"{path}: no such folder or table")
    if table.suffix.lower() not in TABLE_SUFFIXES:
        raise CorpusError(
            f"{path}: a corpus is a folder, or a table that ends in {', '.join(TABLE_SUFFIXES)}"
        )
    name = table.stem
    if table.name == FOLDER_TABLE and (path.is_dir() or not alone):
        name = table.parent.absolute().name
    corpus = read_clip_table(table, labels.get(name.lower(), labels.get(OTHERS)))
    return replace(corpus, name=name)


def _checked(corpus: Corpus, labels: Mapping[str, str]) -> Corpus:
    """A corpus whose file names say its labels, unless others are given for it.

    Raises:
        CorpusError: they are.
    """
    own = next((naming.labels for naming in _NAMINGS if naming.corpus == corpus.name), "ravdess-8")
    given = labels.get(corpus.name.lower(), own)
    if given != own:
        raise CorpusError(f"--labels {given}: the file names of {corpus.name} have labels of {own}")
    return corpus


def _has_known_names(root: Path) -> bool:
    """Whether some file of the folder has a name of a known corpus."""
    for read in (read_ravdess, *(naming.read for naming in _NAMINGS)):
        try:
            if read(root).clips:
                return True
        except CorpusError:
            pass
    return False


def _read_folder(root: Path) -> Corpus:
    known = "known names: 03-01-05-02-01-01-12.wav (RAVDESS), " + ", ".join(
        f"{naming.example} ({naming.corpus})" for naming in _NAMINGS
    )
    ravdess: Corpus | None = None
    problem = f"{root}: no file has a name that says who speaks and what is expressed"
    try:
        ravdess = read_ravdess(root)
    except CorpusError as error:
        problem = str(error)
    if ravdess is not None and (ravdess.clips or ravdess.synthetic):
        return ravdess
    found = []
    for naming in _NAMINGS:
        try:
            corpus = naming.read(root)
        except CorpusError:
            continue
        if corpus.clips:
            found.append(corpus)
    if len(found) == 1:
        return found[0]
    if found:
        counts = ", ".join(f"{len(corpus.clips)} of {corpus.name}" for corpus in found)
        raise CorpusError(f"{root}: files of several corpora ({counts}): give each its own folder; {known}")
    if ravdess is not None and ravdess.unlistable:
        return ravdess
    raise CorpusError(f"{problem}; {known}; or write a table of clips ({', '.join(TABLE_SUFFIXES)})")
