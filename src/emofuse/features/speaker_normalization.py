"""Enrolment: what a few unlabelled recordings of a person say of how that person differs from others.

People differ in voice and face far more than emotions do. A person's own recordings, whatever they express,
give the centre and the spread of that person's features, by which later ones are standardised. With few
recordings both are drawn towards what other people have (an empirical-Bayes mean and variance). No label
is ever used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
LEAST_SHARE = 0.1
"""Of the spread over all people that is added to a person's own, so that no value is blown up."""


@dataclass(frozen=True, slots=True)
class SpeakerPrior:
    """Many people's features: ``mean``, ``spread`` over all and ``within`` one person, each (d,) float64."""

    mean: Float64
    spread: Float64
    within: Float64

    @classmethod
    def of(cls, rows: NDArray[np.floating], people: NDArray[np.str_]) -> SpeakerPrior:
        """From (n, d) features of several people's recordings and (n,) names of whose they are."""
        x = np.asarray(rows, dtype=np.float64)
        variances = [x[people == person].var(axis=0) for person in np.unique(people)]
        return cls(x.mean(0), x.std(0) + 1e-6, np.sqrt(np.mean(variances, axis=0)) + 1e-6)

    @classmethod
    def read(cls, file: str | Path | IO[bytes]) -> SpeakerPrior:
        """From an .npz of the three.

        Raises:
            OSError, ValueError, KeyError: it is none.
        """
        with np.load(file, allow_pickle=False) as arrays:
            return cls(arrays["mean"], arrays["spread"], arrays["within"])


@dataclass(frozen=True, slots=True)
class SpeakerScaler:
    """The centre and the scale of one person's features, each (d,) float64."""

    centre: Float64
    scale: Float64

    def apply(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, d) features of the person, standardised: float32 within ±5."""
        return np.clip((rows - self.centre) / self.scale, -5, 5).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Moments:
    """All that is kept of a person's recordings: their number, mean, and squared deviations, (d,) each."""

    n: int
    mean: Float64
    deviations: Float64

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> Moments:
        """From (n, d) features; n may be 0."""
        x = np.asarray(rows, dtype=np.float64)
        if not len(x):
            return cls(0, np.zeros(x.shape[1]), np.zeros(x.shape[1]))
        mean = x.mean(0)
        return cls(len(x), mean, np.square(x - mean).sum(0))


def speaker_scaler(known: Moments, population: SpeakerPrior, prior_clips: float) -> SpeakerScaler:
    """A person's centre and scale from some of that person's recordings.

    Args:
        known: of the person's recordings.
        population: what is known of people in general.
        prior_clips: how many recordings the population counts for.
    """
    n, k = known.n, prior_clips
    centre = (n * known.mean + k * population.mean) / (n + k)
    deviations = known.deviations + n * np.square(known.mean - centre)
    variance = (deviations + 2 * k * population.within**2) / (n + 2 * k)
    return SpeakerScaler(centre, np.sqrt(variance) + LEAST_SHARE * population.spread)


def standardize_speakers(
    rows: NDArray[np.floating], people: NDArray[np.str_], population: SpeakerPrior, prior_clips: float
) -> NDArray[np.float32]:
    """(n, d) features of several people, each standardised by all of their own rows."""
    out = np.empty(rows.shape, dtype=np.float32)
    for person in np.unique(people):
        mine = people == person
        out[mine] = speaker_scaler(Moments.of(rows[mine]), population, prior_clips).apply(rows[mine])
    return out


def unenrolled_weight(n_clips: int, prior_clips: float) -> float:
    """The weight of what is said without enrolment: 1 for a stranger, less with every clip."""
    return prior_clips / (n_clips + prior_clips)


def blend(stranger: Float64, enrolled: Float64, share: float | Float64) -> Float64:
    """Weighted geometric mean of (n, n_emotions) probabilities, made to sum to 1; one share, or (n, 1)."""
    logs = share * np.log(np.maximum(stranger, 1e-12)) + (1 - share) * np.log(np.maximum(enrolled, 1e-12))
    return np.asarray(np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)), dtype=np.float64)


def draw_clips(n_own: int, n_clips: int, seed: Sequence[int]) -> NDArray[np.bool_]:
    """(n_own,) which of a person's recordings are enrolled in one random draw; the others are scored."""
    chosen = np.zeros(n_own, dtype=np.bool_)
    chosen[np.random.default_rng(list(seed)).permutation(n_own)[:n_clips]] = True
    return chosen
