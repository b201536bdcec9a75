"""Tasks on a real Ray cluster: the same results as here, whatever becomes of processes and nodes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import threadpoolctl

from emofuse.cluster.connection import Cluster, connected
from emofuse.cluster.executor import ClusterExecutor, on_cluster
from emofuse.cluster.node_terms import Terms
from emofuse.core.errors import ClusterError, ExperimentError, IsolationError
from tests.cluster.conftest import Pair, can_make_namespaces


@pytest.fixture(scope="module")
def cluster(pair: Pair) -> Iterator[Cluster]:
    with connected(pair.address) as found:
        yield found


@pytest.fixture
def executor(cluster: Cluster, tmp_path: Path) -> Iterator[ClusterExecutor]:
    with on_cluster(cluster, [tmp_path]) as found:
        yield found


def square(factor: int, n: int) -> tuple[int, int, int]:
    if n == 13:
        raise ExperimentError("thirteen")
    threads = max((one["num_threads"] for one in threadpoolctl.threadpool_info()), default=1)
    return factor * n * n, os.getpid(), threads


def deadly(folder: Path, name: str) -> str:
    """Ends its process, as a crash of a decoder would: always, or the first time."""
    if name == "killer":
        os._exit(9)
    if name == "once" and not (folder / "once").exists():
        (folder / "once").touch()
        os._exit(9)
    return name


def waits(folder: Path, n: int) -> tuple[int, str]:
    """Computed by a node that runs until there is a file."""
    (folder / f"begun-{n}-{os.environ['EMOFUSE_RAY_NODE']}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return n, os.environ["EMOFUSE_RAY_NODE"]


def test_each_task_has_its_result_in_another_process_on_one_thread(executor: ClusterExecutor) -> None:
    found = dict(executor.as_completed(square, [(n,) for n in range(7)], shared=(2,)))
    assert [found[n][0] for n in range(7)] == [2 * n * n for n in range(7)]
    assert os.getpid() not in {pid for _, pid, _ in found.values()}
    assert {threads for _, _, threads in found.values()} == {1}
    again = dict(executor.as_completed(square, [(3,)], shared=(5,)))  # the same process, prepared anew
    assert again[0][0] == 45
    assert list(executor.as_completed(square, [])) == []
    assert executor.at_once == 2


def test_a_failure_stops_what_has_not_started(executor: ClusterExecutor) -> None:
    done: list[int] = []
    with (
        closing(executor.as_completed(square, [(13,), *[(1,)] * 50], shared=(1,))) as found,
        pytest.raises(ExperimentError, match="thirteen") as caught,
    ):
        done.extend(index for index, _ in found)
    assert len(done) < 10
    assert "in square" in caught.value.__notes__[0]


def test_a_process_that_dies_costs_its_task_alone(executor: ClusterExecutor, tmp_path: Path) -> None:
    tasks = [("a",), ("killer",), ("once",), ("b",)]
    found = executor.as_completed(deadly, tasks, shared=(tmp_path,), on_death=lambda n: f"{n} died")
    assert dict(found) == {0: "a", 1: "1 died", 2: "once", 3: "b"}
    with pytest.raises(IsolationError, match="a process of the cluster died 3 times with one task"):
        list(executor.as_completed(deadly, [("killer",)], shared=(tmp_path,)))


def test_a_node_that_dies_has_its_tasks_computed_elsewhere(
    pair: Pair, cluster: Cluster, tmp_path: Path
) -> None:
    victim = pair.nodes.add(cores=2)
    with on_cluster(cluster, [tmp_path]) as executor:
        assert executor.at_once == 4
        found = executor.as_completed(waits, [(n,) for n in range(6)], shared=(tmp_path,))
        results: list[tuple[int, str]] = []
        killed = False
        with closing(found):
            # the generator runs only while it is asked: another thread kills the node meanwhile
            import threading

            def kill() -> None:
                nonlocal killed
                while len(list(tmp_path.glob(f"begun-*-{victim}"))) < 2:
                    time.sleep(0.05)
                pair.nodes.kill(victim)
                killed = True
                (tmp_path / "go").touch()

            thread = threading.Thread(target=kill)
            thread.start()
            results.extend(result for _, result in found)
            thread.join()
    assert killed
    assert sorted(n for n, _ in results) == list(range(6))
    assert {mark for _, mark in results} <= set(pair.nodes.marks)


@pytest.mark.skipif(not can_make_namespaces(), reason="nodes cannot have mounts of their own here")
def test_a_node_that_does_not_share_a_folder_is_named(pair: Pair, cluster: Cluster) -> None:
    says = f"node 127.0.0.1.*: it does not see {pair.hidden} as this machine"
    with pytest.raises(ClusterError, match=says), on_cluster(cluster, [pair.hidden]):
        raise AssertionError
    says = f"node 127.0.0.1.*: it cannot write to {pair.locked}"
    with pytest.raises(ClusterError, match=says), on_cluster(cluster, [pair.locked]):
        raise AssertionError


def test_a_folder_of_the_same_path_may_be_another(cluster: Cluster, tmp_path: Path) -> None:
    """The probe has another content than on this machine."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"theirs")
    terms = Terms.of([probe])
    probe.write_bytes(b"ours")
    with pytest.raises(ClusterError, match=f"node 127.0.0.1.*: it does not see {tmp_path} as this machine"):
        ClusterExecutor(cluster, terms).check()


def test_a_node_that_does_not_see_a_file_is_named(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"12")
    terms = Terms.of([], [tmp_path / "a.wav", tmp_path / "b.wav"])
    assert list(terms.files.values()) == [2]
    (tmp_path / "a.wav").write_bytes(b"123")
    with pytest.raises(ClusterError, match=r"a\.wav has 3 bytes there, and 2 on this machine"):
        ClusterExecutor(cluster, terms).check()
    (tmp_path / "a.wav").unlink()
    with pytest.raises(ClusterError, match=r"does not see .*a\.wav"):
        ClusterExecutor(cluster, terms).check()


def test_a_node_with_other_software_is_named(cluster: Cluster) -> None:
    terms = Terms.of([])
    other = Terms(terms.folder, {}, {}, {**terms.software, "torch": "1.0"})
    with pytest.raises(ClusterError, match=r"it has torch .*, not 1\.0: results depend on it"):
        ClusterExecutor(cluster, other).check()
    with pytest.raises(ClusterError, match="a node that joined later: it has torch"):
        list(ClusterExecutor(cluster, other).as_completed(square, [(1,)], shared=(1,)))


def test_probes_are_removed_and_so_are_folders_that_stay_empty(cluster: Cluster, tmp_path: Path) -> None:
    with on_cluster(cluster, [tmp_path / "new" / "run"]):
        assert len(list((tmp_path / "new" / "run").iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    shutil.rmtree(tmp_path)
