"""How emotions are expressed: a few named amounts for the face and for the voice, and how they vary.

The prototypes roughly follow the literature (Ekman & Friesen's action units for the face; Banse & Scherer
1996 and Juslin & Laukka 2003 for the voice). The amounts were set by eye and ear, and the spread so that
either modality alone is usually but far from always right, with independent errors.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS, emotion_index

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FaceExpression:
    """Amounts that move the drawn face; 0 is at rest, 1 is about the most that people show."""

    brow_inner: float  # AU 1, up
    brow_outer: float  # AU 2, up
    brow_lower: float  # AU 4, down and together
    lids: float  # AU 5, opened (negative: drooping)
    squint: float  # AU 6 and 7, lower lid up
    corners: float  # AU 12 up, AU 15 down
    mouth_open: float  # AU 26
    mouth_width: float  # AU 20 wide, AU 18 narrow
    upper_lip: float  # AU 9 and 10, nose wrinkled
    press: float  # AU 24
    head_down: float  # pitch, about 10 degrees at 1
    tilt: float  # roll, about 8 degrees at 1
    motion: float  # liveliness of the head


@dataclass(frozen=True, slots=True)
class VoiceExpression:
    """Amounts that change the voice from plain reading."""

    pitch: float  # semitones
    pitch_range: float  # natural log of a factor
    slope: float  # semitones over the sentence
    loudness: float  # dB
    rate: float  # natural log of a factor
    bright: float  # natural log of a factor on the cutoff of the source
    breath: float  # share of noise in the source
    jitter: float  # irregular periods
    tremor: float  # 6 Hz shaking of pitch and loudness
    attack: float  # sharp (positive) or soft (negative) syllables
    formants: float  # natural log of a factor on the resonances


E = TypeVar("E", FaceExpression, VoiceExpression)

_FACE: Final[dict[str, tuple[float, ...]]] = {
    #            bri   bro   low   lid   squ   cor   open  wid   upl   prs   down  tilt  mot
    "neutral":   (0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0,  0.0),
    "calm":      (0.1,  0.1,  0.0, -0.4,  0.1,  0.4,  0.0,  0.1,  0.0,  0.0,  0.2,  0.3, -0.2),
    "happy":     (0.1,  0.3,  0.0,  0.0,  0.8,  1.0,  0.3,  0.6,  0.1,  0.0, -0.2,  0.1,  0.6),
    "sad":       (0.8, -0.2,  0.4, -0.5,  0.1, -0.9,  0.0, -0.1,  0.0,  0.1,  0.8,  0.5, -0.1),
    "angry":     (-.3, -0.1,  1.0,  0.3,  0.5, -0.4,  0.1,  0.1,  0.3,  0.8,  0.3,  0.0,  0.6),
    "fearful":   (0.9,  0.5,  0.5,  0.8,  0.0, -0.3,  0.4,  0.6,  0.0,  0.0, -0.3,  0.1,  0.5),
    "disgust":   (-.2, -0.2,  0.7, -0.2,  0.7, -0.5,  0.2, -0.1,  1.0,  0.0, -0.3, -0.5,  0.2),
    "surprised": (0.9,  1.0, -0.1,  1.0, -0.2,  0.1,  0.7, -0.3,  0.0, -0.1, -0.5,  0.0,  0.4),
}  # fmt: skip

_VOICE: Final[dict[str, tuple[float, ...]]] = {
    #           pitch range slope loud  rate   brig  brea  jitt  trem  atta  form
    "neutral":   (0.0,  0.0,  0.0,  0.0,  0.00,  0.0,  0.0,  0.0,  0.0,  0.0,  0.00),
    "calm":      (-.8, -0.3, -0.5, -3.0, -0.12, -0.4,  0.2, -0.1,  0.0, -0.5,  0.00),
    "happy":     (4.0,  0.6,  1.0,  4.0,  0.14,  0.6, -0.1,  0.0,  0.0,  0.4,  0.08),
    "sad":       (-.5, -0.3, -3.0, -6.0, -0.25, -0.8,  0.5,  0.2,  0.4, -0.8, -0.02),
    "angry":     (3.0,  0.4, -2.0,  9.0,  0.08,  1.1, -0.1,  0.7,  0.0,  1.0,  0.00),
    "fearful":   (6.5, -0.1,  1.0,  2.0,  0.25,  0.3,  0.4,  0.3,  1.0,  0.0,  0.03),
    "disgust":   (-2.,  0.2, -4.0,  2.0, -0.18,  0.3,  0.2,  1.0,  0.0,  0.6, -0.07),
    "surprised": (5.5,  1.0,  7.0,  4.0, -0.08,  0.3,  0.4,  0.0,  0.0,  0.0,  0.00),
}  # fmt: skip

# An emotion may lean towards one that people confuse it with: in the face, in the voice.
_NEIGHBORS: Final = {
    "neutral": (("calm", "sad"), ("calm", "disgust")),
    "calm": (("neutral", "happy"), ("sad", "neutral")),
    "happy": (("calm", "surprised"), ("surprised", "angry")),
    "sad": (("neutral", "fearful"), ("calm", "fearful")),
    "angry": (("disgust", "neutral"), ("happy", "disgust")),
    "fearful": (("surprised", "sad"), ("happy", "sad")),
    "disgust": (("angry", "sad"), ("neutral", "angry")),
    "surprised": (("fearful", "happy"), ("fearful", "happy")),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """How much people and takes differ: this sets how difficult the corpus is."""

    gain: float  # standard deviation over people of the log of each amount's factor
    offset: float  # over people, of each amount in each emotion, in units of its scale
    noise: float  # the same over takes
    strength: float  # over takes, of the log of the expression's strength
    p_flat: float  # probability of a take that hardly shows the emotion
    p_lean: float  # probability of a take that leans towards a neighbor
    lean: tuple[float, float]  # how far it leans, 0 to 1


FACE_SPREAD: Final = Spread(0.25, 0.13, 0.17, 0.25, 0.12, 0.30, (0.3, 0.7))
VOICE_SPREAD: Final = Spread(0.18, 0.08, 0.12, 0.22, 0.10, 0.25, (0.3, 0.7))


@dataclass(frozen=True, slots=True)
class Style(Generic[E]):
    """One person's way of expressing emotions in one modality.

    ``amounts``: (8, n_amounts) this person's prototypes; ``scale``: (n_amounts,) the unit of each amount.
    """

    kind: type[E]
    amounts: Float64
    scale: Float64
    spread: Spread
    neighbors: dict[str, tuple[str, str]]

    def perform(self, emotion: str, strong: bool, rng: np.random.Generator) -> E:
        """One take of ``emotion``: with random strength, sometimes a lean towards a neighbor, and noise."""
        spread = self.spread
        target = self.amounts[emotion_index(emotion)]
        if rng.random() < spread.p_lean:
            other = self.neighbors[emotion][int(rng.integers(2))]
            share = rng.uniform(*spread.lean)
            target = (1 - share) * target + share * self.amounts[emotion_index(other)]
        strength = (1.15 if strong else 0.9) * float(np.exp(spread.strength * rng.standard_normal()))
        if rng.random() < spread.p_flat:
            strength *= 0.4
        noise = spread.noise * self.scale * rng.standard_normal(self.scale.shape)
        amounts = np.clip(strength * target + noise, -1.6 * self.scale, 1.6 * self.scale)
        return self.kind(*(float(amount) for amount in amounts))


def _style(
    kind: type[E],
    prototypes: dict[str, tuple[float, ...]],
    neighbors: dict[str, tuple[str, str]],
    spread: Spread,
    rng: np.random.Generator,
) -> Style[E]:
    base = np.array([prototypes[emotion] for emotion in EMOTIONS])
    assert base.shape == (len(EMOTIONS), len(fields(kind)))
    scale = np.abs(base).max(axis=0)
    gain = np.exp(spread.gain * rng.standard_normal(scale.shape))
    amounts = base * gain + spread.offset * scale * rng.standard_normal(base.shape)
    return Style(kind, amounts, scale, spread, neighbors)


def prototypes(modality: Literal["voice", "face"]) -> Float64:
    """(8, n_amounts): how each emotion is expressed on average."""
    table = _VOICE if modality == "voice" else _FACE
    return np.array([table[emotion] for emotion in EMOTIONS])


def face_style(rng: np.random.Generator) -> Style[FaceExpression]:
    """Draw one person's way of expressing emotions in the face."""
    neighbors = {emotion: face for emotion, (face, _) in _NEIGHBORS.items()}
    return _style(FaceExpression, _FACE, neighbors, FACE_SPREAD, rng)


def voice_style(rng: np.random.Generator) -> Style[VoiceExpression]:
    """Draw one person's way of expressing emotions in the voice."""
    neighbors = {emotion: voice for emotion, (_, voice) in _NEIGHBORS.items()}
    return _style(VoiceExpression, _VOICE, neighbors, VOICE_SPREAD, rng)
