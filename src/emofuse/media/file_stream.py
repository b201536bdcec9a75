"""A recording of any length as audio blocks and frames in order of time: one pass, constant memory.

A thread decodes ahead into a small buffer, so that decoding and processing overlap.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from emofuse.core.errors import MediaError
from emofuse.core.limits import ReadControl
from emofuse.core.records import StreamChoice, Waveform
from emofuse.media.audio_blocks import AudioBlocks
from emofuse.media.container import MediaFile, Source, check_span, open_media
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.decoding_pass import CAN_SKIP
from emofuse.media.frame_sampling import Frame, FrameSampler, PacketLookahead, SampleTimes
from emofuse.media.frames import nominal_rate
from emofuse.media.interleave import PacketQueue, StreamMerger, n_bytes
from emofuse.media.letterbox import pixel_aspect

__all__ = ["Frame", "MediaStream", "Source", "open_stream"]

_AHEAD_BYTES: Final = 8 * 2**20
"""How far decoding may run ahead of the consumer."""
_PRIMED: Final = 64
"""Most items decoded while waiting for the first frame, which gives the size."""
_JOIN_S: Final = 10.0


def open_stream(
    source: Source,
    *,
    audio: bool = True,
    frames_per_s: float | None = 5.0,
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int = 0,
    streams: StreamChoice | None = None,
    control: ReadControl | None = None,
) -> MediaStream:
    """Open a recording to be read once, in order of time.

    Args:
        source: a path, bytes, or a binary file object, which is read from its beginning and left open; it
            must not be used by others until the stream is closed.
        audio: whether the audio is wanted: all channels, at the file's own rate.
        frames_per_s: regular sample times, counted from the video's first frame in the span; the first
            frame at or after each is yielded. Infinite: every frame. None: no frames.
        start_s: leave out what is presented before this time.
        end_s: leave out what is presented at or after this time.
        threads: decoding threads; 0: one per core. For an intact file the result does not depend on it.
        streams: which streams are read where there are several; None: those that fit best.
        control: what the recording may ask for, and whether its reading was cancelled.

    Returns:
        An iterator, to be used in a ``with`` statement. A damaged file yields what can be decoded; its
        ``notes`` are complete at the end.

    Raises:
        MediaError: the recording cannot be opened, or nothing of what was requested can be read. Iteration
            may raise it too.
        CancelledError: the reading was cancelled; only iteration raises it.
        ValueError: ``frames_per_s`` is not positive, or the span is invalid.
    """
    if frames_per_s is not None and not frames_per_s > 0:
        raise ValueError(f"frames_per_s must be positive, got {frames_per_s}")
    check_span(start_s, end_s)
    decoder = _StreamDecoder(source, audio, frames_per_s, (start_s, end_s), threads, streams, control)
    items = decoder.items()
    primed: list[Waveform | Frame] = []
    while decoder.awaits_size and len(primed) < _PRIMED:
        item = next(items, None)
        if item is None:
            break
        primed.append(item)
    return MediaStream(decoder, items, primed)


class MediaStream:
    """Audio blocks (:class:`~emofuse.core.records.Waveform`) and :class:`Frame` in order of time.

    Blocks are contiguous and about half a second long; a gap in the audio is filled with silence. All times
    are in seconds after the earliest timestamp of the file. Leaving the ``with`` statement ends the decoding.
    """

    def __init__(
        self, decoder: _StreamDecoder, items: Iterator[Waveform | Frame], primed: list[Waveform | Frame]
    ) -> None:
        """See :func:`open_stream`."""
        self.start_s: float = decoder.span[0] or 0.0
        """Where the requested span starts."""
        self.duration_s: float | None = decoder.duration_s
        """Length of the span in seconds, as the file declares it; None if it does not."""
        self.declares_length: bool = decoder.declares_length
        """Whether the container stores its length; others have it estimated from the bit rate."""
        self.has_audio: bool = decoder.has_audio
        """Whether the file has audio that can be decoded, wanted or not."""
        self.has_video: bool = decoder.has_video
        """Whether the file has video, wanted or not; cover art is not video."""
        self.width, self.height = decoder.size
        """Of the upright frames; where no frames are wanted, of the coded ones; 0 without video."""
        self._decoder = decoder
        self._buffer = _Buffer(primed)
        # The thread must not keep a reference to this object, or it would never be collected.
        thread = threading.Thread(
            target=_decode_into, args=(self._buffer, items), name="emofuse-decoding", daemon=True
        )
        self._stop = weakref.finalize(self, _stop, self._buffer, thread)
        thread.start()

    @property
    def shown_until_s(self) -> float:
        """Until when the last frame read so far is shown; minus infinity before the first."""
        return self._decoder.shown_until_s

    @property
    def notes(self) -> tuple[str, ...]:
        """Damage that was worked around, and which of several streams were read.

        Complete at the end of the iteration, empty before.
        """
        return self._decoder.notes

    def __iter__(self) -> Iterator[Waveform | Frame]:
        return self

    def __next__(self) -> Waveform | Frame:
        item = self._buffer.get()
        if item is None:
            raise StopIteration
        return item

    def __enter__(self) -> MediaStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding and close the file. What is still buffered is discarded."""
        self._stop()


def _stop(buffer: _Buffer, thread: threading.Thread) -> None:
    buffer.close()
    # Garbage collection may run in the decoding thread itself.
    if thread is not threading.current_thread():
        thread.join(_JOIN_S)


def _decode_into(buffer: _Buffer, items: Iterator[Waveform | Frame]) -> None:
    error: BaseException | None = None
    try:
        with contextlib.closing(items):  # type: ignore[type-var]
            for item in items:
                if not buffer.put(item):
                    break
    except BaseException as raised:  # Raised again where the items are read.
        error = raised
    buffer.end(error)


class _Buffer:
    """A queue between the decoding and the reading thread, bounded in bytes."""

    def __init__(self, items: list[Waveform | Frame]) -> None:
        """``items``: what has been decoded already."""
        self._items = deque(items)
        self._bytes = sum(map(n_bytes, items))
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False

    def put(self, item: Waveform | Frame) -> bool:
        """Append as soon as there is room; False when nothing is read any longer."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._bytes < _AHEAD_BYTES)
            if not self._closed:
                self._items.append(item)
                self._bytes += n_bytes(item)
                self._changed.notify_all()
            return not self._closed

    def get(self) -> Waveform | Frame | None:
        """The next item; None at the end. An error of the decoding thread is raised here, once."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items or self._ended)
            if self._items and not self._closed:
                item = self._items.popleft()
                self._bytes -= n_bytes(item)
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        return None

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will be read."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class _StreamDecoder:
    """One pass over an open recording."""

    def __init__(
        self,
        source: Source,
        audio: bool,
        frames_per_s: float | None,
        span: tuple[float | None, float | None],
        threads: int,
        streams: StreamChoice | None,
        control: ReadControl | None,
    ) -> None:
        self.span = span
        self.notes: tuple[str, ...] = ()
        self._errors = DecodeErrors()
        with contextlib.ExitStack() as stack:
            file: MediaFile = stack.enter_context(open_media(source, streams, control))
            self._file = file
            self.has_audio, self.has_video = file.audio is not None, file.video is not None
            length_s = file.duration_s
            self.declares_length = file.declares_length
            self.duration_s = self._span_s(length_s)
            self._coded_size = (0, 0) if file.video is None else (file.video.width, file.video.height)
            self._audio = file.audio if audio else None
            self._video = file.video if frames_per_s is not None else None
            self._merger = StreamMerger(audio=self._audio is not None, frames=self._video is not None)
            gaps = None if file.audio is None else file.clock.gap_limits(file.audio.index)
            self._blocks = AudioBlocks(file.display_path, *span, file.origin_s, gaps=gaps)
            if self._video is not None and frames_per_s is not None:
                self._prepare(self._video, frames_per_s, threads)
            self._open = stack.pop_all()

    def _span_s(self, length_s: float | None) -> float | None:
        start_s, end_s = self.span
        if end_s is not None:
            length_s = end_s if length_s is None else min(length_s, end_s)
        return None if length_s is None else max(0.0, length_s - (start_s or 0.0))

    def _prepare(self, video: VideoStream, per_s: float, threads: int) -> None:
        self._file.set_up_decoder(threads)
        tick_s = float(video.time_base or 0)
        ahead = SampleTimes(per_s, tick_s, *self.span)
        self._lookahead = PacketLookahead(ahead, tick_s, self._file.origin_s)
        self._sampler = FrameSampler(
            SampleTimes(per_s, tick_s, *self.span, like=ahead),
            origin_s=self._file.origin_s,
            aspect=pixel_aspect(video),
            frame_s=1 / float(nominal_rate(video)),
        )
        self._may_skip = math.isfinite(per_s) and video.codec_context.name in CAN_SKIP

    @property
    def awaits_size(self) -> bool:
        """Frames are wanted, and their size is not known yet."""
        return self._video is not None and self._sampler.size is None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        known = None if self._video is None else self._sampler.size
        return known or self._coded_size

    @property
    def shown_until_s(self) -> float:
        """Until when the last frame is shown, within the span."""
        until_s = -math.inf if self._video is None else self._lookahead.end_s
        if self._video is not None and math.isinf(until_s):  # a bare stream has no timestamps
            until_s = self._sampler.end_s
        return until_s if self.span[1] is None else min(until_s, self.span[1])

    def items(self) -> Iterator[Waveform | Frame]:
        """Decode to the end; the file is closed at the end, or when this iterator is."""
        with self._open:
            n = 0
            for item in self._decoded():
                n += 1
                yield item
            faults = self._notes()
            self.notes = faults + self._file.chosen.notes
            if n == 0 and faults and (self._audio is not None or self._video is not None):
                raise MediaError(self._file.display_path, faults[0])

    def _decoded(self) -> Iterator[Waveform | Frame]:
        wanted = [stream for stream in (self._audio, self._video) if stream is not None]
        if not wanted:
            return
        packets = PacketQueue(self._file.packets(wanted, self._errors, self.span[0]), wanted)
        for packet in packets:
            if packet.stream is self._audio:
                self._decode_audio(packet)
                if self._blocks.full:
                    packets.drop(self._audio)
                    self._flush_audio(self._audio)
            elif self._video is not None:
                self._decode_video(packet)
                if self._lookahead.is_past_end(packet):
                    packets.drop(self._video)
                    self._flush_video(self._video)
            yield from self._merger.ready()
        if self._video is not None:
            self._flush_video(self._video)
        if self._audio is not None:
            self._flush_audio(self._audio)
        yield from self._merger.rest()

    def _decode_audio(self, packet: Packet[Any]) -> None:
        for frame in self._errors.decode(packet):
            self._merger.add(*self._blocks.add(frame))
        known = self._blocks.next_s
        self._merger.audio_s = self._blocks.end_s if known is None else known

    def _flush_audio(self, audio: AudioStream) -> None:
        for frame in self._errors.guard(lambda: audio.codec_context.decode(None)):
            frame.time_base = audio.time_base  # PyAV sets it on packets only.
            self._merger.add(*self._blocks.add(frame))
        self._merger.add(*self._blocks.flush())
        self._merger.audio_s = math.inf

    def _decode_video(self, packet: Packet[Any]) -> None:
        for settled, wanted in self._lookahead.push(packet):
            self._decode_settled(settled, wanted)

    def _decode_settled(self, packet: Packet[Any], wanted: bool) -> None:
        if self._may_skip:
            packet.stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
        for frame in self._errors.decode(packet):
            self._merger.add(*filter(None, [self._sampler.add(frame)]))
        self._merger.frame_s = self._sampler.last_s

    def _flush_video(self, video: VideoStream) -> None:
        for packet, wanted in self._lookahead.rest():
            self._decode_settled(packet, wanted)
        for frame in self._errors.guard(lambda: video.codec_context.decode(None)):
            frame.time_base = video.time_base
            self._merger.add(*filter(None, [self._sampler.add(frame)]))
        self._merger.frame_s = math.inf

    def _notes(self) -> tuple[str, ...]:
        """What went wrong, worded as by :func:`emofuse.media.decoding.decode`."""
        reached_s, ends = 0.0, dict[int, float]()
        if self._audio is not None:
            reached_s = max(reached_s, self._blocks.end_s)
            if not self._blocks.full:
                ends[self._audio.index] = self._blocks.end_s
        if self._video is not None:
            reached_s = max(reached_s, self._lookahead.last_s)
            ends[self._video.index] = self.shown_until_s
        if self.span[1] is None:
            self._errors.stopped |= self._file.ends_early(ends)
        notes = self._errors.notes(reached_s) + self._file.clock.notes + self._blocks.notes
        if self._video is not None and self._sampler.n_back:
            notes += (f"damaged: {self._sampler.n_back} frames came with a time in the past",)
        return notes
