"""Run tasks that may crash or hang in worker processes; a task that does fails alone.

A worker has one task at a time, so it is known which task ended it. :func:`isolated` does tasks of one call,
:class:`IsolatedWorkers` of several, with the same processes. For work that does not end, see
:mod:`emofuse.system.worker_pool`.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from emofuse.core.errors import IsolationError
from emofuse.system.worker_lifetime import cause_of_death, note_fewer_workers
from emofuse.system.worker_process import START_S, Channel, Reply, Request, WorkerProcess, load_target

__all__ = ["Handler", "IsolatedWorkers", "Lost", "Reply", "Request", "Task", "isolated"]

Handler = Callable[[Request], Reply]

_RUN: Final = "emofuse.system.isolated_workers:handle_requests"


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
    pool = IsolatedWorkers(target, setup, jobs)
    try:
        yield from pool.results(iter(tasks))
    finally:
        pool.shutdown()


class _Worker:
    """One process, and the task that it has."""

    def __init__(self, target: str, setup: Mapping[str, Any], replies: queue.Queue[Any]) -> None:
        self.task: Task | None = None
        self.deadline = time.monotonic() + START_S
        self.ready = False
        self.process = WorkerProcess(_RUN, target, setup)
        self.process.follow(lambda reply: replies.put((self, reply)))

    def start(self, task: Task) -> None:
        """Send it a task; its time starts to count."""
        self.task = task
        self.deadline = float("inf") if task.limit_s is None else time.monotonic() + task.limit_s
        self.process.send({"request": dict(task.request)})

    def rest(self) -> None:
        """It has nothing to do."""
        self.task, self.deadline = None, float("inf")


@dataclass
class IsolatedWorkers:
    """The workers of one call of :func:`isolated`; or of several, if ``kept``, until :meth:`shutdown`."""

    target: str
    setup: Mapping[str, Any]
    """Of workers that are started from now on."""
    jobs: int
    """At most; fewer where no more can be started."""
    kept: bool = False
    """Whether workers outlive the tasks of a call."""
    workers: set[_Worker] = field(default_factory=set)
    replies: queue.Queue[Any] = field(default_factory=queue.Queue)
    retries: deque[Task] = field(default_factory=deque)
    """Tasks whose process died once or could not be started, and that have not been sent again."""
    missing: tuple[int, str] | None = None
    """How many were wanted, and why there are fewer, while nobody has been told."""
    retried: set[int] = field(default_factory=set)
    """Keys of tasks whose process died once."""
    _tasks: Iterator[Task] = field(default_factory=lambda: iter(()))

    def results(self, tasks: Iterator[Task]) -> Iterator[tuple[int, Reply | Lost]]:
        """Results of tasks, as of :func:`isolated`; to be exhausted before it is called again.

        Raises:
            IsolationError: a worker cannot start, or refuses to work.
        """

        self._forget_the_dead()
        self._tasks = tasks
        for worker in list(self.workers):
            self._continue(worker)
        while True:
            self._start_workers()
            if not any(worker.task for worker in self.workers):
                return
            worker, reply = self._next_reply()
            if worker not in self.workers:
                continue  # a late reply of a worker that was given up
            task = worker.task
            if task is None:
                self._remove(worker)  # one that is kept, and has died
            elif reply is None:
                yield from self._on_exit(worker)
            elif "failed" in reply:
                raise IsolationError(reply["failed"])
            elif not worker.ready:
                worker.ready = True
                worker.start(task)
            else:
                if self.missing is not None:
                    note_fewer_workers(self.jobs, *self.missing)
                    self.missing = None
                self.retried.discard(task.key)
                self._continue(worker)
                yield task.key, reply["result"]

    def _next_task(self) -> Task | None:
        return self.retries.popleft() if self.retries else next(self._tasks, None)

    def _start_workers(self) -> None:
        """Start as many as there are tasks for."""
        while len(self.workers) < self.jobs and (task := self._next_task()) is not None:
            try:
                worker = _Worker(self.target, self.setup, self.replies)
            except (OSError, RuntimeError, MemoryError) as error:
                self.retries.appendleft(task)
                self._fewer(str(error) or type(error).__name__)
                continue
            worker.task = task
            self.workers.add(worker)

    def _continue(self, worker: _Worker) -> None:
        """Give a worker its next task; without one, keep it or end it."""
        task = self._next_task()
        if task is not None:
            worker.start(task)
        elif self.kept:
            worker.rest()
        else:
            self._remove(worker)

    def _forget_the_dead(self) -> None:
        """Remove workers that have died since the tasks of the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                worker, reply = self.replies.get_nowait()
                if reply is None and worker in self.workers:
                    self._remove(worker)

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
        status = worker.process.kill()
        message = worker.process.stderr_tail()
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
        worker.process.close()

    def shutdown(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in list(self.workers):
            self._remove(worker)


def handle_requests(start: Mapping[str, Any], channel: Channel) -> None:
    """What a worker process does: handle requests until there are no more."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    channel.follow(requests.put)
    handle: Handler | None = load_target(start, channel)
    if handle is None:
        return
    with contextlib.suppress(BrokenPipeError):
        while True:
            channel.send({"result": handle(requests.get()["request"])})
