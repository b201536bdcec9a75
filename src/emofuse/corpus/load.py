"""Load a corpus from a folder or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.corpus.clip_table import read_clip_table
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.crema_d import NAMING as CREMA_D
from emofuse.corpus.emo_db import NAMING as EMO_DB
from emofuse.corpus.nemo import NAMING as NEMO
from emofuse.corpus.ravdess import read_ravdess
from emofuse.corpus.savee import NAMING as SAVEE
from emofuse.corpus.tess import NAMING as TESS

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")


def load_corpus(path: str | Path) -> Corpus:
    """Read a corpus: a folder of files that are described by their names, or a table of clips (.csv,
    .parquet).

    Names of RAVDESS are tried first; if no file has one, those of CREMA-D, SAVEE, TESS, EMO-DB and
    nEMO.

    Raises:
        CorpusError: there is nothing at ``path``, or it is neither, or the names in the folder are those of
            several corpora or of none, or the table has errors.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise CorpusError(f"{path}: no such folder or table")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return read_clip_table(path)
    raise CorpusError(f"{path}: a corpus is a folder, or a table that ends in {', '.join(TABLE_SUFFIXES)}")


def _read_folder(root: Path) -> Corpus:
    namings = (CREMA_D, SAVEE, TESS, EMO_DB, NEMO)
    known = "known names: 03-01-05-02-01-01-12.wav (RAVDESS), " + ", ".join(
        f"{naming.example} ({naming.corpus})" for naming in namings
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
    for naming in namings:
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
