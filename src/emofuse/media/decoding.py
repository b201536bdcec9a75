"""A media file becomes samples and timed frames. Nothing else in the package touches a media file.

Times are presentation timestamps in seconds after the start of the file (its earliest timestamp), one clock
for sound and picture. Where pictures are wanted, the packets are listed first, without decoding, to learn
when each picture is shown; then one pass decodes what is needed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from emofuse.core.errors import MediaError
from emofuse.core.records import TimedFrames, Waveform
from emofuse.media.audio_blocks import WaveformCollector
from emofuse.media.container import (
    DecodeErrors,
    Source,
    check_span,
    declared_s,
    display_path,
    file_duration_s,
    open_container,
    origin_s,
    packets_of,
    seek,
    streams,
)
from emofuse.media.decoding_pass import DecodingPass
from emofuse.media.frames import (
    FrameCollector,
    FramePlan,
    PacketListing,
    decoded_times,
    gray_image,
    list_packets,
    pixel_aspect,
    plan_frames,
    quarter_turns,
)

__all__ = ["Media", "MediaInfo", "Source", "decode", "probe"]


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file says of itself, and what its packets and its first picture show.

    ``width`` and ``height`` are those of the upright picture; ``rotation_deg`` is what turns it upright
    (anticlockwise, a multiple of 90). Durations are in seconds, None where the file does not say.
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
    average_fps: float | None = None
    n_frames: int = 0
    video_duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """What was decoded. A stream that the file has not, or that was not asked for, is None."""

    sound: Waveform | None
    frames: TimedFrames | None
    has_audio: bool
    has_video: bool
    notes: tuple[str, ...] = ()
    """Damage that was met and survived."""


def probe(source: Source) -> MediaInfo:
    """Describe a recording: a path, bytes or a binary file object. Of the pictures only the first is decoded.

    Raises:
        MediaError: the file is missing, empty, unreadable or no recording.
    """
    with open_container(source) as container:
        audio, video = streams(display_path(source), container)
        facts: dict[str, Any] = {
            "duration_s": file_duration_s(container),
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
            rate = video.average_rate
            listing = list_packets(
                packets_of(container, [video], DecodeErrors()), video, None, 0.0, keep=False
            )
            facts |= {
                "average_fps": float(rate) if rate else None,
                "n_frames": sum(packet.shown for packet in listing.listed),
                "video_duration_s": declared_s(video),
            }
    if video is not None:
        facts |= _first_picture(source)
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
) -> Media:
    """Decode the sound of a file, or ``n_frames`` of its pictures evenly in time, or both in one pass.

    Args:
        source: a sound or video file, of any kind that FFmpeg reads: its path, its bytes, or a binary file
            object, which is read from its beginning and left open.
        audio: whether the sound is wanted: all channels, at the file's own rate.
        n_frames: how many pictures, from the first to the last, each the nearest to its place in time; a
            file with fewer repeats some. None: no pictures.
        square: keep only the central square of each picture.
        start_s: leave out what is presented before this time.
        end_s: leave out what is presented at or after this time.
        threads: decoding threads; 0: one a core. The result does not depend on it.

    Returns:
        Samples and grey, upright, full-range pictures. A damaged file yields what can be had, and a note.

    Raises:
        MediaError: nothing of what was asked for can be read.
        ValueError: the span is none.
    """
    check_span(start_s, end_s)
    job = _Decoding(source, audio, n_frames, square, start_s, end_s)
    media, exact = job.run(threads=threads, skip=True)
    if media.notes or not exact:
        # Concealment of damage may depend on the timing of threads, so damaged files are read by one.
        media, _ = job.run(threads=1, skip=False)
    asked = (audio and media.has_audio) or (n_frames is not None and media.has_video)
    if asked and media.sound is None and media.frames is None and media.notes:
        raise MediaError(display_path(source), media.notes[0])
    return media


@dataclass(frozen=True, slots=True)
class _Decoding:
    """What :func:`decode` was asked for."""

    given: Source
    audio: bool
    n_frames: int | None
    square: bool
    start_s: float | None
    end_s: float | None

    def run(self, *, threads: int, skip: bool) -> tuple[Media, bool]:
        """Decode; the second value says whether every wanted picture came out under its own timestamp."""
        errors = DecodeErrors()
        with contextlib.ExitStack() as open_files:
            source = self._source(open_files, errors)
            packets: Iterable[Packet[Any]] = source.packets
            plan = None
            if source.video is not None and self.n_frames is not None:
                listing = list_packets(source.packets, source.video, self.end_s, source.origin_s)
                plan = self._plan(listing, source, errors, threads)
                if listing.kept is None:  # Too much to be held in memory: read it once more.
                    source = self._source(open_files, errors)
                    packets = source.packets
                else:
                    packets = itertools.chain(listing.kept, source.packets)
            sound = None
            if self.audio and source.audio is not None:
                sound = WaveformCollector(display_path(self.given), self.start_s, self.end_s, source.origin_s)
            pictures = None
            if source.video is not None and plan is not None and len(plan.wanted):
                pictures = FrameCollector(plan, self.square, pixel_aspect(source.video))
            if sound is not None or pictures is not None:
                DecodingPass(sound, source.video, pictures, errors).run(packets, threads=threads, skip=skip)
            if self.end_s is None and sound is not None and source.audio is not None and not sound.full:
                errors.check_end(self.given, source.container, source.audio, sound.end_s)
            if self.end_s is None and plan is not None and source.video is not None:
                errors.check_end(self.given, source.container, source.video, plan.last_s)
            has_audio, has_video = source.audio is not None, source.video is not None
        waveform = None if sound is None else sound.result()
        frames = None if pictures is None else pictures.result()
        stopped_s = max(0.0 if sound is None else sound.end_s, 0.0 if plan is None else plan.last_s)
        notes = errors.notes(stopped_s) + (() if sound is None else sound.notes)
        return Media(waveform, frames, has_audio, has_video, notes), pictures is None or pictures.exact

    def _source(self, open_files: contextlib.ExitStack, errors: DecodeErrors) -> _Source:
        """Open the file at the start of the span."""
        container = open_files.enter_context(open_container(self.given))
        audio, video = streams(display_path(self.given), container)
        origin = origin_s(container)
        seek(container, self.start_s, origin)
        wanted = [audio if self.audio else None, video if self.n_frames is not None else None]
        packets = packets_of(container, [stream for stream in wanted if stream is not None], errors)
        return _Source(container, audio, video, origin, packets)

    def _plan(self, listing: PacketListing, source: _Source, errors: DecodeErrors, threads: int) -> FramePlan:
        assert source.video is not None and self.n_frames is not None
        times = None
        if not listing.timed:
            with open_container(self.given) as again:
                times = decoded_times(display_path(self.given), again, self.start_s, errors, threads=threads)
        clock = (float(source.video.time_base or 0), source.origin_s)
        return plan_frames(listing, self.n_frames, (self.start_s, self.end_s), clock, times)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file, open at the start of a span."""

    container: InputContainer
    audio: AudioStream | None
    video: VideoStream | None
    origin_s: float
    packets: Iterator[Packet[Any]]


def _first_picture(source: Source) -> dict[str, int]:
    """Upright width and height, and the rotation that makes them so, from the first picture."""
    with open_container(source) as container:
        _, video = streams(display_path(source), container)
        assert video is not None
        errors = DecodeErrors()
        for packet in packets_of(container, [video], errors):
            for frame in errors.guard(packet.decode):
                image = gray_image(frame, VideoReformatter(), square=False, aspect=pixel_aspect(video))
                height, width = image.shape
                return {"width": width, "height": height, "rotation_deg": 90 * quarter_turns(frame)}
    raise MediaError(display_path(source), "no picture can be decoded")
