"""What a file says of itself and what it holds: lengths, rates and ends, against how FFmpeg made it."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import LimitError
from emofuse.core.limits import Limits, ReadControl
from emofuse.core.records import Waveform
from emofuse.media.container import open_media
from emofuse.media.decoding import decode, probe
from emofuse.media.file_stream import Frame, open_stream
from emofuse.media.frames import shown_until
from emofuse.media.tags import tags_length
from tests.support import media_files
from tests.support.ffmpeg import needs_ffmpeg, needs_sox
from tests.support.typed import not_none

FAST = "-c:v libx264 -preset ultrafast -bf 2"


def ffmpeg(options: str, path: Path) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options.split(), str(path)], check=True, timeout=60)
    return path


def notes_of(path: Path) -> tuple[str, ...]:
    """The notes of both ways to read a file, which must agree."""
    with open_stream(path, frames_per_s=5.0) as stream:
        list(stream)
        notes = stream.notes
    assert decode(path, n_frames=5).notes == notes
    return notes


@needs_ffmpeg
@pytest.mark.parametrize("rate", ["30", "24000/1001", "50"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_a_bare_stream_has_its_own_rate(tmp_path: Path, codec: str, rate: str) -> None:
    suffix = {"libx264": "h264", "libx265": "hevc", "mpeg2video": "m2v"}[codec]
    how = "-preset ultrafast" if codec != "mpeg2video" else ""
    path = ffmpeg(
        f"-f lavfi -i testsrc2=s=160x96:r={rate} -frames:v 90 -c:v {codec} -bf 2 {how}",
        tmp_path / f"bare.{suffix}",
    )
    numerator, _, denominator = rate.partition("/")
    per_s = int(numerator) / int(denominator or 1)
    with open_stream(path, frames_per_s=math.inf) as stream:
        times = [item.time_s for item in stream if isinstance(item, Frame)]
        assert stream.shown_until_s - times[0] == pytest.approx(90 / per_s, abs=1e-3)
    assert len(times) == 90 and times[-1] - times[0] == pytest.approx(89 / per_s, abs=1e-3)
    spread = not_none(decode(path, n_frames=90).frames).times_s
    assert spread[-1] - spread[0] == pytest.approx(89 / per_s, abs=1e-3)
    assert not_none(probe(path).average_fps) == pytest.approx(per_s, abs=1e-3)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize(("every_s", "length_s"), [(1, 12), (10, 60)])
@pytest.mark.parametrize("audio", [True, False], ids=["audio", "silent"])
def test_frames_that_stand_long_are_no_damage(
    tmp_path: Path, suffix: str, every_s: int, length_s: int, audio: bool
) -> None:
    sound = f"-f lavfi -i sine=440:d={length_s}" if audio else ""
    codec = "-c:v libvpx -deadline realtime -cpu-used 16" if suffix == "webm" else FAST
    made = f"-f lavfi -i color=gray:s=64x48:r=1/{every_s}:d={length_s} {sound} {codec}"
    path = ffmpeg(made, tmp_path / f"standing.{suffix}")
    assert notes_of(path) == ()
    with open_stream(path) as stream:
        times = [item.time_s for item in stream if isinstance(item, Frame)]
        assert stream.shown_until_s == pytest.approx(length_s, abs=0.05)
    assert times == pytest.approx(np.arange(0, length_s, every_s), abs=0.05)


@needs_ffmpeg
def test_a_cut_file_with_long_frames_is_still_damaged(tmp_path: Path) -> None:
    made = f"-f lavfi -i testsrc2=s=320x240:r=1:d=12 {FAST} -movflags +faststart"
    whole = ffmpeg(made, tmp_path / "whole.mp4")
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert [note for note in notes_of(path) if note.startswith("damaged: decoding stopped at ")]


def test_how_long_the_last_frame_is_shown() -> None:
    assert shown_until(3.0, 0.5, 2.0) == 3.5 and shown_until(3.0, 0.0, 2.0) == 5.0


@pytest.mark.parametrize("riff", [0x7FFFFFFF, 0x7FFFF024, 0x80000024, 0xFFFFFFFF, 0xFFFFFF24])
def test_placeholder_lengths_of_wav_files_are_no_damage(tmp_path: Path, riff: int) -> None:
    samples = media_files.tone(2.0, 16000)
    path = media_files.write_wav(tmp_path / "piped.wav", samples, 16000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = riff.to_bytes(4, "little")
    content[at : at + 4] = min(riff, 0xFFFFFFFF).to_bytes(4, "little")
    path.write_bytes(content)
    assert notes_of(path) == ()
    np.testing.assert_allclose(not_none(decode(path).audio).samples, samples, atol=2e-5)


def test_a_truncated_wav_file_is_still_damaged(tmp_path: Path) -> None:
    path = media_files.write_wav(tmp_path / "cut.wav", media_files.tone(4.0, 16000), 16000)
    path.write_bytes(path.read_bytes()[:64000])
    assert notes_of(path) == ("damaged: decoding stopped at 2.00 s",)


@needs_ffmpeg
@pytest.mark.parametrize(
    "more", ["", "-write_xing 0", "-write_id3v1 1 -metadata title=x", "-id3v2_version 3"]
)
def test_joined_mp3_files_are_no_damage(tmp_path: Path, more: str) -> None:
    content = b""
    for hertz, length_s in ((400, 4), (900, 5), (600, 3)):
        made = f"-f lavfi -i sine={hertz}:d={length_s}:r=44100 {more}"
        content += ffmpeg(made, tmp_path / f"{hertz}.mp3").read_bytes()
    path = tmp_path / "joined.mp3"
    path.write_bytes(content)
    assert notes_of(path) == ()
    audio: Waveform = not_none(decode(path).audio)
    assert audio.duration_s == pytest.approx(12, abs=0.25)
    for hertz, at_s in ((400, 2), (900, 6), (600, 11)):
        piece = audio.samples[0, at_s * 44100 : at_s * 44100 + 22050]
        assert 2 * np.abs(np.fft.rfft(piece)).argmax() == pytest.approx(hertz, abs=4)


def test_the_length_of_tags() -> None:
    id3 = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 2]) + bytes(130)
    ape = b"APETAGEX" + bytes(4) + (20).to_bytes(4, "little") + bytes(16) + bytes(20)
    title = b"TAG" + bytes(125)
    assert tags_length(id3) == 140 and tags_length(title + ape + id3 + b"\xff\xfb") == 128 + 52 + 140
    assert (
        tags_length(b"\xff\xfb\x90\x00")
        == tags_length(b"")
        == tags_length(b"ID3\x04\x00\x00\xff\x00\x00\x00")
        == 0
    )


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_a_cut_file_whose_streams_declare_no_length_is_damaged(tmp_path: Path, suffix: str) -> None:
    codec = "-c:v libvpx -deadline realtime -cpu-used 16 -threads 1" if suffix == "webm" else FAST
    made = f"-f lavfi -i testsrc2=s=160x96:r=25:d=6 -f lavfi -i sine=440:d=6 {codec}"
    path = ffmpeg(made, tmp_path / f"whole.{suffix}")
    assert notes_of(path) == ()
    whole = path.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: len(whole) // 2])
    assert [note for note in notes_of(cut) if note.startswith("damaged: decoding stopped at ")]
    assert decode(cut).notes == (), "audio alone does not show it: the frames may go on"


@needs_ffmpeg
def test_a_cut_avi_file_is_damaged(tmp_path: Path) -> None:
    made = "-f lavfi -i testsrc2=s=160x96:r=25:d=6 -f lavfi -i sine=440:d=6 -c:v mjpeg -c:a pcm_s16le"
    whole = ffmpeg(made, tmp_path / "whole.avi")
    assert notes_of(whole) == ()
    content, cut = whole.read_bytes(), tmp_path / "cut.avi"
    cut.write_bytes(content[: content.index(b"00dc", len(content) // 2)])  # between two packets
    assert [note for note in notes_of(cut) if note.startswith("damaged: decoding stopped at ")]


@needs_ffmpeg
@pytest.mark.parametrize("late_s", [0, 3600])
def test_a_clock_that_starts_late_makes_a_file_no_longer(tmp_path: Path, late_s: int) -> None:
    made = f"-f lavfi -i testsrc2=s=64x48:r=10:d=4 -f lavfi -i sine=440:d=4 {FAST} -output_ts_offset {late_s}"
    path = ffmpeg(made, tmp_path / "late.mkv")
    assert probe(path).duration_s == pytest.approx(4.0, abs=0.1)
    assert notes_of(path) == ()


@needs_ffmpeg
def test_a_bare_stream_of_jpeg_images_is_no_image(tmp_path: Path) -> None:
    path = ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=2 -c:v mjpeg", tmp_path / "camera.mjpeg")
    frames = not_none(decode(path, n_frames=50).frames)
    assert frames.n_in_file == 50 and frames.times_s[-1] == pytest.approx(49 / 25)
    assert frames.times_s[0] == 0 and frames.images[0].shape == (48, 64)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_one_frame_beside_longer_audio_is_no_damage(tmp_path: Path, suffix: str) -> None:
    made = f"-f lavfi -i color=gray:s=64x48:r=25:d=0.04 -f lavfi -i sine=440:d=5 {FAST}"
    assert notes_of(ffmpeg(made, tmp_path / f"one.{suffix}")) == ()


@needs_ffmpeg
def test_audio_whose_clock_stands_still_is_read(tmp_path: Path) -> None:
    path = ffmpeg("-f lavfi -i sine=440:d=5:r=8000 -c:a real_144 -f rm", tmp_path / "old.ra")
    with open_stream(path, frames_per_s=None) as stream:
        streamed = np.concatenate([one.samples for one in stream if isinstance(one, Waveform)], axis=1)
    for samples in (streamed, not_none(decode(path).audio).samples):
        assert samples.shape[1] / 8000 == pytest.approx(5.0, abs=0.03)
        for first in range(0, 36000, 4000):
            assert np.argmax(np.abs(np.fft.rfft(samples[0, first : first + 4000]))) * 2 == 440


@needs_sox
def test_a_padding_byte_in_the_data_is_no_damage(tmp_path: Path) -> None:
    wave = media_files.write_wav(tmp_path / "a.wav", media_files.tone(2.5, 8000), 8000)
    path = tmp_path / "gsm.wav"
    subprocess.run(["sox", wave, "-e", "gsm-full-rate", path], check=True, capture_output=True)
    assert path.read_bytes()[40:].count(b"data") == 1 and notes_of(path) == ()


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(max_duration_s=1.9), r"it lasts 2 s, over the limit of 1.9"),
        (Limits(max_channels=2), r"its audio has 3 channels, over the limit of 2"),
        (
            Limits(max_sample_rate_hz=16000),
            r"its audio has 44100 samples per second, over the limit of 16000",
        ),
    ],
)
def test_what_declares_more_than_it_may_is_refused(tmp_path: Path, limits: Limits, problem: str) -> None:
    path = media_files.write_wav(tmp_path / "a.wav", media_files.tone(2.0, 44_100, channels=3), 44_100)
    with pytest.raises(LimitError, match=problem), open_media(path, control=ReadControl(limits)):
        pass
    enough = Limits(max_duration_s=2.0, max_channels=3, max_sample_rate_hz=44_100)
    assert decode(path, control=ReadControl(enough)).audio is not None


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mp3", "ts", "aac"])
def test_what_turns_out_to_be_too_long_is_refused(tmp_path: Path, suffix: str) -> None:
    """Where the file does not say it."""
    path = ffmpeg("-f lavfi -i sine=d=20 -write_xing 0", tmp_path / f"a.{suffix}")
    control = ReadControl(Limits(max_duration_s=12.0))
    with pytest.raises(LimitError, match=r"it goes on beyond 12 s, the limit"):
        decode(path, control=control)
    with (
        pytest.raises(LimitError, match="it goes on beyond"),
        open_stream(path, frames_per_s=5.0, control=control) as stream,
    ):
        list(stream)
    assert decode(path, control=ReadControl(Limits(max_duration_s=21.0))).audio is not None
