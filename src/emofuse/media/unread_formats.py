"""Formats that are not read, recognized by their first bytes, so that a message can name them and a way out.

They are not opened at all, so the answer does not depend on which of them a version of FFmpeg would read.
"""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 512
"""How much of a file :func:`unread_format` looks at."""
JPEG: Final = b"\xff\xd8\xff"
"""How JPEG images start, and bare streams of them."""
JPEG_BYTES: Final = 16 * 2**20
"""How much of a file that starts like this :func:`unread_format` looks at: more than one image."""

_SOX: Final = "a {0} file, which is not read: convert it, for example: sox in.{1} out.wav"
_FFMPEG: Final = "a {0} file, which is not read: convert it, for example: ffmpeg -i in.{1} out.wav"
_GIF: Final = "a GIF image, which is not read: convert it, for example: ffmpeg -i in.gif out.mp4"
_IMAGE: Final = (
    "a {0} image, and only recordings are read; in Python, predict(frames=[image], fps=1) reads a still image"
)
_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"RIFX", _SOX.format("big-endian WAV (RIFX)", "wav")),
    (b"NIST_1A", _SOX.format("NIST SPHERE", "sph")),
    (b"Creative Voice File", _SOX.format("Creative Voice (VOC)", "voc")),
    (b" paf", _SOX.format("PARIS (PAF)", "paf")),
    (b"fap ", _SOX.format("PARIS (PAF)", "paf")),
    (b"2BIT", _SOX.format("AVR", "avr")),
    (b"ALawSoundFile**", _SOX.format("Psion (WVE)", "wve")),
    (b".SoX", _SOX.format("SoX", "sox")),
    (b"XoS.", _SOX.format("SoX", "sox")),
    (b"\x64\xa3\x01\0", _SOX.format("IRCAM", "sf")),
    (b"\x64\xa3\x02\0", _SOX.format("IRCAM", "sf")),
    (b"DSD ", _FFMPEG.format("DSF (DSD audio)", "dsf")),
    (b"FRM8", _FFMPEG.format("DSDIFF (DSD audio)", "dff")),
    (b"ajkg", _FFMPEG.format("Shorten", "shn")),
    (b"MPCK", _FFMPEG.format("Musepack", "mpc")),
    (b"MP+", _FFMPEG.format("Musepack", "mpc")),
    (b"tBaK", _FFMPEG.format("TAK", "tak")),
    (b"\x7f\xfe\x80\x01", _FFMPEG.format("DTS", "dts")),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"\x89PNG\r\n\x1a\n", _IMAGE.format("PNG")),
    (b"II*\0", _IMAGE.format("TIFF")),
    (b"MM\0*", _IMAGE.format("TIFF")),
    (b"\xff\x0a", _IMAGE.format("JPEG XL")),
    (b"\0\0\0\x0cJXL ", _IMAGE.format("JPEG XL")),
    (b"\0\0\0\x0cjP  ", _IMAGE.format("JPEG 2000")),
    (b"8BPS", _IMAGE.format("Photoshop")),
)
_IMAGE_BRANDS: Final = {
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"mif1": "HEIF", b"avif": "AVIF",
}  # fmt: skip
"""Of still images in the container of MP4; sequences of images (msf1, hevc, avis) are recordings."""
_KINDS: Final[dict[bytes, dict[bytes, str]]] = {
    b"RIFF": {b"WEBP": _IMAGE.format("WebP"), b"QLCM": _FFMPEG.format("QCP", "qcp")},
    b"FORM": {kind.encode(): _SOX.format(kind, "iff") for kind in ("8SVX", "16SV", "MAUD")},
}
"""By the first four bytes and those from the ninth on."""
SUFFIXES: Final = frozenset((
    ".8svx", ".avif", ".avr", ".bmp", ".dff", ".dsf", ".dts", ".gif", ".gsm", ".heic", ".heif", ".jp2",
    ".jpeg", ".jpg", ".jxl", ".maud", ".mpc", ".paf", ".png", ".psd", ".qcp", ".sf", ".shn", ".sox",
    ".sph", ".tak", ".tif", ".tiff", ".voc", ".webp", ".wve",
))  # fmt: skip
"""Suffixes, in lower case, of these formats."""
_GSM_FRAME: Final = 33
"""Bytes per frame of a raw GSM 06.10 file, which is known only by the first four bits of each frame."""


def unread_format(head: bytes) -> str | None:
    """What a file is and what to do with it, from its first bytes; None if it may be a recording."""
    if head.startswith(JPEG):
        return None if _is_motion_jpeg(head) else _IMAGE.format("JPEG")
    for prefix, problem in _PREFIXES:
        if head.startswith(prefix):
            return problem
    kind = head[8:12]
    if head[:4] in _KINDS:
        return _KINDS[head[:4]].get(kind)
    if head[4:8] == b"ftyp" and kind in _IMAGE_BRANDS:
        return _IMAGE.format(_IMAGE_BRANDS[kind])
    return _without_signature(head)


def _without_signature(head: bytes) -> str | None:
    """The same for formats that are known by the shape of what they hold."""
    if head[:2] == b"BM" and head[6:10] == head[15:18] + b"\0" == bytes(4):
        return _IMAGE.format("BMP")
    first_bytes = head[::_GSM_FRAME]
    if len(first_bytes) > 4 and all(byte >> 4 == 0xD for byte in first_bytes):
        return _SOX.format("raw GSM", "gsm")
    return None


def _is_motion_jpeg(head: bytes) -> bool:
    """Whether one image follows another: a bare stream, and no photo in several sizes."""
    end = head.find(b"\xff\xd9" + JPEG)
    return end > 0 and head.find(b"MPF\0", 0, end) < 0
