from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.corpus import app
from emofuse.core.errors import CorpusError


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "ä corpus"
    root.mkdir()
    with wave.open(str(root / "03-01-05-01-01-01-01.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(200)) * 4)
    return root


def test_check_prints_the_report_and_exits_with_0(folder: Path) -> None:
    result = run("check", folder, "--jobs", 1)
    assert result.exit_code == 0
    assert "audio, speech: 1 recording of 1 speaker" in result.stdout
    assert "unreadable: none" in result.stdout


def test_check_exits_with_1_if_a_file_is_unreadable(folder: Path) -> None:
    (folder / "03-01-05-01-01-02-01.wav").touch()
    result = run("check", folder, "--jobs", 1)
    assert result.exit_code == 1
    assert "unreadable: 1\n  03-01-05-01-01-02-01.wav: " in result.stdout


def test_check_prints_only_json_to_standard_output(folder: Path) -> None:
    result = run("check", folder, "--jobs", 1, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["counts"] == {"audio, speech": {"01": {"angry": 1}}}


def test_a_forced_corpus_and_the_list_of_known_ones(folder: Path) -> None:
    (folder / "03a01Fa.wav").write_bytes((folder / "03-01-05-01-01-01-01.wav").read_bytes())
    result = run("check", folder, "--corpus", "emodb", "--jobs", 1, "--json")
    assert json.loads(result.stdout)["counts"] == {"audio": {"03": {"happy": 1}}}
    assert isinstance(run("check", folder, "--corpus", "TESS").exception, CorpusError)
    listed = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in listed] == ["RAVDESS", "CREMA-D", "SAVEE", "TESS", "EMO-DB", "nEMO"]
    text = run("list").stdout
    assert all(value in text for one in listed for value in (one["citation"], one["licence"], *one["traps"]))


def test_errors_propagate_to_the_top(tmp_path: Path) -> None:
    assert isinstance(run("check", tmp_path / "nowhere").exception, CorpusError)
    assert isinstance(run("fetch", "ravdess", tmp_path, "--actors", "0-3").exception, CorpusError)
    assert isinstance(run("fetch", "ravdess", tmp_path, "--parts", "smell").exception, CorpusError)
    assert "takes: 9" in str(run("synth", tmp_path, "--actors", 1, "--takes", 9).exception)
    assert "actors 98 to 101" in str(run("synth", tmp_path, "--actors", 4, "--first-actor", 98).exception)


@pytest.mark.parametrize(
    "args",
    [("fetch", "cremad", "x"), ("synth", "x", "--actors", 0), ("check", "x", "--jobs", -1), ("check",)],
)
def test_usage_errors_exit_with_2(args: tuple[object, ...]) -> None:
    assert run(*args).exit_code == 2


def test_each_command_has_an_example() -> None:
    for command in ("check", "fetch", "synth"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert f"emofuse corpus {command}" in " ".join(result.stdout.split())
