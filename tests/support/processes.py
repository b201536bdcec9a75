"""Processes, and what is left of them when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether it runs: a zombie does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.lstrip().startswith("Z")


def children(pid: int) -> list[int]:
    command = ["ps", "-o", "pid=", "--ppid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def wait_until(condition: Callable[[], bool], *, limit_s: float, every_s: float = 0.05) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(every_s)
    return condition()


def workers_of_a_killed_parent(script: Path, n_workers: int) -> list[int]:
    """Run a script, kill it once it has that many worker processes; return those that are left 10 s later."""
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL)
    workers: list[int] = []
    try:

        def started() -> bool:
            assert parent.poll() is None, "the script ended before its workers were killed"
            workers[:] = children(parent.pid)
            return len(workers) > n_workers  # the resource tracker of multiprocessing is one more

        assert wait_until(started, limit_s=60)
        time.sleep(1.0)  # they begin to watch their parent once they are set up
        assert parent.poll() is None, "the script ended before its workers were killed"
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(map(is_running, workers)), limit_s=10)
    left = [pid for pid in workers if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left
