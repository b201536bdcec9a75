"""From several channels to one: the mean, unless the channels cancel in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Float32, Waveform

SILENT_BELOW: Final = 1e-4
"""Peak below which a stream is silent, about -80 dBFS. The quietest RAVDESS recording peaks at 0.006."""

_CANCELLED_BELOW: Final = 0.25
"""Power of the mean over that of unrelated channels of the same levels. Of two channels, it is 2 if they are
equal, 1 if one is silent or they are unrelated, 0 if one is the other with its polarity reversed, and at most
0.002 if these two were then coded as AAC (128 kbit/s) or Opus (48 kbit/s)."""
_AS_LOUD: Final = 0.8
"""Share of the highest power from which a channel is as loud: rounding must not choose between two."""
_BLOCK_S: Final = 0.008
"""Levels are measured in blocks this short, about the mean of each: a constant does not count, and rumble
hardly."""
VALUES_AT_ONCE: Final = 2**20
"""Levels are computed piece by piece: numpy needs as much memory again as a piece has."""


def is_silent(samples: Float32) -> bool:
    """Whether nothing is audible: digital silence, or only its dither."""
    return peak(samples) < SILENT_BELOW


def peak(samples: Float32) -> float:
    """The largest magnitude; 0 of no sample."""
    return float(max(samples.max(), -samples.min())) if samples.size else 0.0


def to_mono(waveform: Waveform) -> Float32:
    """(n_samples,) float32: the mean of the channels, or the loudest one if they cancel each other out."""
    samples = waveform.samples
    if waveform.n_channels == 1:
        only: Float32 = samples[0]
        return only
    mono: Float32 = samples.mean(axis=0, dtype=np.float32)
    power = block_power(samples, waveform.sample_rate_hz)
    if is_cancelled(float(block_power(mono[None], waveform.sample_rate_hz)[0]), power):
        one: Float32 = samples[loudest(power)]
        return one
    return mono


def channels_cancel(waveform: Waveform) -> bool:
    """Whether :func:`to_mono` takes one channel because the mean of all has lost what they hold."""
    if waveform.n_channels == 1:
        return False
    rate = waveform.sample_rate_hz
    mean = waveform.samples.mean(axis=0, keepdims=True, dtype=np.float32)
    return is_cancelled(float(block_power(mean, rate)[0]), block_power(waveform.samples, rate))


def is_cancelled(mean_power: float, channel_powers: NDArray[np.float64]) -> bool:
    """Whether the mean of some channels is far softer than if they were unrelated."""
    unrelated = float(channel_powers.mean()) / len(channel_powers)
    return mean_power < _CANCELLED_BELOW * unrelated


def loudest(channel_powers: NDArray[np.float64]) -> int:
    """The first of the loudest channels."""
    return int(np.argmax(channel_powers >= _AS_LOUD * channel_powers.max()))


def block_power(rows: Float32, sample_rate_hz: int) -> NDArray[np.float64]:
    """(n_rows,) mean power of (n_rows, n), without what changes more slowly than a block lasts."""
    n = min(max(1, round(_BLOCK_S * sample_rate_hz)), max(1, rows.shape[1]))
    whole = rows[:, : rows.shape[1] // n * n].reshape(len(rows), -1, n)
    if whole.size == 0:
        return np.zeros(len(rows))
    step = max(1, VALUES_AT_ONCE // (len(rows) * n))
    parts = [whole[:, i : i + step].var(axis=2) for i in range(0, whole.shape[1], step)]
    power: NDArray[np.float64] = np.concatenate(parts, axis=1).mean(axis=1, dtype=np.float64)
    return power
