"""Commands that are interrupted while they work, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import wait_until


@dataclass(frozen=True)
class Ended:
    """How a command ended that was sent a signal; ``took_s``: from the signal to its exit."""

    status: int
    took_s: float
    stdout: str
    stderr: str
    left: tuple[int, ...]
    """Processes of its session that are running 2 s later."""


def interrupted(
    command: Sequence[object],
    ready: Callable[[], bool],
    number: signal.Signals,
    *,
    folder: Path,
    to_all: bool = False,
    limit_s: float = 120,
) -> Ended | None:
    """Run ``emofuse`` with arguments, and send it a signal once it is ready.

    Args:
        command: arguments.
        ready: asked again and again.
        number: the signal.
        folder: for its output, which must not fill a pipe.
        to_all: send it to its workers as well, as a terminal does.
        limit_s: how long it may take to be ready.

    Returns:
        None if it had ended before.
    """
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "emofuse", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        try:
            assert wait_until(lambda: ready() or process.poll() is not None, limit_s=limit_s, every_s=0.01)
            if process.poll() is not None:
                return None
            start = time.monotonic()
            if to_all:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            status = process.wait(timeout=60)
            took_s = time.monotonic() - start
            wait_until(lambda: not _of_session(process.pid), limit_s=2)
            left = tuple(_of_session(process.pid))
        finally:
            for pid in (process.pid, *_of_session(process.pid)):
                if process.poll() is None or pid != process.pid:
                    os.kill(pid, signal.SIGKILL)
            process.wait()
    stdout_text, stderr_text = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Ended(status, took_s, stdout_text, stderr_text, left)


def _of_session(session: int) -> list[int]:
    """Processes of a session that run: zombies do not."""
    command = ["ps", "-o", "pid=,stat=", "-s", str(session)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    fields = [line.split() for line in done.stdout.splitlines()]
    return [int(pid) for pid, state in fields if not state.startswith("Z")]
