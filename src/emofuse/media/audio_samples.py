"""The samples of a decoded audio frame as floating point."""

from __future__ import annotations

from typing import Final

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from emofuse.core.records import Float32

LOUDEST: Final = 32.0
"""Floating-point files may exceed ±1; values far beyond are damage and would overflow a power spectrum."""
_MOST_PLANES: Final = 7
"""Of a frame with more planes, PyAV reads beyond the last: it looks for the end of their list, which has none
from the eighth on."""


def float_samples(frame: AudioFrame) -> Float32:
    """(n_channels, n_samples) float32, full scale ±1, whatever the sample format."""
    if frame.format.is_planar and frame.layout.nb_channels > _MOST_PLANES:
        frame = _packed(frame)
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - np.float32(128)) / np.float32(128)
    if raw.dtype.kind == "i":
        return raw.astype(np.float32) / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
    samples = raw.astype(np.float32)
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -LOUDEST, LOUDEST)


def _packed(frame: AudioFrame) -> AudioFrame:
    """The same samples with those of all channels side by side."""
    resampler = AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
    (packed,) = resampler.resample(frame)
    return packed
