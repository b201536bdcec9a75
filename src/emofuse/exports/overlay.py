"""A recording with what was read of it drawn in: a video in which every picture keeps its time.

One pass: each picture is decoded, drawn on and encoded under its own presentation timestamp; the sound is
copied as it is where MP4 can hold it. Memory does not grow with the length of the recording.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Final

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from emofuse.core.errors import ExportError
from emofuse.core.records import UInt8
from emofuse.exports.overlay_drawing import Drawing
from emofuse.media.audio_blocks import AudioFormatConverter
from emofuse.media.container import (
    DecodeErrors,
    file_duration_s,
    open_container,
    origin_s,
    packets_of,
    streams,
)
from emofuse.media.frames import pixel_aspect, quarter_turns
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.records import Timeline

_COPIED: Final = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs of sound that MP4 holds and players know."""
_ENCODERS: Final = ("libx264", "mpeg4")
"""Of pictures, the better first."""
_OPTIONS: Final = {"libx264": {"preset": "veryfast", "crf": "20", "bf": "0"}, "mpeg4": {"qscale": "4"}}
# Without pictures that lean on later ones, packets leave in the order in which pictures came.
_BT709: Final = 1
"""AVCOL_SPC_BT709."""


def write_overlay(
    source_video: str | os.PathLike[str],
    timeline: Timeline,
    out_path: str | os.PathLike[str],
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the recording with boxes, names, bars and the segments' answers drawn in, as MP4.

    Every picture keeps its presentation time and the sound its own. Pictures become upright, with square
    pixels; a width or height that is odd grows by one.

    Args:
        source_video: the recording that the timeline was made of.
        timeline: what is drawn; its clock is that of the recording.
        out_path: an ``.mp4`` file: written whole, or not at all.
        on_progress: told the share that is done, from 0 to 1, now and then.

    Returns:
        The path.

    Raises:
        MediaError: the source cannot be read, or has no picture.
        ExportError: the name does not end in .mp4, is the source's own, or the encoder gave up.
        OSError: the file cannot be written.
    """
    source, path = Path(source_video), Path(out_path)
    if path.suffix.lower() != ".mp4":
        raise ExportError(f"{path}: an overlay is an MP4 file: let the name end in .mp4")
    if path.exists() and source.exists() and path.samefile(source):
        raise ExportError(f"{path}: that is the recording itself: choose another name")
    with open_container(source) as container:
        audio, video = streams(source, container)
        # What goes wrong inside is taken for a fault of the source: faults of the output are carried out.
        failure: Exception | None = ExportError(f"{source}: there is no moving picture to draw on")
        if video is not None:
            failure = _Pass(source, container, audio, video, timeline, on_progress).write(path)
    if isinstance(failure, (av.error.FFmpegError, ValueError)):
        raise ExportError(f"{path}: cannot be encoded ({failure})") from failure
    if isinstance(failure, OSError) and failure.filename is None:
        raise OSError(failure.errno, failure.strerror, str(path)) from failure
    if failure is not None:
        raise failure
    if on_progress is not None:
        on_progress(1.0)
    return path


class _Pass:
    """One reading of the source, and what is written meanwhile."""

    def __init__(
        self,
        source: Path,
        container: InputContainer,
        audio: AudioStream | None,
        video: VideoStream,
        timeline: Timeline,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self._source, self._container, self._timeline = source, container, timeline
        self._audio, self._video = audio, video
        self._on_progress = on_progress
        self._origin = origin_s(container)
        self._length = file_duration_s(container) or timeline.end_s
        self._errors = DecodeErrors()
        self._told = 0.0

    def write(self, path: Path) -> Exception | None:
        """Write the whole file, or nothing; return what went wrong."""
        try:
            with write_atomically(path) as file:
                self._run(file)
        except Exception as error:
            return error
        return None

    def _run(self, file: IO[bytes]) -> None:
        video = self._video
        video.thread_type = "AUTO"
        base = video.time_base or Fraction(1, 90_000)
        # MP4 counts ticks of one part of a second: the source's own, so that no time is rounded. The second
        # scale is that of the edit list, which holds when a stream begins.
        ticks = str(base.denominator)
        options = {"video_track_timescale": ticks, "movie_timescale": ticks}
        with av.open(file, "w", format="mp4", options=options) as out:
            pictures = _Pictures(out, video, self._timeline, base, self._origin)
            pictures.by_order = self._container.format.name == "avi"
            sound = _Sound(out, self._audio) if self._audio is not None else None
            wanted = [s for s in (video, self._audio) if s is not None]
            early: list[Packet[Any]] = []
            for packet in packets_of(self._container, wanted, self._errors):
                if packet.stream is video:
                    pictures.expect(packet)
                    for frame in self._errors.guard(packet.decode):
                        self._tell(pictures.take(frame))
                    continue
                early.append(packet)
                # The first packet that is written fixes the streams, whose picture size must be known.
                while pictures.sized and sound is not None and early:
                    sound.take(early.pop(0), self._errors)
            pictures.end()
            if sound is not None:
                for packet in early:
                    sound.take(packet, self._errors)
                sound.end()

    def _tell(self, time_s: float) -> None:
        share = min(max(time_s / self._length, 0.0), 1.0) if self._length > 0 else 0.0
        if self._on_progress is not None and share >= self._told + 0.005:
            self._told = share
            self._on_progress(share)


class _Pictures:
    """Pictures in, drawn pictures out. The encoder is set up when the first picture's size is known."""

    def __init__(
        self, out: OutputContainer, video: VideoStream, timeline: Timeline, base: Fraction, origin: float
    ) -> None:
        self._timeline, self._base, self._origin, self._out = timeline, base, origin, out
        self._video = video.codec_context
        self._aspect = pixel_aspect(video)
        self._rate = video.average_rate or video.guessed_rate or Fraction(25)
        self._turn = VideoReformatter()
        self._back = VideoReformatter()
        self._name = next(name for name in _ENCODERS if name in av.codecs_available)
        # Declared at once, sized later: MP4 wants to know of all its streams before the first packet.
        self._stream: VideoStream = out.add_stream(
            self._name, rate=self._rate, options=dict(_OPTIONS[self._name])
        )
        self._drawing: Drawing | None = None
        self._size = (0, 0)
        self._waiting: deque[tuple[int, int]] = deque()
        self._last: int | None = None
        self._count = 0
        self.by_order = False
        """AVI tells times in the order of decoding alone: pictures, in that of showing, get them sorted."""
        self._expected: list[int] = []

    @property
    def sized(self) -> bool:
        """Whether a picture has come, so that the encoder is set up."""
        return self._drawing is not None

    def expect(self, packet: Packet[Any]) -> None:
        """Learn of a packet before it is decoded."""
        if self.by_order and packet.size and packet.pts is not None:
            heapq.heappush(self._expected, packet.pts)

    def take(self, frame: VideoFrame) -> float:
        """Draw on a picture and hand it on; return its time in seconds."""
        pts = heapq.heappop(self._expected) if self._expected else frame.pts
        if pts is None:  # A stream with no clock at all has only its nominal rate.
            pts = round(self._count / self._rate / self._base)
        self._count += 1
        time_s = float(pts * self._base) - self._origin
        if self._last is not None and pts <= self._last:
            return time_s  # Shown at a time that has passed: no container can hold it.
        self._last = pts
        image, space = self._upright(frame)
        if self._drawing is None:
            self._begin(image)
        assert self._drawing is not None
        width, height = self._size
        if image.shape[:2] != (height, width):
            # The size changed on the way, as in some broadcasts.
            image = np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8)
        self._drawing.draw(image, time_s)
        self._encode(_even(image), space, pts, frame.duration or 0)
        return time_s

    def _upright(self, frame: VideoFrame) -> tuple[UInt8, Colorspace]:
        """(height, width, 3) BGR, upright, square pixels; and the matrix by which it came from YUV."""
        space = Colorspace.ITU709 if int(frame.colorspace) == _BT709 else Colorspace.ITU601
        turned = self._turn.reformat(frame, format="bgr24", src_colorspace=space, dst_colorspace=space)
        image = np.asarray(turned.to_ndarray(), dtype=np.uint8)
        if self._aspect != 1.0:
            size = (max(1, round(image.shape[1] * self._aspect)), image.shape[0])
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        return np.ascontiguousarray(np.rot90(image, quarter_turns(frame))), space

    def _begin(self, image: UInt8) -> None:
        height, width = image.shape[:2]
        self._size = (width, height)
        self._drawing = Drawing(self._timeline, width, height)
        stream = self._stream
        stream.height, stream.width = _even(image).shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = 60
        # Said of the colours what the source says; where it is silent, players guess alike for both.
        context.colorspace, context.color_range = self._video.colorspace, ColorRange.MPEG
        context.color_primaries, context.color_trc = self._video.color_primaries, self._video.color_trc
        # MPEG-4 counts at most 65,535 ticks a second; the true times are put on the packets.
        context.time_base = self._base if self._name != "mpeg4" else Fraction(1, 1000)

    def _encode(self, image: UInt8, space: Colorspace, pts: int, duration: int) -> None:
        bgr = VideoFrame.from_ndarray(image, format="bgr24")
        frame = self._back.reformat(
            bgr,
            format="yuv420p",
            src_colorspace=space,
            dst_colorspace=space,
            dst_color_range=ColorRange.MPEG,
        )
        context = self._stream.codec_context
        assert context.time_base is not None
        frame.pts = pts if context.time_base == self._base else round(pts * self._base / context.time_base)
        frame.time_base = context.time_base
        self._waiting.append((pts, duration))
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        for packet in packets:
            pts, duration = self._waiting.popleft()
            packet.pts = packet.dts = pts
            packet.time_base = self._base
            if duration:
                packet.duration = duration
            self._out.mux(packet)

    def end(self) -> None:
        """Write what the encoder still holds.

        Raises:
            ValueError: there was no picture.
        """
        if self._drawing is None:
            raise ValueError("not one picture could be decoded")
        self._mux(self._stream.encode(None))


def _even(image: UInt8) -> UInt8:
    """With an even height and width, which the pixel format needs: the last row or column again."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    grown = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, dtype=np.uint8)


class _Sound:
    """Sound packets, copied where MP4 can hold them, else made AAC."""

    def __init__(self, out: OutputContainer, audio: AudioStream) -> None:
        self._out = out
        self._stream: AudioStream
        self._copies = audio.codec_context.name in _COPIED or _family(audio) in _COPIED
        if self._copies:
            self._stream = out.add_stream_from_template(audio)
        else:
            rate = audio.codec_context.sample_rate or 48_000
            known = av.Codec("aac", "w").audio_rates or [rate]
            layout = "mono" if audio.codec_context.channels == 1 else "stereo"
            rate = rate if rate in known else max(r for r in known if r <= max(rate, min(known)))
            self._stream = out.add_stream("aac", rate=rate, layout=layout)
            wanted = self._stream.codec_context
            self._matcher = AudioFormatConverter(wanted.format.name, wanted.layout.name, wanted.sample_rate)
            self._end_s = -math.inf
            self._stream.bit_rate = 96_000 if layout == "mono" else 160_000

    def take(self, packet: Packet[Any], errors: DecodeErrors) -> None:
        """Hand a packet on."""
        if self._copies:
            # An empty packet ends the stream. What the source hides by an edit list, a new one hides.
            if packet.size and packet.pts is not None:
                packet.dts = packet.pts  # sound is decoded in the order in which it is heard
                packet.stream = self._stream
                self._out.mux(packet)
            return
        for frame in errors.guard(packet.decode):
            assert isinstance(frame, AudioFrame)
            for one in self._matcher.match(frame):
                length_s = one.samples / one.sample_rate
                start_s = self._end_s if one.time is None else one.time
                if start_s < self._end_s - length_s / 2:
                    continue  # joined broadcasts give a moment twice, which no file may hold
                self._end_s = start_s + length_s
                self._out.mux(self._stream.encode(one))

    def end(self) -> None:
        """Write what the encoder still holds."""
        if not self._copies:
            self._out.mux(self._stream.encode(None))


def _family(audio: AudioStream) -> str:
    """``aac`` for the decoder ``aac_fixed``, ``mp3`` for ``mp3float``."""
    return str(audio.codec_context.codec.canonical_name)
