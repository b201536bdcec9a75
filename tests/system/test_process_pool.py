from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import threadpoolctl

from emofuse.system.process_pool import in_processes

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


def lives(pid: int) -> bool:
    """Whether it runs: one that ended and that nobody has asked about yet does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.lstrip().startswith("Z")


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = 0
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())  # it watches from here on
            time.sleep(0.3)
            assert lives(child)  # while its parent does
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            deadline = time.monotonic() + 10
            while lives(child) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not lives(child)
        finally:
            parent.kill()
            if child and lives(child):
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
def test_a_failure_stops_what_has_not_begun(jobs: int) -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="thirteen"):
        list(in_processes(slow_square, [(13, 0.0), *[(1, 0.2)] * 20], jobs, done.append))
    assert max(done, default=0) < 20


def test_nothing_to_do() -> None:
    assert list(in_processes(slow_square, [], 4, lambda _: None)) == []
