"""Decoded audio frames become one waveform on the clock of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from av.audio.frame import AudioFrame

from emofuse.errors import MediaError
from emofuse.records import Float32, Waveform

MAX_SOUND_S: Final = 1800.0
"""Sound is read up to this length, so that a film does not fill the memory: 0.7 GB, stereo at 48 kHz."""

_GAP_S: Final = 0.1
"""A longer hole between two timestamps is filled with silence; a shorter one is rounding."""
_MAX_GAP_S: Final = 60.0
"""A still longer hole is taken for a wrong timestamp."""
_RATES_HZ: Final = range(1000, 768001)
_LOUDEST: Final = 32.0
"""Floating-point files may leave ±1; values far beyond are damage and would overflow in a power spectrum."""


class Sound:
    """Collects the samples of one stream between two times."""

    def __init__(self, path: Path, start_s: float | None, end_s: float | None, origin_s: float) -> None:
        """Times are counted from ``origin_s``, the earliest timestamp of the file."""
        self._path = path
        self._start_s, self._end_s, self._origin_s = start_s, end_s, origin_s
        self._chunks: list[Float32] = []
        self._rate = 0
        self._channels = 0
        self._first_s = 0.0
        self._n = 0
        self.end_s = 0.0
        """Where the sound read so far ends."""
        self.full = False
        """Nothing more is wanted."""
        self.notes: tuple[str, ...] = ()

    def add(self, frame: AudioFrame) -> None:
        """Take the next decoded frame."""
        if self.full or frame.samples == 0:
            return
        if not self._rate:
            self._begin(frame)
        if frame.sample_rate != self._rate:
            self.full = True
            self.notes = (f"damaged: the sample rate changes at {self.end_s:.2f} s; the rest was left out",)
            return
        time_s = self.end_s
        if frame.pts is not None and frame.time_base:
            time_s = float(frame.pts * frame.time_base) - self._origin_s
        if self._end_s is not None and time_s >= self._end_s:
            self.full = True
            return
        samples = self._matched(_float_samples(frame))
        if self._start_s is not None and time_s + samples.shape[1] / self._rate <= self._start_s:
            self.end_s = time_s + samples.shape[1] / self._rate
            return
        if not self._chunks:
            self._first_s = time_s
        elif _GAP_S < time_s - self.end_s < _MAX_GAP_S:
            self._append(np.zeros((self._channels, round((time_s - self.end_s) * self._rate)), np.float32))
        self._append(samples)
        if self._n > MAX_SOUND_S * self._rate:
            self.full = True
            self.notes = (f"only the first {MAX_SOUND_S / 60:.0f} minutes of sound were read",)

    def result(self) -> Waveform | None:
        """The waveform, cut to the sample; None where no sample came out."""
        if not self._chunks:
            return None
        samples = np.concatenate(self._chunks, axis=1)
        first_s = self._first_s
        if self._start_s is not None and self._start_s > first_s:
            skipped = round((self._start_s - first_s) * self._rate)
            samples, first_s = samples[:, skipped:], first_s + skipped / self._rate
        if self._end_s is not None:
            samples = samples[:, : max(0, round((self._end_s - first_s) * self._rate))]
        if samples.shape[1] == 0:
            return None
        return Waveform(np.ascontiguousarray(samples), self._rate, first_s)

    def _begin(self, frame: AudioFrame) -> None:
        if frame.sample_rate not in _RATES_HZ:
            raise MediaError(self._path, f"a sample rate of {frame.sample_rate} Hz is out of range")
        self._rate, self._channels = frame.sample_rate, frame.layout.nb_channels

    def _append(self, samples: Float32) -> None:
        self._chunks.append(samples)
        self._n += samples.shape[1]
        self.end_s = self._first_s + self._n / self._rate

    def _matched(self, samples: Float32) -> Float32:
        """Some broadcasts change between mono and stereo: keep the number of channels of the start."""
        if len(samples) == self._channels:
            return samples
        mean = samples.mean(axis=0, dtype=np.float32)
        return np.repeat(mean[np.newaxis], self._channels, axis=0)


def _float_samples(frame: AudioFrame) -> Float32:
    """(n_channels, n_samples) float32, full scale ±1, whatever the sample format."""
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - np.float32(128)) / np.float32(128)
    if raw.dtype.kind == "i":
        return raw.astype(np.float32) / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
    samples = raw.astype(np.float32)
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -_LOUDEST, _LOUDEST)
