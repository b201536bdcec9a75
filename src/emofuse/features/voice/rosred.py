"""What the notebooks' voice networks read: an image of the mel spectrogram, and statistics over time."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import MissingExtraError
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, UInt8
from emofuse.features.voice.spectrogram import POWER_FLOOR, mel_power

IMAGE_SIDE_PX: Final = 224
_N_FFT: Final = 2048
_HOP: Final = 512
_N_MELS: Final = 128
_RANGE_DB: Final = 80.0
_N_MFCC: Final = 40
STATISTICS_SIZE: Final = 2 * (1 + 12 + _N_MFCC + 1 + _N_MELS)
"""Mean and standard deviation of zero crossing rate, 12 chroma, 40 MFCC, RMS and 128 mel bands."""


def rosred_image(segment: Float32, features: VoiceFeatures) -> UInt8:
    """(224, 224, 3) uint8 RGB: the notebooks' image of the voice, low bands at the bottom.

    They draw librosa's mel-spectrogram in decibels below its maximum with matplotlib, save it and resize
    it. The same color map gives the same image without drawing.
    """
    power = mel_power(
        segment,
        features.sample_rate_hz,
        (_N_FFT, _N_FFT, _HOP),
        _N_MELS,
        (0.0, None),
    )
    decibels = 10 * np.log10(np.maximum(power, np.float32(POWER_FLOOR)))
    decibels = np.maximum(decibels, decibels.max() - np.float32(_RANGE_DB))
    low, high = float(decibels.min()), float(decibels.max())
    scale = 256.0 / (high - low) if high > low else 0.0
    # matplotlib's color map has 256 colors, each for an equal part of the range.
    index = np.minimum((decibels - low) * np.float32(scale), 255).astype(np.uint8)[::-1]
    side = (IMAGE_SIDE_PX, IMAGE_SIDE_PX)
    index = cv2.resize(np.ascontiguousarray(index), side, interpolation=cv2.INTER_NEAREST_EXACT)
    colors = cv2.applyColorMap(index, cv2.COLORMAP_MAGMA)
    return np.ascontiguousarray(colors[..., ::-1], dtype=np.uint8)


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
    power = np.abs(librosa.stft(segment, n_fft=_N_FFT, hop_length=_HOP)) ** 2
    mel = librosa.feature.melspectrogram(S=power, sr=rate, n_mels=_N_MELS)
    rows = np.vstack(
        [
            _zero_crossing_rate(segment),
            # Tuned to 440 Hz: estimating the tuning of speech finds none, and uses compiled
            # code whose cache on disk can crash the process (numba 0.68).
            librosa.feature.chroma_stft(S=power, sr=rate, tuning=0.0),
            librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=_N_MFCC),
            librosa.feature.rms(y=segment, frame_length=_N_FFT, hop_length=_HOP),
            mel,
        ]
    )
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)]).astype(np.float32)


def _zero_crossing_rate(samples: Float32) -> NDArray[np.float64]:
    """(1 + n_samples // hop,) share of the samples of a frame at which the sign changes."""
    padded = np.pad(samples, _N_FFT // 2, mode="edge")
    # What librosa treats as zero.
    negative = np.signbit(np.where(np.abs(padded) <= 1e-10, np.float32(0), padded))
    changes = np.concatenate([[0.0], np.not_equal(negative[1:], negative[:-1])])
    frames = np.lib.stride_tricks.sliding_window_view(changes, _N_FFT)[::_HOP]
    rate: NDArray[np.float64] = frames.mean(axis=1)
    return rate
