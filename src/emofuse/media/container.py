"""Opening a media file safely: what may be opened, its two streams, its clock, and what is wrong with it."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from emofuse.core.errors import LimitError, MediaError
from emofuse.core.limits import Limits, ReadControl
from emofuse.core.records import StreamChoice
from emofuse.media.byte_source import BYTES, ByteReader
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.decoder_setup import codec_options, set_up_decoder
from emofuse.media.joined_flv import FLV, without_later_headers
from emofuse.media.mp4_samples import begins_like_mp4, excess_samples
from emofuse.media.packet_clock import PacketClock
from emofuse.media.stream_choice import ChosenStreams, choose_streams
from emofuse.media.unread_formats import HEAD_BYTES, JPEG, JPEG_BYTES, unread_format

Source = str | Path | bytes | bytearray | memoryview | BinaryIO
"""A recording: the path of a file, its bytes, or a seekable binary file object."""

# Only containers of recordings: no playlists, scripts or image lists, which can name other files and hosts.
_FORMATS: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,loas,m4v,matroska,webm,"
    "mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,w64,wav,wv,yuv4mpegpipe"
)
_OPTIONS: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
DECODING_ERRORS: Final = (av.error.FFmpegError, OSError, EOFError, ValueError, OverflowError, MemoryError)
"""What PyAV raises for a damaged recording. Anything else is a programming error and is not hidden."""
LENIENT_METADATA: Final[dict[str, Any]] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
"""How titles that are not UTF-8 are read. PyAV 19 and later replace what they cannot decode."""
# Containers that store their length; for others FFmpeg estimates it from the bit rate.
_DECLARES_LENGTH: Final = ("mov", "matroska", "wav", "w64", "flac", "avi")
_ONE_LENGTH: Final = "matroska"
"""It stores only the length of the whole file; those of its streams are guesses of FFmpeg."""
_RESTARTS: Final = frozenset({"mpegts", "mpeg"})
"""Broadcasts: their clock may restart, so that no time in them can be sought."""
_READ_FROM_START: Final = _RESTARTS | {"flv"}
"""What is not sought in, since it may restart, if only where files were joined."""
_SEPARATE: Final = "mov"
"""Its streams can be read apart; in other containers, reading one is reading all."""
_HELD_BYTES: Final = 64 * 2**20
"""Packets since the last key frame that are held on the way to the start of a span, at most."""
_PLACEHOLDERS: Final = ((0x7FFFF000, 0x80000FFF), (0xFFFFF000, 0xFFFFFFFF))
"""Lengths of RIFF files that were written to a pipe: their writer could not know the length."""
_SHORT_BY_S: Final = 0.5
"""A stream that ends this much before its declared end was cut off."""
_LATE_S: Final = 1.0
"""A clock that starts later than this does not start with the recording."""
_SEEK_FROM_S: Final = 5.0
"""A span that starts earlier is reached by decoding from the start: some formats seek inexactly."""
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def display_path(source: Source) -> Path:
    """What a source is called in messages: its path, ``<bytes>``, or the name of a file object."""
    if isinstance(source, str | Path):
        return Path(source)
    if isinstance(source, BYTES):
        return Path("<bytes>")
    name = getattr(source, "name", None)
    return Path(name) if isinstance(name, str) and name else Path("<file object>")


@dataclass(frozen=True, slots=True)
class MediaFile:
    """An open recording: the streams that are read, and its clock."""

    source: Source
    container: InputContainer
    chosen: ChosenStreams
    origin_s: float
    """The earliest timestamp of the file, from which all our times are counted."""
    clock: PacketClock
    """The one clock of its packets."""
    control: ReadControl
    """What it may ask for, and whether its reading was cancelled."""

    @property
    def audio(self) -> AudioStream | None:
        """The audio stream that is read."""
        return self.chosen.audio

    @property
    def video(self) -> VideoStream | None:
        """The video stream that is read."""
        return self.chosen.video

    @property
    def display_path(self) -> Path:
        """What it is called in messages."""
        return display_path(self.source)

    @property
    def duration_s(self) -> float | None:
        """The declared or estimated length of the file."""
        return file_duration_s(self.container)

    @property
    def declares_length(self) -> bool:
        """Whether the container stores its length; others have it estimated from the bit rate."""
        return _declares_length(self.container)

    def ends_early(self, reached_s: Mapping[int, float]) -> bool:
        """Whether it was cut off: something ends well before its declared end.

        ``reached_s``: where each stream that was read to its end has ended, by the index of the stream.
        """
        if reached_s and self.container.format.name in ("wav", "avi") and _riff_is_cut(self.source):
            return True
        length_s = self.duration_s
        if not self.declares_length or length_s is None or self.clock.restarted:
            return False
        ends = []
        own_lengths = not self.container.format.name.startswith(_ONE_LENGTH)
        for stream in (self.audio, self.video):
            known = own_lengths and stream is not None and stream.index in reached_s
            own_s = declared_s(stream) if known and stream is not None else None
            if stream is not None and own_s is not None:
                start_s = float((stream.start_time or 0) * (stream.time_base or 0)) - self.origin_s
                # FFmpeg guesses the start of a stream of few long, reordered frames: the file says more.
                ends.append((min(start_s + own_s, length_s), reached_s[stream.index], own_s))
        timed = {one.index for one in self.container.streams if _takes_time(one)}
        if not ends and timed and timed <= reached_s.keys():  # only the file as a whole has a length
            ends.append((length_s, max(reached_s.values()), length_s))
        return any(end_s - at_s > max(_SHORT_BY_S, 0.02 * own_s) for end_s, at_s, own_s in ends)

    def packets(
        self,
        streams: Sequence[AudioStream | VideoStream | None],
        errors: DecodeErrors,
        start_s: float | None = None,
    ) -> Iterator[Packet[Any]]:
        """Packets of the given streams on the one clock, until the end of what can be read.

        None stands for no stream. They begin with the key frame at or before ``start_s``, or earlier. Streams
        that are not wanted are read nevertheless where that costs nothing: they too tell the time.
        """
        wanted = [stream for stream in streams if stream is not None]
        name = self.container.format.name
        seeks = start_s is not None and start_s >= _SEEK_FROM_S and bool(wanted)
        # One second early, so that audio decoders that depend on earlier packets have settled.
        from_s = 0.0 if start_s is None else start_s - 1 + self.origin_s
        if seeks and name not in _READ_FROM_START:
            # Where a file cannot be sought in, reading starts at its beginning.
            with contextlib.suppress(av.error.FFmpegError):
                self.container.seek(int(from_s * av.time_base), backward=True)
        read = (
            wanted if name.startswith(_SEPARATE) else [s for s in (self.audio, self.video) if s is not None]
        )
        packets = self.clock.moved(packets_of(self.container, read, errors))
        if seeks and name in _READ_FROM_START:
            packets = _from_key_frame(packets, self.video if self.video in wanted else None, from_s)
        for packet in packets:
            self.control.check()
            self._check_time(packet)
            if packet.stream in wanted:
                yield packet

    def check_limits(self) -> None:
        """Refuse what declares more than it may.

        Raises:
            LimitError: it is too long, or its audio has too many channels or too high a sample rate.
        """
        limits, context = self.control.limits, self.audio and self.audio.codec_context
        declared = {
            "max_duration_s": (self.duration_s if self.declares_length else None, "it lasts {:.0f} s"),
            "max_channels": (context and context.channels, "its audio has {} channels"),
            "max_sample_rate_hz": (context and context.sample_rate, "its audio has {} samples per second"),
        }
        for name, (value, text) in declared.items():
            most = getattr(limits, name)
            if most is not None and value and value > most:
                raise LimitError(self.display_path, f"{text.format(value)}, over the limit of {most:g}")

    def _check_time(self, packet: Packet[Any]) -> None:
        most_s = self.control.limits.max_duration_s
        stamp = packet.dts if packet.pts is None else packet.pts
        if most_s is None or stamp is None or packet.time_base is None:
            return
        if stamp * float(packet.time_base) - self.origin_s > most_s:
            raise LimitError(self.display_path, f"it goes on beyond {most_s:g} s, the limit")

    def set_up_decoder(self, threads: int) -> None:
        """Prepare the decoder of the video; see :func:`emofuse.media.decoder_setup.set_up_decoder`."""
        if self.video is not None:
            set_up_decoder(self.display_path, self.video, threads, self.control.limits)


@contextlib.contextmanager
def open_media(
    source: Source, wanted: StreamChoice | None = None, control: ReadControl | None = None
) -> Iterator[MediaFile]:
    """Open a recording that has audio, video or both; see :func:`open_container`.

    ``wanted``: the streams to read where there are several; see :func:`choose_streams`.

    Raises:
        MediaError: the file is missing, empty, unreadable or not a recording, or lacks a wanted stream.
        LimitError: it declares more than it may.
    """
    control = control or ReadControl()
    with open_container(source, control.limits) as container:
        chosen = choose_streams(display_path(source), container, wanted, lambda: open_container(source))
        file = MediaFile(source, container, chosen, origin_s(container), packet_clock(container), control)
        file.check_limits()
        yield file


@contextlib.contextmanager
def open_container(source: Source, limits: Limits | None = None) -> Iterator[InputContainer]:
    """An open container; whatever is wrong with a source is raised as a :class:`MediaError`.

    Each call reads from the beginning, with a position of its own; file objects are not closed.
    """
    _check(source)
    try:
        head = _first_bytes(source, HEAD_BYTES)
        problem = unread_format(_first_bytes(source, JPEG_BYTES) if head.startswith(JPEG) else head)
        problem = problem or _excess(source, head)
        if problem is not None:
            raise MediaError(display_path(source), problem)
        with contextlib.ExitStack() as stack:
            yield _open(source, head, stack, limits or Limits())
    except MediaError:
        raise
    except DECODING_ERRORS as error:
        raise MediaError(display_path(source), f"cannot be read ({error_text(error)})") from error


def _open(source: Source, head: bytes, stack: contextlib.ExitStack, limits: Limits) -> InputContainer:
    given: Any = without_later_headers(source, stack) if head.startswith(FLV) else None
    if given is not None:
        pass
    elif isinstance(source, str | Path):
        path = Path(source)
        name = str(path.absolute())
        given = f"file:{name}"  # With the protocol, no name is taken for an address ("concat:a|b").
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:  # The name is not text: pass the content instead.
            given = stack.enter_context(path.open("rb"))
    else:
        given = ByteReader(source)
    try:
        # FFmpeg takes a bare stream of images for the first of them.
        kind = "mjpeg" if head.startswith(JPEG) else None
        options = _OPTIONS | codec_options(limits)
        container = av.open(given, "r", format=kind, options=options, **LENIENT_METADATA)
    except av.error.FFmpegError as error:
        problem = f"not a media file, or damaged beyond reading ({error_text(error)})"
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
        problem = f"cannot be opened ({error_text(error)})"
    if problem is not None:
        raise MediaError(display_path(source), problem)


def _excess(source: Source, head: bytes) -> str | None:
    """Why a file would fill the memory as soon as it is opened."""
    if not begins_like_mp4(head):
        return None
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            declared = excess_samples(file)
    else:
        declared = excess_samples(cast(IO[bytes], ByteReader(source)))
    if declared is None:
        return None
    return f"damaged, or made to fill the memory: it declares {declared} samples"


def _first_bytes(source: Source, n: int) -> bytes:
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(n)
    return ByteReader(source).read(n)


def _check_file(path: Path) -> None:
    problem = None
    try:
        if path.is_dir():
            problem = "is a folder, not a media file"
        elif not path.exists():
            problem = "there is no such file"
            if _ADDRESS.match(str(path)):
                problem += ": to read from an address, use emofuse live"
        elif not path.is_file():
            problem = "is not a regular file"
        elif path.stat().st_size == 0:
            problem = "the file is empty (0 bytes)"
        else:
            os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        problem = "permission denied"
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({error_text(error)})"
    if problem is not None:
        raise MediaError(path, problem)


def error_text(error: BaseException) -> str:
    """The message of an error, in one line."""
    text: Any = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def check_span(start_s: float | None, end_s: float | None) -> None:
    """Reject an invalid span: a caller's error, not a damaged file.

    Raises:
        ValueError: a time is not a finite number, or the end is not after the start.
    """
    for name, time_s in (("start_s", start_s), ("end_s", end_s)):
        try:
            finite = time_s is None or math.isfinite(time_s)
        except TypeError:
            finite = False
        if not finite:
            raise ValueError(f"{name} must be a finite number of seconds, got {time_s!r}")
    if end_s is not None and not (start_s or 0.0) < end_s:
        raise ValueError(f"the end must come after the start, got {start_s or 0.0:g} to {end_s:g} s")


def origin_s(container: InputContainer) -> float:
    """The earliest timestamp of the file, from which all our times are counted."""
    start: int | None = container.start_time
    return 0.0 if start is None or abs(start) > 2**62 else start / av.time_base


def file_duration_s(container: InputContainer) -> float | None:
    """The declared or estimated length of the file."""
    if container.duration is None or container.duration < 0:
        return None
    duration_s, start_s = container.duration / av.time_base, origin_s(container)
    # Where a Matroska clock starts late, its length is that of the clock.
    starts_late = container.format.name.startswith("matroska") and _LATE_S < start_s < duration_s
    return duration_s - start_s if starts_late else duration_s


def _declares_length(container: InputContainer) -> bool:
    return container.format.name.startswith(_DECLARES_LENGTH) and file_duration_s(container) is not None


def packet_clock(container: InputContainer) -> PacketClock:
    """A clock for the packets of a file that is read once from its beginning."""
    length_s = file_duration_s(container) if _declares_length(container) else None
    restarts = container.format.name in _RESTARTS
    return PacketClock(origin_s(container), restarts=restarts, length_s=length_s)


def _from_key_frame(
    packets: Iterator[Packet[Any]], video: VideoStream | None, from_s: float
) -> Iterator[Packet[Any]]:
    """Leave out what comes before the last key frame at or before a time, without decoding it."""
    held: list[Packet[Any]] = []
    n_bytes = 0
    for packet in packets:
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and stamp * float(packet.time_base) >= from_s:
            yield from held
            yield packet
            break
        if packet.stream is video and packet.is_keyframe:
            held, n_bytes = [], 0
        if video is not None or stamp is None:
            held.append(packet)
            n_bytes += packet.size
        if n_bytes > _HELD_BYTES:
            yield from held
            held, n_bytes = [], 0
    else:
        yield from held
    yield from packets


def _takes_time(stream: Stream) -> bool:
    """Whether a stream may be what makes a file as long as it is: not cover art, nor an attachment."""
    still = isinstance(stream, VideoStream) and bool(stream.disposition & Disposition.attached_pic)
    return stream.type in ("audio", "video", "subtitle") and not still


def declared_s(stream: AudioStream | VideoStream) -> float | None:
    """The declared length of a stream."""
    if stream.duration is None or stream.time_base is None or stream.duration < 0:
        return None
    return float(stream.duration * stream.time_base)


def packets_of(
    container: InputContainer, wanted: Sequence[AudioStream | VideoStream], errors: DecodeErrors
) -> Iterator[Packet[Any]]:
    """Packets of some streams until the end of the file, or of what can be read of it."""
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
    """FFmpeg silently corrects the length of a truncated WAV or AVI file; its header has the true one."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            head, size = file.read(8), Path(source).stat().st_size
    else:
        reader = ByteReader(source)
        head, size = reader.read(8), reader.seek(0, os.SEEK_END)
    length = int.from_bytes(head[4:8], "little")
    if any(first <= length <= last for first, last in _PLACEHOLDERS):
        return False
    return head[:4] == b"RIFF" and length + 8 > size + 1
