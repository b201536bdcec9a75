"""``emofuse timeline``: what it prints, what it writes, and what it never touches."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from emofuse import Profile
from emofuse.cli.app import app
from emofuse.core.errors import ProfileError
from tests.support import drawn_people, media_files

SUFFIXES = (".html", ".csv", ".windows.csv", ".json", ".parquet", ".vtt", ".eaf", ".TextGrid")


def timeline(*args: object) -> Result:
    return CliRunner().invoke(app, ["timeline", *map(str, args)], env={"COLUMNS": "150"})


def process(*args: object) -> subprocess.CompletedProcess[str]:
    """Run as a process: a traceback would be on standard error."""
    command = [sys.executable, "-m", "emofuse", "timeline", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "150"}
    )


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def talk(conversation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording under a name that needs quoting."""
    path = tmp_path_factory.mktemp("talk") / "Grüße, [bold] talk.mp4"
    path.write_bytes(conversation.read_bytes())
    return path


def test_segments_are_printed(talk: Path) -> None:
    done = process(talk, "--to", "5")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [word.strip() for word in lines[1].strip("┃ ").split("┃")] == [
        "from", "to", "who", "expresses", "sure",
    ]  # fmt: skip
    assert any("person 1" in line and "0:00.0" in line for line in lines)
    assert any("person 2" in line and "0:05.0" in line for line in lines)
    assert "license: " in done.stderr and "Traceback" not in done.stderr


def test_every_format_in_one_run(talk: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "new folder" / f"talk{end}" for end in (".mp4", *SUFFIXES)]
    outs[1].parent.mkdir()
    outs[1].write_text("what was there before")
    result = timeline(talk, *(word for out in outs for word in ("-o", out)))
    assert result.exit_code == 0, result.output
    assert files_in(outs[0].parent) == {out.name for out in outs}
    assert [line for line in result.stdout.splitlines() if line.startswith("wrote ")] == [
        f"wrote {out}" for out in (*outs[1:], outs[0])
    ], "the overlay comes last"
    document = json.loads((outs[0].parent / "talk.json").read_text(encoding="utf-8"))
    assert document["people"] == ["person 1", "person 2"] and document["duration_s"] == pytest.approx(
        15, abs=0.05
    )
    rows = list(csv.DictReader((outs[0].parent / "talk.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(document["segments"])
    assert outs[1].read_text(encoding="utf-8").startswith("<!doctype html>")
    drawn, end_s = drawn_people.frame_times(outs[0])
    times, source_end_s = drawn_people.frame_times(talk)
    np.testing.assert_allclose(drawn, times, atol=1e-4)
    assert end_s == pytest.approx(source_end_s, abs=0.05)


def test_people_get_names_and_times_may_be_clock_times(talk: Path, tmp_path: Path) -> None:
    out = tmp_path / "named.json"
    done = process(
        talk, "--from", "0:01", "--to", "0:05.5", "--names", "1=Anna,person-2=Zoë & Co",
        "--names", "7=Nobody", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["people"] == ["Anna", "Zoë & Co"]
    assert {face["person"] for face in document["faces"]} == {"Anna", "Zoë & Co"}
    assert (document["start_s"], document["duration_s"]) == (1.0, 4.5)
    assert "there is no person 7, whom --names calls Nobody" in done.stderr


def test_a_span_with_other_windows(talk: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.json"
    words = ("--from", "4", "--to", "7.5", "--window", "2", "--hop", "0.5", "--faces-per-second", "4")
    assert timeline(talk, "-o", out, *words, "--abstain-below", "1").exit_code == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert (document["start_s"], document["duration_s"]) == (4.0, 3.5)
    starts = sorted({window["start_s"] for window in document["windows"]})
    assert starts == [4.0, 4.5, 5.0, 5.5]
    assert {segment["emotion"] for segment in document["segments"]} == {None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "talk.docx"), "talk.docx: the name does not tell the format"),
        (("-o", "talk"), "talk: the name does not tell the format"),
        (("-o", "some.csv"), "some.csv is a folder"),
        (("-b", "no-bundle"), "no-bundle is not a bundle"),
        (("--profile", "nobody.json"), "nobody.json"),
    ],
)
def test_invalid_outputs_and_inputs_fail_early(
    talk: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "some.csv").mkdir()
    given = [str(tmp_path / word) if not word.startswith("-") else word for word in words]
    start = time.monotonic()
    done = process(talk, "-o", tmp_path / "good.csv", *given)
    assert done.returncode == 1
    problem = done.stderr.splitlines()[-1]
    assert problem.startswith("emofuse: ") and message in problem and "Traceback" not in done.stderr
    assert files_in(tmp_path) == {"some.csv"}, "nothing was read or written"
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "words",
    [("--hop", "5"), ("--window", "0"), ("--from", "5", "--to", "3"), ("--to", "nan", "--from", "1"),
     ("--from", "-5", "--to", "-1"),
     ("--faces-per-second", "1000"), ("--abstain-below", "2")],
)  # fmt: skip
def test_invalid_numbers_are_usage_errors(talk: Path, words: tuple[str, ...]) -> None:
    result = timeline(talk, *words)
    assert result.exit_code == 2 and "Usage" in result.stderr
    assert result.stdout == ""


def test_several_profiles_need_names_faces_and_one_recording(talk: Path, tmp_path: Path) -> None:
    face = np.zeros(128, np.float32)
    for name, has_face in (("Anna", True), ("b/Anna", True), ("Bert", False), ("person 2", True)):
        Profile("any", {}, 8, face=face if has_face else None).save(tmp_path / f"{name}.profile")
    anna, again, bert, number = (
        ["--profile", tmp_path / f"{name}.profile"] for name in ("Anna", "b/Anna", "Bert", "person 2")
    )
    for wrong, message in (
        ([*anna, *again], "each of several needs a file name of its own"),
        ([*anna, *number], "each of several needs a file name of its own"),
        ([*anna, *bert, "--no-identity"], "leave out --no-identity"),
        ([*anna, *bert, "--out-dir", tmp_path / "R"], "several --profile are for one recording"),
    ):
        result = timeline(talk, *wrong)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.replace("│", " ").split())
    result = timeline(talk, *anna, *bert)
    assert isinstance(result.exception, ProfileError)
    assert "profile of Bert holds no face" in str(result.exception)


def test_an_empty_name_is_a_usage_error() -> None:
    for command in ("timeline", "predict", "live"):
        result = CliRunner().invoke(app, [command, ""])
        assert result.exit_code == 2 and "an empty name is not a" in result.stderr


def test_a_recognizer_trained_on_synthetic_people_says_so(video_bundle: Path, talk: Path) -> None:
    about = json.loads((video_bundle / "bundle.json").read_text())
    shutil.copytree(video_bundle, talk.parent / "drawn", dirs_exist_ok=True)
    about["provenance"]["synthetic"] = True
    (talk.parent / "drawn" / "bundle.json").write_text(json.dumps(about))
    for command in ("timeline", "predict"):
        stderr = CliRunner().invoke(app, [command, str(talk), "-b", str(talk.parent / "drawn")]).stderr
        assert "drawn faces and synthetic voices: it cannot read people" in stderr


def test_a_missing_file_is_a_one_line_error(tmp_path: Path) -> None:
    missing = tmp_path / "no [red] such.mp4"
    done = process(missing, "-o", tmp_path / "a.csv")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"emofuse: {missing}: there is no such file\n"
    assert files_in(tmp_path) == set()


def test_a_span_beyond_the_end(talk: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    result = CliRunner().invoke(app, ["timeline", str(talk), "--from", "100", "-o", str(out)])
    assert result.exit_code == 1 and "nothing to read from 1:40.0 on" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize("how", ["itself", "another spelling", "symbolic link", "hard link"])
def test_the_recording_is_never_overwritten(talk: Path, tmp_path: Path, how: str) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(talk.read_bytes())
    out = video
    if how == "another spelling":
        (tmp_path / "sub").mkdir()
        out = tmp_path / "sub" / ".." / "video.mp4"
    elif how == "symbolic link":
        out = tmp_path / "link.mp4"
        out.symlink_to(video)
    elif how == "hard link":
        out = tmp_path / "hard.mp4"
        out.hardlink_to(video)
    before = files_in(tmp_path)
    result = CliRunner().invoke(app, ["timeline", str(video), "-o", str(out)])
    assert result.exit_code == 1 and "is the recording itself" in str(result.exception)
    assert video.read_bytes() == talk.read_bytes() and files_in(tmp_path) == before


def test_no_overlay_without_video(tmp_path: Path) -> None:
    audio = media_files.write_wav(
        tmp_path / "a.wav", drawn_people.draw_person(1).speech(1.0), drawn_people.RATE
    )
    result = CliRunner().invoke(app, ["timeline", str(audio), "-o", str(tmp_path / "a.mp4")])
    assert result.exit_code == 1 and "has no video to draw on" in str(result.exception)
    assert files_in(tmp_path) == {"a.wav"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not apply")
def test_a_folder_that_cannot_be_written(talk: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = process(talk, "--to", "1", "-o", tmp_path / "a.csv")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("emofuse: ")


def test_a_failure_keeps_the_files_already_written(talk: Path, tmp_path: Path) -> None:
    """The second output needs a folder where there is a file; the first one is complete."""
    (tmp_path / "file").write_text("")
    first = tmp_path / "first.csv"
    done = process(talk, "--to", "1", "-o", first, "-o", tmp_path / "file" / "a.csv")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert files_in(tmp_path) == {"file", "first.csv"}
    assert first.read_text(encoding="utf-8").startswith("start_s,")


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_an_interrupt_leaves_no_partial_file(tmp_path: Path) -> None:
    audio = tmp_path / "long.wav"
    media_files.write_wav(
        audio, np.tile(drawn_people.draw_person(1).speech(20.0), (1, 20)), drawn_people.RATE
    )
    command = [
        sys.executable,
        "-m",
        "emofuse",
        "timeline",
        str(audio),
        "-o",
        str(tmp_path / "a.html"),
        "-o",
        str(tmp_path / "a.csv"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("bundle: "), "about to read"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = running.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert running.returncode == 130 and "Traceback" not in err and out == ""
    assert err.splitlines()[-1] == "emofuse: interrupted"
    assert files_in(tmp_path) == {"long.wav"}


def test_damage_is_reported(tmp_path: Path) -> None:
    one = drawn_people.draw_person(1)
    whole = drawn_people.write_video(
        tmp_path / "a.mp4", one.speaking(60), audio=one.speech(4.0),
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = timeline(cut)
    assert result.exit_code == 0
    assert f"emofuse: {cut}: " in result.stderr and "nothing to read" in result.stdout


def annotations_file(folder: Path, **data: object) -> Path:
    path = folder / "changes.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_purpose_and_annotations_are_in_every_file(talk: Path, tmp_path: Path) -> None:
    changes = annotations_file(
        tmp_path, names={"person 1": "Anna", "person 2": "Bert"},
        excluded=[{"start_s": 3, "end_s": 5, "reason": "a phone rings"}],
        markers=[{"start_s": 1, "text": "question 1"}],
    )  # fmt: skip
    out = tmp_path / "out.json"
    words = ("--purpose", " a study ", "--annotations", changes, "--to", "8", "--names", "2=Zoë")
    result = timeline(talk, *words, "-o", out, "-o", tmp_path / "out.csv", "-o", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["people"] == ["Anna", "Zoë"], "--names comes after the annotations"
    assert document["purpose"] == "a study" and document["markers"][0]["text"] == "question 1"
    assert not [one for one in document["windows"] if one["start_s"] < 5 and one["end_s"] > 3]
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["excluded_reason"] for row in rows if row["status"] == "excluded"} == {"a phone rings"}
    import av

    with av.open(str(tmp_path / "out.mp4")) as video:
        assert video.metadata["comment"] == "purpose: a study"
    shown = timeline(talk, "--to", "8", "--annotations", changes)
    assert shown.exit_code == 0 and "excluded" in shown.stdout and "Anna" in shown.stdout


def test_annotations_that_cannot_be_fail_early_or_say_why(talk: Path, tmp_path: Path) -> None:
    bad = process(talk, "--annotations", annotations_file(tmp_path, markers=[{"text": "x"}]))
    assert bad.returncode == 1 and bad.stderr.splitlines()[-1].endswith(
        "changes.json: markers[0] needs 'start_s'"
    )
    assert "seconds of" not in bad.stderr, "nothing was read"
    unknown = process(
        talk, "--to", "4", "--annotations", annotations_file(tmp_path, names={"person 9": "Ida"})
    )
    assert unknown.returncode == 1 and "there is no 'person 9' in the recording, but" in unknown.stderr
    assert timeline(talk, "--purpose", " ").exit_code == 2
    folder = timeline(talk.parent, "--out-dir", tmp_path / "r", "--annotations", tmp_path / "changes.json")
    assert folder.exit_code == 2 and "of one recording" in folder.stderr
