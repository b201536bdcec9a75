"""Clocks that start early, late or again, and streams that are not as long as each other."""

from __future__ import annotations

from typing import Final

from tests.zoo.kind import Kind, late, sound, talk, twice

_JUMP: Final = r"the timestamps jump at (4\.9|5\.0)\d s: the parts follow one another"
_MP4: Final = "{h264} -g 25 -c:a aac"
_EARLY: Final = "-avoid_negative_ts disabled -output_ts_offset"
_SUFFIXES: Final = ("mp4", "mkv", "ts")

STARTS: Final = (
    Kind(
        "leaps.ts",
        (
            "ffmpeg {talk} {h264} -c:a aac {tmp}/a.ts",
            "ffmpeg {talk} {h264} -c:a aac -output_ts_offset 1000 {tmp}/b.ts",
            "cat {tmp}/a.ts {tmp}/b.ts",
        ),
        duration_s=10.0,
        heard=twice,
        seen_s=(0.0, 10.0),
        notes=(_JUMP,),
    ),
    Kind(
        "goes-back.ts",
        (
            "ffmpeg {talk} {h264} -c:a aac -output_ts_offset 1000 {tmp}/a.ts",
            "ffmpeg {talk} {h264} -c:a aac {tmp}/b.ts",
            "cat {tmp}/a.ts {tmp}/b.ts",
        ),
        duration_s=10.0,
        heard=twice,
        seen_s=(0.0, 10.0),
        notes=(_JUMP,),
    ),
    talk("starts-at-an-hour.mkv", f"{_MP4} -output_ts_offset 3600"),
    talk("starts-at-an-hour.mp4", f"{_MP4} -output_ts_offset 3600"),
    # MP4 hides what is before its start, Matroska and broadcasts show it
    talk("starts-early.mp4", f"{_MP4} {_EARLY} -0.5", duration_s=4.5, heard=late(-0.5), seen_s=(0.0, 4.5)),
    talk("starts-early.mkv", f"{_MP4} {_EARLY} -0.5"),
    talk("starts-early.ts", f"{_MP4} -muxdelay 0 {_EARLY} -2"),
    Kind(
        "edit-list.mp4",
        (f"ffmpeg {{talk}} {_MP4} -g 250 {{tmp}}/a.mp4", "ffmpeg -ss 0.6 -i {tmp}/a.mp4 -c copy {out}"),
        duration_s=4.4,
        heard=late(-0.6),
        seen_s=(0.0, 4.4),
    ),
    Kind(
        "cut-at-a-key-frame.mkv",
        (
            f"ffmpeg {{talk}} {_MP4} {{tmp}}/a.mkv",
            "ffmpeg -ss 1.2 -i {tmp}/a.mkv -c copy -avoid_negative_ts make_zero {out}",
        ),
        duration_s=4.0,
        heard=late(-1.0),
        seen_s=(0.0, 4.0),
    ),
)

LENGTHS: Final = (
    *(
        Kind(
            f"late-sound.{suffix}",
            (f"ffmpeg -i {{film}} -itsoffset 1 -i {{voice}} -t 5 {_MP4} {{out}}",),
            heard=late(1.0),
        )
        for suffix in _SUFFIXES
    ),
    *(
        Kind(
            f"late-pictures.{suffix}",
            (f"ffmpeg -itsoffset 1 -i {{film}} -i {{voice}} -t 5 -vsync passthrough {_MP4} {{out}}",),
            seen_s=(1.0, 5.0),
        )
        for suffix in _SUFFIXES
    ),
    *(
        Kind(
            f"sound-goes-on.{suffix}",
            (f"ffmpeg -t 2 -i {{film}} -i {{voice}} {_MP4} {{out}}",),
            seen_s=(0.0, 2.0),
        )
        for suffix in _SUFFIXES
    ),
    *(
        Kind(f"pictures-go-on.{suffix}", (f"ffmpeg -i {{film}} -t 3.5 -i {{voice}} {_MP4} {{out}}",))
        for suffix in _SUFFIXES
    ),
    Kind("one-picture.mkv", (f"ffmpeg {{talk}} -vf select='eq(n\\,0)' {_MP4} {{out}}",), seen_s=(0.0, 0.0)),
)

_AGAIN: Final = "ffmpeg -stream_loop 1 -i {film} -stream_loop 1 -i {voice}"

GAPS: Final = (
    *(
        Kind(
            f"gap.{suffix}",
            (f"{_AGAIN} -af aselect='lt(t\\,3.5)+gt(t\\,5.5)' {how} {{out}}",),
            duration_s=10.0,
            heard=twice,
            seen_s=(0.0, 10.0),
        )
        for suffix, how in (("mp4", _MP4), ("mkv", _MP4), ("ts", _MP4), ("webm", "{vp8} -c:a libopus"))
    ),
    talk("gap-in-pictures.mkv", f"-vf select='lt(t\\,2)+gt(t\\,4)' -vsync vfr {_MP4}"),
    Kind(
        "late-speech.mp4",
        (f"ffmpeg -stream_loop 1 -i {{film}} -i {{voice}} -af adelay=5000 {_MP4} {{out}}",),
        duration_s=10.0,
        heard=late(5.0),
        seen_s=(0.0, 10.0),
        predict_notes=(r"voice read from (3 of 10 s, from )?5\.\d s on(; a timeline reads all|, where .*)",),
    ),
    sound(
        "late-speech.wav",
        "sox {voice} {out} pad 4",
        duration_s=9.0,
        heard=late(4.0),
        predict_notes=(r"voice read from 4\.\d s on, where speech starts",),
    ),
)

KINDS: Final = STARTS + LENGTHS + GAPS
