"""A recording with its timeline drawn in: a video in which every frame keeps its time.

One pass: each frame is decoded, drawn on and encoded with its own presentation timestamp; the audio is
copied unchanged where MP4 can hold it. Memory does not grow with the length of the recording.
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
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from emofuse.core.errors import ExportError
from emofuse.core.records import StreamChoice, UInt8
from emofuse.core.text import one_line
from emofuse.exports.overlay_drawing import Drawing
from emofuse.exports.tiers import against_own_baseline
from emofuse.media.audio_blocks import AudioFormatConverter
from emofuse.media.container import MediaFile, open_media
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.frames import nominal_rate
from emofuse.media.letterbox import letterboxed, pixel_aspect
from emofuse.media.orientation import orientation
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.records import Timeline

_COPIED_CODECS: Final = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Audio codecs that MP4 can hold and players support."""
_ENCODERS: Final = ("libx264", "mpeg4")
"""Video encoders, the better one first."""
_OPTIONS: Final = {"libx264": {"preset": "veryfast", "crf": "20", "bf": "0"}, "mpeg4": {"qscale": "4"}}
# without B-frames, packets come out in the order of the frames
_SAME_SHAPE: Final = 0.02
"""Proportions that differ by less are the same, but for rounding."""
_BT709: Final = 1
"""AVCOL_SPC_BT709."""


def write_overlay(
    source_video: str | os.PathLike[str],
    timeline: Timeline,
    out_path: str | os.PathLike[str],
    *,
    streams: StreamChoice | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the recording with boxes, names, bars and the results of the segments drawn in, as MP4.

    Video frames and audio keep their presentation times. Frames become upright, with square pixels; an odd
    width or height grows by one.

    Args:
        source_video: the recording that the timeline was made of.
        timeline: what is drawn; its clock is that of the recording.
        out_path: an ``.mp4`` file: written whole, or not at all.
        streams: those that the timeline was made of, where the recording has several.
        on_progress: called with the share that is done, from 0 to 1, now and then.

    Returns:
        The path.

    Raises:
        MediaError: the source cannot be read, or has no video.
        ExportError: the name does not end in .mp4, is that of the source, or encoding failed.
        OSError: the file cannot be written.
    """
    source, path = Path(source_video), Path(out_path)
    if path.suffix.lower() != ".mp4":
        raise ExportError(f"{path}: an overlay is an MP4 file: use a name that ends in .mp4")
    if path.exists() and source.exists() and path.samefile(source):
        raise ExportError(f"{path}: that is the recording itself: choose another name")
    with open_media(source, streams) as file:
        # errors raised in this block count as damage to the source: those of the output leave it as values
        failure: Exception | None = ExportError(f"{source}: there is no video to draw on")
        if file.video is not None:
            failure = _OverlayPass(file, file.video, timeline, on_progress).write(path)
    if isinstance(failure, (av.error.FFmpegError, ValueError)):
        raise ExportError(f"{path}: cannot be encoded ({failure})") from failure
    if isinstance(failure, OSError) and failure.filename is None:
        raise OSError(failure.errno, failure.strerror, str(path)) from failure
    if failure is not None:
        raise failure
    if on_progress is not None:
        on_progress(1.0)
    return path


class _OverlayPass:
    """One pass over the source, and what is written meanwhile."""

    def __init__(
        self,
        file: MediaFile,
        video: VideoStream,
        timeline: Timeline,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self._file, self._timeline = file, timeline
        self._audio, self._video = file.audio, video
        self._on_progress = on_progress
        self._origin_s = file.origin_s
        self._length_s = file.duration_s or timeline.end_s
        self._errors = DecodeErrors()
        self._reported = 0.0

    def write(self, path: Path) -> Exception | None:
        """Write the whole file, or nothing; return the error, if any."""
        try:
            with write_atomically(path) as file:
                self._run(file)
        except Exception as error:
            return error
        return None

    def _run(self, file: IO[bytes]) -> None:
        video = self._video
        self._file.set_up_decoder(0)
        base = video.time_base or Fraction(1, 90_000)
        # the time scale of the source, so that no time is rounded; the second option is the time scale of the
        # edit list, which holds the start of a stream
        ticks = str(base.denominator)
        options = {"video_track_timescale": ticks, "movie_timescale": ticks}
        with av.open(file, "w", format="mp4", options=options) as out:
            if comment := _comment(self._timeline):
                out.metadata["comment"] = comment
            video_out = _VideoWriter(out, video, self._timeline, base, self._origin_s)
            video_out.sort_times = self._file.container.format.name == "avi"
            audio_out = _AudioWriter(out, self._audio) if self._audio is not None else None
            early: list[Packet[Any]] = []
            for packet in self._file.packets([video, self._audio], self._errors):
                if packet.stream is video:
                    video_out.expect(packet)
                    for frame in self._errors.decode(packet):
                        self._report(video_out.take(frame))
                    continue
                early.append(packet)
                # the frame size must be known when the first packet is written
                while video_out.is_open and audio_out is not None and early:
                    audio_out.take(early.pop(0), self._errors)
            video_out.end()
            if audio_out is not None:
                for packet in early:
                    audio_out.take(packet, self._errors)
                audio_out.end()

    def _report(self, time_s: float) -> None:
        share = min(max(time_s / self._length_s, 0.0), 1.0) if self._length_s > 0 else 0.0
        if self._on_progress is not None and share >= self._reported + 0.005:
            self._reported = share
            self._on_progress(share)


class _VideoWriter:
    """Draws on frames and encodes them. The encoder is set up when the size of the first frame is known."""

    def __init__(
        self, out: OutputContainer, video: VideoStream, timeline: Timeline, base: Fraction, origin: float
    ) -> None:
        self._timeline, self._base, self._origin_s, self._out = timeline, base, origin, out
        self._video = video.codec_context
        self._aspect = pixel_aspect(video)
        self._rate = nominal_rate(video)
        self._to_bgr = VideoReformatter()
        self._to_yuv = VideoReformatter()
        self._name = next(name for name in _ENCODERS if name in av.codecs_available)
        # declared now, sized later: MP4 needs all its streams before the first packet
        self._stream: VideoStream = out.add_stream(
            self._name, rate=self._rate, options=dict(_OPTIONS[self._name])
        )
        self._drawing: Drawing | None = None
        self._size = (0, 0)
        self._encoding: deque[tuple[int, int]] = deque()
        self._last: int | None = None
        self._count = 0
        self.sort_times = False
        """AVI has timestamps in decoding order only: decoded frames get them in sorted order."""
        self._pending_times: list[int] = []

    @property
    def is_open(self) -> bool:
        """Whether the encoder is set up: the first frame does that."""
        return self._drawing is not None

    def expect(self, packet: Packet[Any]) -> None:
        """Note the timestamp of a packet before it is decoded."""
        if self.sort_times and packet.size and packet.pts is not None:
            heapq.heappush(self._pending_times, packet.pts)

    def take(self, frame: VideoFrame) -> float:
        """Draw on a frame and encode it; return its time in seconds."""
        pts = heapq.heappop(self._pending_times) if self._pending_times else frame.pts
        if pts is None:  # a stream without timestamps has only its nominal rate
            pts = round(self._count / self._rate / self._base)
        self._count += 1
        time_s = float(pts * self._base) - self._origin_s
        if self._last is not None and pts <= self._last:
            return time_s  # no container can hold a frame that goes back in time
        self._last = pts
        image, space = self._upright(frame)
        if self._drawing is None:
            self._open(image)
        assert self._drawing is not None
        image = letterboxed(image, self._size)
        self._drawing.draw(image, time_s)
        self._encode(_even(image), space, pts, frame.duration or 0)
        return time_s

    def _upright(self, frame: VideoFrame) -> tuple[UInt8, Colorspace]:
        """(height, width, 3) BGR, upright, square pixels; and the matrix of its conversion from YUV."""
        space = Colorspace.ITU709 if int(frame.colorspace) == _BT709 else Colorspace.ITU601
        turned = self._to_bgr.reformat(frame, format="bgr24", src_colorspace=space, dst_colorspace=space)
        image = np.asarray(turned.to_ndarray(), dtype=np.uint8)
        if self._aspect != 1.0:
            size = (max(1, round(image.shape[1] * self._aspect)), image.shape[0])
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        return np.ascontiguousarray(orientation(frame).upright(image)), space

    def _open(self, image: UInt8) -> None:
        height, width = image.shape[:2]
        boxes_in = self._timeline.picture_size or (width, height)
        # a timeline that starts in a later part of other proportions has its boxes in frames of that part
        if abs(width * boxes_in[1] / (height * boxes_in[0]) - 1) > _SAME_SHAPE:
            width, height = boxes_in
        self._size = (width, height)
        self._drawing = Drawing(self._timeline, width, height)
        stream = self._stream
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = 60
        # the color tags of the source; where it has none, players guess the same for both
        context.colorspace, context.color_range = self._video.colorspace, ColorRange.MPEG
        context.color_primaries, context.color_trc = self._video.color_primaries, self._video.color_trc
        # MPEG-4 has at most 65,535 ticks per second; the true times are set on the packets
        context.time_base = self._base if self._name != "mpeg4" else Fraction(1, 1000)

    def _encode(self, image: UInt8, space: Colorspace, pts: int, duration: int) -> None:
        bgr = VideoFrame.from_ndarray(image, format="bgr24")
        frame = self._to_yuv.reformat(
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
        self._encoding.append((pts, duration))
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        for packet in packets:
            pts, duration = self._encoding.popleft()
            packet.pts = packet.dts = pts
            packet.time_base = self._base
            if duration:
                packet.duration = duration
            self._out.mux(packet)

    def end(self) -> None:
        """Write what is left in the encoder.

        Raises:
            ValueError: there was no frame.
        """
        if self._drawing is None:
            raise ValueError("no frame could be decoded")
        self._mux(self._stream.encode(None))


def _even(image: UInt8) -> UInt8:
    """With an even height and width, which the pixel format needs: the last row or column is repeated."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    grown = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, dtype=np.uint8)


class _AudioWriter:
    """Copies audio packets where MP4 can hold them, else encodes them as AAC."""

    def __init__(self, out: OutputContainer, audio: AudioStream) -> None:
        self._out = out
        self._stream: AudioStream
        self._end_s = -math.inf
        self._copies = audio.codec_context.name in _COPIED_CODECS or _family(audio) in _COPIED_CODECS
        if self._copies:
            self._stream = out.add_stream_from_template(audio)
        else:
            rate = audio.codec_context.sample_rate or 48_000
            known = av.Codec("aac", "w").audio_rates or [rate]
            layout = "mono" if audio.codec_context.channels == 1 else "stereo"
            rate = rate if rate in known else max(r for r in known if r <= max(rate, min(known)))
            self._stream = out.add_stream("aac", rate=rate, layout=layout)
            target = self._stream.codec_context
            self._converter = AudioFormatConverter(target.format.name, target.layout.name, target.sample_rate)
            self._stream.bit_rate = 96_000 if layout == "mono" else 160_000

    def take(self, packet: Packet[Any], errors: DecodeErrors) -> None:
        """Copy or encode a packet."""
        if self._copies:
            # an empty packet ends the stream; samples that the source hides by an edit list are hidden again
            base = float(packet.time_base or 0)
            if not packet.size or packet.pts is None:
                return
            if self._is_new(packet.pts * base, (packet.duration or 0) * base):
                packet.dts = packet.pts  # audio is decoded in presentation order
                packet.stream = self._stream
                self._out.mux(packet)
            return
        for frame in errors.decode(packet):
            assert isinstance(frame, AudioFrame)
            for one in self._converter.convert(frame):
                length_s = one.samples / one.sample_rate
                if self._is_new(self._end_s if one.time is None else one.time, length_s):
                    self._out.mux(self._stream.encode(one))

    def _is_new(self, start_s: float, length_s: float) -> bool:
        """Whether audio follows what came before: joined broadcasts repeat a moment, no file may."""
        if start_s < self._end_s - length_s / 2:
            return False
        self._end_s = start_s + length_s
        return True

    def end(self) -> None:
        """Write what is left in the encoder."""
        if not self._copies:
            self._out.mux(self._stream.encode(None))


def _family(audio: AudioStream) -> str:
    """``aac`` for the decoder ``aac_fixed``, ``mp3`` for ``mp3float``."""
    return str(audio.codec_context.codec.canonical_name)


def _comment(timeline: Timeline) -> str:
    """What the file says of itself: for what it was made, and what the stars after names mean."""
    own = against_own_baseline(timeline)
    purpose = [] if timeline.purpose is None else [f"purpose: {one_line(timeline.purpose)}"]
    return "; ".join([*purpose, *([] if own is None else [f"* read {own}"])])
