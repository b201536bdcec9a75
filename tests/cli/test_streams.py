"""``--audio-stream`` and ``--video-stream``: against files that hold the wanted stream alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import MediaError
from emofuse.core.labels import EMOTIONS
from emofuse.media.decoding import decode
from emofuse.recognition.recognizer import Recognizer
from tests.support import drawn_people, media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg
from tests.support.typed import not_none

pytestmark = needs_ffmpeg


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two voices, each in a file of its own."""
    folder = tmp_path_factory.mktemp("voices")
    return [
        media_files.write_wav(
            folder / f"{person}.wav", drawn_people.draw_person(person).speech(4.0), drawn_people.RATE
        )
        for person in (1, 2)
    ]


@pytest.fixture(scope="module")
def both(voices: list[Path]) -> Path:
    """The two voices as two streams, and two films, of which the first is the default."""
    path = voices[0].with_name("both.mkv")
    films = [
        "-f",
        "lavfi",
        "-i",
        "color=gray:s=160x96:r=10:d=4",
        "-f",
        "lavfi",
        "-i",
        "color=gray:s=320x192:r=10:d=4",
    ]
    ffmpeg(
        "-i", voices[0], "-i", voices[1], *films, "-map", "0", "-map", "1", "-map", "2", "-map", "3",
        "-c:a", "flac", "-c:v", "libx264", "-disposition:a:0", "default", "-disposition:a:1", "0",
        "-disposition:v:0", "default", "-disposition:v:1", "0", path,
    )  # fmt: skip
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("option", "number"), [((), 0), (("--audio-stream", 1), 0), (("--audio-stream", 2), 1)]
)
def test_predict_reads_the_wanted_stream(
    both: Path, voices: list[Path], option: tuple[object, ...], number: int
) -> None:
    (found,) = json.loads(run("predict", both, "-f", "json", *option))
    (alone,) = json.loads(run("predict", voices[number], "-f", "json"))
    assert found["voice"] == pytest.approx(alone["voice"], abs=1e-6)
    assert f"audio stream {number + 1} is read, and not {2 - number}: see --audio-stream" in found["notes"]


def test_workers_read_the_wanted_stream(both: Path, voices: list[Path], tmp_path: Path) -> None:
    rows = []
    for number, path in ((1, both), (2, both), (None, voices[1])):
        table = tmp_path / f"{path.stem}-{number}.jsonl"
        run("predict", path, *(() if number is None else ("--audio-stream", number)), "--out", table)
        rows.append(json.loads(table.read_text()))
    first, second, alone = ([row[emotion] for emotion in EMOTIONS] for row in rows)
    assert second == pytest.approx(alone, abs=1e-6) and first != pytest.approx(alone, abs=1e-3)


def test_timeline_and_overlay_read_the_wanted_streams(both: Path, voices: list[Path], tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.mp4"
    run(
        "timeline",
        both,
        "--audio-stream",
        2,
        "--video-stream",
        2,
        "--out",
        tmp_path / "a.json",
        "--out",
        overlay,
    )
    written = json.loads((tmp_path / "a.json").read_text())
    recognizer = Recognizer.load()
    windows = [window.voice for window in recognizer.stream(voices[1])]
    found = [window.voice for window in recognizer.stream(both, audio_stream=2)]
    assert len(found) >= len(windows) and any(voice is not None for voice in windows)
    for one, other in zip(found, windows, strict=False):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert any("video stream 2 (320x192) is read" in note for note in written["notes"])
    copied, alone = decode(overlay, n_frames=1), decode(voices[1])
    assert not_none(copied.frames).images[0].shape == (192, 320)
    a, b = not_none(copied.audio).samples[0], not_none(alone.audio).samples[0]
    n = min(len(a), len(b))
    assert np.corrcoef(a[:n], b[:n])[0, 1] > 0.99


def test_a_stream_that_is_not_there_is_one_line(both: Path) -> None:
    problem = "both.mkv: there is no audio stream 3: it has 2"
    read = CliRunner().invoke(app, ["predict", str(both), "--audio-stream", "3"])
    assert read.exit_code == 1 and problem in " ".join(read.stderr.split())
    with pytest.raises(MediaError, match=problem):
        CliRunner().invoke(app, ["timeline", str(both), "--audio-stream", "3"], catch_exceptions=False)
