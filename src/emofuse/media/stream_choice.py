"""Which audio and video streams of a recording are read, where it has several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from emofuse.core.errors import MediaError
from emofuse.core.records import StreamChoice
from emofuse.media.audio_samples import float_samples
from emofuse.media.channels import is_silent

Reopen = Callable[[], AbstractContextManager[InputContainer]]
"""Opens the same recording once more, to listen to its audio streams."""

_Stream = TypeVar("_Stream", AudioStream, VideoStream)

_NEITHER: Final = "it has neither audio nor video"
_LISTEN_S: Final = 60.0
"""Streams that are equally likely are told apart by what is audible in the first minute."""
_MOST_HEARD: Final = 8
"""Of so many streams; a file may have a thousand."""
_MOST_NAMED: Final = 8
_LONGEST_TITLE: Final = 80
_STILL_CODECS: Final = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpegls", "jpeg2000"})
"""Codecs of thumbnails; a recording may have one of them too, if it has no other video."""


@dataclass(frozen=True, slots=True)
class ChosenStreams:
    """The streams that are read; None where the recording has none of a kind."""

    audio: AudioStream | None
    video: VideoStream | None
    notes: tuple[str, ...] = ()
    """For each kind that has several streams, which one is read, and the others."""


def choose_streams(
    path: Path, container: InputContainer, wanted: StreamChoice | None = None, reopen: Reopen | None = None
) -> ChosenStreams:
    """Choose the streams that are read; cover art is not a video.

    Of several, the one that is marked as the default; of several defaults, or none, the first audible audio
    and the video with the most pixels. A still image is a video only if there is no other.

    Args:
        path: for messages.
        container: the open recording.
        wanted: what the user chose.
        reopen: without it, the first of several equally likely audio streams is taken.

    Raises:
        MediaError: the recording has neither audio nor video, or not the wanted stream.
    """
    wanted = wanted or StreamChoice()
    audios = [stream for stream in container.streams.audio if _is_decodable(stream)]
    videos = [
        stream
        for stream in container.streams.video
        if _is_decodable(stream) and not stream.disposition & Disposition.attached_pic
    ]
    audio = _numbered(path, "audio", container.streams.audio, audios, wanted.audio)
    if audio is None and audios:
        audio = _first_audible(_defaults(audios), reopen)
    video = _numbered(path, "video", container.streams.video, videos, wanted.video)
    if video is None and videos:
        moving = [stream for stream in videos if not _is_still(stream)]
        video = max(_defaults(moving or videos), key=lambda stream: stream.width * stream.height)
    if audio is None and video is None:
        raise MediaError(path, _NEITHER)
    notes = (
        *_note("audio", container.streams.audio, audios, audio),
        *_note("video", container.streams.video, videos, video),
    )
    return ChosenStreams(audio, video, notes)


def _is_decodable(stream: AudioStream | VideoStream) -> bool:
    # PyAV gives streams of an unknown codec no context.
    return getattr(stream, "codec_context", None) is not None


def _is_still(stream: VideoStream) -> bool:
    return stream.frames == 1 or stream.codec_context.name in _STILL_CODECS


def _defaults(streams: Sequence[_Stream]) -> Sequence[_Stream]:
    """Those that are marked as default; all if none is."""
    marked = [stream for stream in streams if stream.disposition & Disposition.default]
    return marked or streams


def _numbered(path: Path, kind: str, every: Sequence[Any], usable: Sequence[Any], number: int | None) -> Any:
    """The stream with the wanted number; None if none is wanted."""
    if number is None:
        return None
    if not 1 <= number <= len(every):
        problem = f"there is no {kind} stream {number}: it has {len(every) or 'none'}"
        raise MediaError(path, problem)
    if every[number - 1] not in usable:
        raise MediaError(path, f"{kind} stream {number} cannot be decoded, or is cover art")
    return every[number - 1]


def _first_audible(streams: Sequence[AudioStream], reopen: Reopen | None) -> AudioStream:
    """The first stream in which anything is audible within a minute; else the first."""
    if len(streams) == 1 or reopen is None:
        return streams[0]
    streams = streams[:_MOST_HEARD]
    silent = {stream.index for stream in streams}
    with reopen() as container:
        listened = [stream for stream in container.streams.audio if stream.index in silent]
        try:
            for packet in container.demux(*listened):
                index = packet.stream.index
                if index in silent and _is_audible(packet):
                    silent.remove(index)
                time_s = 0.0 if packet.dts is None else float(packet.dts * (packet.time_base or 0))
                start_s = (container.start_time or 0) / 1e6
                if streams[0].index not in silent or time_s - start_s > _LISTEN_S:
                    break
        except (FFmpegError, ValueError):
            pass  # what is damaged is reported when it is read
    return next((stream for stream in streams if stream.index not in silent), streams[0])


def _is_audible(packet: Any) -> bool:
    try:
        frames = packet.decode()
    except (FFmpegError, ValueError):
        return False
    return any(not is_silent(float_samples(frame)) for frame in frames)


def _note(kind: str, every: Sequence[Any], usable: Sequence[Any], chosen: Any) -> tuple[str, ...]:
    if len(usable) < 2:
        return ()
    names = {stream.index: _described(number, stream) for number, stream in enumerate(every, 1)}
    unread = [names[stream.index] for stream in usable if stream is not chosen]
    others = ", ".join(unread[:_MOST_NAMED])
    if len(unread) > _MOST_NAMED:
        others += f" and {len(unread) - _MOST_NAMED} more"
    return (f"{kind} stream {names[chosen.index]} is read, and not {others}: see --{kind}-stream",)


def _described(number: int, stream: AudioStream | VideoStream) -> str:
    """Its number, and what tells it from the others: ``2 (deu, Commentary)``."""
    facts = [stream.metadata.get("language", ""), stream.metadata.get("title", "")]
    if isinstance(stream, VideoStream):
        facts.append(f"{stream.width}x{stream.height}")
    details = ", ".join(" ".join(fact[:_LONGEST_TITLE].split()) for fact in facts if fact and fact != "und")
    return f"{number} ({details})" if details else str(number)
