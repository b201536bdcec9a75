"""The decoders of one live input: what arrives becomes blocks and frames on the clock of the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from emofuse.core.records import Waveform
from emofuse.media.audio_blocks import AudioBlocks, AudioFormatConverter, audio_format
from emofuse.media.frame_sampling import Frame, FrameSampler, SampleTimes
from emofuse.media.frames import nominal_rate
from emofuse.media.letterbox import pixel_aspect

_BLOCK_S: Final = 0.1
"""Audio is passed on in blocks of this length."""
_SILENCE_S: Final = 1.0
"""A longer gap in the audio is not passed on as silence, which would push out what arrives after it."""


class FrameSink(Protocol):
    """What a video reader reports to."""

    frames_per_s: float

    def drop_frames(self, n: int) -> None:
        """Count frames that were not even decoded."""


class StreamReader:
    """Decodes one stream."""

    def __init__(self, stream: AudioStream | VideoStream) -> None:
        self._stream = stream

    def drain(self) -> list[Any]:
        """The frames that the decoder still holds at the end."""
        frames = list(self._stream.codec_context.decode(None))
        for frame in frames:
            frame.time_base = self._stream.time_base  # PyAV sets it on packets only
        return frames


class AudioReader(StreamReader):
    """Audio of one stream, at its initial rate and with its initial channels."""

    def __init__(self, stream: AudioStream, origin: float) -> None:
        super().__init__(stream)
        self.start(origin)
        self._format: tuple[int, str, str] | None = None
        self._converter: AudioFormatConverter | None = None

    def start(self, origin: float) -> None:
        """From now on, count timestamps from another origin."""
        self._origin_s = origin
        self._blocks = AudioBlocks(Path("live"), origin_s=origin, block_s=_BLOCK_S)

    def add(self, frame: AudioFrame) -> list[Waveform]:
        """Take the next decoded frame; return the blocks that are complete."""
        given = audio_format(frame)
        if self._converter is None:
            rate, sample_format, layout = self._format = given
            self._converter = AudioFormatConverter(sample_format, layout, rate)
        blocks: list[Waveform] = []
        for one in [frame] if given == self._format else self._converter.convert(frame):
            if one.time is not None and one.time - self._origin_s - self._blocks.end_s > _SILENCE_S:
                blocks += self.flush()
                self.start(self._origin_s)  # the reader fills the gap
            blocks += self._blocks.add(one)
        return blocks

    def flush(self) -> list[Waveform]:
        """What has been gathered, as one block, if anything."""
        return self._blocks.flush()


class VideoReader(StreamReader):
    """Frames of one stream."""

    def __init__(
        self, stream: VideoStream, origin: float, sample_times: SampleTimes, sink: FrameSink
    ) -> None:
        super().__init__(stream)
        self._video, self._sample_times, self._sink = stream, sample_times, sink
        self._last_s = float("nan")
        self.is_skipping = False
        """The decoder has been told to skip frames."""
        self._sampler: FrameSampler | None = None
        self.start(origin)

    def start(self, origin: float) -> None:
        """From now on, count timestamps from another origin."""
        size = None if self._sampler is None else self._sampler.size
        self._sampler = FrameSampler(
            self._sample_times,
            origin_s=origin,
            aspect=pixel_aspect(self._video),
            frame_s=1 / float(nominal_rate(self._video)),
            size=size,
        )

    def add(self, frame: VideoFrame) -> list[Frame]:
        """Take the next decoded frame; return it if it is wanted."""
        assert self._sampler is not None
        sampled = self._sampler.add(frame)
        if sampled is None:
            return []
        missing = (sampled.time_s - self._last_s) * self._sink.frames_per_s - 1
        if self.is_skipping and missing > 0.5:
            self._sink.drop_frames(round(missing))
        self._last_s = sampled.time_s
        return [sampled]

    def flush(self) -> list[Frame]:
        """Nothing: no frame is held back."""
        return []
