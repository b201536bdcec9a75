from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from emofuse.system.worker_lifetime import cause_of_death, kill_workers, remember
from tests.support.processes import is_running, wait_until

PARENT = """
import multiprocessing, sys, time
from tests.system.test_worker_lifetime import watching

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=watching).start()
    time.sleep(120)
"""


def watching() -> None:
    from emofuse.system.worker_lifetime import end_with_parent

    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(120)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_child_ends_when_its_parent_is_killed(how: str) -> None:
    """At once: it waits for the end, and does not look for it now and then."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child = 0
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())  # it watches from here on
            time.sleep(0.3)
            assert is_running(child)  # while its parent does
            parent.send_signal(signal.Signals[how])
            parent.wait()
            assert wait_until(lambda: not is_running(child), limit_s=10)
        finally:
            parent.kill()
            if child and is_running(child):
                os.kill(child, signal.SIGKILL)


def test_workers_that_are_remembered_are_killed() -> None:
    running, ended = (subprocess.Popen([sys.executable, "-c", code]) for code in ("input()", ""))
    ended.wait()
    remember(running)
    remember(ended)
    kill_workers()
    assert running.wait(timeout=30) != 0


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "ended (exit status 3)"),
        (None, "ended (exit status None)"),
        (-9, "was killed (SIGKILL; out of memory?)"),
        (-11, "crashed (SIGSEGV)"),
        (-200, "crashed (signal 200)"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_causes_of_death(status: int | None, text: str) -> None:
    assert cause_of_death(status) == text
