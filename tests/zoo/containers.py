"""Containers, whole, joined and cut: the same person and the same speech in each."""

from __future__ import annotations

from typing import Any, Final

from tests.zoo.kind import Kind, Span, Step, talk, twice
from tests.zoo.steps import append, damage, keep_share

_MP4: Final = "{h264} -g 25 -c:a aac"
_FRAGMENTED: Final = f"{_MP4} -movflags +frag_keyframe+empty_moov"
_TS: Final = f"{_MP4} -f mpegts"
_WEBM: Final = "{vp8} -g 25 -c:a libopus -f webm"
_PAL: Final = "-vf scale=720:576,setsar=16/15"
_CIF: Final = "-vf scale=352:288,setsar=1"

WHOLE: Final = (
    talk("aac.mp4", _MP4),
    talk("faststart.mp4", f"{_MP4} -movflags +faststart"),
    talk("fragmented.mp4", _FRAGMENTED),
    talk("fragments-of-a-second.mp4", f"{_FRAGMENTED}+default_base_moof -frag_duration 1000000"),
    talk("piped.mp4", f"{_FRAGMENTED} -f mp4", piped=True),
    talk("b-frames.mp4", "-c:v libx264 -preset veryfast -bf 3 -g 250 -c:a aac"),
    talk("hevc-10-bit.mp4", "{hevc} -pix_fmt yuv420p10le -tag:v hvc1 -c:a aac"),
    talk("av1.mp4", "-c:v libsvtav1 -preset 10 -c:a aac"),
    talk("alac.m4v", "{h264} -c:a alac -f mp4"),
    talk("sorenson.mov", "-c:v svq1 -c:a adpcm_ima_qt -ar 44100"),
    talk("camera.mov", "{h264} -c:a pcm_s16be"),
    talk("motion-jpeg.mov", "{mjpeg} -pix_fmt yuvj422p -c:a pcm_mulaw"),
    talk("timecode.mov", f"{_MP4} -timecode 10:00:00:00"),
    talk("phone.3gp", f"{_CIF} -c:v h263 -c:a aac -ar 16000", size=(352, 288)),
    talk("flac.mkv", "{h264} -c:a flac"),
    talk("piped.mkv", f"{_MP4} -f matroska", piped=True),
    talk("attachment.mkv", "{h264} -c:a libvorbis -attach {voice} -metadata:s:t mimetype=audio/x-wav"),
    talk("vp8-vorbis.webm", "{vp8} -c:a libvorbis"),
    talk("vp9-opus.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
    talk("piped.webm", _WEBM, piped=True),
    talk("live.webm", f"{_WEBM} -live 1"),
    talk("divx.avi", "{mpeg4} -bf 2 -c:a libmp3lame"),
    talk("camera.avi", "{mjpeg} -c:a pcm_u8 -ar 11025"),
    talk("uncompressed.avi", "-c:v rawvideo -pix_fmt bgr24 -c:a pcm_s16le"),
    talk("h264.flv", _MP4),
    talk("nellymoser.flv", "-c:v flv -q:v 3 -c:a nellymoser -ar 22050"),
    talk("sorenson.flv", "-c:v flv -q:v 3 -c:a libmp3lame -ar 44100"),
    talk("without-duration.flv", f"{_MP4} -flvflags no_duration_filesize -f flv", piped=True),
    talk("broadcast.ts", _TS),
    talk("clock-wraps.ts", f"{_TS} -output_ts_offset 95440"),
    talk("studio.ts", "{h264} -c:a s302m -ac 2 -strict -2"),
    talk("camcorder.m2ts", "{h264} -c:a ac3 -f mpegts -mpegts_m2ts_mode 1"),
    talk("mpeg1.mpg", "-c:v mpeg1video -q:v 3 -c:a mp2"),
    talk("dvd.vob", "{mpeg2} -c:a ac3 -f vob"),
    talk("theora.ogv", "-c:v libtheora -q:v 8 -c:a libvorbis"),
    talk("windows-media.wmv", "-c:v wmv2 -q:v 3 -c:a wmav2"),
    talk("broadcast.mxf", "{mpeg2} -c:a pcm_s16le"),
    talk("any.nut", "{mpeg4} -c:a libmp3lame"),
    talk("real.rm", f"{_CIF} -c:v rv10 -q:v 3 -c:a ac3", size=(352, 288)),
    talk("tape.dv", f"{_PAL} -c:v dvvideo -pix_fmt yuv420p -c:a pcm_s16le -ac 2", size=(768, 576)),
)

_JUMP: Final = r"the timestamps jump at (4\.9|5\.0)\d s: the parts follow one another"


def _joined(name: str, how: str, **expected: Any) -> Kind:
    """Twice the same file, one after the other."""
    part = f"{{tmp}}/a{name[name.index('.') :]}"
    make: tuple[Step, ...] = (f"ffmpeg {{talk}} {how} {part}", f"cat {part} {part}")
    return Kind(name, make, duration_s=10.0, heard=twice, seen_s=(0.0, 10.0), notes=(_JUMP,), **expected)


JOINED: Final = (
    _joined("joined.ts", _TS),
    _joined("joined.flv", _MP4),
    _joined("joined.mpg", "-c:v mpeg1video -q:v 3 -c:a mp2"),
)


def _in_speech(start_s: float, _end_s: float) -> Span:
    """Half of a file ends while somebody speaks."""
    return start_s, 2.5


def _cut(name: str, how: str, share: float = 0.5, **expected: Any) -> Kind:
    """The first part of a file; how long it lasts depends on how many bytes a second has."""
    expected = {"heard": _in_speech, "notes": ("damaged: .*",), **expected}
    return talk(name, how, keep_share(share), seen_s=(0.0, 5.0 * share), tolerance_s=0.6, **expected)


CUT: Final = (
    talk("moov-lost.mp4", _MP4, keep_share(0.6), refused="damaged beyond reading"),
    _cut("cut.mp4", f"{_MP4} -movflags +faststart"),
    _cut(
        "cut-fragmented.mp4",
        _FRAGMENTED,
        0.65,
        duration_s=None,
        heard=lambda start_s, end_s: (start_s, end_s),
    ),
    _cut("cut.mkv", _MP4),
    _cut("cut.webm", _WEBM),
    _cut("cut-live.webm", f"{_WEBM} -live 1", duration_s=None, notes=()),
    _cut("cut.avi", "{mjpeg} -c:a pcm_s16le", duration_s=2.5),
    _cut("cut.ts", _TS, duration_s=2.5, notes=()),
    _cut("cut.flv", _MP4, duration_s=None, notes=None),
    talk("scratched.mkv", "{mpeg4} -g 12 -c:a pcm_s16le", damage(0.5, 4000), notes=None),
    talk("scratched.ts", _TS, damage(0.5, 4000), notes=None),
    talk("more-after-the-end.mp4", _MP4, append(b"not a box" * 500)),
)

KINDS: Final = WHOLE + JOINED + CUT
