"""Small MP4 files that declare millions of samples, written box by box; and honest ones, by FFmpeg."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest

from emofuse.core.errors import MediaError
from emofuse.media.decoding import decode
from emofuse.media.mp4_samples import excess_samples
from tests.support import media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

MANY = 20_000_000
IN_FRAGMENTS = ("-movflags", "empty_moov", "-frag_duration", "100000")


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *content)


def movie(n: int, *, lasts: int = 2, fragments: bool = False, at: int = 0) -> bytes:
    """The description of a track of PCM whose samples are all alike; in fragments, it has none itself."""
    entry = struct.pack(">I4s6xH8x4HI", 36, b"sowt", 1, 1, 16, 0, 0, 48000 << 16)
    one = [] if fragments else [1]
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), entry),
        full(b"stts", struct.pack(">I", len(one)), *(struct.pack(">II", n, lasts) for _ in one)),
        full(b"stsc", struct.pack(">I", len(one)), *(struct.pack(">III", 1, n, 1) for _ in one)),
        full(b"stsz", struct.pack(">II", *((0, 0) if fragments else (1, n)))),
        full(b"stco", struct.pack(">I", len(one)), *(struct.pack(">I", at) for _ in one)),
    )
    reference = box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1)))
    media = box(
        b"mdia",
        full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 48000, 0, 0, 0)),
        full(b"hdlr", b"\0" * 4 + b"soun" + b"\0" * 13),
        box(b"minf", full(b"smhd", b"\0" * 4), reference, table),
    )
    track = box(b"trak", full(b"tkhd", struct.pack(">5I60x", 0, 0, 1, 0, 0), flags=3), media)
    extends = box(b"mvex", full(b"trex", struct.pack(">5I", 1, 1, 2, 1, 0))) if fragments else b""
    return box(b"moov", full(b"mvhd", struct.pack(">4I80x", 0, 0, 1000, 0)), track, extends)


def of_one_size(n: int, lasts: int = 2) -> bytes:
    start = box(b"ftyp", b"isom\0\0\2\0isom")
    at = len(start) + len(movie(n, lasts=lasts)) + 8
    return start + movie(n, lasts=lasts, at=at) + box(b"mdat", b"\0" * 4096)


def in_a_fragment(n: int) -> bytes:
    start = box(b"ftyp", b"isom\0\0\2\0isom") + movie(0, fragments=True)
    run = full(b"trun", struct.pack(">I", n))
    head = full(b"tfhd", struct.pack(">I", 1), flags=0x20000)
    part = box(b"traf", head, full(b"tfdt", struct.pack(">I", 0)), run)
    fragment = box(b"moof", full(b"mfhd", struct.pack(">I", 1)), part)
    return start + fragment + box(b"mdat", b"\0" * 4096)


@pytest.mark.parametrize("make", [of_one_size, in_a_fragment])
def test_more_samples_than_bytes_are_refused_before_they_are_listed(make: object, tmp_path: Path) -> None:
    assert callable(make)
    content = make(MANY)
    path = tmp_path / "bomb.mp4"
    path.write_bytes(content)
    for source in (path, content, io.BytesIO(content)):
        with pytest.raises(MediaError, match="made to fill the memory: it declares 20000000 samples"):
            decode(source)
    # the same file with as many samples as it has
    with av.open(io.BytesIO(make(1000))) as container:
        assert len(container.streams.audio) == 1
    assert excess_samples(io.BytesIO(make(1000))) is None


def test_plain_pcm_is_read_by_chunks() -> None:
    assert excess_samples(io.BytesIO(of_one_size(MANY, lasts=1))) is None


def test_the_size_of_the_file_counts() -> None:
    big = io.BytesIO(of_one_size(MANY) + b"\0" * MANY)
    assert excess_samples(big) is None


@pytest.mark.parametrize("cut", [0, 4, 30, 200, 700])
def test_damaged_boxes_end_the_search(cut: int) -> None:
    assert excess_samples(io.BytesIO(of_one_size(10)[:cut])) is None
    assert excess_samples(io.BytesIO(b"\0\0\0\0ftyp" * 3)) is None
    assert excess_samples(io.BytesIO(b"\0\0\0\1moov" * 5000)) is None


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pcm.mov", ["-c:a", "pcm_s16le"]),
        ("fragments.mp4", ["-c:a", "aac", *IN_FRAGMENTS]),
        ("fragments.mov", ["-c:a", "pcm_s24be", *IN_FRAGMENTS]),
        ("plain.m4a", ["-c:a", "aac"]),
    ],
)
def test_honest_files_pass(name: str, options: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "sine=d=40", *options, path)
    audio = decode(path).audio
    assert audio is not None and audio.duration_s == pytest.approx(40, abs=0.1)


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    samples = media_files.tone(0.1, 8000).repeat(65, axis=0)
    path = media_files.write_wav(tmp_path / "many.wav", samples, 8000)
    with pytest.raises(MediaError, match="it has 65 channels: at most 64 are read"):
        decode(path)
