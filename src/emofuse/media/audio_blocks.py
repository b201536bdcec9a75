"""Decoded audio frames become blocks of samples, or one waveform, on the clock of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from emofuse.core.errors import MediaError
from emofuse.core.records import Float32, Waveform
from emofuse.media.audio_samples import float_samples
from emofuse.media.channels import to_mono
from emofuse.media.held_audio import HeldAudio
from emofuse.media.packet_clock import GapLimits

_GAP_S: Final = 0.1
"""A longer gap between two timestamps is filled with silence; a shorter one is rounding."""
_MAX_OVERLAP_S: Final = 1.0
"""Repeated audio up to this long is left out; a longer step back is taken for a wrong timestamp."""
_BLOCK_S: Final = 0.5
_LONG_BLOCK_S: Final = 5.0
"""For blocks that are merely joined again."""
_BLOCK_VALUES: Final = 2**20
"""A block of many channels at a high rate is shorter: at most 4 MB."""
_SILENCE_S: Final = 60.0
_SILENCE_SHARE: Final = 10.0
"""Silence that only timestamps call for is at most a minute plus ten times the audio that there is."""
RATES_HZ: Final = range(1000, 768001)
MOST_CHANNELS: Final = 64


class AudioFormatConverter:
    """Converts audio frames to one sample format, layout and rate: in a broadcast these may change."""

    def __init__(self, sample_format: str, layout: str, rate_hz: int) -> None:
        """``sample_format``: such as ``fltp``."""
        self._target = sample_format, layout, rate_hz
        self._input: tuple[int, str, str] | None = None
        self._resampler: AudioResampler | None = None

    def convert(self, frame: AudioFrame) -> list[AudioFrame]:
        """The next frame, converted. A resampler accepts one input format; each gets its own."""
        given = audio_format(frame)
        if self._resampler is None or given != self._input:
            self._resampler, self._input = AudioResampler(*self._target), given
        return self._resampler.resample(frame)


def audio_format(frame: AudioFrame) -> tuple[int, str, str]:
    """Rate, sample format and layout of a frame."""
    return frame.sample_rate, frame.format.name, frame.layout.name


class AudioBlocks:
    """Turns the frames of one stream, between two times, into contiguous blocks on the clock.

    It is independent of files: the frames may as well come from a microphone.
    """

    def __init__(
        self,
        path: Path,
        start_s: float | None = None,
        end_s: float | None = None,
        origin_s: float = 0.0,
        *,
        block_s: float = _BLOCK_S,
        gaps: GapLimits | None = None,
    ) -> None:
        """Times are counted from ``origin_s``, the earliest timestamp; ``path`` is for messages.

        ``gaps``: which gaps are filled with silence. A longer one comes from a wrong timestamp: it is closed.
        """
        self._path = path
        self._start_s, self._end_s, self._origin_s = start_s, end_s, origin_s
        self._block_s = block_s
        self._gaps = gaps or GapLimits()
        self._rate = 0
        self._channels = 0
        self._gathered_format: tuple[Any, ...] = ()
        self._gathered: AudioFifo | None = None
        """Frames are gathered here and become arrays one block at a time: there are fifty per second."""
        self._parts: list[Float32] = []
        self._resampler: AudioResampler | None = None
        self._resampled_format = (0, "", "")
        self._stamp_s: float | None = None
        """The timestamp of the last frame."""
        self._first_s: float | None = None
        self._n_out = 0
        self._n = 0
        self._n_silent = 0
        self._repeats = False
        self.end_s = 0.0
        """Where the audio read so far ends."""
        self.full = False
        """Nothing more is wanted."""
        self.notes: tuple[str, ...] = ()

    @property
    def next_s(self) -> float | None:
        """Where the next block starts; None before the first frame."""
        return None if self._first_s is None else self._first_s + self._n_out / self._rate

    @property
    def gathered_s(self) -> float:
        """How much audio waits for its block to be complete."""
        return (self._n - self._n_out) / self._rate if self._rate else 0.0

    def add(self, frame: AudioFrame) -> list[Waveform]:
        """Take the next decoded frame; return the blocks that are complete."""
        if self.full or frame.samples == 0:
            return []
        if not self._rate:
            self._start(frame)
        if frame.sample_rate == self._rate:
            return self._add_at_its_time(frame)
        return [block for each in self._resampled(frame) for block in self._add_at_its_time(each)]

    def flush(self) -> list[Waveform]:
        """What has been gathered, as one block, if anything."""
        self._unload()
        parts, self._parts = self._parts, []
        return self._blocks(np.concatenate(parts, axis=1)) if parts else []

    def _start(self, frame: AudioFrame) -> None:
        if frame.sample_rate not in RATES_HZ:
            raise MediaError(self._path, f"a sample rate of {frame.sample_rate} Hz is out of range")
        if frame.layout.nb_channels > MOST_CHANNELS:
            problem = f"it has {frame.layout.nb_channels} channels: at most {MOST_CHANNELS} are read"
            raise MediaError(self._path, problem)
        self._rate, self._channels = frame.sample_rate, frame.layout.nb_channels
        self._block_s = min(self._block_s, _BLOCK_VALUES / (self._rate * self._channels))

    def _resampled(self, frame: AudioFrame) -> list[AudioFrame]:
        """Broadcasts and joined files change their rate: the initial rate is kept."""
        given = audio_format(frame)
        try:
            if self._resampler is None or self._resampled_format != given:
                self._resampler = AudioResampler(frame.format.name, frame.layout.name, self._rate)
                self._resampled_format = given
            self.notes = self.notes or (
                f"the sample rate changes at {self.end_s:.2f} s: resampled to {self._rate} Hz",
            )
            return [each for each in self._resampler.resample(frame) if each is not None and each.samples]
        except (FFmpegError, ValueError):
            self.full = True
            self.notes = (f"damaged: the sample rate changes at {self.end_s:.2f} s; the rest was left out",)
            return []

    def _add_at_its_time(self, frame: AudioFrame) -> list[Waveform]:
        """Add a frame of the right rate where its timestamp says."""
        n, time_s = frame.samples, self.end_s
        if frame.pts is not None and frame.time_base:
            stamp_s = float(frame.pts * frame.time_base) - self._origin_s
            # A clock that stands still, as of some RealAudio, says nothing.
            time_s = self.end_s if stamp_s == self._stamp_s else stamp_s
            self._stamp_s = stamp_s
        if self._end_s is not None and time_s >= self._end_s:
            self.full = True
            return []
        late_s, n_left_out = time_s - self.end_s, 0
        blocks: list[Waveform] = []
        if self._first_s is None:
            if self._start_s is not None and time_s + n / self._rate <= self._start_s:
                self.end_s = time_s + n / self._rate
                return []
            if self._start_s is not None:
                n_left_out = min(n, max(0, round((self._start_s - time_s) * self._rate)))
            self._first_s = time_s + n_left_out / self._rate
        elif late_s > _GAP_S and self._is_plausible_gap(late_s, time_s):
            blocks = self._silence(round(late_s * self._rate))
        else:
            n_left_out = self._repeated(n, -late_s)
        self._gather(frame, n_left_out)
        self._count(n - n_left_out)
        if self.gathered_s >= self._block_s or self.full:
            blocks += self.flush()
        return blocks

    def _gather(self, frame: AudioFrame, n_left_out: int) -> None:
        """Append a frame without its first ``n_left_out`` samples."""
        given = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        if n_left_out or given != self._gathered_format or self._gathered is None:
            self._unload()
            self._gathered, self._gathered_format = AudioFifo(), given
        frame.pts = None  # The queue would reject timestamps with a gap.
        self._gathered.write(frame)
        if n_left_out:
            self._gathered.read(n_left_out)

    def _unload(self) -> None:
        """Turn the gathered frames into an array."""
        gathered = None if self._gathered is None else self._gathered.read()
        if gathered is not None:
            self._parts.append(self._with_initial_channels(float_samples(gathered)))

    def _repeated(self, n: int, overlap_s: float) -> int:
        """How many of a frame's ``n`` samples are repeated; once that has started, down to the last one."""
        if overlap_s > _GAP_S:
            self._repeats = True
        if overlap_s <= 0 or overlap_s >= _MAX_OVERLAP_S:
            self._repeats = False
        n_left_out = min(n, round(overlap_s * self._rate)) if self._repeats else 0
        self._repeats = self._repeats and n_left_out == n
        return n_left_out

    def _is_plausible_gap(self, late_s: float, time_s: float) -> bool:
        """Whether a gap up to this time may be real. Wrong timestamps could call for endless silence."""
        if time_s <= self._gaps.lasts_until_s():
            return True
        most = _SILENCE_S * self._rate + _SILENCE_SHARE * (self._n - self._n_silent)
        return late_s < self._gaps.longest_s and self._n_silent < most

    def _silence(self, n: int) -> list[Waveform]:
        """Fill a gap, block by block, after what comes before it."""
        blocks = self.flush()
        self._n_silent += n
        step = max(1, round(self._block_s * self._rate))
        zeros = np.zeros((self._channels, step), np.float32)  # one array for all: a gap may last an hour
        while n > 0 and not self.full:
            self._count(min(n, step))
            blocks += self._blocks(zeros[:, :n])
            n -= step
        return blocks

    def _count(self, n: int) -> None:
        assert self._first_s is not None
        self._n += n
        self.end_s = self._first_s + self._n / self._rate
        self.full |= self._n >= self._wanted()

    def _wanted(self) -> float:
        """How many samples the span has."""
        if self._end_s is None or self._first_s is None:
            return np.inf
        return max(0, round((self._end_s - self._first_s) * self._rate))

    def _blocks(self, samples: Float32) -> list[Waveform]:
        """Cut to the span, to the sample."""
        left = self._wanted() - self._n_out
        samples = np.ascontiguousarray(
            samples if left >= samples.shape[1] else samples[:, : int(max(0, left))]
        )
        start_s = self.next_s
        if samples.shape[1] == 0 or start_s is None:
            return []
        self._n_out += samples.shape[1]
        return [Waveform(samples, self._rate, start_s)]

    def _with_initial_channels(self, samples: Float32) -> Float32:
        """Some broadcasts change between mono and stereo: keep the initial number of channels."""
        if len(samples) == self._channels:
            return samples
        mono = to_mono(Waveform(samples, self._rate))
        return np.repeat(mono[np.newaxis], self._channels, axis=0)


class WaveformCollector:
    """Collects the samples of one stream between two times, as far as they are held."""

    def __init__(
        self,
        path: Path,
        start_s: float | None,
        end_s: float | None,
        origin_s: float,
        gaps: GapLimits | None = None,
    ) -> None:
        """See :class:`AudioBlocks`."""
        self._blocks = AudioBlocks(path, start_s, end_s, origin_s, block_s=_LONG_BLOCK_S, gaps=gaps)
        self.held = HeldAudio()
        """What has been collected."""
        self.full = False
        """Nothing more is wanted."""
        self.notes: tuple[str, ...] = ()

    @property
    def end_s(self) -> float:
        """Where the audio read so far ends."""
        return self._blocks.end_s

    def add(self, frame: AudioFrame) -> None:
        """Take the next decoded frame."""
        if self.full:
            return
        for block in self._blocks.add(frame):
            self.held.add(block)
        self.full, self.notes = self._blocks.full or self.held.full, self._blocks.notes

    def result(self) -> HeldAudio:
        """What was collected, cut to the sample."""
        for block in self._blocks.flush():
            self.held.add(block)
        return self.held
