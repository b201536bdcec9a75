"""Runs that are killed at random points, and resumed: they end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emofuse.recognition.bundle import MANIFEST
from tests.support import small_faces

pytestmark = pytest.mark.soak

KILLS = 4


def killed_and_resumed(command: list[object], output: Path, longest_s: float) -> None:
    """Kill a command, with its workers, at random points, and let it end at last."""
    arguments = [sys.executable, "-m", "emofuse", *map(str, command)]
    killed = 0
    while killed < KILLS and not output.exists():
        wait_s = random.uniform(0.5, max(1.0, 0.6 * longest_s))
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            if random.random() < 0.5:
                process.send_signal(signal.SIGKILL)  # its workers must end by themselves
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            print(f"emofuse {command[0]} killed after {wait_s:.1f} s")
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=False)
    already = output.exists() and "is not empty" in done.stderr  # it had ended before the last kill
    assert killed > 0
    assert done.returncode == 0 or already, done.stderr


def timed(command: list[object]) -> float:
    """Run a command undisturbed; return how long it takes."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "emofuse", *map(str, command)], capture_output=True, check=True)
    return time.monotonic() - start


def content(path: Path) -> dict[str, bytes]:
    """Everything that must be the same: of a bundle, all but what tells when it was made."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return {name: (path / name).read_bytes() for name in manifest["files"]}


def check(tmp_path: Path, command: Callable[[Path], list[object]], result: str) -> None:
    """Compare a killed run with an undisturbed one."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    took_s = timed(command(whole))
    killed_and_resumed(command(pieces), pieces / result, took_s)
    assert content(pieces / result) == content(whole / result)
    left = [path for path in tmp_path.rglob("*") if path.name.endswith((".work", ".lock"))]
    assert left == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_evaluate(tmp_path: Path, au_folder: Path, au_toml: Path, jobs: int) -> None:
    def command(out: Path) -> list[object]:
        return ["evaluate", au_folder, "-r", au_toml, "-p", "actors-2", "-o", out, "-j", jobs,
                "--cache", tmp_path / f"cache {out.name}"]  # fmt: skip

    check(tmp_path, command, "predictions.csv")


@pytest.mark.parametrize("jobs", [1, 2])
def test_train(tmp_path: Path, au_folder: Path, au_toml: Path, jobs: int) -> None:
    def command(out: Path) -> list[object]:
        return ["train", au_folder, "-r", au_toml, "-o", out / "bundle", "-j", jobs,
                "--cache", tmp_path / f"cache {out.name}"]  # fmt: skip

    check(tmp_path, command, "bundle")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch(tmp_path: Path, many: Path, jobs: int) -> None:
    check(tmp_path, lambda out: ["predict", many, "-j", jobs, "-o", out / "table.csv"], "table.csv")


def test_faces_train(tmp_path: Path) -> None:
    for split, n in (("train", 1500), ("public_test", 64)):
        small_faces.write_split(tmp_path / "fer", split, small_faces.wave_images(n, len(split)))
    check(
        tmp_path,
        lambda out: ["faces", "train", tmp_path / "fer", "-a", "compact", "--epochs", 4, "-o", out],
        "weights.safetensors",
    )
