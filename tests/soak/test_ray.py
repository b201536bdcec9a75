"""A thousand files on four Ray nodes, of which two die, and the driver; and nodes that differ."""

from __future__ import annotations

import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from benchmarks import batch as batch_benchmark
from benchmarks.ray_nodes import RayNodes, processes_of
from tests.support.processes import wait_until

pytestmark = pytest.mark.soak

N_FILES, N_BROKEN = 1000, 50
PACKAGE = Path(__file__).parents[2] / "src" / "emofuse"


def emofuse(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emofuse", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("ray") / "files"
    batch_benchmark.make_files(folder, 60, 10)
    return folder


@pytest.fixture(scope="module")
def whole(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("whole") / "whole.csv"
    assert emofuse("predict", files, "--out", out, "--jobs", 2).returncode == 1
    return out


def test_two_of_four_nodes_and_the_driver_die(tmp_path: Path) -> None:
    files, whole, table = tmp_path / "files", tmp_path / "whole.csv", tmp_path / "t.csv"
    batch_benchmark.make_files(files, N_FILES, N_BROKEN)
    begun = time.monotonic()
    assert emofuse("predict", files, "--out", whole, "--jobs", 2).returncode == 1
    print(f"--jobs 2: {time.monotonic() - begun:.0f} s")
    with RayNodes() as nodes:
        marks = [nodes.add(1) for _ in range(4)]
        there = [files, "--out", table, "--cluster", nodes.address]
        begun = time.monotonic()
        with subprocess.Popen(batch_benchmark.command(*there), stderr=subprocess.PIPE) as driver:
            for mark, results in zip(random.sample(marks, 2), (200, 400), strict=True):
                wait(table, results, driver)
                nodes.kill(mark)
                print(f"a node killed after {batch_benchmark.journal_results(table)} results")
            wait(table, 600, driver)
            driver.kill()
        done = batch_benchmark.journal_results(table)
        print(f"the driver killed after {done} results; {time.monotonic() - begun:.0f} s so far")
        shown = emofuse("status", table)
        assert "interrupted" in shown.stdout and str(done) in shown.stdout
        ended = emofuse("predict", *there)
        print(f"all read after {time.monotonic() - begun:.0f} s")
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"{table}: {N_FILES} files, {done} of them from ")
    assert table.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "t.csv", "whole.csv"]


def wait(table: Path, results: int, driver: subprocess.Popen[bytes]) -> None:
    while batch_benchmark.journal_results(table) < results:
        assert driver.poll() is None, "it ended before anything was killed"
        time.sleep(0.02)


@pytest.fixture
def other_code(tmp_path: Path) -> Iterator[Path]:
    """A folder with emofuse of another state."""
    shutil.copytree(PACKAGE, tmp_path / "other" / "emofuse")
    with (tmp_path / "other" / "emofuse" / "core" / "times.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    yield tmp_path / "other"


def test_nodes_with_other_code_or_none_are_left_out(
    files: Path, whole: Path, other_code: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(PACKAGE, older / "emofuse")
    shutil.rmtree(older / "emofuse" / "cluster")
    with RayNodes(head_cores=1) as nodes:
        nodes.add(1, PYTHONPATH=str(other_code))
        nodes.add(1, PYTHONPATH=str(older))
        ended = emofuse("predict", files, "--out", tmp_path / "t.csv", "--cluster", nodes.address)
    lines = [line for line in ended.stderr.splitlines() if "is left out: " in line]
    print(*lines, sep="\n")
    assert len(lines) == 2
    assert any("has other code than that of this machine" in line for line in lines)
    assert any("this version of emofuse is not installed there" in line for line in lines)
    assert (tmp_path / "t.csv").read_bytes() == whole.read_bytes()


@pytest.fixture(scope="module")
def other_python() -> str:
    """A Python of another version, in an environment of its own with the same Ray."""
    named = os.environ.get("EMOFUSE_OTHER_PYTHON")
    found = [shutil.which(f"python3.{minor}") for minor in range(10, 20)]
    for python in filter(None, [named] if named else found):
        asked = "import platform, ray; print(ray.__version__, platform.python_version())"
        done = subprocess.run([python, "-c", asked], capture_output=True, encoding="utf-8", check=False)
        version, _, of_python = done.stdout.strip().partition(" ")
        if version == metadata.version("ray") and of_python != platform.python_version():
            return python
    pytest.skip("no Python of another version has this Ray: EMOFUSE_OTHER_PYTHON names one")


def test_a_head_of_another_python_is_named(files: Path, other_python: str, tmp_path: Path) -> None:
    with RayNodes(head_cores=1, python=other_python) as nodes:
        ended = emofuse("predict", files, "--out", tmp_path / "t.csv", "--cluster", nodes.address)
    print(ended.stderr)
    assert ended.returncode == 1 and list(tmp_path.iterdir()) == []
    *_, line = " ".join(ended.stderr.split()).rpartition("emofuse: ")
    assert line.startswith(f"{nodes.address}: the cluster runs Ray {metadata.version('ray')} on Python 3.")
    assert line.endswith(f"on Python {platform.python_version()}: all machines need the same")


def test_a_node_of_another_python_cannot_join(
    files: Path, whole: Path, other_python: str, tmp_path: Path
) -> None:
    with RayNodes(head_cores=1) as nodes:
        with pytest.raises(RuntimeError, match="Version mismatch") as caught:
            nodes.add(1, python=other_python)
        print(caught.value)
        ended = emofuse("predict", files, "--out", tmp_path / "t.csv", "--cluster", nodes.address)
    assert "1 node, 1 cores" in ended.stderr
    assert (tmp_path / "t.csv").read_bytes() == whole.read_bytes()


@pytest.mark.skipif(os.getuid() != 0, reason="this user may not make mount namespaces")
def test_a_node_whose_disk_is_full(files: Path, tmp_path: Path) -> None:
    """Where it keeps what is temporary; and, for timelines, where the results go: a layer of its own."""
    results, small = tmp_path / "results", tmp_path / "small"
    results.mkdir()
    small.mkdir()
    mounts = (
        f"mount -t tmpfs -o size=96k tmpfs {small}; mkdir {small}/upper {small}/work; "
        f"mount -t overlay overlay {results} -o lowerdir={results},upperdir={small}/upper,"
        f"workdir={small}/work; "
        f"dd if=/dev/zero of={small}/upper/.fill bs=1k count=200 2>/dev/null || true"
    )
    with RayNodes(head_cores=1) as nodes:
        nodes.add(1, mounts=mounts)
        there = ["--cluster", nodes.address]
        ended = emofuse("timeline", files / "part 0", "--out-dir", results, "--format", "csv", *there)
        print(ended.stderr)
    assert ended.returncode == 1
    here = emofuse(
        "timeline", files / "part 0", "--out-dir", tmp_path / "here", "--format", "csv", "--jobs", 2
    )
    assert here.returncode == 1
    written = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert {path.name: path.read_bytes() for path in results.iterdir()} == written
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_cluster_that_was_started_for_a_command(
    files: Path, tmp_path: Path, number: int
) -> None:
    table, mark = tmp_path / "t.csv", f"auto-{number}-{os.getpid()}"
    before = set(Path("/tmp").glob("emofuse-ray-*"))
    with subprocess.Popen(
        batch_benchmark.command(files, "--out", table, "--cluster", "auto"), stderr=subprocess.PIPE,
        encoding="utf-8", env={**os.environ, "EMOFUSE_RAY_NODE": mark},
    ) as driver:  # fmt: skip
        while batch_benchmark.journal_results(table) < 5:
            assert driver.poll() is None, driver.communicate()[1]
            time.sleep(0.02)
        begun = time.monotonic()
        driver.send_signal(number)
        _, stderr = driver.communicate()
    print(f"ended after {time.monotonic() - begun:.1f} s with {driver.returncode}")
    assert driver.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(signal.Signals(number), -number)
    assert "Traceback" not in stderr
    # what reads ends at once; two agents of Ray notice only after a minute that their node was killed
    assert wait_until(lambda: not processes_of(mark), limit_s=600)
    if number != signal.SIGKILL:
        assert set(Path("/tmp").glob("emofuse-ray-*")) <= before
    assert batch_benchmark.journal_results(table) >= 5
