"""How much audio is held in memory at once: all of a short recording, a bounded part of a long one."""

from __future__ import annotations

from typing import Final

import numpy as np

from emofuse.core.records import Float32, Waveform
from emofuse.media.channels import VALUES_AT_ONCE, block_power, is_cancelled, loudest

MOST_VALUES: Final = 9_600_000
"""Audio is held up to this many values, 38 MB. Shorter recordings are held as they are: 200 s of mono at
48 kHz, 100 s of stereo. Of longer ones the channels are mixed, and the rest is left to another part."""
_MOST_READ: Final = 8
"""At most this many times as many values are read for one part, however many channels are mixed."""


class HeldAudio:
    """Collects contiguous blocks of one recording, up to a limit."""

    def __init__(self, most_values: int = MOST_VALUES) -> None:
        """``most_values``: how many are held."""
        self._most = most_values
        self._held: Float32 = np.empty((0, 0), np.float32)
        """(n_channels, room): the system gives memory to what is written only."""
        self._n = self._n_read = 0
        self._rate_hz, self._start_s = 0, 0.0
        self.full = False
        """Nothing more is taken."""
        self.n_channels = 0
        """Of the recording."""
        self.mixed = False
        """Whether several channels were mixed to one, because they are too many to be held."""
        self.cancelled: int | None = None
        """The channel that was taken instead of their mean, which has lost what they hold."""

    @property
    def rest_s(self) -> float | None:
        """Where the recording may go on; None if all of it is held."""
        return self._start_s + self._n / self._rate_hz if self.full else None

    def add(self, block: Waveform) -> None:
        """Take the next block, up to the limit."""
        if not self.n_channels:
            self._rate_hz, self._start_s = block.sample_rate_hz, block.start_s
            self.n_channels = block.n_channels
            self._held = np.empty((self.n_channels, self._most // self.n_channels), np.float32)
        samples = block.samples
        while samples.shape[1] and not self.full:
            room = self._held.shape[1] - self._n
            self._write(samples[:, :room])
            samples = samples[:, room:]
            if self._n == self._held.shape[1]:
                self._start_mixing()
            self.full = self._n == self._held.shape[1] or self._n_read >= _MOST_READ * self._most

    def _write(self, samples: Float32) -> None:
        self._n_read += samples.size
        self._held[:, self._n : self._n + samples.shape[1]] = self._mix(samples)
        self._n += samples.shape[1]

    def _mix(self, samples: Float32) -> Float32:
        """As :func:`emofuse.media.channels.to_mono` chooses it, where the channels are mixed at all."""
        if not self.mixed:
            return samples
        if self.cancelled is not None:
            return samples[self.cancelled : self.cancelled + 1]
        mean: Float32 = samples.mean(axis=0, keepdims=True, dtype=np.float32)
        return mean

    def _start_mixing(self) -> None:
        """Reduce what is held, and all that follows, to one channel."""
        if self.mixed or self.n_channels == 1:
            return
        held, self._held = self._held, np.empty((1, self._most), np.float32)
        self.cancelled = _cancelled(held, self._rate_hz)
        self.mixed = True
        for first in range(0, self._n, VALUES_AT_ONCE):
            part = held[:, first : first + VALUES_AT_ONCE]
            self._held[:, first : first + part.shape[1]] = self._mix(part)

    def result(self) -> Waveform | None:
        """What was collected; None if that is nothing."""
        if not self._n:
            return None
        return Waveform(np.ascontiguousarray(self._held[:, : self._n]), self._rate_hz, self._start_s)


def _cancelled(samples: Float32, sample_rate_hz: int) -> int | None:
    """The loudest channel if the mean of all channels has lost what they hold; else None."""
    mean = samples.mean(axis=0, keepdims=True, dtype=np.float32)
    power = block_power(samples, sample_rate_hz)
    return loudest(power) if is_cancelled(float(block_power(mean, sample_rate_hz)[0]), power) else None
