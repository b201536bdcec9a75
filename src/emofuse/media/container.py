"""Opening a media file safely: what may be opened, its two streams, its clock, and what is wrong with it."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from emofuse.core.errors import MediaError
from emofuse.media.byte_source import ByteReader

Source = str | Path | bytes | BinaryIO
"""A recording: the path of a file, its bytes, or a binary file object that can be read and sought."""

# Only containers of recordings: no playlists, scripts or image lists, which can name other files and hosts.
_FORMATS: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,loas,m4v,matroska,webm,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,w64,wav,wv,yuv4mpegpipe"
)
_OPTIONS: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
DECODING_ERRORS: Final = (av.error.FFmpegError, OSError, EOFError, ValueError, OverflowError, MemoryError)
"""What a damaged recording makes PyAV raise. Anything else is a fault of a program, and is not hidden."""
LENIENT_METADATA: Final[dict[str, Any]] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
"""How titles that are not UTF-8 are read. PyAV 19 and later replace what they cannot decode."""
# Containers that write their length down; others guess it from the bit rate.
DECLARES_LENGTH: Final = ("mov", "matroska", "wav", "w64", "flac", "avi")
_SHORT_BY_S: Final = 0.5
"""A stream that ends this much before its declared end was cut off."""
_SEEK_FROM_S: Final = 5.0
"""A span that starts earlier is reached by decoding from the start: some formats seek inexactly."""
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_NEITHER: Final = "there is neither sound nor moving picture in it"


def display_path(source: Source) -> Path:
    """What a source is called in messages: its path, ``<bytes>``, or the name of a file object."""
    if isinstance(source, str | Path):
        return Path(source)
    if isinstance(source, bytes):
        return Path("<bytes>")
    name = getattr(source, "name", None)
    return Path(name) if isinstance(name, str) and name else Path("<file object>")


@contextlib.contextmanager
def open_container(source: Source) -> Iterator[InputContainer]:
    """An open container; whatever a source can do wrong leaves here as a :class:`MediaError`.

    Each opening reads from the beginning, with a position of its own; file objects are not closed.
    """
    _check(source)
    try:
        with contextlib.ExitStack() as stack:
            yield _open(source, stack)
    except MediaError:
        raise
    except DECODING_ERRORS as error:
        raise MediaError(display_path(source), f"cannot be read ({_plain(error)})") from error


def _open(source: Source, stack: contextlib.ExitStack) -> InputContainer:
    given: Any
    if isinstance(source, str | Path):
        path = Path(source)
        name = str(path.absolute())
        given = f"file:{name}"  # With the protocol, no name is taken for an address ("concat:a|b").
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:  # A name that is no text: hand over the content instead.
            given = stack.enter_context(path.open("rb"))
    else:
        given = ByteReader(source)
    try:
        container = av.open(given, "r", options=_OPTIONS, **LENIENT_METADATA)
    except av.error.FFmpegError as error:
        problem = f"not a media file, or damaged beyond reading ({_plain(error)})"
        raise MediaError(display_path(source), problem) from None
    stack.callback(container.close)
    return container  # type: ignore[no-any-return, unused-ignore]


def _check(source: Source) -> None:
    """Raise where a source cannot be opened at all."""
    if isinstance(source, str | Path):
        _check_file(Path(source))
        return
    try:
        problem = ByteReader(source).problem()
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({_plain(error)})"
    if problem is not None:
        raise MediaError(display_path(source), problem)


def _check_file(path: Path) -> None:
    problem = None
    try:
        if path.is_dir():
            problem = "is a folder, not a media file"
        elif not path.exists():
            problem = "there is no such file"
            if _ADDRESS.match(str(path)):
                problem += ": an address is read by emofuse live"
        elif not path.is_file():
            problem = "is not a regular file"
        elif path.stat().st_size == 0:
            problem = "the file is empty (0 bytes)"
        else:
            os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        problem = "permission denied"
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({_plain(error)})"
    if problem is not None:
        raise MediaError(path, problem)


def _plain(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def streams(path: Path, container: InputContainer) -> tuple[AudioStream | None, VideoStream | None]:
    """The first decodable sound and moving picture. A cover picture in a sound file is not one.

    Raises:
        MediaError: the file has neither.
    """
    audio = next((s for s in container.streams.audio if _decodable(s)), None)
    video = next(
        (
            s
            for s in container.streams.video
            if _decodable(s) and not s.disposition & Disposition.attached_pic
        ),
        None,
    )
    if audio is None and video is None:
        raise MediaError(path, _NEITHER)
    return audio, video


def _decodable(stream: AudioStream | VideoStream) -> bool:
    # The binding gives streams of an unknown codec no context.
    return getattr(stream, "codec_context", None) is not None


def check_span(start_s: float | None, end_s: float | None) -> None:
    """Refuse a span that is none: a caller's error, not a damaged file.

    Raises:
        ValueError: a time is no finite number, or the end does not come after the begin.
    """
    for name, time_s in (("start_s", start_s), ("end_s", end_s)):
        try:
            finite = time_s is None or math.isfinite(time_s)
        except TypeError:
            finite = False
        if not finite:
            raise ValueError(f"{name} must be a finite number of seconds, got {time_s!r}")
    if end_s is not None and not (start_s or 0.0) < end_s:
        raise ValueError(f"the end must come after the begin, got {start_s or 0.0:g} to {end_s:g} s")


def origin_s(container: InputContainer) -> float:
    """The earliest timestamp of the file, from which all our times are counted."""
    start: int | None = container.start_time
    return 0.0 if start is None or abs(start) > 2**62 else start / av.time_base


def file_duration_s(container: InputContainer) -> float | None:
    """The declared or estimated length of the file."""
    return None if container.duration is None or container.duration < 0 else container.duration / av.time_base


def declared_s(stream: AudioStream | VideoStream) -> float | None:
    """The declared length of a stream."""
    if stream.duration is None or stream.time_base is None or stream.duration < 0:
        return None
    return float(stream.duration * stream.time_base)


def seek(container: InputContainer, start_s: float | None, origin: float) -> None:
    """Go to the key frame at or before a time; where a file cannot, reading starts at its beginning."""
    if start_s is None or start_s < _SEEK_FROM_S:
        return
    # One second early, so that sound decoders that lean on earlier packets have settled.
    with contextlib.suppress(av.error.FFmpegError):
        container.seek(int((start_s - 1 + origin) * av.time_base), backward=True)


def packets_of(
    container: InputContainer, wanted: Sequence[AudioStream | VideoStream], errors: DecodeErrors
) -> Iterator[Packet[Any]]:
    """Packets of some streams until the end of the file or of what can be read of it."""
    source = container.demux(tuple(wanted))
    while True:
        try:
            packet = next(source)
        except (StopIteration, av.error.EOFError):
            return
        except (av.error.FFmpegError, ValueError):
            errors.stopped = True
            return
        yield packet


def _riff_is_cut(source: Source) -> bool:
    """FFmpeg corrects the length of a cut WAV file in silence; its header still has the true one."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            head, size = file.read(8), Path(source).stat().st_size
    else:
        reader = ByteReader(source)
        head, size = reader.read(8), reader.seek(0, os.SEEK_END)
    length = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and length != 0xFFFFFFFF and length + 8 > size + 1


class DecodeErrors:
    """What went wrong while a file was read."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.bad_packets = 0
        self.stopped = False

    def guard(self, decode: Callable[[], list[Any]]) -> list[Any]:
        """What a decoder yields for one packet; a packet it cannot decode is counted and passed over."""
        try:
            return decode()
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError):
            self.bad_packets += 1
            return []

    def check_end(
        self,
        source: Source,
        container: InputContainer,
        stream: AudioStream | VideoStream,
        reached_s: float,
    ) -> None:
        """Notice a stream that ends well before its declared end."""
        if container.format.name == "wav" and _riff_is_cut(source):
            self.stopped = True
        if not container.format.name.startswith(DECLARES_LENGTH):
            return
        length = declared_s(stream)
        if length is None or stream.time_base is None:
            length = file_duration_s(container) if len(container.streams) == 1 else None
        if length is None:
            return
        start = float((stream.start_time or 0) * (stream.time_base or 0)) - origin_s(container)
        self.stopped |= start + length - reached_s > max(_SHORT_BY_S, 0.02 * length)

    def notes(self, stopped_s: float) -> tuple[str, ...]:
        """One line a user can understand, or none."""
        if self.stopped:
            return (f"damaged: decoding stopped at {stopped_s:.2f} s",)
        if self.bad_packets:
            plural = "" if self.bad_packets == 1 else "s"
            return (f"damaged: {self.bad_packets} packet{plural} could not be decoded",)
        return ()
