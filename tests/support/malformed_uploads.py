"""Uploads that nobody should send: each is to be refused with a status of 4xx."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

import av
import numpy as np

from tests.support.service import form
from tests.support.speech import speech_like

PATH_NAMES: Final = (
    "../../../../etc/passwd", "/etc/passwd", "..\\..\\windows\\system.ini", "C:\\boot.ini",
    "\\\\host\\share\\x",
    "a\tb.wav", "nul", "con.wav", ".", "..", "~root", "$(touch x).wav", "`id`.wav", "a" * 3000, "ünï😀.wav",
    "%2e%2e%2fpasswd", "file:///etc/passwd", "http://127.0.0.1/x.wav", "pipe:0", "-i",
    "\u202evaw.exe", "x;y=z",
)  # fmt: skip


@dataclass(frozen=True)
class Malformed:
    """A request, byte by byte."""

    name: str
    head: str
    body: bytes


def malformed_uploads(clip: bytes, n: int, seed: int, path: str = "/v1/predictions") -> Iterator[Malformed]:
    """That many uploads, a kind after the other, each time with other values.

    Args:
        clip: a recording that can be read.
        n: how many.
        seed: of what varies.
        path: where they are sent.
    """
    random = Random(seed)
    kinds = list(_KINDS.items())
    for number in range(n):
        name, make = kinds[number % len(kinds)]
        head, body = make(random, clip)
        yield Malformed(f"{number} {name}", f"POST {path} HTTP/1.1\nHost: localhost\n{head}", body)


def _sized(kind: str, body: bytes) -> tuple[str, bytes]:
    return f"Content-Type: {kind}\nContent-Length: {len(body)}", body


def _file(content: bytes, name: str = "clip.wav") -> tuple[str, bytes]:
    return _sized(*form(("file", name, content)))


# --- of the form


def _cut_form(random: Random, clip: bytes) -> tuple[str, bytes]:
    kind, body = form(("file", "clip.wav", clip))
    return _sized(kind, body[: random.randrange(1, len(body) - 4)])


def _too_long(_: Random, clip: bytes) -> tuple[str, bytes]:
    """Says more than it sends, and waits."""
    kind, body = form(("file", "clip.wav", clip))
    return f"Content-Type: {kind}\nContent-Length: {len(body) + 1000}", body[:-8]


def _too_short(random: Random, clip: bytes) -> tuple[str, bytes]:
    """Sends more than it says."""
    kind, body = form(("file", "clip.wav", clip))
    return f"Content-Type: {kind}\nContent-Length: {random.randrange(60, len(body) - 10)}", body


def _enormous(random: Random, clip: bytes) -> tuple[str, bytes]:
    kind, body = form(("file", "clip.wav", clip))
    return f"Content-Type: {kind}\nContent-Length: {random.randrange(2**40, 2**62)}", body


def _bad_length(random: Random, clip: bytes) -> tuple[str, bytes]:
    kind, body = form(("file", "clip.wav", clip))
    length = random.choice(["-1", "abc", "1e3", "0x10", f"{len(body)}, 5", "", "9" * 400])
    return f"Content-Type: {kind}\nContent-Length: {length}", body


def _bad_chunks(random: Random, clip: bytes) -> tuple[str, bytes]:
    kind, body = form(("file", "clip.wav", clip[:1000]))
    size = random.choice([b"zz", b"-5", b"ffffffffffffffffffff", b""])
    return f"Content-Type: {kind}\nTransfer-Encoding: chunked", size + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _two_framings(_: Random, clip: bytes) -> tuple[str, bytes]:
    kind, body = form(("file", "clip.wav", clip[:1000]))
    head = f"Content-Type: {kind}\nTransfer-Encoding: gzip, chunked\nContent-Length: {len(body)}"
    return head, body


def _wrong_boundary(random: Random, clip: bytes) -> tuple[str, bytes]:
    _, body = form(("file", "clip.wav", clip))
    kind = random.choice(
        [
            "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=abc",
            f"multipart/form-data; boundary={'a' * 300}", 'multipart/form-data; boundary="xy',
            "multipart/form-data;",
        ]
    )  # fmt: skip
    return _sized(kind, body)


def _other_fields(random: Random, clip: bytes) -> tuple[str, bytes]:
    parts: tuple[tuple[str, str | None, bytes], ...] = random.choice(
        [
            (("clip", "clip.wav", clip),),
            (("file", "clip.wav", clip), ("file", "other.wav", clip)),
            (("file", "clip.wav", clip), ("path", None, b"/etc/passwd")),
            (("", "clip.wav", clip),),
            (("file", "clip.wav", b""),),
            (),
        ]
    )
    return _sized(*form(*parts))


def _part_headers(random: Random, _: bytes) -> tuple[str, bytes]:
    headers = random.choice(
        [
            b"Content-Type: audio/wav", b"Content-Disposition: attachment; name=file",
            b"Content-Disposition: form-data", b"Content-Disposition", b": nothing", b"\x00\x01: x",
            b'Content-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64',
            b'Content-Disposition: form-data; name="file"\r\n' + b"X: y\r\n" * 5000,
            b'Content-Disposition: form-data; name="file"; filename="' + b"a" * 100_000,
            b'Content-Disposition: form-data; name="file";\r\n filename*0="a"; filename*1="b"',
        ]
    )  # fmt: skip
    return _sized(
        "multipart/form-data; boundary=xyz", b"--xyz\r\n" + headers + b"\r\n\r\nno sound\r\n--xyz--\r\n"
    )


def _nested(random: Random, clip: bytes) -> tuple[str, bytes]:
    body = clip[: random.randrange(100, 1000)]
    for _ in range(30):
        _, body = form(("file", "clip.wav", body))
    return _file(body)


# --- of what the file is


def _path_name(random: Random, _: bytes) -> tuple[str, bytes]:
    return _file(random.randbytes(500), random.choice(PATH_NAMES))


def _noise(random: Random, _: bytes) -> tuple[str, bytes]:
    return _file(random.randbytes(random.randrange(1, 50_000)))


def _text_polyglot(random: Random, _: bytes) -> tuple[str, bytes]:
    """What FFmpeg would follow to other files and addresses, and what browsers would run."""
    return _file(
        random.choice(
            [
                b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
                b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x\n#EXT-X-ENDLIST\n",
                b"ffconcat version 1.0\nfile '/etc/passwd'\n",
                b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
                b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><MPD>&y;</MPD>',
                b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
                b"GIF89a/*<script>*/=1;alert(1)//",
                b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"#!/bin/sh\ntouch /tmp/x\n", b"\x7fELF" + b"\0" * 200,
                b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
            ]
        ),
        random.choice(["clip.m3u8", "clip.mp4", "clip.concat", "clip.sdp", "clip.mpd", "clip.svg"]),
    )  # fmt: skip


def _zip_polyglot(random: Random, _: bytes) -> tuple[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("clip.wav", b"\0" * 1_000_000)
    front = random.choice([b"RIFF\x24\0\0\0WAVE", b"\0\0\0\x18ftypisom", b"ID3\x04\0\0\0\0\0\0", b"OggS"])
    return _file(front + packed.getvalue())


# --- bombs and lies


def wav_header(*, rate: int, channels: int, data_bytes: int, bits: int = 16) -> bytes:
    """A WAV file up to its samples."""
    block = channels * bits // 8
    size = min(36 + data_bytes, 2**32 - 1)
    return (
        b"RIFF" + struct.pack("<L", size) + b"WAVEfmt "
        + struct.pack("<LHHLLHH", 16, 1, channels, rate, min(rate * block, 2**32 - 1), block, bits)
        + b"data" + struct.pack("<L", data_bytes)
    )  # fmt: skip


def _ten_hours(random: Random, _: bytes) -> tuple[str, bytes]:
    """A header of ten hours and more, and a second of sound.

    In WAV, FFmpeg believes the size of the file; in FLAC, it has to believe the header.
    """
    rate, flac = 16_000, bytearray(_flac())
    assert flac[:4] == b"fLaC"
    samples = round(rate * 3600 * random.uniform(10, 1000))
    packed = int.from_bytes(flac[18:26], "big")  # rate, channels, bits, and 36 bits of samples
    flac[18:26] = (packed >> 36 << 36 | samples).to_bytes(8, "big")
    return _file(bytes(flac), "clip.flac")


@cache
def _flac() -> bytes:
    """A second of sound, as any encoder would write it."""
    made = io.BytesIO()
    with av.open(made, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (speech_like(16_000, 1.0)[None] * 32_767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return made.getvalue()


def _many_channels(random: Random, _: bytes) -> tuple[str, bytes]:
    channels = random.randrange(100, 4000)
    data = bytes(2 * channels * 100)
    return _file(wav_header(rate=48_000, channels=channels, data_bytes=len(data)) + data)


def _fast(random: Random, _: bytes) -> tuple[str, bytes]:
    rate = random.randrange(2**22, 2**31 - 1)
    return _file(wav_header(rate=rate, channels=1, data_bytes=20_000) + bytes(20_000))


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(2_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )  # fmt: skip


def _picture_bomb(random: Random, _: bytes) -> tuple[str, bytes]:
    side = random.randrange(20_000, 100_000)
    return _file(_png(side, side), random.choice(["x.png", "x.mp4"]))


def _film_bomb(random: Random, _: bytes) -> tuple[str, bytes]:
    """An AVI film whose frames are larger than a wall."""
    side = random.randrange(10_000, 60_000)
    strf = struct.pack("<LllHH4sLllLL", 40, side, side, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    strh = b"vidsMJPG" + struct.pack("<LHHLLLLLLLL", 0, 0, 0, 0, 1, 25, 0, 1000, 0, 0, 0) + bytes(8)
    avih = struct.pack("<14L", 40_000, 0, 0, 0x10, 1000, 0, 1, 0, side, side, 0, 0, 0, 0)

    def riff(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)

    strl = riff(b"LIST", b"strl" + riff(b"strh", strh) + riff(b"strf", strf))
    hdrl = riff(b"LIST", b"hdrl" + riff(b"avih", avih) + strl)
    movi = riff(b"LIST", b"movi" + riff(b"00dc", random.randbytes(2000)))
    return _file(riff(b"RIFF", b"AVI " + hdrl + movi), "film.avi")


def _empty_container(random: Random, _: bytes) -> tuple[str, bytes]:
    """A container that says that it holds something."""
    return _file(
        random.choice(
            [
                b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + struct.pack(">L", 2**31 - 1) + b"moov" + bytes(100),
                b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + random.randbytes(400),
                b"fLaC\x80\0\0\x22" + b"\xff" * 34,
                b"OggS\0\2" + random.randbytes(200),
                wav_header(rate=0, channels=0, data_bytes=2**32 - 1),
                b"RIFF\xff\xff\xff\xffWAVE",
            ]
        )
    )


_KINDS: Final[dict[str, Callable[[Random, bytes], tuple[str, bytes]]]] = {
    "cut form": _cut_form, "length too large": _too_long, "length too small": _too_short,
    "length enormous": _enormous, "length nonsense": _bad_length, "chunks nonsense": _bad_chunks,
    "two framings": _two_framings, "wrong boundary": _wrong_boundary, "other fields": _other_fields,
    "part headers": _part_headers, "nested forms": _nested, "path names": _path_name, "noise": _noise,
    "text polyglot": _text_polyglot, "zip polyglot": _zip_polyglot, "ten hours": _ten_hours,
    "many channels": _many_channels, "fast": _fast, "picture bomb": _picture_bomb, "film bomb": _film_bomb,
    "empty container": _empty_container,
}  # fmt: skip
"""21 kinds."""
