"""A recording of any length as blocks of sound and pictures in order of time: one pass, constant memory.

A thread decodes ahead into a small buffer, so that decoding and what is done with the result overlap.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emofuse.core.errors import MediaError
from emofuse.core.records import Waveform
from emofuse.media.audio_blocks import AudioBlocks
from emofuse.media.container import (
    DECLARES_LENGTH,
    DecodeErrors,
    Source,
    check_span,
    display_path,
    file_duration_s,
    open_container,
    origin_s,
    packets_of,
    seek,
    streams,
)
from emofuse.media.decoding_pass import CAN_SKIP
from emofuse.media.frame_sampling import Frame, FrameSampler, PacketLookahead, SampleTimes
from emofuse.media.frames import pixel_aspect
from emofuse.media.interleave import Merger, PacketQueue, size

__all__ = ["Frame", "MediaStream", "Source", "open_stream"]

_AHEAD_BYTES: Final = 8 * 2**20
"""Decoding runs ahead of the consumer by this much."""
_PRIMED: Final = 64
"""Items decoded at most while waiting for the first picture, which tells the size."""
_JOIN_S: Final = 10.0


def open_stream(
    source: Source,
    *,
    audio: bool = True,
    frames_per_s: float | None = 5.0,
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int = 0,
) -> MediaStream:
    """Open a recording to be read once, in order of time.

    Args:
        source: a path, bytes, or a binary file object, which is read from its beginning and left open; it
            must not be used by others until the stream is closed.
        audio: whether the sound is wanted: all channels, at the file's own rate.
        frames_per_s: regular places in time, counted from the video's first picture (in the span); the
            first picture at or after each is yielded. Infinite: every picture. None: no pictures.
        start_s: leave out what is presented before this time.
        end_s: leave out what is presented at or after this time.
        threads: decoding threads; 0: one a core. For an intact file the result does not depend on it.

    Returns:
        An iterator, to be used in a ``with`` statement. A damaged file yields what can be had; notes on it
        are there at the end.

    Raises:
        MediaError: the recording cannot be opened, or nothing of what was asked for can be read. Iteration
            may raise it too.
        ValueError: ``frames_per_s`` is not positive, or the span is none.
    """
    if frames_per_s is not None and not frames_per_s > 0:
        raise ValueError(f"frames_per_s must be positive, got {frames_per_s}")
    check_span(start_s, end_s)
    reading = _StreamDecoding(source, audio, frames_per_s, (start_s, end_s), threads)
    items = reading.items()
    primed: list[Waveform | Frame] = []
    while reading.sizeless and len(primed) < _PRIMED:
        item = next(items, None)
        if item is None:
            break
        primed.append(item)
    return MediaStream(reading, items, primed)


class MediaStream:
    """Blocks of sound (:class:`~emofuse.core.records.Waveform`) and :class:`Frame` in order of time.

    Blocks are contiguous and about half a second long; a hole in the sound is filled with silence. All times
    are in seconds after the earliest timestamp of the file. Leaving the ``with`` statement ends the decoding.
    """

    def __init__(
        self, reading: _StreamDecoding, items: Iterator[Waveform | Frame], primed: list[Waveform | Frame]
    ) -> None:
        """See :func:`open_stream`."""
        self.start_s: float = reading.span[0] or 0.0
        """Where the span that was asked for begins."""
        self.duration_s: float | None = reading.duration_s
        """Length of the span in seconds, as the file declares it; None where it does not."""
        self.declares_length: bool = reading.declares_length
        """Whether the container writes its length down; others guess it from the bit rate."""
        self.has_audio: bool = reading.has_audio
        """Whether the file has sound that can be decoded, wanted or not."""
        self.has_video: bool = reading.has_video
        """Whether the file has moving pictures, wanted or not; a cover is not one."""
        self.width, self.height = reading.size
        """Of the upright pictures; where no pictures are wanted, of the coded ones; 0 without a video."""
        self._reading = reading
        self._buffer = _Buffer(primed)
        # The thread must not hold on to this object, or it would never be collected.
        thread = threading.Thread(
            target=_decode_into, args=(self._buffer, items), name="emofuse-decoding", daemon=True
        )
        self._stop = weakref.finalize(self, _stop, self._buffer, thread)
        thread.start()

    @property
    def notes(self) -> tuple[str, ...]:
        """Damage that was met and survived. Complete at the end of the iteration, empty before."""
        return self._reading.notes

    def __iter__(self) -> Iterator[Waveform | Frame]:
        return self

    def __next__(self) -> Waveform | Frame:
        item = self._buffer.get()
        if item is None:
            raise StopIteration
        return item

    def __enter__(self) -> MediaStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding and close the file. What is still buffered is dropped."""
        self._stop()


def _stop(buffer: _Buffer, thread: threading.Thread) -> None:
    buffer.close()
    # Garbage may be collected in the decoding thread itself.
    if thread is not threading.current_thread():
        thread.join(_JOIN_S)


def _decode_into(buffer: _Buffer, items: Iterator[Waveform | Frame]) -> None:
    error: BaseException | None = None
    try:
        with contextlib.closing(items):  # type: ignore[type-var]
            for item in items:
                if not buffer.put(item):
                    break
    except BaseException as raised:  # It is raised again where the items are read.
        error = raised
    buffer.end(error)


class _Buffer:
    """Between the thread that decodes and the one that reads: a queue that is bounded in bytes."""

    def __init__(self, items: list[Waveform | Frame]) -> None:
        """``items``: what is there already."""
        self._items = deque(items)
        self._bytes = sum(map(size, items))
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False

    def put(self, item: Waveform | Frame) -> bool:
        """Append as soon as there is room; False where nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._bytes < _AHEAD_BYTES)
            if not self._closed:
                self._items.append(item)
                self._bytes += size(item)
                self._changed.notify_all()
            return not self._closed

    def get(self) -> Waveform | Frame | None:
        """The next item; None at the end. An error of the decoding thread is raised here, once."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items or self._ended)
            if self._items and not self._closed:
                item = self._items.popleft()
                self._bytes -= size(item)
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        return None

    def end(self, error: BaseException | None) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is read."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class _StreamDecoding:
    """One pass over an open recording."""

    def __init__(
        self,
        source: Source,
        audio: bool,
        frames_per_s: float | None,
        span: tuple[float | None, float | None],
        threads: int,
    ) -> None:
        self._source, self.span = source, span
        self.notes: tuple[str, ...] = ()
        self._errors = DecodeErrors()
        with contextlib.ExitStack() as stack:
            self._container: InputContainer = stack.enter_context(open_container(source))
            heard, seen = streams(display_path(source), self._container)
            self.has_audio, self.has_video = heard is not None, seen is not None
            self._origin_s = origin_s(self._container)
            length_s = file_duration_s(self._container)
            self.declares_length = self._container.format.name.startswith(DECLARES_LENGTH)
            self.duration_s = self._span_s(length_s)
            self._coded_size = (0, 0) if seen is None else (seen.width, seen.height)
            self._audio = heard if audio else None
            self._video = seen if frames_per_s is not None else None
            self._merger = Merger(sound=self._audio is not None, pictures=self._video is not None)
            self._sound = AudioBlocks(
                display_path(source),
                *span,
                self._origin_s,
                length_s=length_s,
                declares_length=self.declares_length,
            )
            if self._video is not None and frames_per_s is not None:
                self._prepare(self._video, frames_per_s, threads)
            self._open = stack.pop_all()

    def _span_s(self, length_s: float | None) -> float | None:
        start_s, end_s = self.span
        if end_s is not None:
            length_s = end_s if length_s is None else min(length_s, end_s)
        return None if length_s is None else max(0.0, length_s - (start_s or 0.0))

    def _prepare(self, video: VideoStream, per_s: float, threads: int) -> None:
        video.thread_type = "AUTO"
        video.codec_context.thread_count = threads
        tick_s = float(video.time_base or 0)
        ahead = SampleTimes(per_s, tick_s, *self.span)
        self._foresight = PacketLookahead(ahead, tick_s, self._origin_s)
        self._sampler = FrameSampler(
            SampleTimes(per_s, tick_s, *self.span, like=ahead),
            origin_s=self._origin_s,
            aspect=pixel_aspect(video),
            frame_s=1 / float(video.average_rate or video.guessed_rate or 25),
        )
        self._may_skip = math.isfinite(per_s) and video.codec_context.name in CAN_SKIP

    @property
    def sizeless(self) -> bool:
        """Pictures are wanted, and their size is not known yet."""
        return self._video is not None and self._sampler.size is None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        known = None if self._video is None else self._sampler.size
        return known or self._coded_size

    def items(self) -> Iterator[Waveform | Frame]:
        """Decode to the end; the file is closed then, or when this iterator is."""
        with self._open:
            n = 0
            for item in self._decoded():
                n += 1
                yield item
            self.notes = self._notes()
            if n == 0 and self.notes and (self._audio is not None or self._video is not None):
                raise MediaError(display_path(self._source), self.notes[0])

    def _decoded(self) -> Iterator[Waveform | Frame]:
        wanted = [stream for stream in (self._audio, self._video) if stream is not None]
        if not wanted:
            return
        seek(self._container, self.span[0], self._origin_s)
        packets = PacketQueue(packets_of(self._container, wanted, self._errors), wanted)
        for packet in packets:
            if packet.stream is self._audio:
                self._hear(packet)
                if self._sound.full:
                    packets.leave(self._audio)
                    self._hear_rest(self._audio)
            elif self._video is not None:
                self._see(packet)
                if self._foresight.past(packet):
                    packets.leave(self._video)
                    self._see_rest(self._video)
            yield from self._merger.ready()
        if self._video is not None:
            self._see_rest(self._video)
        if self._audio is not None:
            self._hear_rest(self._audio)
        yield from self._merger.rest()

    def _hear(self, packet: Packet[Any]) -> None:
        for frame in self._errors.guard(packet.decode):
            self._merger.add(*self._sound.add(frame))
        known = self._sound.next_s
        self._merger.sound_s = self._sound.end_s if known is None else known

    def _hear_rest(self, audio: AudioStream) -> None:
        for frame in self._errors.guard(lambda: audio.codec_context.decode(None)):
            frame.time_base = audio.time_base  # The binding knows it of packets only.
            self._merger.add(*self._sound.add(frame))
        self._merger.add(*self._sound.flush())
        self._merger.sound_s = math.inf

    def _see(self, packet: Packet[Any]) -> None:
        for settled, wanted in self._foresight.push(packet):
            self._see_settled(settled, wanted)

    def _see_settled(self, packet: Packet[Any], wanted: bool) -> None:
        if self._may_skip:
            packet.stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
        for frame in self._errors.guard(packet.decode):
            self._merger.add(*filter(None, [self._sampler.add(frame)]))
        self._merger.picture_s = self._sampler.last_s

    def _see_rest(self, video: VideoStream) -> None:
        for packet, wanted in self._foresight.rest():
            self._see_settled(packet, wanted)
        for frame in self._errors.guard(lambda: video.codec_context.decode(None)):
            frame.time_base = video.time_base
            self._merger.add(*filter(None, [self._sampler.add(frame)]))
        self._merger.picture_s = math.inf

    def _notes(self) -> tuple[str, ...]:
        """What went wrong, in the words of :func:`emofuse.media.decoding.decode`."""
        reached_s = [0.0]
        for stream, end_s, all_read in (
            (self._audio, self._sound.end_s, self._sound.full),
            (self._video, self._foresight.last_s if self._video is not None else 0.0, False),
        ):
            if stream is None:
                continue
            reached_s.append(end_s)
            if self.span[1] is None and not all_read:
                self._errors.check_end(self._source, self._container, stream, end_s)
        notes = self._errors.notes(max(reached_s)) + self._sound.notes
        if self._video is not None and self._sampler.n_back:
            notes += (f"damaged: {self._sampler.n_back} pictures had a time that had passed",)
        return notes
