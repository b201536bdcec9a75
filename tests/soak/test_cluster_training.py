"""Runs of minutes on a Ray cluster, beside the same here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import RayNodes

pytestmark = pytest.mark.soak

LIMIT_S = 3600


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emofuse", *map(str, arguments)]


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    for key in ("started", "finished", "seconds", "software"):
        found.pop(key, None)
    return found


def check_same(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert results(there) == results(here)
    assert (there / "predictions.csv").read_bytes() == (here / "predictions.csv").read_bytes()


@pytest.mark.ravdess
def test_whisper_only_on_real_voices(tmp_path: Path) -> None:
    if "EMOFUSE_RAVDESS" not in os.environ:
        pytest.skip("EMOFUSE_RAVDESS names no folder of real recordings")
    for name, where in (("here", ["-j", 2]), ("there", ["--cluster", "auto"])):
        subprocess.run(
            command("evaluate", os.environ["EMOFUSE_RAVDESS"], "-r", "whisper-only", "-p", "six-fold", "-o",
                    tmp_path / name, "--cache", tmp_path / f"{name} store", "-q", *where),
            check=True, timeout=LIMIT_S,
        )  # fmt: skip
    check_same(tmp_path)


def test_an_evaluation_whose_node_and_driver_are_killed(
    tmp_path: Path, au_folder: Path, au_toml: Path
) -> None:
    common = ["evaluate", au_folder, "-r", au_toml, "-p", "actors-3", "-q"]
    subprocess.run(
        command(*common, "-o", tmp_path / "here", "--cache", tmp_path / "a", "-j", 2),
        check=True,
        timeout=LIMIT_S,
    )
    with RayNodes(head_cores=0) as nodes:
        victim = nodes.add(1)
        nodes.add(1)
        on_cluster = command(
            *common, "-o", tmp_path / "there", "--cache", tmp_path / "b", "--cluster", nodes.address
        )
        driver = subprocess.Popen(on_cluster)
        networks = tmp_path / "there" / "work"
        wait_for(networks, 1, driver)
        nodes.kill(victim)
        wait_for(networks, 4, driver)
        driver.send_signal(signal.SIGKILL)
        driver.wait(LIMIT_S)
        assert not (tmp_path / "there" / "results.json").exists()
        subprocess.run(on_cluster, check=True, timeout=LIMIT_S)
    check_same(tmp_path)


def wait_for(work: Path, n_networks: int, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while len(list(work.glob("*/*/curve.json"))) < n_networks:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
