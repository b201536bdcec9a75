"""FLV files joined byte by byte, against their parts."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from emofuse.media.byte_source import ByteReader
from emofuse.media.decoding import decode
from emofuse.media.file_stream import Frame, open_stream
from emofuse.media.joined_flv import Without, later_headers
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg
from tests.support.typed import not_none


def test_a_file_without_some_bytes_is_read_like_one() -> None:
    whole = np.random.default_rng(1).integers(0, 256, 1000, np.uint8).tobytes()
    left_out = [(0, 3), (100, 140), (140, 141), (990, 1000)]
    expected = io.BytesIO(whole[3:100] + whole[141:990])
    file = Without(io.BytesIO(whole), left_out)
    rng = np.random.default_rng(2)
    for _ in range(200):
        base = int(rng.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))
        offset = (
            int(rng.integers(0, 900)) - {os.SEEK_SET: 0, os.SEEK_CUR: expected.tell(), os.SEEK_END: 946}[base]
        )
        assert file.seek(offset, base) == expected.seek(offset, base) == file.tell()
        n = int(rng.integers(-1, 200))
        assert file.read(n) == expected.read(n)
    assert file.read(10) == expected.read(10) and file.seek(0, os.SEEK_END) == 946


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    paths = []
    for hertz, length_s, size in ((400, 4, "64x48"), (900, 3, "96x64")):
        path = tmp_path / f"{hertz}.flv"
        ffmpeg(
            "-f", "lavfi", "-i", f"testsrc2=s={size}:r=10:d={length_s}", "-f", "lavfi",
            "-i", f"sine={hertz}:d={length_s}:r=44100", "-c:v", "libx264", "-preset", "ultrafast", "-c:a",
            "aac", path,
        )  # fmt: skip
        paths.append(path)
    return paths


@needs_ffmpeg
@pytest.mark.parametrize("as_bytes", [False, True])
def test_all_parts_are_read(parts: list[Path], tmp_path: Path, as_bytes: bool) -> None:
    joined = tmp_path / "joined.flv"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = joined.read_bytes() if as_bytes else joined
    media = decode(source, n_frames=70)
    assert media.notes == ("the timestamps jump at 4.04 s: the parts follow one another",)
    assert not_none(media.frames).n_in_file == 70
    audio = not_none(media.audio)
    assert audio.duration_s == pytest.approx(7.0, abs=0.2)
    for at_s, hertz in ((2.0, 400), (6.0, 900)):
        piece = audio.samples[0, round(at_s * 44100) :][:22050]
        assert np.argmax(np.abs(np.fft.rfft(piece))) * 2 == pytest.approx(hertz, abs=4)
    with open_stream(source, frames_per_s=10.0) as stream:
        items = list(stream)
    assert sum(isinstance(one, Frame) for one in items) == 70


@needs_ffmpeg
def test_a_span_of_the_second_part(parts: list[Path], tmp_path: Path) -> None:
    joined = tmp_path / "joined.flv"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    span = not_none(decode(joined, start_s=5.5, end_s=6.5).audio)
    assert span.start_s == pytest.approx(5.5, abs=0.01) and span.duration_s == pytest.approx(1.0, abs=0.01)
    assert np.argmax(np.abs(np.fft.rfft(span.samples[0, :44100]))) == pytest.approx(900, abs=2)


@needs_ffmpeg
def test_a_file_of_one_part_has_no_later_header(parts: list[Path]) -> None:
    content = parts[0].read_bytes()
    assert later_headers(ByteReader(content)) == []
    assert later_headers(ByteReader(content + content)) == [(len(content), len(content) + 13)]
    assert later_headers(ByteReader(content + b"FLV\x01\x05\xff\xff\xff\xff" + content)) == []
