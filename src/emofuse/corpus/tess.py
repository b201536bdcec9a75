"""TESS: 2,800 recordings of two women, 200 words, seven emotions, named as ``OAF_back_angry.wav``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.filename_corpora import NamedFile, Naming, read_named

AGES: Final = {"OAF": "64", "YAF": "26"}
"""The older and the younger speaker, both women."""

MISNAMED: Final = {"OA_bite_neutral": "OAF_bite_neutral"}
"""One published file has lost a letter; taken literally, it would be a third speaker."""

_WORD = re.compile(r"[a-z]+")


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``OAF_back_angry.wav``; the folder it lies in does not matter.

    Raises:
        CorpusError: the name is not one of TESS; the text names the field that is wrong.
    """
    stem = MISNAMED.get(path.stem, path.stem)
    fields = stem.split("_")
    if len(fields) != 3:
        raise CorpusError(
            f"{path.name}: a TESS name has 3 fields (speaker_word_emotion), this has {len(fields)}"
        )
    speaker, word, label = fields
    if speaker not in AGES:
        raise CorpusError(f"{path.name}: speaker is {speaker!r}, must be one of {', '.join(AGES)}")
    if not _WORD.fullmatch(word):
        raise CorpusError(f"{path.name}: word is {word!r}, must be small letters")
    if label not in LABEL_SETS["tess-7"]:
        known = ", ".join(LABEL_SETS["tess-7"])
        raise CorpusError(f"{path.name}: emotion is {label!r}, must be one of {known}")
    facts = {"statement": f"Say the word {word}", "sex": "female", "age": AGES[speaker]}
    return NamedFile(take=stem, speaker=speaker, label=label, facts=facts)


NAMING: Final = Naming(
    corpus="TESS",
    licence="CC BY-NC-ND 4.0 (check before use)",
    citation=(
        "Pichora-Fuller MK, Dupuis K (2020) Toronto emotional speech set (TESS). Borealis. "
        "https://doi.org/10.5683/SP2/E8H2MF"
    ),
    address="https://doi.org/10.5683/SP2/E8H2MF",
    labels="tess-7",
    suffixes={".wav": "audio", ".flac": "audio"},
    example="OAF_back_angry.wav",
    parse=parse_name,
)


def read_tess(root: str | Path) -> Corpus:
    """Read a folder tree of TESS files by their names (see ``read_named``)."""
    return read_named(root, NAMING)
