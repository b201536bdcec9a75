"""The path of benchmarks/gpu.py on a CPU: it ends, and its figures hold together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import SMALL, flops_per_clip, works

ROOT = Path(__file__).parents[1]


def test_the_path_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick", "--seconds", "0.02"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "gpu.json")],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["machine"]["device"], found["machine"]["torch"]) == ("cpu", torch.__version__)
    assert set(found["limit_flops"]) == {"cpu float32", "cpu float64"}
    for entry in found["networks"].values():
        one = entry["cpu float32"]
        assert one["clips_per_s"] > 0
        assert one["utilisation"] is None
        # more than a few times the rate of matrices would be a mistake in counting
        assert 0 < one["share_of_limit"] < 5
    assert found["side_by_side"]["cpu"]["2"] > 0
    assert found["data_parallel"]["cpu"]["2"] > 0
    assert set(found["step_s"]["cpu"]) == {"1", "2", "4", "8"}
    assert "side by side, cpu" in done.stdout


def test_products_are_counted_as_by_hand() -> None:
    """Of AlexNet's last layer alone: a product forward, and two backward."""
    counted = {name: flops_per_clip(work) for name, work in works().items()}
    assert counted["ensemble of ravdess-ensemble"] is None
    alexnet, small = counted["AlexNet of rosred-2022"], counted[SMALL]
    assert alexnet is not None and small is not None
    macs = 55 * 55 * 96 * 3 * 121 + 27 * 27 * 256 * 96 * 25 + 13 * 13 * (256 + 384) * 384 * 9
    macs += 13 * 13 * 384 * 256 * 9 + 256 * 9 * 4096 + 4096 * 1000 + 1000 * 8
    assert alexnet == pytest.approx(6 * macs, rel=0.15)
    assert small < alexnet / 20
