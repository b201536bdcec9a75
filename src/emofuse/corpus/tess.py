"""TESS: 2,800 recordings of two women, 200 words, seven emotions, named as ``OAF_back_angry.wav``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.corpus.filename_corpora import NamedFile, Naming, check_code

CITATION: Final = (
    "Pichora-Fuller MK, Dupuis K (2020) Toronto emotional speech set (TESS). Borealis. "
    "https://doi.org/10.5683/SP2/E8H2MF"
)
LICENCE: Final = "CC BY-NC-ND 4.0 (check before use)"
ADDRESS: Final = "https://doi.org/10.5683/SP2/E8H2MF"

AGES: Final = {"OAF": "64", "YAF": "26"}
"""The older and the younger speaker, both women."""

MISNAMED: Final = {"OA_bite_neutral": "OAF_bite_neutral"}
"""One published file lacks a letter; taken literally, it would be a third speaker."""
TRAPS: Final = (
    "Two speakers: random folds hear both in training, so that their figures say little; leave one out.",
    "Surprise is pleasant surprise (ps), which is only part of surprise.",
    "OA_bite_neutral lacks a letter; it is read as OAF_bite_neutral, not as a third speaker.",
)
"""What misleads those who use it."""

_WORD = re.compile(r"[a-z]+")


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``OAF_back_angry.wav``; its folder does not matter.

    Raises:
        CorpusError: the name is not one of TESS; the message names the field that is wrong.
    """
    stem = MISNAMED.get(path.stem, path.stem)
    fields = stem.split("_")
    if len(fields) != 3:
        raise CorpusError(
            f"{path.name}: a TESS name has 3 fields (speaker_word_emotion), this has {len(fields)}"
        )
    speaker, word, label = fields
    check_code(path, "speaker", speaker, AGES)
    if not _WORD.fullmatch(word):
        raise CorpusError(f"{path.name}: word is {word!r}, must be lower-case letters")
    check_code(path, "emotion", label, LABEL_SETS["tess-7"])
    facts = {"statement": f"Say the word {word}", "sex": "female", "age": AGES[speaker]}
    return NamedFile(take=stem, speaker=speaker, label=label, facts=facts)


NAMING: Final = Naming(
    "TESS", parse_name, labels="tess-7", example="OAF_back_angry.wav",
    licence=LICENCE, citation=CITATION, address=ADDRESS, n_speakers=len(AGES), traps=TRAPS,
)  # fmt: skip

read_tess: Final = NAMING.read
