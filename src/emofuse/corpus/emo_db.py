"""EMO-DB: about 500 utterances of ten German actors, seven emotions, named as ``03a01Fa.wav``.

Characters 1-2 are the speaker, 3-5 the sentence, 6 the emotion (initial of the German word), 7 the version.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.corpus.filename_corpora import NamedFile, Naming, check_code

CITATION: Final = (
    "Burkhardt F, Paeschke A, Rolfes M, Sendlmeier WF, Weiss B (2005) A Database of German Emotional "
    "Speech. Proc. Interspeech 2005, 1517-1520. https://doi.org/10.21437/Interspeech.2005-446"
)
LICENCE: Final = "free for research (check before use)"
ADDRESS: Final = "http://emodb.bilderbar.info/"

SPEAKERS: Final = {
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}
"""Sex and age."""

SENTENCES: Final = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
TRAPS: Final = (
    "What is published was chosen by listeners: unclear recordings were left out, and figures are high.",
    "Emotions are uneven (127 angry, 46 disgust of 535): report mean recall.",
    "Letters are German: A is Angst (fear), E is Ekel (disgust), T is Trauer (sad), W is Wut (anger).",
    "Boredom (L) is none of the eight emotions: its takes have no emotion here.",
)
"""What misleads those who use it."""

# the version may be missing if there is only one
_NAME = re.compile(r"([0-9]{2})([ab][0-9]{2})([A-Z])([a-z]?)")


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``03a01Fa.wav``.

    Raises:
        CorpusError: the name is not one of EMO-DB; the message names the field that is wrong.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise CorpusError(
            f"{path.name}: an EMO-DB name is two digits, a sentence (a01), a capital and a version letter"
        )
    speaker, sentence, label, version = match.groups()
    check_code(path, "speaker", speaker, SPEAKERS)
    check_code(path, "sentence", sentence, SENTENCES)
    check_code(path, "emotion", label, LABEL_SETS["emo-db-7"])
    sex, age = SPEAKERS[speaker]
    facts = {"statement": sentence, "version": version, "sex": sex, "age": age, "language": "de"}
    return NamedFile(take=path.stem, speaker=speaker, label=label, facts=facts)


NAMING: Final = Naming(
    "EMO-DB", parse_name, labels="emo-db-7", example="03a01Fa.wav",
    licence=LICENCE, citation=CITATION, address=ADDRESS, n_speakers=len(SPEAKERS), traps=TRAPS,
)  # fmt: skip

read_emo_db: Final = NAMING.read
