"""Mel spectrograms: power in mel bands over time, and its logarithm."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32

POWER_FLOOR: Final = 1e-10
"""Power below this counts as this, before a logarithm is taken."""

_FRAMES_AT_ONCE: Final = 16

_Filters = tuple[Float32, tuple[tuple[int, int], ...]]

# Slaney's scale: linear up to 1 kHz, 200/3 Hz per mel, then 27 mel for each factor of 6.4.
_HZ_PER_MEL: Final = 200.0 / 3
_LOG_FROM_HZ: Final = 1000.0
_LOG_FROM_MEL: Final = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP: Final = math.log(6.4) / 27.0


def log_mel(segment: Float32, features: VoiceFeatures) -> Float32:
    """(n_mels, 1 + n_samples // hop_length) float32, natural log of mel power, floored at log(1e-10).

    The power is that of ``librosa.feature.melspectrogram`` with its defaults (centered frames, zeros beyond
    the ends, periodic Hann window, Slaney filters of unit area).
    """
    power = mel_power(
        segment,
        features.sample_rate_hz,
        (features.n_fft, features.win_length, features.hop_length),
        features.n_mels,
        (features.fmin_hz, features.fmax_hz),
    )
    return np.log(np.maximum(power, np.float32(POWER_FLOOR)))


def mel_power(
    samples: Float32,
    rate: int,
    stft: tuple[int, int, int],
    n_mels: int,
    range_hz: tuple[float, float | None],
    *,
    beyond_ends: Literal["constant", "reflect"] = "constant",
) -> Float32:
    """Power in mel bands.

    Args:
        samples: (n_samples,) float32.
        rate: their rate, in hertz.
        stft: n_fft, win_length and hop_length, in samples.
        n_mels: number of bands.
        range_hz: lowest and highest frequency; None: half of the rate.
        beyond_ends: what the first and the last frames see there: zeros, or the sound mirrored.

    Returns:
        (n_mels, 1 + n_samples // hop_length) float32.
    """
    n_fft, win_length, hop = stft
    # The same number of frames for an odd n_fft as for an even one.
    padded = np.pad(samples, (n_fft // 2, n_fft - n_fft // 2), mode=beyond_ends)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    power = _power_spectrum(frames, _window(n_fft, win_length))
    low_hz, high_hz = range_hz
    filters, spans = _mel_filters(rate, n_fft, n_mels, low_hz, rate / 2 if high_hz is None else high_hz)
    out = np.empty((n_mels, len(frames)), np.float32)
    # A filter covers a few bins only. One product per filter also sums in the same order on every machine.
    for band, (first, last) in enumerate(spans):
        np.dot(filters[band, first:last], power[first:last], out=out[band])
    return out


def _power_spectrum(frames: Float32, window: Float32) -> Float32:
    """(1 + n_fft // 2, n_frames) float32 of (n_frames, n_fft)."""
    n_frames, n_fft = frames.shape
    power = np.empty((n_frames, 1 + n_fft // 2), np.float32)
    # A few frames at a time stay in the cache, and need no other thread.
    for first in range(0, n_frames, _FRAMES_AT_ONCE):
        batch = slice(first, first + _FRAMES_AT_ONCE)
        windowed, out = frames[batch] * window, power[batch]
        if n_fft % 2:
            spectrum = np.fft.rfft(windowed, axis=1)
            np.add(spectrum.real**2, spectrum.imag**2, out=out)
            continue
        # OpenCV's transform, many times faster than NumPy's, packs each row: Re 0, Re 1, Im 1, …, Re n/2.
        packed = np.square(cv2.dft(windowed, flags=cv2.DFT_ROWS))
        out[:, 0], out[:, -1] = packed[:, 0], packed[:, -1]
        np.add(packed[:, 1:-1:2], packed[:, 2:-1:2], out=out[:, 1:-1])
    return np.asarray(cv2.transpose(power), dtype=np.float32)


@lru_cache(maxsize=16)
def _window(n_fft: int, win_length: int) -> Float32:
    """(n_fft,) float32: a periodic Hann window in the middle of zeros."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    left = (n_fft - win_length) // 2
    return np.pad(hann, (left, n_fft - win_length - left)).astype(np.float32)


@lru_cache(maxsize=16)
def _mel_filters(rate: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float) -> _Filters:
    """Triangles of unit area on Slaney's mel scale (Slaney 1998), and the bins in which each is nonzero.

    (n_mels, 1 + n_fft // 2) float32; first and last bin of each, the last exclusive.
    """
    centers = _mel_to_hz(np.linspace(_hz_to_mel(fmin_hz), _hz_to_mel(fmax_hz), n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    widths = np.diff(centers)
    ramps = centers[:, np.newaxis] - bins
    rising = -ramps[:-2] / widths[:-1, np.newaxis]
    falling = ramps[2:] / widths[1:, np.newaxis]
    area = 2.0 / (centers[2:] - centers[:-2])
    filters = (np.maximum(0, np.minimum(rising, falling)) * area[:, np.newaxis]).astype(np.float32)
    return filters, tuple(_span(row) for row in filters)


def _span(row: Float32) -> tuple[int, int]:
    bins = np.flatnonzero(row)
    return (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_FROM_MEL + math.log(hz / _LOG_FROM_HZ) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    high = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _HZ_PER_MEL, high)
