"""CREMA-D: 7,442 clips of 91 actors, 12 sentences, six emotions, named as ``1001_DFA_ANG_XX.wav``.

Its README and paper: actor, sentence, emotion asked for, level asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.labels import LABEL_SETS
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.filename_corpora import NamedFile, Naming, read_named

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
# One published file, 1040_ITH_SAD_X, has lost the second X.
LEVELS: Final = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}


def parse_name(path: Path) -> NamedFile:
    """Read a name such as ``1001_DFA_ANG_XX.wav``.

    Raises:
        CorpusError: the name is not one of CREMA-D; the text names the field that is wrong.
    """
    fields = path.stem.split("_")
    if len(fields) != 4:
        raise CorpusError(
            f"{path.name}: a CREMA-D name has 4 fields (actor_sentence_emotion_level), this has {len(fields)}"
        )
    actor, sentence, emotion, level = fields
    if actor not in {str(1000 + n) for n in range(1, N_ACTORS + 1)}:
        raise CorpusError(f"{path.name}: actor is {actor!r}, must be 1001 to {1000 + N_ACTORS}")
    for field, code, known in (
        ("sentence", sentence, SENTENCES),
        ("emotion", emotion, LABEL_SETS["crema-d-6"]),
        ("level", level, LEVELS),
    ):
        if code not in known:
            raise CorpusError(f"{path.name}: {field} is {code!r}, must be one of {', '.join(known)}")
    facts = {"statement": SENTENCES[sentence], "intensity": LEVELS[level]}
    return NamedFile(take=path.stem, speaker=actor, label=emotion, facts=facts)


NAMING: Final = Naming(
    corpus="CREMA-D",
    licence="ODbL 1.0 (database), DbCL 1.0 (contents)",
    citation=(
        "Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014) CREMA-D: Crowd-sourced Emotional "
        "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4): 377-390. "
        "https://doi.org/10.1109/TAFFC.2014.2336244"
    ),
    address="https://github.com/CheyneyComputerScience/CREMA-D",
    labels="crema-d-6",
    # AudioMP3 holds the same sound as AudioWAV once more, lossy: .mp3 is passed over.
    suffixes={".wav": "audio", ".flac": "audio", ".flv": "audio-video", ".mp4": "audio-video"},
    example="1001_DFA_ANG_XX.wav",
    parse=parse_name,
)


def read_crema_d(root: str | Path) -> Corpus:
    """Read a folder tree of CREMA-D files by their names (see ``read_named``)."""
    return read_named(root, NAMING)
