"""A waveform for drawing: the lowest and the highest sample of every interval of time."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import TimelineError
from emofuse.core.records import Waveform
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically

_MOST = 127
_SOFTEST = 1e-3
"""A recording that never exceeds this (-60 dBFS) has a flat waveform."""
_LARGEST_BYTES: Final = 64 * 2**20
"""Of stored peaks, unpacked: a meter makes a thousandth of it."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """``low`` and ``high``: (n_bins,) int8, ``bin_s`` seconds each; 127 stands for the loudest sample.

    The first bin starts at ``start_s`` on the clock of the timeline. A bin without a sample is zero.
    """

    bin_s: float
    low: NDArray[np.int8]
    high: NDArray[np.int8]
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bin_s) and self.bin_s > 0 and math.isfinite(self.start_s)):
            raise ValueError(f"bins must have a length and a start, got {self.bin_s} s from {self.start_s} s")
        for name, array in (("low", self.low), ("high", self.high)):
            if array.ndim != 1 or array.dtype != np.int8:
                raise ValueError(f"{name} must be (n_bins,) int8, got {array.shape} {array.dtype}")
        if self.low.shape != self.high.shape or np.any(self.low > self.high):
            raise ValueError("low and high must have the same length, and low must not lie above high")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the peaks to an ``.npz`` file atomically.

        Raises:
            OSError: the file cannot be written.
        """
        clock = np.array([self.bin_s, self.start_s], dtype=np.float64)
        with write_atomically(Path(path)) as file:
            np.savez_compressed(file, allow_pickle=False, clock=clock, low=self.low, high=self.high)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Peaks:
        """Read peaks that :meth:`save` wrote, the same to the last bit.

        Raises:
            TimelineError: they are missing, damaged or not stored peaks.
        """
        path = Path(path)
        try:
            arrays = read_arrays(path, limit_bytes=_LARGEST_BYTES)
            bin_s, start_s = arrays["clock"].astype(np.float64).tolist()
            return cls(bin_s, arrays["low"], arrays["high"], start_s)
        except OSError as error:
            raise TimelineError(f"{path}: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError) as error:
            problem = error if isinstance(error, ValueError) else "its parts do not fit together"
            raise TimelineError(f"{path} holds no stored waveform, or is damaged: {problem}") from None


class PeakMeter:
    """Collects the peaks of a recording block by block, in constant memory.

    Bins are ``bin_s`` long at first and double in length whenever there would be more than ``max_bins``.
    """

    def __init__(self, *, start_s: float = 0.0, bin_s: float = 0.01, max_bins: int = 32_768) -> None:
        """Start without samples. ``start_s``: when the first bin starts; earlier samples are left out."""
        if not bin_s > 0 or max_bins < 2:
            raise ValueError(f"bin_s must be positive and max_bins at least 2, got {bin_s} and {max_bins}")
        self._start_s, self._bin_s = start_s, bin_s
        self._low = np.full(max_bins, np.inf, np.float32)
        self._high = np.full(max_bins, -np.inf, np.float32)
        self._n_bins = 0

    def add(self, block: Waveform) -> None:
        """Add a block, (n_channels, n) samples; the peaks are those over all channels."""
        rate, samples = block.sample_rate_hz, block.samples
        # a rounding error must not move the first sample of a bin into the bin before
        first = round((block.start_s - self._start_s) * rate)
        if first < 0:
            samples, first = samples[:, -first:], 0
        n = samples.shape[1]
        if n == 0 or samples.shape[0] == 0:
            return
        while (first + n - 1) / rate / self._bin_s >= len(self._low):
            self._halve()
        bin_of_sample = np.floor(np.arange(first, first + n) / (rate * self._bin_s) + 1e-9).astype(np.int64)
        bin_of_sample = np.minimum(bin_of_sample, len(self._low) - 1)
        edges = np.flatnonzero(np.diff(bin_of_sample, prepend=bin_of_sample[0] - 1))
        bins = bin_of_sample[edges]
        clean = np.nan_to_num(samples, nan=0.0)
        low = np.minimum.reduceat(clean.min(axis=0), edges)
        high = np.maximum.reduceat(clean.max(axis=0), edges)
        self._low[bins] = np.minimum(self._low[bins], low)
        self._high[bins] = np.maximum(self._high[bins], high)
        self._n_bins = max(self._n_bins, int(bins[-1]) + 1)

    def _halve(self) -> None:
        n = len(self._low)
        for array, join, empty in ((self._low, np.minimum, np.inf), (self._high, np.maximum, -np.inf)):
            padded = np.append(array, np.float32(empty)) if n % 2 else array
            joined = join(padded[0::2], padded[1::2])
            array[: len(joined)] = joined
            array[len(joined) :] = empty
        self._n_bins = (self._n_bins + 1) // 2
        self._bin_s *= 2

    def peaks(self) -> Peaks:
        """The peaks of all blocks so far."""
        # bins without a sample are still infinite
        low, high = (
            np.clip(np.where(np.isfinite(values), values, 0), -1, 1)
            for values in (self._low[: self._n_bins], self._high[: self._n_bins])
        )
        loudest = max(_SOFTEST, float(np.abs(low).max(initial=0)), float(np.abs(high).max(initial=0)))
        # rounded outwards, so that soft samples do not vanish
        return Peaks(
            self._bin_s,
            np.floor(np.maximum(low * (_MOST / loudest), -_MOST)).astype(np.int8),
            np.ceil(np.minimum(high * (_MOST / loudest), _MOST)).astype(np.int8),
            self._start_s,
        )
