"""Runs of minutes on a Ray cluster, beside the same here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import RayNodes, processes_of
from tests.support.processes import wait_until

pytestmark = pytest.mark.soak

LIMIT_S = 1800
"""Of a single step, which takes a minute: for a machine that is crowded."""
N_NETWORKS = 12
"""Of two branches in three folds, each trained on two inner folds."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emofuse", *map(str, arguments)]


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    for key in ("started", "finished", "seconds", "software"):
        found.pop(key, None)
    return found


def networks(run: Path) -> dict[str, bytes]:
    """The weights of those that are finished; what tells so is written last."""
    return {
        str(path.relative_to(run)): path.with_name("weights.safetensors").read_bytes()
        for path in run.glob("work/*/*/curve.json")
    }


def check_same(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert results(there) == results(here)
    assert (there / "predictions.csv").read_bytes() == (here / "predictions.csv").read_bytes()
    assert networks(there) == networks(here)


@pytest.mark.ravdess
def test_whisper_only_on_real_voices(ravdess: Path, tmp_path: Path) -> None:
    """All speakers, each with one recording of every emotion."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in sorted((ravdess / "audio").rglob("03-01-??-01-01-01-??.flac")):
        (corpus / path.name).symlink_to(path)
    for name, where in (("here", ["-j", 2]), ("there", ["--cluster", "auto"])):
        subprocess.run(
            command("evaluate", corpus, "-r", "whisper-only", "-p", "actors-2", "-o", tmp_path / name,
                    "--cache", tmp_path / f"{name} store", "-q", *where),
            check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    check_same(tmp_path)
    assert results(tmp_path / "there")["corpus"]["clips"] == len(list(corpus.iterdir())) >= 160


def test_an_evaluation_whose_node_and_driver_are_killed(
    tmp_path: Path, au_folder: Path, au_toml: Path
) -> None:
    common = ["evaluate", au_folder, "-r", au_toml, "-p", "actors-3", "-q"]
    run(command(*common, "-o", tmp_path / "here", "--cache", tmp_path / "a", "-j", 2))
    assert len(networks(tmp_path / "here")) == N_NETWORKS
    there = tmp_path / "there"
    with RayNodes(head_cores=0) as nodes:
        victim, _ = nodes.add(1), nodes.add(1)
        on_cluster = command(*common, "-o", there, "--cache", tmp_path / "b", "--cluster", nodes.address)
        with subprocess.Popen(on_cluster, stdout=subprocess.DEVNULL) as driver:
            try:
                wait(driver, lambda: len(networks(there)) >= 1 and is_computing(victim))
                nodes.kill(victim)
                before = len(networks(there))
                wait(driver, lambda: len(networks(there)) >= before + 2)
            finally:
                driver.kill()
        left = networks(there)
        print(f"a node killed after {before} networks, the driver after {len(left)}")
        assert before + 2 <= len(left) < N_NETWORKS and not (there / "results.json").exists()
        times = {name: (there / name).stat().st_mtime_ns for name in left}
        run(on_cluster)
        assert {name: (there / name).stat().st_mtime_ns for name in left} == times, "trained again"
    check_same(tmp_path)


def run(arguments: list[str]) -> None:
    subprocess.run(arguments, check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)


def is_computing(mark: str) -> bool:
    """Whether a node has a task, which Ray writes into the names of its processes."""
    for pid in processes_of(mark):
        try:
            name = Path("/proc", str(pid), "cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::_on_node"):
            return True
    return False


def wait(driver: subprocess.Popen[bytes], condition: Any) -> None:
    def ended_or_true() -> bool:
        return driver.poll() is not None or condition()

    assert wait_until(ended_or_true, limit_s=LIMIT_S)
    assert driver.poll() is None, "it ended before anything was killed"
