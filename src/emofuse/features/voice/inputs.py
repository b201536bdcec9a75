"""A voice segment becomes the array that a voice network reads."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from emofuse.core.errors import MissingExtraError
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, UInt8
from emofuse.features.voice.descriptors import descriptor_size, descriptors
from emofuse.features.voice.pitch import pitch_rows

_POWER_FLOOR: Final = 1e-10
_IMAGE_SIDE_PX: Final = 224
_ROSRED_N_FFT: Final = 2048
_ROSRED_HOP: Final = 512
_ROSRED_MELS: Final = 128
_ROSRED_RANGE_DB: Final = 80.0
_ROSRED_MFCC: Final = 40
_FRAMES_AT_ONCE: Final = 16

_Filters = tuple[Float32, tuple[tuple[int, int], ...]]

ROSRED_1D_SIZE: Final = 2 * (1 + 12 + _ROSRED_MFCC + 1 + _ROSRED_MELS)
"""Mean and standard deviation of zero crossing rate, 12 chroma, 40 MFCC, RMS and 128 mel bands."""


def voice_array(segment: Float32, features: VoiceFeatures) -> NDArray[Any]:
    """The array that ``features.kind`` names, of what ``voice_segment`` gives."""
    if features.kind == "log-mel":
        rows = log_mel(segment, features)
        if not features.pitch:
            return rows
        return np.vstack([rows, pitch_rows(segment, features.sample_rate_hz, features.hop_length)])
    if features.kind == "descriptors":
        rows = log_mel(segment, features)
        pitch = pitch_rows(segment, features.sample_rate_hz, features.hop_length)
        with _algebra().limit(limits=1, user_api="blas"):
            return descriptors(np.vstack([rows, pitch]))
    if features.kind == "rosred-image":
        return rosred_image(segment, features)
    return rosred_1d(segment, features)


@lru_cache(maxsize=1)
def _algebra() -> ThreadpoolController:
    """The products are small: several threads, beside those that decode, make them three times slower."""
    return ThreadpoolController()


def voice_shape(features: VoiceFeatures) -> tuple[int, ...]:
    """The shape that :func:`voice_array` returns."""
    if features.kind == "log-mel":
        n_samples = round(features.duration_s * features.sample_rate_hz)
        return features.n_mels + 2 * features.pitch, 1 + n_samples // features.hop_length
    if features.kind == "rosred-image":
        return _IMAGE_SIDE_PX, _IMAGE_SIDE_PX, 3
    if features.kind == "descriptors":
        return (descriptor_size(features.n_mels),)
    return (ROSRED_1D_SIZE,)


def log_mel(segment: Float32, features: VoiceFeatures) -> Float32:
    """(n_mels, 1 + n_samples // hop_length) float32, natural log of mel power, floored at log(1e-10).

    The power is that of ``librosa.feature.melspectrogram`` with its defaults (centred frames, zeros beyond
    the ends, periodic Hann window, Slaney filters of unit area).
    """
    power = _mel_power(
        segment,
        features.sample_rate_hz,
        (features.n_fft, features.win_length, features.hop_length),
        features.n_mels,
        (features.fmin_hz, features.fmax_hz),
    )
    return np.log(np.maximum(power, np.float32(_POWER_FLOOR)))


def rosred_image(segment: Float32, features: VoiceFeatures) -> UInt8:
    """(224, 224, 3) uint8 RGB: the notebooks' picture of the voice, low bands at the bottom.

    They draw librosa's mel-spectrogram in decibels below its maximum with matplotlib, save it and resize
    it. The same picture comes from the same colour map without drawing.
    """
    power = _mel_power(
        segment,
        features.sample_rate_hz,
        (_ROSRED_N_FFT, _ROSRED_N_FFT, _ROSRED_HOP),
        _ROSRED_MELS,
        (0.0, None),
    )
    decibels = 10 * np.log10(np.maximum(power, np.float32(_POWER_FLOOR)))
    decibels = np.maximum(decibels, decibels.max() - np.float32(_ROSRED_RANGE_DB))
    low, high = float(decibels.min()), float(decibels.max())
    scale = 256.0 / (high - low) if high > low else 0.0
    # matplotlib's colour map has 256 colours, each for an equal part of the range.
    index = np.minimum((decibels - low) * np.float32(scale), 255).astype(np.uint8)[::-1]
    side = (_IMAGE_SIDE_PX, _IMAGE_SIDE_PX)
    index = cv2.resize(np.ascontiguousarray(index), side, interpolation=cv2.INTER_NEAREST_EXACT)
    colours = cv2.applyColorMap(index, cv2.COLORMAP_MAGMA)
    return np.ascontiguousarray(colours[..., ::-1], dtype=np.uint8)


def rosred_1d(segment: Float32, features: VoiceFeatures) -> Float32:
    """(364,) float32: the notebooks' statistics, each as mean over time, then standard deviation.

    Raises:
        MissingExtraError: librosa is not installed.
    """
    try:
        import librosa
    except ImportError:
        raise MissingExtraError("train", "the recipe's voice features 'rosred-1d'") from None
    rate = features.sample_rate_hz
    power = np.abs(librosa.stft(segment, n_fft=_ROSRED_N_FFT, hop_length=_ROSRED_HOP)) ** 2
    mel = librosa.feature.melspectrogram(S=power, sr=rate, n_mels=_ROSRED_MELS)
    rows = np.vstack(
        [
            _zero_crossing_rate(segment),
            # Tuned to 440 Hz: estimating the tuning of speech finds none, and goes through compiled
            # code whose cache on disk can crash the process (numba 0.68).
            librosa.feature.chroma_stft(S=power, sr=rate, tuning=0.0),
            librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=_ROSRED_MFCC),
            librosa.feature.rms(y=segment, frame_length=_ROSRED_N_FFT, hop_length=_ROSRED_HOP),
            mel,
        ]
    )
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)]).astype(np.float32)


def _zero_crossing_rate(samples: Float32) -> NDArray[np.float64]:
    """(1 + n_samples // hop,) share of samples in a frame before which the sign changes."""
    padded = np.pad(samples, _ROSRED_N_FFT // 2, mode="edge")
    # What librosa takes for zero.
    negative = np.signbit(np.where(np.abs(padded) <= 1e-10, np.float32(0), padded))
    changes = np.concatenate([[0.0], np.not_equal(negative[1:], negative[:-1])])
    frames = np.lib.stride_tricks.sliding_window_view(changes, _ROSRED_N_FFT)[::_ROSRED_HOP]
    rate: NDArray[np.float64] = frames.mean(axis=1)
    return rate


def _mel_power(
    samples: Float32,
    rate: int,
    stft: tuple[int, int, int],
    n_mels: int,
    range_hz: tuple[float, float | None],
) -> Float32:
    """(n_mels, 1 + n_samples // hop) float32 power; ``stft``: n_fft, win_length, hop_length."""
    n_fft, win_length, hop = stft
    # As many frames for an odd n_fft as for an even one.
    padded = np.pad(samples, (n_fft // 2, n_fft - n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    power = _power_spectrum(frames, _window(n_fft, win_length))
    low_hz, high_hz = range_hz
    filters, spans = _mel_filters(rate, n_fft, n_mels, low_hz, rate / 2 if high_hz is None else high_hz)
    out = np.empty((n_mels, len(frames)), np.float32)
    # A filter sees a few bins only. Each by itself also keeps the sums in one order on every machine.
    for band, (first, last) in enumerate(spans):
        np.dot(filters[band, first:last], power[first:last], out=out[band])
    return out


def _power_spectrum(frames: Float32, window: Float32) -> Float32:
    """(1 + n_fft // 2, n_frames) float32 of (n_frames, n_fft)."""
    n_frames, n_fft = frames.shape
    power = np.empty((n_frames, 1 + n_fft // 2), np.float32)
    # A few frames at a time stay in the cache and wait for no other thread.
    for first in range(0, n_frames, _FRAMES_AT_ONCE):
        some = slice(first, first + _FRAMES_AT_ONCE)
        windowed, out = frames[some] * window, power[some]
        if n_fft % 2:
            spectrum = np.fft.rfft(windowed, axis=1)
            np.add(spectrum.real**2, spectrum.imag**2, out=out)
            continue
        # OpenCV's transform, many times faster than NumPy's, packs a row: Re 0, Re 1, Im 1, …, Re n/2.
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
    """Triangles of unit area on Slaney's mel scale (Slaney 1998), and the bins in which each is not zero.

    (n_mels, 1 + n_fft // 2) float32; first and last bin of each, the last just outside.
    """
    centres = _mel_to_hz(np.linspace(_hz_to_mel(fmin_hz), _hz_to_mel(fmax_hz), n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    widths = np.diff(centres)
    ramps = centres[:, np.newaxis] - bins
    rising = -ramps[:-2] / widths[:-1, np.newaxis]
    falling = ramps[2:] / widths[1:, np.newaxis]
    area = 2.0 / (centres[2:] - centres[:-2])
    filters = (np.maximum(0, np.minimum(rising, falling)) * area[:, np.newaxis]).astype(np.float32)
    return filters, tuple(_span(row) for row in filters)


def _span(row: Float32) -> tuple[int, int]:
    bins = np.flatnonzero(row)
    return (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)


# Slaney's scale: linear up to 1 kHz, 200/3 Hz a mel, then 27 mel for each factor of 6.4.
_HZ_PER_MEL: Final = 200.0 / 3
_LOG_FROM_HZ: Final = 1000.0
_LOG_FROM_MEL: Final = _LOG_FROM_HZ / _HZ_PER_MEL
_LOG_STEP: Final = math.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_FROM_MEL + math.log(hz / _LOG_FROM_HZ) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    high = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _HZ_PER_MEL, high)
