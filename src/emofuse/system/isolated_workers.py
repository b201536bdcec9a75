"""Work that may crash or hang, in processes of its own: one task's misfortune is that task's alone.

Worker processes are started as ``python -c``, not by :mod:`multiprocessing`: a script that calls this needs
no ``if __name__ == "__main__"``, each worker's environment is set before any library loads, and what travels
is one line of JSON each way. Each worker has one task at a time, so that it is known whose fault a death was.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import signal
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
from emofuse.system.process_pool import end_with_parent

Request = Mapping[str, Any]
Reply = dict[str, Any]
Handler = Callable[[Request], Reply]

_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_BOOT: Final = (
    "import sys, json; first = json.loads(sys.stdin.buffer.readline()); sys.path[:] = first['sys_path']; "
    "from emofuse.system.isolated_workers import work; work(first)"
)
_START_S: Final = 300.0
"""A worker that is not ready by then never will be; on a crowded machine imports alone can take a minute."""
_KILLED_FOR_MEMORY: Final = -9


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do: JSON data, and the seconds it may take (None: any)."""

    key: int
    request: Request
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """What comes back of a task whose process died or had to be killed."""

    reason: str


def isolated(
    target: str, setup: Mapping[str, Any], tasks: Iterable[Task], jobs: int
) -> Generator[tuple[int, Reply | Lost], None, None]:
    """Answers of worker processes, in the order in which they are ready.

    Tasks are taken from their iterable one by one as workers become free: any number of them costs no memory.
    A task whose process dies is tried once more in a new one, since memory may have run out for the sake of
    another; a task that takes too long is not.

    Args:
        target: ``"module:function"``. The function gets ``setup`` and returns what answers each request.
        setup: JSON data.
        tasks: what to do.
        jobs: processes at once.

    Yields:
        The key of a task, and its answer or how it was lost.

    Raises:
        IsolationError: a worker cannot start, or ``function(setup)`` raised an :class:`EmofuseError`.
    """
    crew = _Crew(target, setup, jobs)
    try:
        yield from crew.answers(iter(tasks))
    finally:
        crew.dismiss()


class _Worker:
    """One process, and the thread that hears it."""

    def __init__(self, target: str, setup: Mapping[str, Any], heard: queue.Queue[Any]) -> None:
        self.task: Task | None = None
        self.deadline = time.monotonic() + _START_S
        self.ready = False
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            # -P: the working folder is no place to import from
            [sys.executable, "-P", "-c", _BOOT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            env={**os.environ, **_ONE_THREAD},
        )  # fmt: skip
        threading.Thread(target=self._hear, args=(heard,), daemon=True, name="hear-worker").start()
        self.send({"sys_path": sys.path, "target": target, "setup": dict(setup), "parent": os.getpid()})

    def _hear(self, heard: queue.Queue[Any]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as replies, contextlib.suppress(ValueError, OSError):
            for line in replies:
                heard.put((self, json.loads(line)))
        heard.put((self, None))

    def send(self, message: Mapping[str, Any]) -> None:
        """Give it something; that it has died will be heard."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def begin(self, task: Task) -> None:
        """Hand it a task; the clock runs."""
        self.task = task
        self.deadline = float("inf") if task.limit_s is None else time.monotonic() + task.limit_s
        self.send({"request": dict(task.request)})

    def end(self) -> int | None:
        """Kill it; return the status with which it had ended, or None where it does not even die."""
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # asleep in the kernel, on a drive that does not answer
            return None

    def last_words(self) -> str:
        """The last line that it wrote on standard error."""
        self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, self._complaints.tell() - 4000))
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it left no word")

    def forget(self) -> None:
        """Close what is kept for :meth:`last_words`."""
        self._complaints.close()


@dataclass
class _Crew:
    """The workers of one call of :func:`isolated`."""

    target: str
    setup: Mapping[str, Any]
    jobs: int
    workers: set[_Worker] = field(default_factory=set)
    heard: queue.Queue[Any] = field(default_factory=queue.Queue)
    again: deque[Task] = field(default_factory=deque)
    """Tasks whose process died once."""
    tried: set[int] = field(default_factory=set)

    def answers(self, tasks: Iterator[Task]) -> Iterator[tuple[int, Reply | Lost]]:
        waiting: deque[Task] = deque()

        def following() -> Task | None:
            if self.again:
                return self.again.popleft()
            return waiting.popleft() if waiting else next(tasks, None)

        while True:
            while len(self.workers) < self.jobs and (task := following()) is not None:
                worker = _Worker(self.target, self.setup, self.heard)
                worker.task = task
                self.workers.add(worker)
            if not self.workers:
                return
            worker, reply = self._next_word()
            if worker not in self.workers:
                continue  # the last of one that was given up
            if reply is None:
                yield from self._bury(worker)
            elif "failed" in reply:
                raise IsolationError(reply["failed"])
            elif not worker.ready:
                worker.ready = True
                assert worker.task is not None
                worker.begin(worker.task)
            else:
                assert worker.task is not None
                key = worker.task.key
                self.tried.discard(key)
                task = following()
                if task is None:
                    self._dismiss(worker)
                else:
                    worker.begin(task)
                yield key, reply["answer"]

    def _next_word(self) -> tuple[_Worker, Any]:
        """What a worker says; None: that it is no more, or that its time is over."""
        while True:
            soonest = min(self.workers, key=lambda worker: worker.deadline)
            left = soonest.deadline - time.monotonic()
            with contextlib.suppress(queue.Empty):
                # what was said in time counts, however late it is asked for; a wait that ends now and then
                # lets an interrupt through on every platform
                word: tuple[_Worker, Any] = self.heard.get(timeout=max(0.0, min(left, 1.0)))
                return word
            if left <= 0:
                return soonest, None

    def _bury(self, worker: _Worker) -> Iterator[tuple[int, Lost]]:
        """A worker died, or is killed here because its time is over."""
        late = worker.deadline <= time.monotonic()
        status = worker.end()
        words = worker.last_words()
        self._dismiss(worker)
        task = worker.task
        assert task is not None
        if not worker.ready:
            raise IsolationError(f"a worker process could not start: {words}")
        if late:
            yield task.key, Lost(f"took longer than {task.limit_s:g} s")
        elif task.key not in self.tried:
            self.tried.add(task.key)
            self.again.append(task)
        else:
            self.tried.discard(task.key)
            yield task.key, Lost(_death(status))

    def _dismiss(self, worker: _Worker) -> None:
        self.workers.discard(worker)
        worker.end()
        worker.forget()

    def dismiss(self) -> None:
        """End all of them, whatever they are at."""
        for worker in list(self.workers):
            self._dismiss(worker)


def _death(status: int | None) -> str:
    if status is None or status >= 0:
        return f"the process that read it ended (exit status {status})"
    if status == _KILLED_FOR_MEMORY:
        return "the process that read it was killed (SIGKILL; out of memory?)"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"the process that read it crashed ({name})"


def work(first: Mapping[str, Any]) -> None:
    """What a worker process does: answer requests until there are no more."""
    # the parent hears the interrupt and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(first["parent"])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message).encode() + b"\n")
        answers.flush()

    module, _, name = first["target"].partition(":")
    try:
        answer: Handler = getattr(importlib.import_module(module), name)(first["setup"])
    except EmofuseError as error:
        say({"failed": str(error)})
        return
    say({"ready": True})
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            say({"answer": answer(json.loads(line)["request"])})
