"""A high-pass for what lies below any voice: a constant offset, rumble, mains hum.

The filter has no delay (zero phase), so onsets stay where they are; it need not be causal, for all of the
recording is there. It is a windowed sinc (Kaiser 1974), a finite kernel: every sample further from the ends
than :func:`reach_s` depends on recorded samples only. Nearer the ends the recording is continued as its
mirror image. That continues an offset exactly, and invents none where a voice is cut: in 100 cuts through
RAVDESS voices, the first 25 ms differ from the same samples of the whole recording by a tenth of the voice's
level; with an odd reflection, by half of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Waveform

STOP_SHARE: Final = 0.75
"""Below this share of its frequency the filter stops everything: 60 Hz for 80 Hz."""
STOP_DB: Final = 80.0
"""How far down that is; above its frequency, the gain is 1 to as many decimals."""


def highpass(waveform: Waveform, from_hz: float) -> Waveform:
    """Every channel without what is below ``from_hz``; rate, length and times stay.

    Args:
        waveform: any rate above twice ``from_hz``.
        from_hz: gain 1 from here up, 0 below three quarters of it (:data:`STOP_SHARE`), between them a slope.
    """
    if waveform.samples.size == 0:
        return waveform
    samples = np.empty_like(waveform.samples)
    for channel, out in zip(waveform.samples, samples, strict=True):
        _highpass(channel, waveform.sample_rate_hz, from_hz, out)
    return Waveform(samples, waveform.sample_rate_hz, waveform.start_s)


def reach_s(from_hz: float) -> float:
    """How far the kernel reaches to either side, in seconds: 0.125 at 80 Hz."""
    slope_hz = from_hz * (1 - STOP_SHARE)
    return (STOP_DB - 8) / (2 * 2.285 * 2 * np.pi * slope_hz)  # Kaiser's estimate of the length


@lru_cache(maxsize=8)
def kernel(sample_rate_hz: int, from_hz: float) -> NDArray[np.float64]:
    """(2 n + 1,) the low-pass that is subtracted: symmetric, of sum 1."""
    n_side = max(1, round(reach_s(from_hz) * sample_rate_hz))
    middle_hz = from_hz * (1 + STOP_SHARE) / 2
    taps: NDArray[np.float64] = np.sinc(2 * middle_hz / sample_rate_hz * np.arange(-n_side, n_side + 1))
    taps *= np.kaiser(2 * n_side + 1, 0.1102 * (STOP_DB - 8.7))
    taps /= taps.sum()
    taps.setflags(write=False)
    return taps


@lru_cache(maxsize=8)
def _spectrum(sample_rate_hz: int, from_hz: float) -> tuple[int, NDArray[np.complex128]]:
    """The size of a transform of some kernels' length, and the kernel's."""
    taps = kernel(sample_rate_hz, from_hz)
    size = 1 << (4 * len(taps)).bit_length()
    return size, np.fft.rfft(taps, size)


def _highpass(
    samples: NDArray[np.float32], sample_rate_hz: int, from_hz: float, out: NDArray[np.float32]
) -> None:
    """Overlap-save: blocks of the extended recording, of each the part that the wrap-around leaves alone."""
    size, low_pass = _spectrum(sample_rate_hz, from_hz)
    n_taps = len(kernel(sample_rate_hz, from_hz))
    n_side, step = n_taps // 2, size - n_taps + 1
    for start in range(0, len(samples), step):
        block = _extended(samples, start - n_side, start - n_side + size, n_side)
        low = np.fft.irfft(np.fft.rfft(block, size) * low_pass, size)[n_taps - 1 :]
        part = samples[start : start + step]
        out[start : start + step] = part - low[: len(part)]


def _extended(samples: NDArray[np.float32], start: int, end: int, n_side: int) -> NDArray[np.float32]:
    """From one sample to another of a recording that is continued at both ends, as its mirror image."""
    end = min(end, len(samples) + n_side)
    if len(samples) < n_side:  # mirrored several times
        return np.pad(samples, n_side, mode="symmetric")[start + n_side : end + n_side]
    before, after = max(0, -start), max(0, end - len(samples))
    inside = samples[max(0, start) : end]
    if not before and not after:
        return inside
    return np.concatenate([samples[:before][::-1], inside, samples[len(samples) - after :][::-1]])
