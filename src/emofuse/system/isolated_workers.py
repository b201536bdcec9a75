"""Run tasks that may crash or hang in worker processes; a task that does fails alone.

Workers are started as ``python -c``, not by :mod:`multiprocessing`: a script that calls this needs no
``if __name__ == "__main__"``, each worker's environment is set before any library loads, and each message is
one line of JSON. A worker has one task at a time, so it is known which task ended it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

from emofuse.core.errors import EmofuseError, IsolationError
from emofuse.system.worker_lifetime import (
    cause_of_death,
    ignore_interrupts,
    interrupts_held_back,
    note_fewer_workers,
    remember,
)

Request = Mapping[str, Any]
Reply = dict[str, Any]
Handler = Callable[[Request], Reply]

_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_BOOT: Final = (
    "import sys, json; start = json.loads(sys.stdin.buffer.readline()); sys.path[:] = start['sys_path']; "
    "from emofuse.system.isolated_workers import run_worker; run_worker(start)"
)
_START_S: Final = 300.0
"""A worker that is not ready by then never will be; on a crowded machine imports alone can take a minute."""


@dataclass(frozen=True, slots=True)
class Task:
    """JSON data to work on, and the seconds it may take (None: no limit)."""

    key: int
    request: Request
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The result of a task whose process died or had to be killed."""

    reason: str


def isolated(
    target: str, setup: Mapping[str, Any], tasks: Iterable[Task], jobs: int
) -> Generator[tuple[int, Reply | Lost], None, None]:
    """Results of tasks in worker processes, in the order in which they complete.

    Tasks are taken from their iterable one by one as workers become free: any number of them costs no memory.
    A task whose process dies is retried once in a new process, since memory may have run out because of
    another; a task that takes too long is not retried.

    Args:
        target: ``"module:function"``. The function gets ``setup`` and returns the handler of each request.
        setup: JSON data.
        tasks: what to do.
        jobs: processes at once.

    Yields:
        The key of a task, and its reply or how it was lost.

    Raises:
        IsolationError: a worker cannot start, or ``function(setup)`` raised an :class:`EmofuseError`.
    """
    pool = _WorkerPool(target, setup, jobs)
    try:
        yield from pool.results(iter(tasks))
    finally:
        pool.shutdown()


class _Worker:
    """One process, and the thread that reads its replies."""

    def __init__(self, target: str, setup: Mapping[str, Any], replies: queue.Queue[Any]) -> None:
        self.task: Task | None = None
        self.deadline = time.monotonic() + _START_S
        self.ready = False
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        try:
            with interrupts_held_back():
                self._process = subprocess.Popen(
                    # -P: nothing is imported from the working folder
                    [sys.executable, "-P", "-c", _BOOT],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
                    env={**os.environ, **_ONE_THREAD},
                )  # fmt: skip
        except BaseException:
            self._stderr.close()
            raise
        remember(self._process)
        try:
            name = "read-replies"
            threading.Thread(target=self._read_replies, args=(replies,), daemon=True, name=name).start()
        except BaseException:
            self.close()
            raise
        self._send({"sys_path": sys.path, "target": target, "setup": dict(setup)})

    def _read_replies(self, replies: queue.Queue[Any]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, contextlib.suppress(ValueError, OSError):
            for line in lines:
                replies.put((self, json.loads(line)))
        replies.put((self, None))

    def _send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a worker that has died is noticed by the end of its replies."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def start(self, task: Task) -> None:
        """Send it a task; its time starts to count."""
        self.task = task
        self.deadline = float("inf") if task.limit_s is None else time.monotonic() + task.limit_s
        self._send({"request": dict(task.request)})

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

    def close(self) -> None:
        """Kill it, and close what :meth:`stderr_tail` reads."""
        self.kill()
        self._stderr.close()


@dataclass
class _WorkerPool:
    """The workers of one call of :func:`isolated`."""

    target: str
    setup: Mapping[str, Any]
    jobs: int
    """At most; fewer where no more can be started."""
    workers: set[_Worker] = field(default_factory=set)
    replies: queue.Queue[Any] = field(default_factory=queue.Queue)
    retries: deque[Task] = field(default_factory=deque)
    """Tasks whose process died once or could not be started, and that have not been sent again."""
    missing: tuple[int, str] | None = None
    """How many were wanted, and why there are fewer, while nobody has been told."""
    retried: set[int] = field(default_factory=set)
    """Keys of tasks whose process died once."""

    def results(self, tasks: Iterator[Task]) -> Iterator[tuple[int, Reply | Lost]]:
        def next_task() -> Task | None:
            return self.retries.popleft() if self.retries else next(tasks, None)

        while True:
            while len(self.workers) < self.jobs and (task := next_task()) is not None:
                try:
                    worker = _Worker(self.target, self.setup, self.replies)
                except (OSError, RuntimeError, MemoryError) as error:
                    self.retries.appendleft(task)
                    self._fewer(str(error) or type(error).__name__)
                    continue
                worker.task = task
                self.workers.add(worker)
            if not self.workers:
                return
            worker, reply = self._next_reply()
            if worker not in self.workers:
                continue  # a late reply of a worker that was given up
            if reply is None:
                yield from self._on_exit(worker)
            elif "failed" in reply:
                raise IsolationError(reply["failed"])
            elif not worker.ready:
                worker.ready = True
                assert worker.task is not None
                worker.start(worker.task)
            else:
                assert worker.task is not None
                if self.missing is not None:
                    note_fewer_workers(self.jobs, *self.missing)
                    self.missing = None
                key = worker.task.key
                self.retried.discard(key)
                task = next_task()
                if task is None:
                    self._remove(worker)
                else:
                    worker.start(task)
                yield key, reply["result"]

    def _next_reply(self) -> tuple[_Worker, Any]:
        """The next message of a worker; None: it has ended, or its time is over."""
        while True:
            soonest = min(self.workers, key=lambda worker: worker.deadline)
            left = soonest.deadline - time.monotonic()
            with contextlib.suppress(queue.Empty):
                # a reply that came in time counts, however late the caller asks for it; short waits let an
                # interrupt through on every platform
                reply: tuple[_Worker, Any] = self.replies.get(timeout=max(0.0, min(left, 1.0)))
                return reply
            if left <= 0:
                return soonest, None

    def _on_exit(self, worker: _Worker) -> Iterator[tuple[int, Lost]]:
        """A worker died, or is killed here because its time is over."""
        late = worker.deadline <= time.monotonic()
        status = worker.kill()
        message = worker.stderr_tail()
        self._remove(worker)
        task = worker.task
        assert task is not None
        if not worker.ready:
            self.retries.appendleft(task)
            self._fewer(message)
            return
        if late:
            yield task.key, Lost(f"took longer than {task.limit_s:g} s")
        elif task.key not in self.retried:
            self.retried.add(task.key)
            self.retries.append(task)
        else:
            self.retried.discard(task.key)
            yield task.key, Lost(f"the process that read it {cause_of_death(status)}")

    def _fewer(self, reason: str) -> None:
        """Go on with the workers that there are."""
        if not self.workers:
            raise IsolationError(f"a worker process could not start: {reason}")
        self.missing = (self.jobs if self.missing is None else self.missing[0], reason)
        self.jobs = len(self.workers)

    def _remove(self, worker: _Worker) -> None:
        self.workers.discard(worker)
        worker.close()

    def shutdown(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in list(self.workers):
            self._remove(worker)


def run_worker(start: Mapping[str, Any]) -> None:
    """What a worker process does: handle requests until there are no more."""
    ignore_interrupts()
    requests = _requests_until_parent_ends()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is not a reply

    def send(message: Mapping[str, Any]) -> None:
        replies.write(json.dumps(message).encode() + b"\n")
        replies.flush()

    module, _, name = start["target"].partition(":")
    try:
        handle: Handler = getattr(importlib.import_module(module), name)(start["setup"])
    except EmofuseError as error:
        send({"failed": str(error)})
        return
    send({"ready": True})
    with contextlib.suppress(BrokenPipeError):
        while True:
            send({"result": handle(requests.get()["request"])})


def _requests_until_parent_ends() -> queue.Queue[dict[str, Any]]:
    """Requests as they come; at their end this process ends too, whatever it is doing.

    Only the parent holds the other end of the pipe: its death, however it comes, is the end of the requests.
    """
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    # not sys.stdin, which the interpreter could not close at its end while this thread waits for it
    lines = os.fdopen(os.dup(0), "rb")

    def read() -> None:
        for line in lines:
            requests.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True, name="end-with-parent").start()
    return requests
