"""``emofuse predict`` with folders, tables, failures and several processes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.recognition.bundle import SHIPPED
from tests.support import small_corpora


def predict(*args: object) -> Result:
    return CliRunner().invoke(app, ["predict", "--bundle", str(SHIPPED), *map(str, args)])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(3):
        small_corpora.write_wav(folder / "Größe [x]" / f"{number}.wav", small_corpora.speech(number, 0, 1))
    return folder


def test_a_folder_prints_the_same_as_its_files(sounds: Path) -> None:
    files = sorted(sounds.rglob("*.wav"))
    folder, files_by_name = predict(sounds, "-f", "csv"), predict(*files, "-f", "csv")
    assert folder.exit_code == files_by_name.exit_code == 0
    assert folder.stdout == files_by_name.stdout
    assert [row["file"] for row in csv.DictReader(io.StringIO(folder.stdout))] == list(map(str, files))


def test_several_processes_print_the_same(sounds: Path) -> None:
    one, two = predict(sounds, "none.wav", "-f", "json"), predict(sounds, "none.wav", "-f", "json", "-j", 2)
    assert one.exit_code == two.exit_code == 1
    printed = [json.loads(result.stdout) for result in (one, two)]
    assert [p["source"] for p in printed[0]] == [p["source"] for p in printed[1]]
    for first, second in zip(*printed, strict=True):
        assert first["error"] == second["error"]
        if first["error"] is None:
            assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-5)
    assert "emofuse: none.wav: there is no such file" in two.stderr


def test_a_table_has_one_row_per_file_and_nothing_is_printed(sounds: Path, tmp_path: Path) -> None:
    files = shutil.copytree(sounds, tmp_path / "files")
    for number in range(25):
        (files / f"broken {number:02d}.mp4").write_text("not a video")
    table = tmp_path / "tables" / "t.csv"
    result = predict(files, "--out", table, "--jobs", 2)
    assert result.exit_code == 1
    assert result.stdout == ""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 28
    assert sum(not row["error"] for row in rows) == 3
    messages = result.stderr.splitlines()
    errors = [line for line in messages if line.startswith(f"emofuse: {files}")]
    assert [line.count("broken") for line in errors] == [1] * 20
    assert "broken 19.mp4: " in errors[-1]
    assert messages[-2:] == ["emofuse: and 5 more; see column error", f"{table}: 28 files, 25 failed"]
    assert list(table.parent.iterdir()) == [table]


def test_without_failures(sounds: Path, tmp_path: Path) -> None:
    result = predict(sounds, "--out", tmp_path / "t.jsonl")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"{tmp_path / 't.jsonl'}: 3 files"
    assert "3/3" in result.stderr
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 3


def test_a_folder_without_recordings(tmp_path: Path) -> None:
    result = predict(tmp_path)
    assert result.exit_code == 1
    assert f"emofuse: {tmp_path}: there is no recording in this folder" in result.stderr


def test_a_table_of_unknown_format(sounds: Path, tmp_path: Path) -> None:
    result = predict(sounds, "--out", tmp_path / "t.xlsx")
    assert result.exit_code == 1
    assert "a table ends in .csv, .jsonl, .parquet" in str(result.exception)


def test_formats_that_are_not_read_are_named_and_fail_nothing(sounds: Path, tmp_path: Path) -> None:
    files = shutil.copytree(sounds, tmp_path / "files")
    (files / "speech.sph").write_bytes(b"NIST_1A\n   1024\n" + bytes(1008))
    result = predict(files, "-f", "csv")
    assert result.exit_code == 0 and "speech.sph" not in result.stdout
    message = " ".join(result.stderr.split())
    assert "left out 1 .sph file" in message and "for example: sox in.sph out.wav" in message
