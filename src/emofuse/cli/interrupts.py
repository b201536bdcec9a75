"""Ctrl-C and SIGTERM end a command within two seconds, whatever it is doing.

First they raise an exception, which removes partial files and kills worker processes on its way. It is raised
between two steps of Python only, and a callback of a C library may swallow it: what has not ended after
:data:`GRACE_S` is therefore ended by a thread. Nothing finished is lost by that, for files are written whole
or not at all, and a repeated command resumes. While a library is being imported, the exception waits: in the
midst of its C++ it would abort the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

import typer

from emofuse.cli.printing import print_message
from emofuse.system.main_thread import signal_main_thread
from emofuse.system.worker_lifetime import kill_workers

GRACE_S: Final = 1.0
"""How long a command may take to end by itself."""
_AGAIN_S: Final = 0.05
_IMPORT_CODE: Final = "<frozen importlib._bootstrap_external>"
_SHOW_CURSOR: Final = "\x1b[?25h"
"""What a progress bar would write at its end."""


class _State:
    """Of this process, which has one terminal and one set of signal handlers."""

    watched = False
    received: int | None = None
    """The signal that ends this process."""
    raised = False
    """Whether its exception has been raised."""
    left_to_command = 0
    says = "interrupted"
    """Printed when Ctrl-C has ended a command."""


def end_on_signals() -> None:
    """Have SIGINT and SIGTERM end this process, from here on; for its main thread, once."""
    if _State.watched or threading.current_thread() is not threading.main_thread():
        return
    _State.watched = True
    # signals are written here at once, even during a call into a C library
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours,), daemon=True, name="end-on-signals").start()
    signal.signal(signal.SIGTERM, _on_signal)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as after nohup
        signal.signal(signal.SIGINT, _on_signal)


def received() -> int | None:
    """The exit status of the signal that is ending this process; None: there was none."""
    return None if _State.received is None else 128 + _State.received


def end_if_received() -> None:
    """End at once if a signal is ending this process: taking libraries down can take a second."""
    status = received()
    if status is None:
        return
    kill_workers()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def left_to_command() -> Iterator[None]:
    """Meanwhile the command itself does what signals ask for, and takes its time."""
    _State.left_to_command += 1
    try:
        yield
    finally:
        _State.left_to_command -= 1


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Meanwhile a command that Ctrl-C ends says that it resumes, and exits with status 130."""
    _State.says, before = "interrupted; repeat the command to resume", _State.says
    try:
        yield
    except KeyboardInterrupt:
        print_message(_State.says)
        raise typer.Exit(130) from None
    finally:
        _State.says = before


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.raised:
        return  # it is ending
    _State.received = number
    if _is_importing(frame):
        return  # the thread that watches sends it again
    _State.raised = True
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether Python runs the body of a module that is being imported, or what that calls."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_CODE and frame.f_code.co_name == "exec_module":
            return True
        frame = frame.f_back
    return False


def _watch(signals: socket.socket) -> None:
    while number := signals.recv(1):
        if number[0] in (signal.SIGINT, signal.SIGTERM) and not _State.left_to_command:
            _wait(number[0])
            _end(number[0])


def _wait(number: int) -> None:
    """Give the command its time, and the signal once more as long as its exception could not be raised."""
    until = time.monotonic() + GRACE_S
    while time.monotonic() < until:
        time.sleep(_AGAIN_S)
        if not _State.raised:
            signal_main_thread(number)


def _end(number: int) -> None:
    kill_workers()
    with contextlib.suppress(OSError, ValueError):
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        said = f"emofuse: {_State.says}\n" if number == signal.SIGINT else ""
        os.write(2, f"{cursor}{said}".encode())
    os._exit(128 + number)
