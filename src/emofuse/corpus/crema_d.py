"""CREMA-D: 7,442 clips of 91 actors, 12 sentences, six emotions, named as ``1001_DFA_ANG_XX.wav``.

Fields by its README and paper: actor, sentence, intended emotion, intended level.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.core.records import Modality
from emofuse.corpus.filename_corpora import AUDIO, NamedFile, Naming, check_code

CITATION: Final = (
    "Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014) CREMA-D: Crowd-sourced Emotional "
    "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4): 377-390. "
    "https://doi.org/10.1109/TAFFC.2014.2336244"
)
LICENCE: Final = "ODbL 1.0 (database), DbCL 1.0 (contents)"
ADDRESS: Final = "https://github.com/CheyneyComputerScience/CREMA-D"

# AudioMP3 holds the same audio as AudioWAV once more, lossy: .mp3 is skipped
SUFFIXES: Final[Mapping[str, Modality]] = {**AUDIO, ".flv": "audio-video", ".mp4": "audio-video"}
N_ACTORS: Final = 91
SENTENCES: Final = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# one published file, 1040_ITH_SAD_X, lacks the second X
LEVELS: Final = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}

TRAPS: Final = (
    "Labels are what actors were asked to show; raters often heard or saw another emotion.",
    "There are twelve sentences, and only the first is spoken at three levels; all others are XX.",
    "1040_ITH_SAD_X lacks a letter; it is read as XX. AudioMP3 repeats AudioWAV, lossy, and is skipped.",
    "1076_MTI_SAD_XX has no sound in some copies: emofuse corpus check lists silent files.",
)
"""What misleads those who use it."""


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``1001_DFA_ANG_XX.wav``.

    Raises:
        CorpusError: the name is not one of CREMA-D; the message names the field that is wrong.
    """
    fields = path.stem.split("_")
    if len(fields) != 4:
        raise CorpusError(
            f"{path.name}: a CREMA-D name has 4 fields (actor_sentence_emotion_level), this has {len(fields)}"
        )
    actor, sentence, emotion, level = fields
    if actor not in {str(1000 + n) for n in range(1, N_ACTORS + 1)}:
        raise CorpusError(f"{path.name}: actor is {actor!r}, must be 1001 to {1000 + N_ACTORS}")
    check_code(path, "sentence", sentence, SENTENCES)
    check_code(path, "emotion", emotion, LABEL_SETS["crema-d-6"])
    check_code(path, "level", level, LEVELS)
    facts = {"statement": SENTENCES[sentence], "intensity": LEVELS[level]}
    return NamedFile(take=path.stem, speaker=actor, label=emotion, facts=facts)


NAMING: Final = Naming(
    "CREMA-D", parse_name, labels="crema-d-6", example="1001_DFA_ANG_XX.wav", suffixes=SUFFIXES,
    licence=LICENCE, citation=CITATION, address=ADDRESS, n_speakers=N_ACTORS, traps=TRAPS,
)  # fmt: skip

read_crema_d: Final = NAMING.read
