"""A signal that another thread sends reaches the main thread, even while it sleeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CODE = """
import signal, sys, threading, time
from emofuse.system.main_thread import signal_main_thread

def handle(number, frame):
    print(number, threading.current_thread() is threading.main_thread(), flush=True)
    sys.exit(3)

signal.signal(signal.SIGTERM, handle)
threading.Timer(0.3, signal_main_thread, [signal.SIGTERM]).start()
time.sleep(30)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_the_handler_runs_in_the_main_thread_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], check=False, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{int(signal.SIGTERM)} True\n"
