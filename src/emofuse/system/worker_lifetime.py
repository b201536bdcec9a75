"""How worker processes start and end: not by an interrupt of the terminal, and never after their parent."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Final, Protocol

logger = logging.getLogger(__name__)

_KILLED_FOR_MEMORY: Final = -9


class _Process(Protocol):
    def kill(self) -> None: ...


_RUNNING: Final[weakref.WeakSet[_Process]] = weakref.WeakSet()
"""Worker processes of this process, as far as they have not been forgotten."""


def remember(process: _Process) -> None:
    """Have a worker process ended by :func:`kill_workers`."""
    _RUNNING.add(process)


def kill_workers() -> None:
    """Kill all worker processes of this process, whatever they are doing, without waiting for them."""
    for process in list(_RUNNING):
        with contextlib.suppress(OSError, ValueError):  # it has ended
            process.kill()


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Start a process that an interrupt of the terminal does not reach, not even while it is starting.

    The parent gets the interrupt, and ends its workers. On Windows, where nothing can be held back, they
    ignore it as soon as they run.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """In a worker process: leave an interrupt to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """In a process of :mod:`multiprocessing`: end as soon as the parent has ended, however it did.

    Nobody is asked for the parent's number, which means little on Windows: what shows its end is a pipe that
    it holds, or its handle.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def note_fewer_workers(n: int, wanted: int, reason: str) -> None:
    """Log that there are fewer workers than wanted."""
    logger.warning(
        "only %d of %d worker processes could be started (%s): they do the work", n, wanted, reason
    )


def cause_of_death(status: int | None) -> str:
    """How a process ended, from its exit status; None: it does not end."""
    if status is None or status >= 0:
        return f"ended (exit status {status})"
    if status == _KILLED_FOR_MEMORY:
        return "was killed (SIGKILL; out of memory?)"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"crashed ({name})"
