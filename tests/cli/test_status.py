from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import batch as batch_benchmark
from emofuse.cli.app import app
from emofuse.cli.status import _about
from emofuse.recognition.batch import journal_path
from emofuse.system.journal import Journal

N = 30


def status(*paths: Path) -> list[str]:
    done = CliRunner().invoke(app, ["status", *map(str, paths)], terminal_width=200)
    assert done.exit_code == 0, done.output
    return [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]


def test_a_run_is_followed_until_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "sounds").mkdir()
    for number in range(N):
        batch_benchmark.write_sound(tmp_path / "sounds" / f"{number}.wav", number)
    (tmp_path / "sounds" / "0.mp4").write_bytes(b"no video")
    table = Path("t.csv")
    command = [sys.executable, "-m", "emofuse", "predict", "sounds", "--out", "t.csv"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
        while batch_benchmark.journal_results(table) < 3 and run.poll() is None:
            time.sleep(0.01)  # waits for a file, not for time
        (line,) = [line for line in status(table) if line.startswith("t.csv")]
        run.kill()
    words = line.split()
    assert words[:2] == ["t.csv", "running"] and words[3] == "1"  # failed
    assert int(words[2]) + int(words[4]) == N + 1 and words[-1] in {"s", "min"}
    (line,) = [line for line in status(table) if line.startswith("t.csv")]
    assert line.startswith("t.csv interrupted ")
    subprocess.run(command, check=False, capture_output=True)
    (line,) = [line for line in status(table) if line.startswith("t.csv")]
    assert line == f"t.csv finished {N + 1} 1 0"


def test_shards_have_a_sum_and_those_that_have_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 3):
        with Journal(journal_path(Path(f"{number}.csv")), {"shard": f"{number}/6"}) as journal:
            journal.begin(10, 2, 1)
            journal.append({"file": "a", "row": {"error": None}})
    lines = status(Path())
    assert "1.csv 1/6 interrupted 3 1 7" in lines and "3.csv 3/6 interrupted 3 1 7" in lines
    assert "all 6 2 14" in lines and lines[-1] == "not begun: 2, 4-6 of 6 shards"


def test_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emofuse", "status", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"emofuse: {tmp_path}: there is no run, neither begun nor finished")


def test_times_are_told_roughly() -> None:
    times = {0.2: "1 s", 99.0: "99 s", 700: "12 min", 7000: "1.9 h", 400_000: "4.6 days"}
    assert {seconds: _about(seconds) for seconds in times} == times
