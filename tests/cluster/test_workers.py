"""Batches on real nodes: the rows of a single machine, whatever dies, and whatever a node does not see."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import batch as batch_benchmark
from emofuse.cli.app import app
from emofuse.cluster.connection import Cluster, Node, connected
from emofuse.cluster.node import Work
from emofuse.cluster.workers import ClusterWorkers, _Dispatch
from emofuse.core.errors import ClusterError
from emofuse.folders.timelines import write_timelines
from emofuse.recognition.batch import predict_table
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import Lost, Reply, Task
from tests.cluster.conftest import Pair, can_make_namespaces

TARGET = "tests.cluster.test_node:echo"

needs_namespaces = pytest.mark.skipif(
    not can_make_namespaces(), reason="this user may not make mount namespaces"
)


@pytest.fixture(scope="module")
def whole(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table that two processes of this machine write."""
    out: Path = tmp_path_factory.mktemp("whole") / "whole.csv"
    predict_table(mixed, None, out, jobs=2)
    return out


@dataclass(frozen=True, slots=True)
class OnlyOne(Cluster):
    """A cluster of which but one node is there: the second, which sees less."""

    def nodes(self) -> tuple[Node, ...]:
        import ray

        head = ray.get_runtime_context().get_node_id()
        return tuple(node for node in super(OnlyOne, self).nodes() if node.id != head)


def run(cluster: Cluster, tasks: Iterable[Task], remarks: list[str]) -> dict[int, Reply | Lost]:
    workers = ClusterWorkers(cluster, remarks.append)
    return dict(workers(TARGET, WorkerSettings.of(None), {}, tasks))


def texts(folder: Path, contents: Iterable[str]) -> list[Task]:
    tasks = []
    for key, text in enumerate(contents):
        (folder / f"{key}").write_text(text, encoding="utf-8")
        tasks.append(Task(key, {"file": str(folder / f"{key}")}))
    return tasks


def test_the_same_table_to_the_byte(pair: Pair, mixed: Path, whole: Path, tmp_path: Path) -> None:
    remarks: list[str] = []
    with connected(pair.address) as cluster:
        workers = ClusterWorkers(cluster, remarks.append)
        result = predict_table(mixed, None, tmp_path / "t.csv", workers=workers)
    assert (result.rows, result.failed, remarks) == (30, 10, [])
    assert (tmp_path / "t.csv").read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emofuse", *map(str, arguments)]


def stopped_after(results: int, number: int, table: Path, *arguments: object) -> tuple[int, str]:
    """Run predict until its journal has so many results, send it a signal; status and standard error."""
    with subprocess.Popen(
        command("predict", *arguments, "--out", table), stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        while batch_benchmark.journal_results(table) < results and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was stopped"
        process.send_signal(number)
        _, stderr = process.communicate()
    return process.returncode, stderr


def test_a_driver_that_ends_resumes_here_and_there(pair: Pair, tmp_path: Path) -> None:
    many, whole = tmp_path / "files", tmp_path / "whole.csv"
    batch_benchmark.make_files(many, 160, 20, n_videos=1)  # too many to be read before the third signal
    predict_table(many, None, whole, jobs=2)
    table, there = tmp_path / "t.csv", ["--cluster", pair.address]
    status, stderr = stopped_after(3, signal.SIGINT, table, many, *there)
    assert status == 130 and "repeat the command to resume" in stderr and "Traceback" not in stderr
    done = batch_benchmark.journal_results(table)
    assert stopped_after(done + 3, signal.SIGKILL, table, many, "--jobs", 2)[0] == -signal.SIGKILL
    shown = subprocess.run(command("status", table), capture_output=True, encoding="utf-8", check=False)
    assert "interrupted" in shown.stdout
    again = batch_benchmark.journal_results(table)
    status, stderr = stopped_after(again + 3, signal.SIGTERM, table, many, *there)
    assert status == 143 and "Traceback" not in stderr
    ended = subprocess.run(
        command("predict", many, "--out", table, *there), capture_output=True, encoding="utf-8", check=False
    )
    assert ended.returncode == 1 and "of them from an earlier run" in ended.stderr
    assert "cluster 127.0.0.1" in ended.stderr and "2 nodes, 2 cores" in ended.stderr
    assert table.read_bytes() == whole.read_bytes()


def work_here() -> Work:
    settings = WorkerSettings.of(None)
    return Work(TARGET, settings, True, {}, settings.identity(), str(Path.cwd()))


class Watched(_Dispatch):
    """A batch that keeps how many files each of its tasks had, and how many wait for another node."""

    def _submit(self, function: Any, state: Any, files: list[Any], *arguments: object) -> None:
        if files:
            self.__dict__.setdefault("sizes", []).append(len(files))
            self.__dict__.setdefault("waiting", []).append(len(self.again))
        super()._submit(function, state, files, *arguments)


def test_tasks_grow_by_what_has_come_back_and_shrink_towards_the_end(pair: Pair, tmp_path: Path) -> None:
    n = 400
    with connected(pair.address) as cluster:
        batch = Watched(cluster, work_here(), iter(texts(tmp_path, ["text"] * n)), print)
        assert sorted(key for key, _ in batch.results()) == list(range(n))
        batch.end()
    sizes: list[int] = batch.__dict__["sizes"]
    assert sum(sizes) == n and max(sizes) > 8
    for number, size in enumerate(sizes):
        left = n - sum(sizes[:number])
        assert size <= 2 * max(sizes[:number], default=0.5)
        assert size <= max(1, left / 4)  # half an even share: each node has at least one core
    assert sizes[-1] == 1


def test_a_node_that_dies_has_its_files_read_by_others(pair: Pair, tmp_path: Path) -> None:
    remarks: list[str] = []
    with connected(pair.address) as cluster:
        mark = pair.nodes.add(2)
        killed = False
        results = {}
        workers = ClusterWorkers(cluster, remarks.append)
        for key, result in workers(TARGET, WorkerSettings.of(None), {}, texts(tmp_path, ["text"] * 300)):
            results[key] = result
            if len(results) == 20 and not killed:
                pair.nodes.kill(mark)
                killed = True
        assert killed
    assert sorted(results) == list(range(300))
    assert all(isinstance(result, dict) and result["length"] == 4 for result in results.values())


def test_what_kills_its_process_again_and_again_has_failed(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emofuse.cluster.workers._MOST_LOSSES", 2)  # five take Ray half a minute
    tasks = texts(tmp_path, ["fine", "kill ray", "crash", *["fine"] * 9])
    with connected(pair.address) as cluster:
        results = run(cluster, tasks, [])
    assert results[2] == Lost("the process that read it crashed (SIGSEGV)")
    lost = results[1]
    assert isinstance(lost, Lost) and lost.reason.startswith("what read it on the cluster died 2 times")
    assert "\n" not in lost.reason
    assert all(isinstance(results[key], dict) for key in (0, *range(3, 12)))


@needs_namespaces
def test_files_that_only_one_node_sees_are_read_there(pair: Pair, tmp_path: Path) -> None:
    files = [batch_benchmark.write_sound(pair.hidden / f"{n}.wav", n) for n in range(12)]
    remarks: list[str] = []
    with connected(pair.address) as cluster:
        workers = ClusterWorkers(cluster, remarks.append)
        assert predict_table(files, None, tmp_path / "t.csv", workers=workers).failed == 0
    assert len(remarks) == 1 and str(pair.hidden) in remarks[0]
    assert "sees none of the first 8 files" in remarks[0] or "others read them" in remarks[0]
    predict_table(files, None, tmp_path / "jobs.csv")
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "jobs.csv").read_bytes()


@needs_namespaces
def test_files_that_one_node_does_not_see_do_not_pile_up(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node is quick with what it does not see, and would run far ahead of the one that reads it."""
    monkeypatch.setattr("emofuse.cluster.workers._MOST_FILES", 2)
    monkeypatch.setattr("emofuse.cluster.workers._MOST_AGAIN", 4)
    shared, hidden = tmp_path / "shared", pair.hidden / "waiting"
    shared.mkdir()
    hidden.mkdir()
    files = [*texts(shared, ["seen"] * 8), *texts(hidden, ["slow"] * 40)]
    tasks = [replace(task, key=key) for key, task in enumerate(files)]
    with connected(pair.address) as cluster:
        batch = Watched(cluster, work_here(), iter(tasks), print)
        results = dict(batch.results())
        batch.end()
    assert sorted(results) == list(range(48))
    assert all(isinstance(result, dict) and result["length"] == 4 for result in results.values())
    waiting: list[int] = batch.__dict__["waiting"]
    assert max(waiting) <= 3 + 4 * 2, "files wait beside those of four tasks, though a node had enough"


@needs_namespaces
def test_files_that_no_node_sees_have_failed(pair: Pair, tmp_path: Path) -> None:
    only_here = batch_benchmark.write_sound(pair.hidden / "here.wav", 1)
    nowhere, shared = tmp_path / "none.wav", batch_benchmark.write_sound(tmp_path / "shared.wav", 2)
    with connected(pair.address) as cluster:
        workers = ClusterWorkers(OnlyOne(cluster.address, started_here=False), print)
        files = [shared, only_here, nowhere]
        assert predict_table(files, None, tmp_path / "t.csv", workers=workers).failed == 2
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        first, second, third = csv.DictReader(file)
    assert not first["error"]
    assert second["error"].startswith(f"{only_here}: no node sees it: node 127.0.0.1")
    assert second["error"].endswith("there is no such file")
    predict_table([nowhere], None, tmp_path / "jobs.csv")
    with (tmp_path / "jobs.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["error"] == third["error"]


@needs_namespaces
def test_a_node_that_cannot_write_the_results_is_left_out(pair: Pair, mixed: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for path in sorted((mixed / "part 0").iterdir())[:4]:
        if path.is_file():
            shutil.copy(path, recordings)
    write_timelines(recordings, tmp_path / "here", suffixes=[".csv"])
    for out, why in (
        (pair.locked / "results", "Read-only file system"),
        (pair.hidden / "results", "it does not see the folder of the results"),
    ):
        with connected(pair.address) as cluster:
            alone = ClusterWorkers(OnlyOne(cluster.address, started_here=False), print)
            with pytest.raises(ClusterError, match=rf"no node of the cluster can do this: node .*{why}"):
                write_timelines(recordings, out, suffixes=[".csv"], workers=alone)
            write_timelines(recordings, out, suffixes=[".csv"], workers=ClusterWorkers(cluster, print))
        written = {path.name: path.read_bytes() for path in out.iterdir()}
        assert written == {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}


def test_a_disk_that_is_full_meanwhile(pair: Pair, tmp_path: Path) -> None:
    tasks = texts(tmp_path, ["fine", "fine", "disk full", *["fine"] * 5])
    with connected(pair.address) as cluster:
        workers = ClusterWorkers(cluster, print)
        found: dict[int, Reply | Lost] = {}
        with pytest.raises(ClusterError) as caught:
            found.update(workers(TARGET, WorkerSettings.of(None), {}, tasks))
    assert str(caught.value).count("No space left on device") == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["predict", "a.wav", "--cluster", "auto"], "--cluster needs --out"),
        (["predict", "a.wav", "--cluster", "auto", "--out", "t.csv", "--jobs", "2"], "give one"),
        (["timeline", "a.wav", "--cluster", "auto"], "--cluster reads folders"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and why in " ".join(result.output.replace("│", " ").split())


def test_an_address_where_nothing_is_costs_seconds_and_one_line(mixed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command("predict", mixed, "--out", tmp_path / "t.csv", "--cluster", "127.0.0.1:1", "--quiet"),
        capture_output=True, encoding="utf-8", check=False, env={**os.environ, "COLUMNS": "1000"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("emofuse: 127.0.0.1:1: nothing answers there")
    assert "Traceback" not in done.stderr and list(tmp_path.iterdir()) == []
