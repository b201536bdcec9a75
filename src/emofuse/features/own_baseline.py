"""A person's own baseline: how a recognizer reads that person on average, subtracted from each reading.

A recognizer that has never met a person reads some emotions too often in that person's voice and face. The
mean log-probabilities of the person's own clips show which; subtracting them from the log-probabilities of
a clip takes that habit of the recognizer away. No label is used.

It is dangerous with one mood: the mean of eight angry clips is anger, and once it is subtracted no anger is
left. Nothing in unlabeled clips tells such a mean from a habit of the recognizer but how the clips differ
from one another. So the shift is shrunk twice:

- with few clips, by ``n / (n + PRIOR_CLIPS)``;
- with little spread, by a ramp from 0 at :data:`LEAST_SPREAD_NATS` to 1 at :data:`ENOUGH_SPREAD_NATS`. The
  spread is the mutual information between clip and emotion once the mean is subtracted, H(mean p) less the
  mean H(p), in nats: what the clips tell apart. It is 0 for equal clips, and ln k for k moods, equally many
  clips of each, that are read with certainty.

How the constants were chosen, and what the rule gains and costs on real voices and faces: docs/enrollment.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.by_value import ComparedByValue
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY

Float64 = NDArray[np.float64]
Modality = Literal["voice", "face"]
Kind = Literal["voice", "face", "fused"]

PRIOR_CLIPS: Final = 2.0
"""How many clips without any habit the recognizer is given credit for."""
LEAST_SPREAD_NATS: Final = 0.45
"""Clips that tell less apart than this may be of one mood: nothing is subtracted."""
ENOUGH_SPREAD_NATS: Final = 0.55
"""Clips that tell this much apart are of several moods: all that their number allows is subtracted."""
TYPICAL_NATS: Final = 1.0
"""What a clip tells on average, ln 8 - mean H(p), for the recognizers that the two limits were chosen on. One
that is surer than this sees more spread in one mood as well: its limits rise in proportion."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading(ComparedByValue):
    """What was read of one clip or window: (n_emotions,) probabilities each, None where there are none."""

    voice: Float64 | None = None
    face: Float64 | None = None
    fused: Float64 | None = None

    @property
    def by_name(self) -> dict[Kind, Float64 | None]:
        """All three, in the order of every export."""
        return {"voice": self.voice, "face": self.face, "fused": self.fused}

    @property
    def single(self) -> dict[Modality, Float64]:
        """Those of voice and face that there are."""
        both: tuple[tuple[Modality, Float64 | None], ...] = (("voice", self.voice), ("face", self.face))
        return {name: one for name, one in both if one is not None}


@dataclass(frozen=True, slots=True, eq=False)
class OwnBaseline(ComparedByValue):
    """What is kept of one modality's readings of a person's clips."""

    n: float
    """Clips; windows that overlap count for the clips of their length that fit into their time."""
    mean: Float64
    """(n_emotions,) mean of the log-probabilities, each clip's centered at 0, in nats."""
    spread_nats: float
    """What the clips tell apart."""

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or not np.isfinite(self.mean).all():
            raise ValueError(f"mean must be (n_emotions,) finite numbers, got {self.mean.shape}")
        if not 0 <= self.n < np.inf or not 0 <= self.spread_nats < np.inf:
            raise ValueError(f"n and spread_nats must not be negative, got {self.n} and {self.spread_nats}")

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], n: float | None = None) -> OwnBaseline:
        """From the readings of a person's clips.

        Args:
            probabilities: (n_clips, n_emotions), n_clips may be 0.
            n: for how many clips they count; None: n_clips.
        """
        rows = np.asarray(probabilities, dtype=np.float64)
        n = float(len(rows)) if n is None else n
        if not len(rows):
            return cls(n, np.zeros(rows.shape[1]), 0.0)
        logs = centered_logs(rows)
        mean = logs.mean(axis=0)
        left = _softmax(logs - mean)
        spread = _entropy(left.mean(axis=0)) - _entropy(left).mean()
        return cls(n, mean, max(0.0, float(spread)))

    def strength(self, typical_nats: float = TYPICAL_NATS) -> float:
        """The share of the mean that is subtracted, 0 to 1: see the module.

        Args:
            typical_nats: what a clip tells the recognizer on average; :data:`TYPICAL_NATS` at least.
        """
        scale = max(1.0, typical_nats / TYPICAL_NATS)
        ramp = (self.spread_nats / scale - LEAST_SPREAD_NATS) / (ENOUGH_SPREAD_NATS - LEAST_SPREAD_NATS)
        return self.strength_by_number * min(max(ramp, 0.0), 1.0)

    @property
    def strength_by_number(self) -> float:
        """The same if the clips are known to be of several moods."""
        return self.n / (self.n + PRIOR_CLIPS)

    def subtract(self, probabilities: NDArray[np.floating], strength: float) -> Float64:
        """Readings of the same person against this baseline.

        Args:
            probabilities: (..., n_emotions).
            strength: of :meth:`strength`; 0 changes nothing but values below the least that counts.

        Returns:
            (..., n_emotions) probabilities.
        """
        return _softmax(centered_logs(probabilities) - strength * self.mean)


def baselines_of(readings: Iterable[Reading]) -> dict[Kind, OwnBaseline]:
    """A person's baseline of voice, face, and both at once, of those that there are readings of."""
    found = list(readings)
    rows: dict[Kind, list[Float64]] = {
        "voice": [one.voice for one in found if one.voice is not None],
        "face": [one.face for one in found if one.face is not None],
        "fused": [
            one.fused
            for one in found
            if one.fused is not None and one.voice is not None and one.face is not None
        ],
    }
    return {kind: OwnBaseline.of(np.stack(own)) for kind, own in rows.items() if own}


def described(
    baselines: Mapping[Kind, OwnBaseline], strengths: Mapping[Modality, float], of: str = ""
) -> str:
    """In words, how much of each baseline is subtracted, or why nothing is.

    Args:
        baselines: of one person.
        strengths: how much of each is subtracted.
        of: which recordings they are of, where that is not clear.
    """
    parts = []
    for name, strength in strengths.items():
        one = baselines[name]
        clips = f"{one.n:.0f} clip{'' if round(one.n) == 1 else 's'}"
        told = f"{one.spread_nats:.2f} nats"
        if strength:
            parts.append(f"{name}: {strength * 100:.0f} % of the mean of {clips} subtracted")
        else:
            parts.append(f"{name}: nothing subtracted, {clips} may be of one mood ({told} told apart)")
    return f"own baseline{' of ' + of if of else ''}, {'; '.join(parts) or 'nothing to make one of'}"


def centered_logs(probabilities: NDArray[np.floating]) -> Float64:
    """(..., n_emotions) log-probabilities, none below the least that a fusion reads, with a mean of 0."""
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), np.exp(MIN_LOG_PROBABILITY)))
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True), dtype=np.float64)


def information_nats(probabilities: NDArray[np.floating]) -> float:
    """What a clip tells on average: ln n_emotions - mean H(p) of (n_clips, n_emotions) probabilities."""
    p = np.asarray(probabilities, dtype=np.float64)
    return float(np.log(p.shape[1]) - _entropy(p).mean())


def fused_strength(strengths: Mapping[Modality, float]) -> float:
    """How strongly a joint reading of both modalities is shifted: as the weaker one, never without both."""
    return min(strengths.get("voice", 0.0), strengths.get("face", 0.0))


def _entropy(probabilities: Float64) -> Float64:
    """(...,) of (..., n_emotions) probabilities, in nats."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return np.asarray(-(probabilities * logs).sum(axis=-1), dtype=np.float64)


def _softmax(logs: Float64) -> Float64:
    raised = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float64)
