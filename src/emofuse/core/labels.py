"""The eight emotions in their canonical order, and the label sets of other corpora and networks.

The order is that of the emotion field in RAVDESS file names, 01 to 08 (Livingstone & Russo 2018,
PLoS ONE 13(5): e0196391, table 1), so that ``code == index + 1``.
"""

from __future__ import annotations

from typing import Final

EMOTIONS: Final[tuple[str, ...]] = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
)
"""The eight emotions in their order, which is also that of a label set with some of them."""

FER2013: Final[tuple[str, ...]] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The output order of networks trained on FER2013 (Goodfellow et al. 2013), DeepFace's among them."""

FER2013_TO_EMOTION: Final[dict[str, str]] = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "sad": "sad",
    "surprise": "surprised",
    "neutral": "neutral",
}
"""FER2013 labels as emotions of ours. FER2013 has no calm: nothing maps to it."""

FER_PLUS: Final[tuple[str, ...]] = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
"""The emotions of FER+ (Barsoum et al. 2016) in the order of its votes, which also count "unknown" and "no
face"."""

FER_PLUS_TO_EMOTION_VERSION: Final = 1
"""Version of the table below: raised whenever it changes, and recorded in every bundle that depends on it."""

FER_PLUS_TO_EMOTION: Final[dict[str, dict[str, float]]] = {
    "neutral": {"neutral": 0.5, "calm": 0.5},
    "happiness": {"happy": 1.0},
    "surprise": {"surprised": 1.0},
    "sadness": {"sad": 1.0},
    "anger": {"angry": 1.0},
    "disgust": {"disgust": 1.0},
    "fear": {"fearful": 1.0},
    "contempt": {},
}
"""FER+ labels (Barsoum et al. 2016) as shares of our emotions.

FER+ has no calm, and raters vote a calm face neutral: each gets half, which says that such an image cannot
tell them apart. Contempt is not one of ours: it is dropped, and the rest is renormalized.
"""

LABEL_SETS: Final[dict[str, dict[str, str]]] = {
    "ravdess-8": {name: name for name in EMOTIONS},
    "fer-7": FER2013_TO_EMOTION,
    "fer-plus-8": {
        "neutral": "neutral",
        "happiness": "happy",
        "surprise": "surprised",
        "sadness": "sad",
        "anger": "angry",
        "disgust": "disgust",
        "fear": "fearful",
        "contempt": "contempt",
    },
    "ekman-6": {
        "anger": "angry",
        "disgust": "disgust",
        "fear": "fearful",
        "happiness": "happy",
        "sadness": "sad",
        "surprise": "surprised",
    },
    "crema-d-6": {
        "ANG": "angry",
        "DIS": "disgust",
        "FEA": "fearful",
        "HAP": "happy",
        "NEU": "neutral",
        "SAD": "sad",
    },
    "savee-7": {
        "a": "angry",
        "d": "disgust",
        "f": "fearful",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprised",
    },
    "tess-7": {
        "angry": "angry",
        "disgust": "disgust",
        "fear": "fearful",
        "happy": "happy",
        "neutral": "neutral",
        "ps": "surprised",
        "sad": "sad",
    },
    "emo-db-7": {
        "W": "angry",
        "L": "boredom",
        "E": "disgust",
        "A": "fearful",
        "F": "happy",
        "T": "sad",
        "N": "neutral",
    },
    "nemo-6": {
        "anger": "angry",
        "fear": "fearful",
        "happiness": "happy",
        "neutral": "neutral",
        "sadness": "sad",
        "surprised": "surprised",
    },
}
"""Label sets by name: their labels, in order, each with what it means.

A meaning is one of :data:`EMOTIONS`, or ``contempt`` or ``boredom``, which are not. The labels are written as
the data sets write them: codes in file names (EMO-DB's are the initials of the German words Wut,
Langeweile, Ekel, Angst, Freude, Trauer, neutral), output names of networks for FER2013 and FER+ (those two
in output order). TESS has *pleasant* surprise (ps), which is only part of surprise and is taken for it. Ekman
P (1992) An argument for basic emotions, Cognition and Emotion 6: 169-200.
"""


def emotions_of(name: str) -> tuple[str, ...]:
    """The emotions that a label set distinguishes, in the order of :data:`EMOTIONS`.

    >>> emotions_of("nemo-6")
    ('neutral', 'happy', 'sad', 'angry', 'fearful', 'surprised')

    Raises:
        ValueError: there is no set of this name.
    """
    if name not in LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}: use one of {', '.join(LABEL_SETS)}")
    return tuple(emotion for emotion in EMOTIONS if emotion in LABEL_SETS[name].values())


def emotion_index(emotion: str) -> int:
    """The index of an emotion in :data:`EMOTIONS`.

    Raises:
        ValueError: the name is not one of the eight emotions.
    """
    try:
        return EMOTIONS.index(emotion)
    except ValueError:
        raise ValueError(f"unknown emotion {emotion!r}: use one of {', '.join(EMOTIONS)}") from None
