"""Forty shards, three of which are killed and run again: the table of a single run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import batch as batch_benchmark

pytestmark = pytest.mark.soak

N_FILES, N_BROKEN, OF, KILLED = 400, 20, 40, 3


def emofuse(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emofuse", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_forty_shards_of_which_three_are_killed(tmp_path: Path) -> None:
    files, parts, listed = tmp_path / "files", tmp_path / "parts", tmp_path / "list"
    parts.mkdir()
    batch_benchmark.make_files(files, N_FILES, N_BROKEN)
    assert emofuse("predict", files, "--out", tmp_path / "whole.csv", "--jobs", 2).returncode == 1
    assert emofuse("predict", files, "--list", listed).returncode == 0
    unlucky = set(random.sample(range(1, OF + 1), KILLED))

    def command(number: int) -> list[object]:
        return [files, "--list", listed, "--shard", f"{number}/{OF}", "--out", parts / f"{number}.csv"]

    def run(number: int) -> int:
        if number not in unlucky:
            return emofuse("predict", *command(number)).returncode
        results = random.randint(1, 5)
        table = parts / f"{number}.csv"
        arguments = batch_benchmark.command(*command(number))
        with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            while batch_benchmark.journal_results(table) < results and process.poll() is None:
                os.sched_yield()
            os.killpg(process.pid, signal.SIGKILL)
        print(f"shard {number} killed after {batch_benchmark.journal_results(table)} results")
        assert not table.exists()
        return -signal.SIGKILL

    with ThreadPoolExecutor(2) as pool:
        statuses = dict(zip(range(1, OF + 1), pool.map(run, range(1, OF + 1)), strict=True))
    assert {number for number, status in statuses.items() if status not in (0, 1)} == unlucky
    first = emofuse(
        "merge", *(parts / f"{number}.csv" for number in range(1, OF + 1)), "--out", tmp_path / "m.csv"
    )
    assert first.returncode == 1 and "is not finished: repeat its command to resume it" in first.stderr
    there = sorted(parts.glob("*.csv"))
    second = emofuse("merge", *there, "--out", tmp_path / "m.csv")
    assert second.returncode == 1 and f"{KILLED} of {OF} shards are missing: " in second.stderr
    assert not (tmp_path / "m.csv").exists()
    for number in unlucky:
        again = emofuse("predict", *command(number))
        assert again.returncode in (0, 1) and "of them from an earlier run" in again.stderr
    merged = emofuse("merge", *sorted(parts.glob("*.csv")), "--out", tmp_path / "m.csv")
    assert merged.returncode == 1  # as of the single run: files are broken
    assert merged.stderr.splitlines()[-1] == f"{tmp_path / 'm.csv'}: {N_FILES} files, {N_BROKEN} failed"
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
