"""nEMO: 4,481 recordings of nine Polish actors, six emotions, named as ``EB0_anger_11.wav``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.core.records import Modality
from emofuse.corpus.filename_corpora import NamedFile, Naming, check_code

CITATION: Final = (
    "Christop I (2024) nEMO: Dataset of Emotional Speech in Polish. LREC-COLING 2024. arXiv:2404.06292"
)
LICENCE: Final = "CC BY-NC-SA 4.0"
ADDRESS: Final = "https://github.com/amu-cai/nEMO"

SEXES: Final = {
    "EB0": "female", "IC0": "female", "KS0": "male", "MK0": "female", "SM0": "male", "TP0": "male",
}  # fmt: skip
"""Of the speakers whose sex we know; the table of the corpus names all nine."""
N_SENTENCES: Final = 90
TRAPS: Final = (
    "It has no calm and no disgust: that none of its clips is called so is no evidence against them.",
    "Names say neither sex nor age; the table of the corpus does, for all nine speakers.",
    "All speakers say the same 90 sentences: folds by speaker test on words that training has heard.",
)
"""What misleads those who use it."""

_SUFFIXES: Final[dict[str, Modality]] = {".wav": "audio", ".flac": "audio", ".opus": "audio"}
_SPEAKER = re.compile(r"[A-Z]{2}[0-9]")
_SENTENCE = re.compile(r"[1-9][0-9]?")


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``EB0_anger_11.wav``; its folder does not matter.

    Raises:
        CorpusError: the name is not one of nEMO; the message names the field that is wrong.
    """
    fields = path.stem.split("_")
    if len(fields) != 3:
        raise CorpusError(
            f"{path.name}: a nEMO name has 3 fields (speaker_emotion_sentence), this has {len(fields)}"
        )
    speaker, label, sentence = fields
    if not _SPEAKER.fullmatch(speaker):
        raise CorpusError(f"{path.name}: speaker is {speaker!r}, must be two capitals and a digit")
    check_code(path, "emotion", label, LABEL_SETS["nemo-6"])
    if not _SENTENCE.fullmatch(sentence) or int(sentence) > N_SENTENCES:
        raise CorpusError(f"{path.name}: sentence is {sentence!r}, must be 1 to {N_SENTENCES}")
    facts = {"sentence_number": sentence, "language": "pl"}
    if speaker in SEXES:
        facts["sex"] = SEXES[speaker]
    return NamedFile(take=path.stem, speaker=speaker, label=label, facts=facts)


NAMING: Final = Naming(
    "nEMO", parse_name, labels="nemo-6", example="EB0_anger_11.wav",
    licence=LICENCE, citation=CITATION, address=ADDRESS, suffixes=_SUFFIXES, n_speakers=9, traps=TRAPS,
)  # fmt: skip

read_nemo: Final = NAMING.read
