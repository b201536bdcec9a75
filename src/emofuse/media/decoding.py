"""A media file becomes samples and timed frames. Nothing outside this package reads one.

Times are presentation timestamps in seconds from the start of the file (its earliest timestamp), one clock
for audio and video. Where frames are wanted, the packets are listed first, without decoding, to learn when
each frame is shown; then one pass decodes what is needed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits, ReadControl
from emofuse.core.records import StreamChoice, TimedFrames, Waveform
from emofuse.media.audio_blocks import WaveformCollector
from emofuse.media.container import (
    MediaFile,
    Source,
    check_span,
    declared_s,
    display_path,
    open_media,
)
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.decoder_setup import check_size
from emofuse.media.decoding_pass import DecodingPass
from emofuse.media.frames import (
    FrameCollector,
    FramePlan,
    FrameSink,
    PacketListing,
    decoded_times,
    gray_image,
    list_packets,
    nominal_rate,
    plan_frames,
)
from emofuse.media.held_audio import HeldAudio
from emofuse.media.letterbox import pixel_aspect
from emofuse.media.orientation import orientation

__all__ = ["Media", "MediaInfo", "Source", "decode", "probe"]


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file declares, and what its packets and its first frame show.

    ``width`` and ``height`` are those of the upright frame; ``rotation_deg`` is what turns it upright
    (counterclockwise, a multiple of 90); a ``mirrored`` one is then mirrored left to right. Durations are in
    seconds, None where the file does not declare them.
    """

    duration_s: float | None
    has_audio: bool
    has_video: bool
    n_channels: int = 0
    layout: str | None = None
    sample_rate_hz: int = 0
    audio_duration_s: float | None = None
    width: int = 0
    height: int = 0
    rotation_deg: int = 0
    mirrored: bool = False
    average_fps: float | None = None
    n_frames: int = 0
    video_duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class PassedFrames:
    """Frames that were passed on one by one."""

    sink: FrameSink
    """What took them."""
    times_s: NDArray[np.float64]
    """When each of them is shown."""


@dataclass(frozen=True, slots=True)
class Media:
    """What was decoded. A stream that the file does not have, or that was not requested, is None."""

    audio: Waveform | None
    frames: TimedFrames | None
    has_audio: bool
    has_video: bool
    notes: tuple[str, ...] = ()
    """Damage that was found and worked around, and which of several streams were read."""
    faults: tuple[str, ...] = ()
    """The notes on damage alone."""
    n_channels: int = 0
    """Of the audio, as the file has it."""
    mixed: bool = False
    """The channels were mixed, for the audio is too long to be held as it is."""
    cancelled: bool = False
    """They were, and cancel each other out: it is the loudest one."""
    passed_on: PassedFrames | None = None
    """The frames, where they were too large to be held."""
    audio_rest_s: float | None = None
    """Where the audio may go on: it is held up to :data:`~emofuse.media.held_audio.MOST_VALUES` values."""

    @property
    def has_frames(self) -> bool:
        """Whether any wanted frame could be decoded."""
        return self.frames is not None or self.passed_on is not None


def probe(source: Source, limits: Limits | None = None) -> MediaInfo:
    """Describe a recording: a path, bytes or a binary file object. Only the first frame is decoded.

    Raises:
        MediaError: the file is missing, empty, unreadable or not a recording.
    """
    control = ReadControl(limits or Limits())
    with open_media(source, control=control) as file:
        audio, video = file.audio, file.video
        facts: dict[str, Any] = {
            "duration_s": file.duration_s,
            "has_audio": audio is not None,
            "has_video": video is not None,
        }
        if audio is not None:
            facts |= {
                "n_channels": audio.codec_context.channels,
                "layout": audio.codec_context.layout.name,
                "sample_rate_hz": audio.codec_context.sample_rate,
                "audio_duration_s": declared_s(audio),
            }
        if video is not None:
            rate = nominal_rate(video) if video.start_time is None else video.average_rate
            listing = list_packets(file.packets([video], DecodeErrors()), video, None, 0.0, keep=False)
            facts |= {
                "average_fps": float(rate) if rate else None,
                "n_frames": int(listing.shown.sum()),
                "video_duration_s": declared_s(video),
            }
    if video is not None:
        facts |= _first_frame(source, control)
    return MediaInfo(**facts)


def decode(
    source: Source,
    *,
    audio: bool = True,
    n_frames: int | None = None,
    square: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int = 0,
    streams: StreamChoice | None = None,
    sink: Callable[[], FrameSink] | None = None,
    control: ReadControl | None = None,
) -> Media:
    """Decode the audio of a file, or ``n_frames`` of its frames evenly in time, or both in one pass.

    Args:
        source: an audio or video file, of any kind that FFmpeg reads: its path, its bytes, or a binary file
            object, which is read from its beginning and left open.
        audio: whether the audio is wanted: all channels, at the file's own rate; of long audio a first part.
        n_frames: how many frames, from the first to the last, each the nearest to its point in time; from a
            file with fewer, some are repeated. None: no frames.
        square: keep only the central square of each frame.
        start_s: leave out what is presented before this time.
        end_s: leave out what is presented at or after this time.
        threads: decoding threads; 0: one per core. The result does not depend on it.
        streams: which streams are read where there are several; None: those that fit best.
        sink: makes what takes the frames, in order of time, where they are too large to be held.
        control: what the recording may ask for; follows and cancels its reading.

    Returns:
        Samples and gray, upright, full-range frames. From a damaged file, what can be decoded, and a note.

    Raises:
        MediaError: nothing of what was requested can be read, or its frames are too large.
        CancelledError: the reading was cancelled.
        ValueError: the span is invalid.
    """
    check_span(start_s, end_s)
    request = _Request(
        source, audio, n_frames, square, start_s, end_s, streams, sink, control or ReadControl()
    )  # fmt: skip
    media, exact = request.run(threads=threads, skip=True)
    if media.faults or not exact:
        del media  # not held beside the next one
        # Concealment of damage may depend on the timing of threads, so one thread reads damaged files.
        media, _ = request.run(threads=1, skip=False)
    requested = (audio and media.has_audio) or (n_frames is not None and media.has_video)
    if requested and media.audio is None and not media.has_frames and media.faults:
        raise MediaError(display_path(source), media.faults[0])
    return media


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments of :func:`decode`."""

    source: Source
    audio: bool
    n_frames: int | None
    square: bool
    start_s: float | None
    end_s: float | None
    streams: StreamChoice | None
    sink: Callable[[], FrameSink] | None
    control: ReadControl

    def run(self, *, threads: int, skip: bool) -> tuple[Media, bool]:
        """Decode; the second value says whether every wanted frame came out under its own timestamp."""
        errors = DecodeErrors()
        with contextlib.ExitStack() as open_files:
            file, rest = self._open(open_files, errors)
            packets: Iterable[Packet[Any]] = rest
            plan = None
            if file.video is not None and self.n_frames is not None:
                check_size(file.display_path, file.video, self.control.limits)
                listing = list_packets(rest, file.video, self.end_s, file.origin_s)
                plan = self._plan(listing, file, errors, threads)
                if listing.retained is None:  # Too much to be held in memory: read it once more.
                    file, packets = self._open(open_files, errors)
                else:
                    packets = itertools.chain(listing.retained, rest)
            audio = None
            if self.audio and file.audio is not None:
                gaps = file.clock.gap_limits(file.audio.index)
                audio = WaveformCollector(file.display_path, self.start_s, self.end_s, file.origin_s, gaps)
            frames = None
            if file.video is not None and plan is not None and len(plan.wanted):
                frames = FrameCollector(plan, self.square, pixel_aspect(file.video), self.sink)
            if audio is not None or frames is not None:
                DecodingPass(file, audio, frames, errors).run(packets, threads=threads, skip=skip)
            ends: dict[int, float] = {}
            if audio is not None and file.audio is not None and not audio.full:
                ends[file.audio.index] = audio.end_s
            if plan is not None and file.video is not None:
                ends[file.video.index] = plan.end_s
            if self.end_s is None:
                errors.stopped |= file.ends_early(ends)
            clock_notes, stream_notes = file.clock.notes, file.chosen.notes
            has_audio, has_video = file.audio is not None, file.video is not None
        held = HeldAudio() if audio is None else audio.result()
        timed, passed_on = _frames(frames, plan)
        stopped_s = max(0.0 if audio is None else audio.end_s, 0.0 if plan is None else plan.last_s)
        notes = errors.notes(stopped_s) + clock_notes + (() if audio is None else audio.notes)
        media = Media(
            held.result(), timed, has_audio, has_video, notes + stream_notes, faults=notes,
            n_channels=held.n_channels, mixed=held.mixed, cancelled=held.cancelled is not None,
            audio_rest_s=held.rest_s, passed_on=passed_on,
        )  # fmt: skip
        return media, frames is None or frames.exact

    def _open(
        self, open_files: contextlib.ExitStack, errors: DecodeErrors
    ) -> tuple[MediaFile, Iterator[Packet[Any]]]:
        """Open the file at the start of the span, and read the packets of the wanted streams from there."""
        file = open_files.enter_context(open_media(self.source, self.streams, self.control))
        wanted = [file.audio if self.audio else None, file.video if self.n_frames is not None else None]
        return file, file.packets(wanted, errors, self.start_s)

    def _plan(self, listing: PacketListing, file: MediaFile, errors: DecodeErrors, threads: int) -> FramePlan:
        assert file.video is not None and self.n_frames is not None
        times = None
        if not listing.timed:
            with open_media(self.source, self.streams, self.control) as again:
                times = decoded_times(again, self.start_s, errors, threads=threads)
        clock = (float(file.video.time_base or 0), file.origin_s)
        return plan_frames(listing, self.n_frames, (self.start_s, self.end_s), clock, times)


def _frames(
    frames: FrameCollector | None, plan: FramePlan | None
) -> tuple[TimedFrames | None, PassedFrames | None]:
    """What was collected, and what was passed on."""
    if frames is None or plan is None:
        return None, None
    timed = frames.result()
    if frames.failure is not None:
        raise frames.failure
    return timed, None if frames.sink is None else PassedFrames(frames.sink, plan.times_s)


def _first_frame(source: Source, control: ReadControl) -> dict[str, int | bool]:
    """Upright width and height, and what makes the first frame upright."""
    with open_media(source, control=control) as file:
        assert file.video is not None
        file.set_up_decoder(1)
        errors = DecodeErrors()
        for packet in file.packets([file.video], errors):
            for frame in errors.decode(packet):
                image = gray_image(frame, VideoReformatter(), square=False, aspect=pixel_aspect(file.video))
                height, width = image.shape
                shown = orientation(frame)
                return {
                    "width": width,
                    "height": height,
                    "rotation_deg": shown.rotation_deg,
                    "mirrored": shown.mirrored,
                }
    raise MediaError(display_path(source), "no frame can be decoded")
