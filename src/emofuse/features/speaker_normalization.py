"""Speaker normalization: a few unlabeled recordings of a person tell how that person differs from others.

People differ in voice and face far more than emotions do. A person's own recordings, whatever they express,
give the center and the spread of that person's features, by which later ones are standardized. With few
recordings both are shrunk toward those of other people (an empirical-Bayes mean and variance). No label
is ever used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from emofuse.core.by_value import ComparedByValue
from emofuse.system.array_files import read_arrays

Float64 = NDArray[np.float64]
LEAST_SHARE = 0.1
"""Share of the spread over all people that is added to a person's own, so that no value explodes."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerPrior(ComparedByValue):
    """Of many speakers' features: ``mean``, ``spread`` over all and ``within`` one speaker, (d,) float64."""

    mean: Float64
    spread: Float64
    within: Float64

    @classmethod
    def of(cls, rows: NDArray[np.floating], speaker_ids: NDArray[np.str_]) -> SpeakerPrior:
        """From (n, d) features of several speakers' recordings and their (n,) speakers."""
        x = np.asarray(rows, dtype=np.float64)
        variances = [x[speaker_ids == speaker].var(axis=0) for speaker in np.unique(speaker_ids)]
        return cls(x.mean(0), x.std(0) + 1e-6, np.sqrt(np.mean(variances, axis=0)) + 1e-6)

    @classmethod
    def read(cls, file: Path | bytes | IO[bytes]) -> SpeakerPrior:
        """From an .npz of the three arrays.

        Raises:
            OSError, ValueError, KeyError: it is not one.
        """
        arrays = read_arrays(file)
        return cls(arrays["mean"], arrays["spread"], arrays["within"])

    def of_columns(self, columns: slice) -> SpeakerPrior:
        """That of some of the features alone."""
        return SpeakerPrior(self.mean[columns], self.spread[columns], self.within[columns])


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerScaler(ComparedByValue):
    """The center and the scale of one speaker's features, (d,) float64 each."""

    center: Float64
    scale: Float64

    def apply(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, d) features of the speaker, standardized: float32 within ±5."""
        return np.clip((rows - self.center) / self.scale, -5, 5).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Moments(ComparedByValue):
    """All that is stored of a speaker's recordings: number, mean and sum of squared deviations, (d,) each."""

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


def speaker_scaler(moments: Moments, prior: SpeakerPrior, prior_clips: float) -> SpeakerScaler:
    """A speaker's center and scale from some of that speaker's recordings.

    Args:
        moments: of the speaker's recordings.
        prior: what is known of speakers in general.
        prior_clips: how many recordings the prior counts for.
    """
    n, k = moments.n, prior_clips
    center = (n * moments.mean + k * prior.mean) / (n + k)
    deviations = moments.deviations + n * np.square(moments.mean - center)
    variance = (deviations + 2 * k * prior.within**2) / (n + 2 * k)
    return SpeakerScaler(center, np.sqrt(variance) + LEAST_SHARE * prior.spread)


def standardize_speakers(
    rows: NDArray[np.floating], speaker_ids: NDArray[np.str_], prior: SpeakerPrior, prior_clips: float
) -> NDArray[np.float32]:
    """(n, d) features of several speakers, each standardized by all of their own rows."""
    out = np.empty(rows.shape, dtype=np.float32)
    for speaker in np.unique(speaker_ids):
        own = speaker_ids == speaker
        out[own] = speaker_scaler(Moments.of(rows[own]), prior, prior_clips).apply(rows[own])
    return out


def unenrolled_weight(n_clips: int, prior_clips: float) -> float:
    """Weight of the outputs without enrollment: 1 for an unenrolled speaker, less with every clip."""
    return prior_clips / (n_clips + prior_clips)


def blend(unenrolled: Float64, enrolled: Float64, weight: float | Float64) -> Float64:
    """Weighted geometric mean of (n, n_emotions) probabilities, normalized to sum to 1.

    ``weight``: of ``unenrolled``, from 0 to 1: one, or (n, 1).
    """
    logs = weight * np.log(np.maximum(unenrolled, 1e-12)) + (1 - weight) * np.log(np.maximum(enrolled, 1e-12))
    return np.asarray(np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)), dtype=np.float64)


def draw_clips(n_own: int, n_clips: int, seed: Sequence[int]) -> NDArray[np.bool_]:
    """(n_own,) which of a speaker's recordings one random draw enrolls; the others are scored."""
    chosen = np.zeros(n_own, dtype=np.bool_)
    chosen[np.random.default_rng(list(seed)).permutation(n_own)[:n_clips]] = True
    return chosen
