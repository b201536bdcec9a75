from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

CHILD = """
import os, sys, time
from emofuse.processes import end_with_parent
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
