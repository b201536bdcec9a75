"""Load a corpus from a folder or a table, or several as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError
from emofuse.corpus.audformat.header import read_header
from emofuse.corpus.audformat.reading import is_audformat, read_audformat
from emofuse.corpus.clip_table import read_clip_table
from emofuse.corpus.corpus import NOT_STATED, Corpus
from emofuse.corpus.crema_d import NAMING as CREMA_D
from emofuse.corpus.emo_db import NAMING as EMO_DB
from emofuse.corpus.filename_corpora import Naming
from emofuse.corpus.joined import join_corpora
from emofuse.corpus.label_files import table_labels
from emofuse.corpus.nemo import NAMING as NEMO
from emofuse.corpus.ravdess import NAMING as RAVDESS
from emofuse.corpus.savee import NAMING as SAVEE
from emofuse.corpus.tess import NAMING as TESS

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")
FOLDER_TABLE: Final = "clips.csv"
"""The table in a folder whose file names say nothing."""
OTHERS: Final = ""
"""Stands for every table that is not named."""

KNOWN_NAMES: Final[tuple[Naming, ...]] = (RAVDESS, CREMA_D, SAVEE, TESS, EMO_DB, NEMO)
"""Corpora whose file names are known, in the order in which they are tried."""
A_TABLE: Final = "table"
"""Forces a table, in place of file names."""
AUDFORMAT: Final = "audformat"
"""Forces a database in audformat; ``audformat:NAME`` says which of its tables has the emotions."""


def load_corpus(
    path: str | Path,
    labels: str | None = None,
    *,
    corpus: str | None = None,
    dimensions: Sequence[str] | None = None,
) -> Corpus:
    """Read a corpus: a folder of files that are described by their names, or a table of clips (.csv,
    .parquet); a folder whose file names say nothing is read by the table ``clips.csv`` in it, and one with a
    ``db.yaml`` as a database in audformat.

    Names of RAVDESS are tried first; if no file has one, those of CREMA-D, SAVEE, TESS, EMO-DB and
    nEMO.

    Args:
        path: the folder or the table.
        labels: the label set in which a table names emotions, or the file of a map; None: its labels are
            used as they are written. Names of files say by themselves whose labels they have.
        corpus: whose file names these are, such as ``"EMO-DB"``; or ``"table"``, ``"audformat"``, or
            ``"audformat:NAME"``, by which table; None: whichever fits.
        dimensions: the columns of a table with ratings; None: valence, arousal, dominance if it has any.

    Raises:
        ValueError: there is no label set of this name.
        CorpusError: there is nothing at ``path``, or it is neither, or the names in the folder are those of
            several corpora or of none, or not those of ``corpus``; or the table has errors.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    path = Path(path)
    if labels is not None:
        table_labels(labels)
    sets = {} if labels is None else {OTHERS: labels}
    return _with_dimensions(
        [_load(path, sets, alone=True, corpus=corpus, dimensions=dimensions)], dimensions
    )[0]


def load_corpora(
    paths: Sequence[str | Path],
    *,
    labels: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    licences: Mapping[str, str] | None = None,
    corpora: Sequence[str] = (),
    dimensions: Sequence[str] | None = None,
) -> Corpus:
    """Read one corpus, or several as one, see :func:`emofuse.corpus.joined.join_corpora`.

    A corpus is called as its file names say (RAVDESS, nEMO), a table as its file; where that is ``clips.csv``
    and not the only corpus, as its folder. Capitals do not matter in the names that are given.

    Args:
        paths: folders and tables, as of :func:`load_corpus`.
        labels: label sets or maps of tables, by the name of the corpus; under :data:`OTHERS` that of all
            others.
        weights: what a clip counts in training, by name; 1 where none is given.
        licences: of tables, which state none, by name.
        corpora: whose file names these are, as of :func:`load_corpus`: nothing, one for all paths, or one for
            each.
        dimensions: the columns of tables with ratings, as of :func:`load_corpus`.

    Raises:
        ValueError: there is no label set of such a name.
        CorpusError: a corpus cannot be read, two have the same name, none has a name that is given, or it
            says itself what is given for it.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    parts = separate_corpora(
        paths, labels=labels, weights=weights, licences=licences, corpora=corpora, dimensions=dimensions
    )
    by_name = {name.lower(): weight for name, weight in (weights or {}).items()}
    return join_corpora(parts, [by_name.get(corpus.name.lower(), 1.0) for corpus in parts])


def separate_corpora(
    paths: Sequence[str | Path],
    *,
    labels: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    licences: Mapping[str, str] | None = None,
    corpora: Sequence[str] = (),
    dimensions: Sequence[str] | None = None,
) -> list[Corpus]:
    """Read several corpora as :func:`load_corpora` does, each on its own."""
    sets = {name.lower(): value for name, value in (labels or {}).items()}
    for known in sets.values():
        table_labels(known)
    if len(corpora) not in (0, 1, len(paths)):
        raise CorpusError(
            f"--corpus is given {len(corpora)} times for {len(paths)} corpora: give it once, or once for each"
        )
    whose: list[str | None] = [*corpora] or [None]
    if len(whose) == 1:
        whose *= len(paths)
    found = [
        _load(Path(path), sets, alone=len(paths) == 1, corpus=one, dimensions=dimensions)
        for path, one in zip(paths, whose, strict=True)
    ]
    _check_names(found, {"labels": labels, "weight": weights, "license": licences})
    terms = {name.lower(): text for name, text in (licences or {}).items()}
    for index, corpus in enumerate(found):
        licence = terms.get(corpus.name.lower())
        if licence is not None and corpus.licence not in (licence, NOT_STATED):
            raise CorpusError(f"--license: the licence of {corpus.name} is {corpus.licence}")
        found[index] = replace(corpus, licence=licence or corpus.licence)
    return _with_dimensions(found, dimensions)


def _with_dimensions(corpora: list[Corpus], dimensions: Sequence[str] | None) -> list[Corpus]:
    """Corpora of which some has each of the dimensions that were asked for.

    Raises:
        CorpusError: none has one.
    """
    for name in dimensions or ():
        if not any(name in corpus.dimensions for corpus in corpora):
            where = ", ".join(str(corpus.root) for corpus in corpora)
            raise CorpusError(
                f"--dimensions {name}: no clip of {where} has a rating in a column of this name"
            )
    return corpora


def known_names(corpus: str) -> Naming:
    """The corpus of known file names that is called so; capitals, hyphens and spaces do not matter.

    Raises:
        CorpusError: there is none; the message lists those there are.
    """
    for naming in KNOWN_NAMES:
        if _plain(naming.corpus) == _plain(corpus):
            return naming
    names = ", ".join([*(naming.corpus for naming in KNOWN_NAMES), A_TABLE, AUDFORMAT])
    raise CorpusError(f"no corpus is known as {corpus!r}: use one of {names}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _check_names(corpora: Sequence[Corpus], given: Mapping[str, Mapping[str, Any] | None]) -> None:
    names = [corpus.name for corpus in corpora]
    known = {name.lower() for name in names}
    for option, values in given.items():
        for name in values or {}:
            if name.lower() not in known and name != OTHERS:
                raise CorpusError(f"--{option} {name}: no corpus is called so, only {', '.join(names)}")


def _load(
    path: Path,
    labels: Mapping[str, str],
    *,
    alone: bool,
    corpus: str | None,
    dimensions: Sequence[str] | None,
) -> Corpus:
    """One corpus. ``labels``: label sets of tables by the corpus' name in small letters."""
    kind, _, part = (corpus or "").partition(":")
    if _plain(kind) == AUDFORMAT or (corpus is None and is_audformat(path)):
        known = labels.get(read_header(path).name.lower(), labels.get(OTHERS))
        return read_audformat(path, known, dimensions, table=part or None)
    if corpus is not None and _plain(corpus) != A_TABLE:
        return _checked(_forced(path, known_names(corpus)), labels)
    if path.is_dir():
        table = path / FOLDER_TABLE
        if corpus is None:
            try:
                found = _read_folder(path)
            except CorpusError:
                if not table.is_file() or _has_known_names(path):
                    raise
            else:
                return _checked(found, labels)
    else:
        table = path
    if not table.exists():
        raise CorpusError(f"{table if corpus else path}: no such folder or table")
    if table.suffix.lower() not in TABLE_SUFFIXES:
        raise CorpusError(
            f"{path}: a corpus is a folder, or a table that ends in {', '.join(TABLE_SUFFIXES)}"
        )
    name = table.stem
    if table.name == FOLDER_TABLE and (path.is_dir() or not alone):
        name = table.parent.absolute().name
    known = labels.get(name.lower(), labels.get(OTHERS))
    return replace(read_clip_table(table, known, dimensions), name=name)


def _forced(path: Path, naming: Naming) -> Corpus:
    """A folder as that of one corpus, whatever else its files might be.

    Raises:
        CorpusError: no file has a name of it.
    """
    found = naming.read(path)
    if found.clips or found.synthetic:
        return found
    why = "no file can be listed"
    if found.misnamed:
        try:
            naming.parse(found.misnamed[0])
        except CorpusError as error:
            why = str(error)
    raise CorpusError(f"{path}: no file has a name of {naming.corpus}, such as {naming.example}: {why}")


def _checked(corpus: Corpus, labels: Mapping[str, str]) -> Corpus:
    """A corpus whose file names say its labels, unless others are given for it.

    Raises:
        CorpusError: they are.
    """
    own = next((naming.labels for naming in KNOWN_NAMES if naming.corpus == corpus.name), RAVDESS.labels)
    given = labels.get(corpus.name.lower(), own)
    if given != own:
        raise CorpusError(f"--labels {given}: the file names of {corpus.name} have labels of {own}")
    return corpus


def _has_known_names(root: Path) -> bool:
    """Whether some file of the folder has a name of a known corpus."""
    for naming in KNOWN_NAMES:
        try:
            if naming.read(root).clips:
                return True
        except CorpusError:
            pass
    return False


def _read_folder(root: Path) -> Corpus:
    known = "known names: " + ", ".join(f"{naming.example} ({naming.corpus})" for naming in KNOWN_NAMES)
    ravdess: Corpus | None = None
    problem = f"{root}: no file has a name that says who speaks and what is expressed"
    try:
        ravdess = RAVDESS.read(root)
    except CorpusError as error:
        problem = str(error)
    if ravdess is not None and (ravdess.clips or ravdess.synthetic):
        return ravdess
    found = []
    for naming in KNOWN_NAMES[1:]:
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
        raise CorpusError(
            f"{root}: files of several corpora ({counts}): give each its own folder, or say whose names to "
            f"read by --corpus; {known}"
        )
    if ravdess is not None and ravdess.unlistable:
        return ravdess
    raise CorpusError(f"{problem}; {known}; or write a table of clips ({', '.join(TABLE_SUFFIXES)})")
