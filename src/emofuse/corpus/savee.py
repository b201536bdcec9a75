"""SAVEE: 480 utterances of four men, seven emotions, named as ``DC_a01.wav`` or ``DC/a01.wav``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.records import Modality
from emofuse.corpus.filename_corpora import AUDIO, NamedFile, Naming, check_code

CITATION: Final = (
    "Haq S, Jackson PJB (2010) Multimodal Emotion Recognition. In: Wang W (ed) Machine Audition: "
    "Principles, Algorithms and Systems. IGI Global, chapter 17, 398-423."
)
LICENCE: Final = "research use, on request (check before use)"
ADDRESS: Final = "http://kahlan.eps.surrey.ac.uk/savee/"

SUFFIXES: Final[Mapping[str, Modality]] = {**AUDIO, ".avi": "audio-video", ".mp4": "audio-video"}
SPEAKERS: Final = ("DC", "JE", "JK", "KL")
N_SENTENCES: Final = 15
N_NEUTRAL: Final = 30
"""Neutral has twice as many sentences as any emotion."""

_NAME = re.compile(r"(?:(?P<speaker>[A-Z]{2})_)?(?P<label>sa|su|[adfhn])(?P<number>[0-9]{2})")

TRAPS: Final = (
    "Four speakers, all men: an interval over speakers says little.",
    "Without the speaker in front (a01.wav), the folder must be called DC, JE, JK or KL.",
    "Sentences differ between emotions, all but three: words tell emotions apart.",
)
"""What misleads those who use it."""


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``DC_a01.wav``, or ``a01.wav`` in a folder of the speaker's name.

    Raises:
        CorpusError: the name is not one of SAVEE; the message says what is wrong.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise CorpusError(
            f"{path.name}: a SAVEE name is the speaker and _, then a, d, f, h, n, sa or su and two digits"
        )
    speaker = match["speaker"] or path.parent.name
    check_code(path, "speaker", speaker, SPEAKERS)
    label, number = match["label"], int(match["number"])
    highest = N_NEUTRAL if label == "n" else N_SENTENCES
    if not 1 <= number <= highest:
        raise CorpusError(
            f"{path.name}: sentence is {match['number']!r}, must be 01 to {highest} for {label}"
        )
    facts = {"sentence_number": match["number"], "sex": "male"}
    return NamedFile(f"{speaker}_{label}{match['number']}", speaker, label, facts)


NAMING: Final = Naming(
    "SAVEE", parse_name, labels="savee-7", example="DC_a01.wav", suffixes=SUFFIXES,
    licence=LICENCE, citation=CITATION, address=ADDRESS, n_speakers=len(SPEAKERS), traps=TRAPS,
)  # fmt: skip

read_savee: Final = NAMING.read
