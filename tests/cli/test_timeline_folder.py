"""``emofuse timeline DIR --out-dir R``."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import BatchError
from tests.support import drawn_people, media_files


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in (1, 2):
        speech = drawn_people.draw_person(number).speech(3.0)
        media_files.write_wav(folder / f"{number}.wav", speech, drawn_people.RATE)
    return folder


def run(*words: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["timeline", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_a_folder_becomes_a_folder_of_results(talks: Path, tmp_path: Path) -> None:
    conditions = tmp_path / "conditions.csv"
    conditions.write_text("file,condition\n1,before\n2,after\n", encoding="utf-8")
    out = tmp_path / "out"
    status, text, _ = run(
        talks, "--out-dir", out, "--format", "textgrid", "-f", ".windows.csv", "--conditions", conditions
    )
    assert status == 0 and "summary.csv: 2 recordings" in text
    assert sorted(path.name for path in out.iterdir()) == [
        "1.wav.TextGrid", "1.wav.windows.csv", "2.wav.TextGrid", "2.wav.windows.csv", "conditions.csv",
        "conditions.svg", "files.csv", "summary.csv",
    ]  # fmt: skip
    assert ",before," in (out / "summary.csv").read_text(encoding="utf-8")


def test_a_bad_file_is_named_and_the_others_are_read(talks: Path, tmp_path: Path) -> None:
    (talks / "0.mp4").write_bytes(b"nothing")
    status, text, errors = run(talks, "--out-dir", tmp_path / "out", "-f", "csv")
    assert status == 1 and "3 recordings, 1 failed" in text
    assert "0.mp4: not a media file" in errors
    assert (tmp_path / "out" / "2.wav.csv").exists()


def test_formats_that_are_not_read_are_named(talks: Path, tmp_path: Path) -> None:
    (talks / "old.voc").write_bytes(b"Creative Voice File\x1a" + bytes(1000))
    status, text, errors = run(talks, "--out-dir", tmp_path / "out", "-f", "csv")
    assert status == 0 and "summary.csv: 2 recordings" in text
    assert "left out 1 .voc file" in errors and "sox in.voc out.wav" in errors
    with pytest.raises(BatchError, match=r"no recording to read; left out 1 \.voc file"):
        (talks / "1.wav").unlink()
        (talks / "2.wav").unlink()
        CliRunner().invoke(app, ["timeline", str(talks), "--out-dir", "out"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "is a folder: name one for the results with --out-dir"),
        (["--out", "a.csv", "--out-dir", "out"], "--out and --names are for one recording"),
        (["--out-dir", "out", "--format", "doc"], "--format doc: use one of"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(talks: Path, words: list[str], message: str) -> None:
    status, _, errors = run(talks, *words)
    assert status == 2 and message in " ".join(errors.replace("│", " ").split())


def test_options_of_folders_need_a_folder_for_the_results(talks: Path) -> None:
    status, _, errors = run(talks / "1.wav", "--format", "csv")
    assert status == 2 and "add --out-dir" in errors


def test_the_purpose_is_in_every_file(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, _, _ = run(talks, "--out-dir", out, "-f", "csv", "-f", "vtt", "--purpose", "a study")
    assert status == 0
    assert "NOTE Purpose: a study" in (out / "1.wav.vtt").read_text(encoding="utf-8")
    for name in ("1.wav.csv", "summary.csv"):
        head, *rows = (out / name).read_text(encoding="utf-8").splitlines()
        assert head.endswith(",purpose") and rows and all(row.endswith(",a study") for row in rows)
