from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from emofuse import Recognizer
from emofuse.cli.app import app
from emofuse.cli.predict import as_csv
from emofuse.core.csv_tables import cell_text
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction
from tests.support import small_corpora


def predict(bundle: Path, *args: object) -> Result:
    return CliRunner().invoke(app, ["predict", "--bundle", str(bundle), *map(str, args)])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path: Path = small_corpora.write_wav(tmp_path / "Grüße, [sehr] „laut“.wav", small_corpora.speech(4, 0, 1))
    return path


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="file names are Unicode there")
@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_names_that_are_no_text_end_no_command(video_bundle: Path, tmp_path: Path, output: str) -> None:
    for name in (b"caf\xe9.wav", b"=cmd;@x.wav", b"esc\x1b[31m.wav"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"nothing")
    small_corpora.write_wav(tmp_path / os.fsdecode(b"-\xff.wav"), small_corpora.speech(4, 0, 1))
    command = [sys.executable, "-m", "emofuse", "predict", ".", "-b", str(video_bundle), "-f", output]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    out, err = done.stdout.decode(), done.stderr.decode()  # UTF-8
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    assert "emofuse: caf\\xe9.wav: not a media file" in err
    names = {"-\\xff.wav", "=cmd;@x.wav", "caf\\xe9.wav", "esc\\x1b[31m.wav"}
    if output == "json":
        assert {one["source"].replace("\x1b", "\\x1b") for one in json.loads(out)} == names
    elif output == "csv":
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        assert {cell_text(row["file"]) for row in rows} == names
        assert {row["file"] for row in rows} > {"'-\\xff.wav", "'=cmd;'@x.wav"}


def test_json_holds_every_file(video_bundle: Path, video_clips: dict[str, Path], recording: Path) -> None:
    result = predict(video_bundle, video_clips["happy"], video_clips["silent"], recording, "-f", "json")
    assert result.exit_code == 0
    both, face, voice = json.loads(result.stdout)
    assert both["used"] == ["voice", "face"]
    assert face["used"] == ["face"]
    assert face["voice"] is None
    assert face["voice_missing"] == "the audio stream is silent"
    assert voice["used"] == ["voice"]
    assert voice["source"] == str(recording)
    for one in (both, face, voice):
        assert list(one["probabilities"]) == list(EMOTIONS)
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert one["emotion"] == max(one["probabilities"], key=one["probabilities"].get)
        assert one["confidence"] == one["probabilities"][one["emotion"]]
        assert one["error"] is None


def test_the_license_is_printed_to_standard_error(au_bundle: Path, recording: Path) -> None:
    result = predict(au_bundle, recording, "-f", "json")
    assert "license: CC BY-NC-SA 4.0" in result.stderr
    assert "CC BY" not in result.stdout


def test_csv_agrees_with_json(video_bundle: Path, video_clips: dict[str, Path], recording: Path) -> None:
    files = [video_clips["happy"], recording, recording.with_name("none.wav")]
    result = predict(video_bundle, *files, "-f", "csv")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    predictions = json.loads(predict(video_bundle, *files, "-f", "json").stdout)
    assert [row["file"] for row in rows] == [str(file) for file in files]
    for row, one in zip(rows[:2], predictions, strict=False):
        assert row["emotion"] == one["emotion"]
        assert row["used"] == "+".join(one["used"])
        assert [float(row[e]) for e in EMOTIONS] == pytest.approx(
            list(one["probabilities"].values()), abs=1e-6
        )
        assert row["error"] == ""
    assert rows[2]["emotion"] == ""
    assert rows[2]["error"] == predictions[2]["error"]


def test_one_bad_file_among_good_ones(
    video_bundle: Path, video_clips: dict[str, Path], tmp_path: Path
) -> None:
    """Run as a process: a traceback would be on standard error."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    command = [
        sys.executable,
        "-m",
        "emofuse",
        "predict",
        "-b",
        video_bundle,
        video_clips["happy"],
        broken,
        video_clips["sad"],
    ]
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 1
    assert "happy.mp4" in done.stdout
    assert "sad.mp4" in done.stdout
    assert "broken" not in done.stdout
    bundle_line, error_line = done.stderr.splitlines()
    assert bundle_line.startswith("bundle: ")
    assert error_line.startswith(f"emofuse: {broken}: ")
    assert error_line.count("broken.mp4") == 1
    assert "Traceback" not in done.stderr


def test_no_readable_file(video_bundle: Path, tmp_path: Path) -> None:
    path = small_corpora.write_wav(tmp_path / "silence.wav", np.zeros(16000))
    for format_ in ("table", "json", "csv"):
        result = predict(video_bundle, path, "-f", format_)
        assert result.exit_code == 1
        assert (
            "silence.wav: no voice (the audio stream is silent), no face (no video stream)" in result.stderr
        )


def test_the_table_shows_what_predictions_are_based_on(
    video_bundle: Path, video_clips: dict[str, Path], recording: Path
) -> None:
    result = CliRunner().invoke(
        app,
        ["predict", "-b", str(video_bundle), str(video_clips["happy"]), str(recording)],
        env={"COLUMNS": "200"},
    )
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "voice and face" in text
    assert "face in 2 of 2 frames" in text
    assert "no face: no video stream" in text


def test_file_names_cannot_control_the_terminal(video_bundle: Path, recording: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "\x1b[31mred.wav", tmp_path / "\x1b]0;title\x07.wav"
    good.write_bytes(recording.read_bytes())
    bad.write_bytes(b"not audio")
    result = predict(video_bundle, good, bad)
    assert result.exit_code == 1
    assert "\x1b]0" not in result.stderr and "\\x1b]0;title\\x07.wav" in result.stderr
    assert "\x1b[31mred" not in result.stdout and "\\x1b[31mred.wav" in result.stdout


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_is_shown_at_a_terminal(video_bundle: Path, recording: Path, jobs: int) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "emofuse", "predict", "-b", video_bundle, recording, "nothing.wav"]
    process = subprocess.Popen(
        [*map(str, command), "--jobs", str(jobs)], stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    terminal = b""
    with contextlib.suppress(OSError):  # the other end closes
        while piece := os.read(ours, 4096):
            terminal += piece
    os.close(ours)
    printed, _ = process.communicate()
    assert b"predicting" in terminal and b"2/2" in terminal and b"1 failed" in terminal
    assert b"predicting" not in printed and "Grüße".encode() in printed


def test_csv_quotes_special_characters() -> None:
    odd = Prediction('a,"b"\n.wav', EMOTIONS, None, (), error="x; y, z")
    row = next(csv.DictReader(io.StringIO(as_csv([odd], EMOTIONS))))
    assert row["file"] == 'a,"b"\n.wav'
    assert row["error"] == "x; y, z"


def test_a_file_name_that_is_not_utf_8(video_bundle: Path, recording: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(path)).write_bytes(recording.read_bytes())
    command = [
        sys.executable,
        "-m",
        "emofuse",
        "predict",
        "-b",
        str(video_bundle),
        os.fsdecode(path),
        "-f",
        "json",
    ]
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


def test_no_bundle(tmp_path: Path, recording: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emofuse", "predict", "-b", str(tmp_path), str(recording)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr
        == f"emofuse: {tmp_path} is not a bundle: it has no bundle.json (emofuse train makes one)\n"
    )


def shipped(*args: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, args)], env={"COLUMNS": "200"})


@pytest.fixture
def same_person(tmp_path: Path) -> list[Path]:
    return [
        small_corpora.write_wav(tmp_path / f"{emotion}.wav", small_corpora.speech(emotion, 0, 1))
        for emotion in range(3)
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_of_the_same_person_are_read_against_each_other(same_person: list[Path], jobs: int) -> None:
    result = shipped(*same_person, "--same-person", "-f", "json", "--jobs", jobs)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    recognizer = Recognizer.load()
    expected = recognizer.same_person(recognizer.predict_files(same_person))
    assert [one["notes"] for one in found] == [list(one.notes) for one in expected]
    for one, wanted in zip(found, expected, strict=True):
        assert wanted.probabilities is not None
        np.testing.assert_allclose([one["probabilities"][e] for e in EMOTIONS], wanted.probabilities)
        assert one["notes"][-1].startswith("own baseline of the other recordings, voice: ")
        assert set(one["meta"]["own_baseline"]) == {"subtracted", "plain"}


def test_a_table_of_the_same_person(same_person: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    out = tmp_path / "table.csv"
    result = shipped(*same_person, broken, "--same-person", "--out", out)
    assert result.exit_code == 1
    assert f"emofuse: {broken}: " in result.stderr
    assert f"{out}: 4 files, 1 failed" in result.stderr
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    printed = list(csv.DictReader(io.StringIO(shipped(*same_person, "--same-person", "-f", "csv").stdout)))
    assert [row for row in rows if not row["error"]] == printed
    assert all("own baseline of the other recordings" in row["notes"] for row in printed)


def test_a_profile_and_the_same_person_exclude_each_other(same_person: list[Path], tmp_path: Path) -> None:
    result = shipped(*same_person, "--same-person", "--profile", tmp_path / "p")
    assert result.exit_code == 2
    assert "leave out --profile" in result.stderr
