from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
import threadpoolctl

from emofuse.system.process_pool import as_completed, ignore_interrupts, in_processes
from tests.support.processes import is_running

CHILD = """
import os, sys, time
from emofuse.system.process_pool import end_with_parent
end_with_parent(int(sys.argv[1]), every_s=0.05)
print(os.getpid(), flush=True)
time.sleep(120)
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
time.sleep(120)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = 0
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())  # it watches from here on
            time.sleep(0.3)
            assert is_running(child)  # while its parent does
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            deadline = time.monotonic() + 10
            while is_running(child) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not is_running(child)
        finally:
            parent.kill()
            if child and is_running(child):
                os.kill(child, signal.SIGKILL)


def slow_square(n: int, wait_s: float) -> tuple[int, int]:
    time.sleep(wait_s)
    if n == 13:
        raise ValueError("thirteen")
    return n * n, os.getpid()


def threads() -> int:
    import numpy  # noqa: F401 - its algebra is what is limited

    return max((one["num_threads"] for one in threadpoolctl.threadpool_info()), default=1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_arguments(jobs: int) -> None:
    done: list[int] = []
    found = list(in_processes(slow_square, [(3, 0.3), (2, 0.0), (5, 0.0)], jobs, done.append))
    assert [square for square, _ in found] == [9, 4, 25]
    assert done[-1] == 3
    assert done == sorted(done)
    assert ({pid for _, pid in found} == {os.getpid()}) == (jobs == 1)


def test_workers_keep_to_one_thread() -> None:
    assert list(in_processes(threads, [(), ()], 2, lambda _: None)) == [1, 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_stops_what_has_not_started(jobs: int) -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="thirteen"):
        list(in_processes(slow_square, [(13, 0.0), *[(1, 0.2)] * 20], jobs, done.append))
    assert max(done, default=0) < 20


def test_nothing_to_do() -> None:
    assert list(in_processes(slow_square, [], 4, lambda _: None)) == []


def named(name: str) -> str:
    """In a worker: "killer" ends it as a crash of a decoder would."""
    if name == "killer":
        os._exit(9)
    return f"{name} by {os.getpid()}"


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "killer", "b", "c"]])
def test_every_task_has_a_result(names: list[str]) -> None:
    results: dict[int, str] = {}
    found = as_completed(
        named, [(name,) for name in names], 2, setup=ignore_interrupts, on_death=lambda n: f"{names[n]} died"
    )
    for index, result in found:
        assert index not in results
        results[index] = result
    assert sorted(results) == list(range(len(names)))
    for index, result in results.items():
        if names[index] == "killer":
            assert result == "killer died"
        else:
            assert result.startswith(f"{names[index]} by ") and not result.endswith(f" {os.getpid()}")


def test_a_death_without_on_death_is_an_error() -> None:
    with pytest.raises(BrokenProcessPool):
        list(as_completed(named, [("killer",)], 1, setup=ignore_interrupts))


def remember(value: str) -> None:
    os.environ["EMOFUSE_TEST_SETUP"] = value


def remembered() -> str:
    return os.environ["EMOFUSE_TEST_SETUP"]


def test_setup_runs_in_every_worker() -> None:
    found = as_completed(remembered, [()] * 4, 2, setup=partial(remember, "ready"))
    assert sorted(found) == [(n, "ready") for n in range(4)]
    assert "EMOFUSE_TEST_SETUP" not in os.environ


@pytest.mark.parametrize("as_module", [False, True])
def test_a_script_needs_no_main_guard(tmp_path: Path, as_module: bool) -> None:
    """Its top level runs once, in its own process, and every result comes from other processes."""
    (tmp_path / "unguarded.py").write_text(
        textwrap.dedent("""
            import os
            from emofuse.system.process_pool import as_completed, ignore_interrupts
            print("started", __name__, flush=True)
            found = dict(as_completed(os.path.basename, [("a/b",), ("c/d",)], 2, setup=ignore_interrupts))
            pids = dict(as_completed(os.getpid, [(), ()], 2, setup=ignore_interrupts))
            print(sorted(found.items()), os.getpid() in pids.values(), os.path.basename(__file__))
        """)
    )
    command = [sys.executable, *(["-m", "unguarded"] if as_module else ["unguarded.py"])]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=paths, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["started __main__", "[(0, 'b'), (1, 'd')] False unguarded.py"]
