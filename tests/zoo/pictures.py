"""Pictures of every shape: orientations, formats of pixels, sizes, rates, streams, and who is in them."""

from __future__ import annotations

from typing import Final

from tests.support.media_files import ORIENTATIONS
from tests.zoo.kind import Kind, film, never, talk, twice
from tests.zoo.steps import concat_list, display_matrix

_INVERSE: Final = {
    "as coded": "null",
    "turned left": "transpose=clock",
    "turned around": "hflip,vflip",
    "turned right": "transpose=cclock",
    "left to right": "hflip",
    "upside down": "vflip",
    "transposed": "transpose=cclock_flip",
    "transposed, turned around": "transpose=clock_flip",
}
"""How ffmpeg turns an upright frame into what a player turns upright again."""

ORIENTED: Final = tuple(
    film(
        f"{name.replace(',', '').replace(' ', '-')}.mp4",
        f"-vf {_INVERSE[name]} {{h264}}",
        display_matrix(matrix),
    )
    for name, (matrix, _) in ORIENTATIONS.items()
)

_X264: Final = "-c:v libx264 -preset ultrafast"

PIXELS: Final = (
    talk("yuv422-10-bit.mov", "-c:v prores_ks -profile:v 2 -pix_fmt yuv422p10le -c:a aac"),
    talk("yuv420-10-bit.mkv", f"{_X264} -pix_fmt yuv420p10le -c:a aac"),
    talk("yuv444.mkv", f"{_X264} -pix_fmt yuv444p -c:a aac"),
    talk("full-range.mp4", f"{_X264} -pix_fmt yuvj420p -c:a aac"),
    talk("gray.mkv", f"{_X264} -pix_fmt gray -c:a aac"),
    talk("screen-rgb.mkv", "-c:v libx264rgb -preset ultrafast -pix_fmt rgb24 -c:a aac"),
    talk("lossless-rgb.mov", "-c:v png -pix_fmt rgb24 -c:a aac"),
    talk("animation.mov", "-c:v qtrle -pix_fmt rgb24 -c:a aac"),
    talk("alpha.webm", "{vp8} -auto-alt-ref 0 -pix_fmt yuva420p -c:a libopus"),
    talk("interlaced.mpg", "-vf tinterlace=interleave_top {mpeg2} -flags +ilme+ildct -c:a mp2"),
    talk("interlaced.ts", f"-vf tinterlace=interleave_top {_X264} -x264-params interlaced=1 -c:a aac"),
)

_MIDDLE: Final = "no face in the middle of the frame: the whole frame was searched"

SHAPES: Final = (
    talk("anamorphic.mp4", "-vf scale=160:240,setsar=2 {h264} -c:a aac"),
    talk("anamorphic.mkv", "-vf scale=160:240,setsar=2 {h264} -c:a aac"),
    talk("anamorphic.mpg", "-vf scale=240:240,setdar=4/3 {mpeg2} -c:a mp2"),
    talk("odd-sides.mkv", "-vf scale=321:241,setsar=1 {mjpeg} -pix_fmt yuvj444p -c:a aac", size=(321, 241)),
    talk("portrait.mp4", "-vf scale=240:180,pad=240:426:0:123:gray {h264} -c:a aac", size=(240, 426)),
    talk(
        "very-wide.mp4",
        "-vf pad=1280:240:960:0:gray {h264} -c:a aac",
        size=(1280, 240),
        predict_notes=(_MIDDLE,),
    ),
    talk("tiny.mp4", "-vf scale=32:24 {h264} -c:a aac", size=(32, 24), people=0),
    talk(
        "full-hd.mp4",
        "-vf scale=1440:1080,pad=1920:1080:240:0 {h264} -c:a aac",
        size=(1920, 1080),
    ),
    Kind(
        "size-changes.webm",
        (
            "ffmpeg {talk} {vp8} -c:a libopus {tmp}/a.webm",
            "ffmpeg {talk} -vf scale=160:120 {vp8} -c:a libopus {tmp}/b.webm",
            concat_list("a.webm", "b.webm"),
            "ffmpeg -f concat -i {tmp}/list -c copy {out}",
        ),
        duration_s=10.0,
        heard=twice,
        seen_s=(0.0, 10.0),
    ),
    Kind(
        "size-changes.ts",
        (
            "ffmpeg {talk} {h264} -c:a aac {tmp}/a.ts",
            "ffmpeg {talk} -vf scale=480:360 {h264} -c:a aac {tmp}/b.ts",
            "cat {tmp}/a.ts {tmp}/b.ts",
        ),
        duration_s=10.0,
        heard=twice,
        seen_s=(0.0, 10.0),
        notes=(r"the timestamps jump at (4\.9|5\.0)\d s: .*",),
    ),
)

RATES: Final = (
    talk("fps-120.mp4", "-vf fps=120 {h264} -c:a aac"),
    talk("fps-ntsc.mp4", "-vf fps=30000/1001 {h264} -c:a aac"),
    talk("fps-10.mp4", "-vf fps=10 {h264} -c:a aac"),
    talk("fps-1.mp4", "-vf fps=1 {h264} -c:a aac", seen_s=(0.0, 4.0)),
    Kind(
        "slides.mkv",
        (
            "ffmpeg -stream_loop 5 -i {film} -i {voice} -t 30 -vf fps=1/10:round=up "
            "-af apad=whole_dur=30 {h264} -c:a aac {out}",
        ),
        duration_s=30.0,
        seen_s=(0.0, 20.0),
        read_s=(0.0, 30.0),
    ),
    talk("variable.mkv", r"-vf select='not(mod(n\,3))+gt(n\,60)' -vsync vfr {h264} -c:a aac"),
    talk("variable.mp4", r"-vf select='not(mod(n\,7))+between(n\,30\,60)' -vsync vfr {h264} -c:a aac"),
    talk("duplicates.avi", "-vf fps=50 {mpeg4} -c:a libmp3lame"),
)

BARE: Final = (
    film("bare.h264", "{h264}"),
    film("bare-b-frames.264", "-c:v libx264 -preset veryfast -bf 3 -f h264"),
    film("bare.hevc", "{hevc}"),
    film("bare.m2v", "{mpeg2}"),
    film("bare.m4v", "{mpeg4} -f m4v"),
    film("bare.mjpeg", "{mjpeg}"),
    film("video-only.ivf", "{vp8}"),
    film("uncompressed.y4m", "-c:v wrapped_avframe -f yuv4mpegpipe"),
)

_BLANK: Final = "-vf drawbox=c=gray:t=fill"
_HIDDEN: Final = ("no face in 8 of 20 frames: the nearest one was read",)
"""Two of five seconds."""

PEOPLE: Final = (
    talk("nobody.mp4", f"{_BLANK} {{h264}} -c:a aac", people=0),
    talk(
        "leaves.mp4",
        f"{_BLANK}:enable='gt(t\\,3)' {{h264}} -c:a aac",
        seen_s=(0.0, 3.0),
        predict_notes=_HIDDEN,
    ),
    talk(
        "comes.mp4",
        f"{_BLANK}:enable='lt(t\\,2)' {{h264}} -c:a aac",
        seen_s=(2.0, 5.0),
        predict_notes=_HIDDEN,
    ),
    talk("away.mp4", "-vf pad=640:480:320:120:gray {h264} -c:a aac", size=(640, 480)),
)

_SILENCE: Final = "-f lavfi -i anullsrc=r=48000:cl=mono"
_EACH: Final = "-map 0 -map 1 -map 2 -t 5"

STREAMS: Final = (
    film("film-alone.mp4", "{h264}"),
    Kind("silent-audio.mp4", (f"ffmpeg -i {{film}} {_SILENCE} -t 5 {{h264}} -c:a aac {{out}}",), heard=never),
    Kind(
        "silent-audio-first.mkv",
        (f"ffmpeg -i {{film}} {_SILENCE} -i {{voice}} {_EACH} {{h264}} -c:a aac -disposition:a 0 {{out}}",),
        notes=("audio stream 2 is read, and not 1: see --audio-stream",),
    ),
    Kind(
        "two-languages.mp4",
        (
            f"ffmpeg -i {{film}} -f lavfi -i sine=440:d=5:r=48000 -i {{voice}} {_EACH} {{h264}} -c:a aac "
            "-metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -disposition:a:0 0 "
            "-disposition:a:1 default {out}",
        ),
        notes=(r"audio stream 2 \(deu\) is read, and not 1 \(eng\): see --audio-stream",),
    ),
    Kind(
        "thumbnail-first.mkv",
        (
            f"ffmpeg -i {{film}} -i {{film}} -i {{voice}} {_EACH} -filter:v:0 select='eq(n\\,0)' -c:v:0 png "
            "-c:v:1 libx264 -preset ultrafast -pix_fmt:v:1 yuv420p -c:a aac -disposition:v:0 0 {out}",
        ),
        notes=(r"video stream 2 \((eng, )?320x240\) is read, and not 1 \(.*\): see --video-stream",),
    ),
    Kind(
        "two-films.mkv",
        (
            f"ffmpeg -i {{film}} -i {{film}} -i {{voice}} {_EACH} -filter:v:0 scale=160:120,drawbox=t=fill "
            "{h264} -c:a aac -disposition:v 0 {out}",
        ),
        notes=(r"video stream 2 \((eng, )?320x240\) is read, and not 1 \((eng, )?160x120\): see .*",),
    ),
)

KINDS: Final = ORIENTED + PIXELS + SHAPES + RATES + BARE + PEOPLE + STREAMS
