"""Which of several streams are read: against the tones and pictures that each stream was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.records import StreamChoice, Waveform
from emofuse.media.container import open_media
from emofuse.media.decoding import Media, decode, probe
from emofuse.media.file_stream import Frame, open_stream
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

pytestmark = needs_ffmpeg

SILENCE = "anullsrc=r=16000:cl=mono:d=2"


def tone(hertz: int) -> str:
    return f"sine=frequency={hertz}:sample_rate=16000:duration=2"


def picture(width: int, height: int, rate: int = 10, seconds: float = 2) -> str:
    return f"testsrc=size={width}x{height}:rate={rate}:duration={seconds}"


def made_of(path: Path, sources: list[str], *options: str) -> Path:
    """A file with a stream for each source of lavfi, in their order."""
    inputs = [one for source in sources for one in ("-f", "lavfi", "-i", source)]
    maps = [one for number in range(len(sources)) for one in ("-map", str(number))]
    ffmpeg(*inputs, *maps, *options, path)
    return path


def pitch_hz(audio: Waveform | None) -> float:
    """The strongest frequency."""
    assert audio is not None
    samples = audio.samples[0]
    return float(np.abs(np.fft.rfft(samples)).argmax() * audio.sample_rate_hz / len(samples))


def both_ways(path: Path) -> tuple[Media, list[Waveform | Frame], tuple[str, ...]]:
    media = decode(path, n_frames=2)
    with open_stream(path) as stream:
        items = list(stream)
    return media, items, stream.notes


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_silent_first_stream_does_not_hide_the_marked_default(tmp_path: Path, suffix: str) -> None:
    path = made_of(
        tmp_path / f"a.{suffix}", [SILENCE, tone(300), tone(900)], "-c:a", "aac",
        "-disposition:a:0", "0", "-disposition:a:1", "0", "-disposition:a:2", "default",
    )  # fmt: skip
    media, items, notes = both_ways(path)
    assert pitch_hz(media.audio) == pytest.approx(900, abs=2)
    blocks = [item.samples for item in items if isinstance(item, Waveform)]
    assert pitch_hz(Waveform(np.concatenate(blocks, axis=1), 16000)) == pytest.approx(900, abs=2)
    (note,) = media.notes
    assert notes == (note,) and note.startswith("audio stream 3") and " not 1" in note and ", 2" in note


@pytest.mark.parametrize("default", ["0", "default"])
def test_the_first_audible_of_equal_streams_is_read(tmp_path: Path, default: str) -> None:
    marks = [one for number in range(3) for one in (f"-disposition:a:{number}", default)]
    path = made_of(tmp_path / "a.mkv", [SILENCE, tone(300), tone(900)], "-c:a", "flac", *marks)
    media = decode(path)
    assert pitch_hz(media.audio) == pytest.approx(300, abs=2)
    assert media.notes[0].startswith("audio stream 2 is read, and not 1, 3")


def test_the_default_is_read_though_it_is_silent_and_the_first_where_all_are(tmp_path: Path) -> None:
    marked = made_of(
        tmp_path / "a.mkv", [tone(300), SILENCE], "-c:a", "flac",
        "-disposition:a:0", "0", "-disposition:a:1", "default",
    )  # fmt: skip
    with open_media(marked) as file:
        assert file.audio is not None and file.audio.index == 1
    silent = made_of(tmp_path / "b.mkv", [SILENCE, SILENCE], "-c:a", "flac")
    with open_media(silent) as file:
        assert file.audio is not None and file.audio.index == 0


def test_languages_and_titles_are_in_the_note(tmp_path: Path) -> None:
    path = made_of(
        tmp_path / "a.mkv", [tone(300), tone(900)], "-c:a", "flac", "-metadata:s:a:0", "language=eng",
        "-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Commentary",
    )  # fmt: skip
    assert decode(path).notes == (
        "audio stream 1 (eng) is read, and not 2 (deu, Commentary): see --audio-stream",
    )


@pytest.mark.parametrize("marked", [None, 0, 1])
def test_a_thumbnail_first_does_not_hide_the_film(tmp_path: Path, marked: int | None) -> None:
    marks = [
        one for number in range(2)
        for one in (f"-disposition:v:{number}", "default" if marked in (None, number) else "0")
    ]  # fmt: skip
    path = made_of(
        tmp_path / "a.mp4", [picture(320, 240, 1, 1), picture(160, 96)],
        "-c:v:0", "mjpeg", "-c:v:1", "libx264", "-pix_fmt", "yuvj420p", *marks,
    )  # fmt: skip
    media, items, notes = both_ways(path)
    assert media.frames is not None and media.frames.images[0].shape == (96, 160)
    assert media.frames.n_in_file == 20 and (probe(path).width, probe(path).n_frames) == (160, 20)
    assert {item.image.shape for item in items if isinstance(item, Frame)} == {(96, 160)}
    assert (
        media.notes == notes == ("video stream 2 (160x96) is read, and not 1 (320x240): see --video-stream",)
    )


def test_the_larger_of_two_films_is_read_unless_the_smaller_is_the_default(tmp_path: Path) -> None:
    films = [picture(160, 96), picture(320, 192)]
    both = made_of(
        tmp_path / "a.mkv", films, "-c:v", "libx264", "-disposition:v:0", "0", "-disposition:v:1", "0"
    )
    smaller = made_of(
        tmp_path / "b.mkv", films, "-c:v", "libx264", "-disposition:v:0", "default", "-disposition:v:1", "0"
    )
    assert (probe(both).width, probe(smaller).width) == (320, 160)


def test_the_wanted_streams_are_read(tmp_path: Path) -> None:
    path = made_of(
        tmp_path / "a.mkv", [tone(300), tone(900), picture(160, 96), picture(320, 192)],
        "-c:a", "flac", "-c:v", "libx264",
    )  # fmt: skip
    for audio, video in ((1, 1), (2, 2), (1, 2)):
        media = decode(path, n_frames=1, streams=StreamChoice(audio, video))
        assert pitch_hz(media.audio) == pytest.approx((300, 900)[audio - 1], abs=2)
        assert media.frames is not None and media.frames.images[0].shape[1] == (160, 320)[video - 1]
        with open_stream(path, streams=StreamChoice(audio, video)) as stream:
            assert stream.width == (160, 320)[video - 1]
    for wrong, problem in (
        (StreamChoice(3), "there is no audio stream 3: it has 2"),
        (StreamChoice(0), "there is no audio stream 0"),
        (StreamChoice(None, 7), "there is no video stream 7: it has 2"),
    ):
        with pytest.raises(MediaError, match=problem):
            decode(path, streams=wrong)


def test_a_single_stream_of_a_kind_has_no_note(tmp_path: Path) -> None:
    path = made_of(tmp_path / "a.mkv", [SILENCE, picture(160, 96)], "-c:a", "flac", "-c:v", "mjpeg")
    media = decode(path, n_frames=1)
    assert media.notes == () and media.frames is not None


def test_of_many_streams_some_are_named(tmp_path: Path) -> None:
    options = ("-c:a", "pcm_s16le", "-metadata:s:a:1", "title=" + 500 * "long ")
    path = made_of(tmp_path / "many.mkv", [tone(300), *[SILENCE] * 19], *options)
    (note,) = decode(path).notes
    assert note.startswith("audio stream 1 is read, and not 2 (long long") and len(note) < 200
    assert note.endswith("9 and 11 more: see --audio-stream")
