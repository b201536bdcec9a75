from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.cli.quiet import is_quiet
from tests.support import small_corpora

WITHOUT = {
    "elan-recognizer", "recipes", "report", "statistics", "status", "weights encoder", "weights list",
}  # fmt: skip
"""Commands that print nothing but their result."""


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_every_command_that_prints_more_than_results_has_it() -> None:
    found = {
        name: {flag for one in command.params for flag in one.opts}
        for name, command in commands(get_command(app))
    }
    assert {name for name, flags in found.items() if "--quiet" not in flags} == WITHOUT
    assert {name for name, flags in found.items() if "-q" not in flags} == WITHOUT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_corpora.write_wav(tmp_path / "a.wav", small_corpora.speech(4, 0, 1))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    return tmp_path


def test_predictions_and_errors_are_left(video_bundle: Path, folder: Path) -> None:
    loud = run("predict", folder, "-b", video_bundle, "--format", "json")
    quiet = run("predict", folder, "-b", video_bundle, "--format", "json", "--quiet")
    assert loud.exit_code == quiet.exit_code == 1
    assert quiet.stdout == loud.stdout
    assert [one["source"] for one in json.loads(quiet.stdout)] == [
        str(folder / "a.wav"), str(folder / "bad.wav")
    ]  # fmt: skip
    assert quiet.stderr.startswith("emofuse: ")
    assert quiet.stderr.count("\n") == 1
    assert "bundle: " in loud.stderr
    table = run("predict", folder / "a.wav", "-b", video_bundle, "--out", folder / "t.csv", "-q")
    assert (table.exit_code, table.output) == (0, "")
    assert (folder / "t.csv").is_file()
    again = run("predict", folder / "a.wav", "-b", video_bundle, "--out", folder / "t.csv")
    assert "t.csv: 1 file" in again.stderr  # one command's silence is not the next one's


def test_a_timeline_is_written_without_a_word(video_bundle: Path, folder: Path) -> None:
    for out in ("t.csv", "t.html"):
        done = run("timeline", folder / "a.wav", "-b", video_bundle, "--out", folder / out, "--quiet")
        assert (done.exit_code, done.output) == (0, "")
        assert (folder / out).is_file()
    printed = run("timeline", folder / "a.wav", "-b", video_bundle, "-q")
    assert printed.stderr == ""
    assert "expresses" in printed.stdout


def test_a_corpus_is_made_and_checked_without_progress(tmp_path: Path) -> None:
    made = run("corpus", "synth", tmp_path / "c", "--actors", 1, "--takes", 1, "--jobs", 1, "--quiet")
    assert (made.exit_code, made.output) == (0, "")
    checked = run("corpus", "check", tmp_path / "c", "--jobs", 1, "-q")
    assert checked.stderr == ""
    assert "recordings" in checked.stdout


def test_the_option_holds_for_one_command(tmp_path: Path) -> None:
    level = logging.getLogger("emofuse").level
    try:
        run("corpus", "check", tmp_path, "--quiet")
        assert logging.getLogger("emofuse").level == logging.ERROR
        run("corpus", "check", tmp_path)
        assert not is_quiet()
    finally:
        logging.getLogger("emofuse").setLevel(level)
