"""A real Ray cluster on this machine: a head and a node of one core each, of which the node sees less."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import batch as batch_benchmark
from benchmarks.ray_nodes import RayNodes

ROOT = Path(__file__).parents[2]


def can_make_namespaces() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Pair:
    """Two nodes; the second has an empty folder in place of ``hidden``, and may not write to ``locked``."""

    nodes: RayNodes
    hidden: Path
    locked: Path

    @property
    def address(self) -> str:
        return self.nodes.address


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("pair")
    hidden, locked = home / "hidden", home / "locked"
    hidden.mkdir()
    locked.mkdir()
    mounts = (
        f"mount -t tmpfs tmpfs '{hidden}'; mount --bind '{locked}' '{locked}'; "
        f"mount -o remount,ro,bind '{locked}'"
    )
    # what runs in nodes here may be functions of the tests
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with RayNodes(head_cores=1, variables={"PYTHONPATH": path}) as nodes:
        nodes.add(1, mounts=mounts if can_make_namespaces() else None)
        yield Pair(nodes, hidden, locked)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 files, ten of them broken in as many ways."""
    folder: Path = tmp_path_factory.mktemp("mixed") / "files"
    batch_benchmark.make_files(folder, 30, 10, n_videos=1)
    return folder
