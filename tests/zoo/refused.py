"""What is not read: each is named, with a way out."""

from __future__ import annotations

from typing import Final

from tests.zoo.kind import Kind, Step
from tests.zoo.steps import write_bytes


def _refused(name: str, problem: str, *make: Step) -> Kind:
    return Kind(name, make, refused=problem)


_HEIC: Final = (24).to_bytes(4, "big") + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(4000)
_PAGE: Final = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
_SUBTITLES: Final = b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n"

NO_RECORDINGS: Final = (
    _refused("empty.mp4", r"the file is empty \(0 bytes\)", write_bytes(b"")),
    _refused("text.mp4", "not a media file", write_bytes(b"These are my notes on the interview.\n" * 100)),
    _refused("zeros.mp4", "not a media file|neither audio nor video", write_bytes(bytes(50000))),
    _refused("sign-in.mp4", "not a media file", write_bytes(_PAGE * 20)),
    _refused("playlist.m3u8", "not a media file", write_bytes(b"#EXTM3U\n#EXTINF:1,\na.ts\n")),
    _refused("subtitles.srt", "not a media file", write_bytes(_SUBTITLES * 20)),
    _refused("archive.zip", "not a media file", write_bytes(b"PK\x03\x04" + bytes(range(256)) * 40)),
)

_DSF: Final = b"DSD " + (28).to_bytes(8, "little") + bytes(5000)

SOUNDS: Final = (
    _refused("corpus.sph", r"a NIST SPHERE file, .* sox in\.sph out\.wav", "sox {voice} {out}"),
    _refused("corpus.wav", "a NIST SPHERE file", "sox {voice} {tmp}/a.sph", "cat {tmp}/a.sph"),
    _refused("big-endian.wav", r"a big-endian WAV \(RIFX\) file, .* sox in\.wav", "sox {voice} -B {out}"),
    _refused("creative.voc", r"a Creative Voice \(VOC\) file, .* sox in\.voc", "sox {voice} -b 8 {out}"),
    _refused("bare.gsm", r"a raw GSM file, .* sox in\.gsm", "sox {voice} -r 8000 {out}"),
    _refused("studio.dsf", r"a DSF \(DSD audio\) file, .* ffmpeg -i in\.dsf", write_bytes(_DSF)),
    _refused("dolby.dts", r"a DTS file, .* ffmpeg -i in\.dts", "ffmpeg -i {voice} -c:a dca -strict -2 {out}"),
)

_IMAGE: Final = "image, and only recordings are read; in Python, predict"
_IMAGES: Final = {
    "jpg": "JPEG", "png": "PNG", "bmp": "BMP", "tiff": "TIFF", "webp": "WebP", "jp2": "JPEG 2000",
}  # fmt: skip

IMAGES: Final = (
    _refused("moving.gif", r"a GIF image, .* ffmpeg -i in\.gif out\.mp4", "ffmpeg -i {film} -t 1 {out}"),
    _refused("phone.heic", f"a HEIC {_IMAGE}", write_bytes(_HEIC)),
    *(
        _refused(f"still.{suffix}", f"a {name} {_IMAGE}", "ffmpeg -i {film} -frames:v 1 {out}")
        for suffix, name in _IMAGES.items()
    ),
)

KINDS: Final = NO_RECORDINGS + SOUNDS + IMAGES
