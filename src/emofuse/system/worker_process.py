"""A worker process, seen from both ends: what its parent does with it, and what runs in it.

Workers are started as ``python -c``, not by :mod:`multiprocessing`: a script that calls this needs no
``if __name__ == "__main__"``, each worker's environment is set before any library loads, and each message is
one line of JSON. A worker inherits its three standard streams and no other descriptor: neither a socket of
its parent nor a pipe of another worker. It ends with its parent, whose end closes its standard input.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from emofuse.core.errors import EmofuseError
from emofuse.system.worker_lifetime import ignore_interrupts, interrupts_held_back, remember

Request = Mapping[str, Any]
Reply = dict[str, Any]

START_S: Final = 300.0
"""A worker that is not ready by then never will be; on a crowded machine imports alone can take a minute."""
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_BOOT: Final = (
    "import sys, json; start = json.loads(sys.stdin.buffer.readline()); sys.path[:] = start['sys_path']; "
    "from emofuse.system.worker_process import run_worker; run_worker(start)"
)
_MOST_STDERR_BYTES: Final = 1_000_000


class WorkerProcess:
    """One process, in its parent."""

    def __init__(self, run: str, target: str, setup: Mapping[str, Any]) -> None:
        """Start it.

        Args:
            run: ``"module:function"``, called there with the mapping ``{"target": …, "setup": …}`` and a
                :class:`Channel`.
            target: ``"module:function"``, what :func:`load_target` loads there.
            setup: JSON data.

        Raises:
            OSError, RuntimeError, MemoryError: it cannot be started.
        """
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._closing = threading.Lock()
        self._is_read = False
        try:
            with interrupts_held_back():
                self._process = subprocess.Popen(
                    # -P: nothing is imported from the working folder
                    [sys.executable, "-P", "-c", _BOOT],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, close_fds=True,
                    env={**os.environ, **_ONE_THREAD},
                )  # fmt: skip
        except BaseException:
            self._stderr.close()
            raise
        remember(self._process)
        self._start = {"sys_path": sys.path, "run": run, "target": target, "setup": dict(setup)}

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def follow(self, on_message: Callable[[Reply | None], None]) -> None:
        """Have it work, and have each of its messages passed on, by a thread; None: there are no more.

        Raises:
            RuntimeError: there can be no more threads; the process is killed.
        """
        try:
            thread = threading.Thread(target=self._read, args=(on_message,), daemon=True, name="read-replies")
            thread.start()
        except BaseException:
            self.close()
            raise
        self._is_read = True
        self.send(self._start)

    def _read(self, on_message: Callable[[Reply | None], None]) -> None:
        assert self._process.stdout is not None
        try:
            with self._process.stdout as lines, contextlib.suppress(ValueError, OSError):
                for line in lines:
                    on_message(json.loads(line))
        finally:
            on_message(None)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a worker that has died is noticed by the end of its replies."""
        self.send_line(as_line(message))

    def send_line(self, line: bytes) -> None:
        """Send a message that :func:`as_line` made."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # ValueError: another thread has killed it
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def signal_kill(self) -> None:
        """Kill it, without waiting for its end."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def kill(self) -> int | None:
        """Kill it unless it has ended; return its exit status, or None where even that does not end it."""
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # asleep in the kernel, on a drive that does not answer
            return None

    def stderr_tail(self) -> str:
        """The last line that it wrote on standard error."""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 4000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no message on stderr")

    def shorten_stderr(self) -> None:
        """Forget what it wrote on standard error, if that has become much."""
        with self._closing:
            if self._stderr.closed:
                return
            descriptor = self._stderr.fileno()
            if os.fstat(descriptor).st_size > _MOST_STDERR_BYTES:
                os.lseek(descriptor, 0, os.SEEK_SET)  # of the worker as well: they share it
                os.ftruncate(descriptor, 0)

    def close(self) -> None:
        """Kill it, and close what :meth:`stderr_tail` reads."""
        self.kill()
        if not self._is_read and self._process.stdout is not None:
            self._process.stdout.close()
        with self._closing:  # another file may get its descriptor's number
            self._stderr.close()


def as_line(message: Mapping[str, Any]) -> bytes:
    """A message as it is passed between processes."""
    return json.dumps(message).encode() + b"\n"


class Channel:
    """The way to the parent, in the worker process. This process ends with it, whatever it is doing.

    Only the parent holds the other end of the pipe: its death, however it comes, is the end of the messages.
    """

    def __init__(self) -> None:
        self._replies = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what libraries print is not a reply
        self._writing = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, from any thread.

        Raises:
            BrokenPipeError: the parent has ended.
        """
        line = as_line(message)
        with self._writing:
            self._replies.write(line)
            self._replies.flush()

    def follow(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Have each message of the parent passed on, by a thread that ends this process after the last."""
        # not sys.stdin, which the interpreter could not close at its end while this thread waits for it
        lines = os.fdopen(os.dup(0), "rb")

        def read() -> None:
            for line in lines:
                on_message(json.loads(line))
            os._exit(0)

        threading.Thread(target=read, daemon=True, name="end-with-parent").start()


def run_worker(start: Mapping[str, Any]) -> None:
    """What a worker process does, from its first message on."""
    ignore_interrupts()
    _named(start["run"])(start, Channel())


def load_target(start: Mapping[str, Any], channel: Channel) -> Any:
    """In a worker process: what ``target`` makes of ``setup``; None, and the parent is told, if it cannot."""
    try:
        loaded = _named(start["target"])(start["setup"])
    except EmofuseError as error:
        channel.send({"failed": str(error)})
        return None
    channel.send({"ready": True})
    return loaded


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
