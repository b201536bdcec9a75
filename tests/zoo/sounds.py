"""Audio alone: codecs, sample formats, rates, channels and levels."""

from __future__ import annotations

from typing import Any, Final

from tests.zoo.kind import Kind, never, sound, twice, voice
from tests.zoo.steps import append, damage, encode, keep_share, wav_length

CODECS: Final = (
    voice("u8.wav", "-c:a pcm_u8"),
    voice("s16.wav", "-c:a pcm_s16le"),
    voice("s24.wav", "-c:a pcm_s24le"),
    voice("s32.wav", "-c:a pcm_s32le"),
    voice("f32.wav", "-c:a pcm_f32le"),
    voice("f64.wav", "-c:a pcm_f64le"),
    voice("mu-law.wav", "-c:a pcm_mulaw -ar 8000"),
    voice("a-law.wav", "-c:a pcm_alaw -ar 8000"),
    voice("adpcm-microsoft.wav", "-c:a adpcm_ms"),
    voice("adpcm-ima.wav", "-c:a adpcm_ima_wav"),
    sound("gsm.wav", "sox {voice} -r 8000 -e gsm-full-rate {out}"),
    voice("sony.w64", "-c:a pcm_s16le"),
    voice("rf64.wav", "-c:a pcm_s16le -rf64 always"),
    voice("broadcast.wav", "-c:a pcm_s24le -write_bext 1 -metadata description=interview"),
    voice("apple.aiff", "-c:a pcm_s16be"),
    sound("apple.aifc", "sox {voice} {out}"),
    voice("sun.au", "-c:a pcm_s16be"),
    voice("sun-mu-law.au", "-c:a pcm_mulaw -ar 8000"),
    voice("pcm.caf", "-c:a pcm_s16be"),
    voice("alac.caf", "-c:a alac"),
    sound(
        "telephone.amr",
        "ffmpeg -i {voice} -ar 8000 {tmp}/a.wav",
        encode("libopencore_amrnb", 12200),
        pyav_encoder="libopencore_amrnb",
        tolerance_s=0.3,  # its length is estimated from its bit rate
    ),
    voice("lame.mp3", "-c:a libmp3lame"),
    voice("without-header.mp3", "-c:a libmp3lame -write_xing 0 -id3v2_version 0"),
    voice("variable.mp3", "-c:a libmp3lame -q:a 5"),
    voice("mpeg2-rate.mp3", "-c:a libmp3lame -ar 16000"),
    voice("layer-2.mp2", "-c:a mp2"),
    voice("adts.aac", "-c:a aac"),
    voice("tagged.aac", "-c:a aac -write_id3v2 1 -metadata title=x"),
    voice("latm.aac", "-c:a aac -f latm"),
    voice("mp3.wav", "-c:a libmp3lame"),
    voice("opus.mp4", "-c:a libopus"),
    voice("audiobook.m4b", "-c:a aac -f ipod"),
    voice("alac.m4a", "-c:a alac"),
    voice("dolby.ac3", "-c:a ac3"),
    voice("dolby.eac3", "-c:a eac3"),
    voice("lossless.flac", "-c:a flac"),
    voice("piped.flac", "-c:a flac -f flac", piped=True),
    voice("flac.ogg", "-c:a flac"),
    voice("vorbis.oga", "-c:a libvorbis -f ogg"),
    voice("messenger.opus", "-c:a libopus -b:a 16k -ar 16000"),
    voice("speex.ogg", "-c:a libspeex -ar 16000"),
    voice("browser.weba", "-c:a libopus -f webm"),
    voice("matroska.mka", "-c:a libvorbis"),
    voice("old.ra", "-c:a real_144 -ar 8000 -f rm"),
    voice("windows-media.wma", "-c:a wmav2"),
    voice("wavpack.wv", "-c:a wavpack"),
    voice("true-audio.tta", "-c:a tta"),
)


def _joined(name: str, how: str, **expected: Any) -> Kind:
    """Twice the voice; two encodings, so that streams in Ogg have different numbers."""
    suffix = name[name.index(".") :]
    parts = [f"{{tmp}}/{part}{suffix}" for part in "ab"]
    made = [f"ffmpeg -i {{voice}} {how} {part}" for part in parts]
    expected = {"duration_s": 10.0, "heard": twice, "tolerance_s": 0.15, **expected}
    return sound(name, *made, f"cat {' '.join(parts)}", **expected)


_COVER: Final = "-i {film} -map 0 -map 1 -frames:v 1 -c:v mjpeg -disposition:v attached_pic"
_PCM: Final = "-c:a pcm_s16le -bitexact"

FILES: Final = (
    voice("piped.wav", "-c:a pcm_s16le -f wav", piped=True),
    voice("espeak.wav", _PCM, wav_length(0x7FFFFFFF, 0x7FFFFFFF - 36)),
    voice("zero-lengths.wav", _PCM, wav_length(0, 0)),
    voice(
        "cut.wav", _PCM, keep_share(0.5), duration_s=2.5, heard=lambda start_s, _: (start_s, 2.5),
        notes=(r"damaged: decoding stopped at 2\.(49|50) s",),
    ),
    voice(
        "cut.flac", "-c:a flac", keep_share(0.5), notes=("damaged: .*",), tolerance_s=0.5,
        heard=lambda start_s, _: (start_s, 2.0),
    ),
    voice(
        "cut.mp3", "-c:a libmp3lame -b:a 64k", keep_share(0.5), duration_s=2.5,
        heard=lambda start_s, _: (start_s, 2.5),
    ),
    voice("scratched.flac", "-c:a flac", damage(0.5, 2000), notes=None),
    _joined("joined.mp3", "-c:a libmp3lame"),
    _joined("joined.aac", "-c:a aac"),
    _joined("joined.ogg", "-c:a libvorbis", notes=(r"the timestamps jump at 5\.0\d s: .*",)),
    _joined("joined.ac3", "-c:a ac3"),
    voice("cover.mp3", f"{_COVER} -c:a libmp3lame"),
    voice("cover.m4a", f"{_COVER} -c:a aac -f mp4"),
    voice("cover.flac", f"{_COVER} -c:a flac"),
    voice("wrong-suffix.mp4", f"{_PCM} -f wav"),
    voice("tag-at-the-end.wav", _PCM, append(b"TAG" + bytes(125))),
)  # fmt: skip

RATES: Final = tuple(
    voice(f"rate-{rate}.wav", f"-ar {rate}")
    for rate in (8000, 11025, 16000, 22050, 44100, 96000, 192000, 384000)
)

_CANCEL: Final = "the channels cancel each other out when mixed: the loudest one was read"


def _mixed(name: str, effects: str, **expected: Any) -> Kind:
    """Through sox with these effects."""
    return sound(name, f"sox {{voice}} {{out}} {effects}", **expected)


CHANNELS: Final = (
    *(_mixed(f"channels-{n}.wav", f"remix {' '.join('1' * n)}") for n in (2, 3, 4, 6, 8)),
    voice("channels-16.wav", "-af pan=hexadecagonal|c0=c0|c1=c0 -c:a pcm_s16le"),
    voice("surround.ac3", "-ac 6 -c:a ac3"),
    voice("surround.opus", "-ac 8 -c:a libopus"),
    _mixed("left-is-silent.wav", "remix 0 1"),
    _mixed("cancels.wav", "remix 1 1i", notes=(_CANCEL,)),
    sound(
        "cancels.m4a",
        "sox {voice} {tmp}/a.wav remix 1 1i",
        "ffmpeg -i {tmp}/a.wav -c:a aac -b:a 128k {out}",
        notes=(_CANCEL,),
    ),
    _mixed("cancels-of-eight.wav", "remix 1 1i 1 1i 1 1i 1 1i", notes=(_CANCEL,)),
)

_CLIPPED: Final = r"the audio is clipped \(.*\): the voice may be read wrongly"
_NO_SPEECH: Final = "hardly any speech was detected: the result for the voice may be meaningless"

LEVELS: Final = (
    _mixed("offset.wav", "gain -3 dcshift 0.3"),
    _mixed("quiet.flac", "gain -38"),
    _mixed("clipped.wav", "gain 24", predict_notes=(_CLIPPED,)),
    voice("very-loud.wav", "-af volume=30dB -c:a pcm_f32le", predict_notes=(_CLIPPED,)),
    _mixed("silent.wav", "vol 0", heard=never),
    _mixed("offset-alone.wav", "vol 0 dcshift 0.2", heard=never),
    sound(
        "music.wav",
        "ffmpeg -f lavfi -i sine=440:d=5:r=48000 {out}",
        heard=never,
        predict_notes=(_NO_SPEECH,),
    ),
    _mixed(
        "very-short.wav",
        "trim 1 0.3",
        duration_s=0.3,
        heard=lambda _start_s, _end_s: (0.0, 0.3),
        predict_notes=("audio is 0.3 s: little to read a voice from", "hardly any speech was detected: .*"),
    ),
)

LONG: Final = (
    _mixed("half-an-hour.flac", "pad 0 1800", duration_s=1805.0, timeline=False),
    sound(
        "eight-channels-at-192-khz.flac",
        "ffmpeg -i {voice} -af apad=whole_dur=60 -ac 8 -ar 192000 -c:a flac -compression_level 0 {out}",
        duration_s=60.0,
        timeline=False,
    ),
)

KINDS: Final = CODECS + FILES + RATES + CHANNELS + LEVELS + LONG
