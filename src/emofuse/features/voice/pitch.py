"""Pitch and voicing over time, by autocorrelation: two rows beside a log-mel."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Float32

LOWEST_HZ: Final = 70.0
HIGHEST_HZ: Final = 600.0
REFERENCE_HZ: Final = 55.0
"""Pitch is measured in octaves above this."""
WINDOW_S: Final = 0.064
"""Four to five periods of the lowest pitch."""
_BATCH: Final = 64
"""Frames whose spectra are in memory, and in the processor's cache, at once."""
_OCTAVE_COST: Final = 0.02
"""Cost per octave of the period: of two equal peaks the one with the shorter period wins (Boersma 1993)."""


def pitch_rows(samples: Float32, sample_rate_hz: int, hop_length: int) -> Float32:
    """Pitch and voicing of every frame of a log-mel with the same hop.

    The autocorrelation of each frame, divided by that of its window (Boersma 1993), has its highest peak at
    the period; the height of that peak is the voicing.

    Args:
        samples: (n_samples,) float32.
        sample_rate_hz: their rate.
        hop_length: samples between frames; frame i is centered on sample i · hop_length.

    Returns:
        (2, 1 + n_samples // hop_length) float32: octaves above 55 Hz, and voicing from 0 to 1. Both are 0
        in digital silence.
    """
    size = 2 * round(WINDOW_S * sample_rate_hz / 2)
    padded = np.pad(samples, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop_length]
    parts = [frames[i : i + _BATCH] for i in range(0, len(frames), _BATCH)]
    return np.concatenate([_of_frames(part, sample_rate_hz) for part in parts], axis=1)


def _of_frames(frames: Float32, sample_rate_hz: int) -> Float32:
    """(n_frames, size) samples → (2, n_frames)."""
    window, envelope = _window(frames.shape[1])
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    shortest, longest = int(sample_rate_hz / HIGHEST_HZ), int(sample_rate_hz / LOWEST_HZ)
    # long enough that the lags examined do not wrap around
    n_fft = _fast_length(len(window) + longest + 1)
    spectrum = np.fft.rfft(frames, n_fft)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, n_fft)[:, : longest + 1]
    power = correlation[:, :1]
    r = correlation / np.maximum(power, 1e-10) / envelope[: longest + 1]
    lags = np.arange(shortest, longest)
    best = (r[:, lags] - _OCTAVE_COST * np.log2(lags / shortest)).argmax(axis=1) + shortest
    frame = np.arange(len(r))
    before, peak, after = r[frame, best - 1], r[frame, best], r[frame, best + 1]
    bend = before - 2 * peak + after
    # the vertex of the parabola through the peak and its neighbors
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(peak), where=bend < -1e-9)
    period = best + np.clip(shift, -0.5, 0.5)
    audible = power[:, 0] > 1e-10
    pitch = np.where(audible, np.log2(sample_rate_hz / period / REFERENCE_HZ), 0)
    voicing = np.where(audible, np.clip(peak, 0, 1), 0)
    return np.stack([pitch, voicing]).astype(np.float32)


def _fast_length(least: int) -> int:
    """The smallest even length from ``least`` on whose prime factors are 2, 3 and 5: fast to transform."""
    n = least + least % 2
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 2


@lru_cache(maxsize=8)
def _window(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A Hann window and the first half of its normalized autocorrelation."""
    window = np.hanning(size)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[: size // 2 + 1]
    return window, correlation / correlation[0]
