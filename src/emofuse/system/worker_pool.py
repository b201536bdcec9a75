"""Workers that live as long as a service: isolated processes that take one task after the other.

>>> with WorkerPool("package.module:load", {"bundle": None}, workers=2) as pool:     # doctest: +SKIP
...     ticket = pool.submit({"file": "talk.mp4"}, limit_s=600, on_progress=print)
...     reply = ticket.future.result()

``load(setup)`` runs once in every worker and returns its handler, ``handler(request, talk)``, which returns
the reply (:mod:`emofuse.system.worker_tasks`). A worker has one task at a time: what a crash costs is that
task, whose future gets a :class:`WorkerLostError`, and a new worker takes its place. No task that a handler
has begun with is tried again here. A handler that raises ends its process as well.

What holds where:

- Everywhere: limits of time; urgent tasks before others; a worker ends with its parent, however that ends,
  and inherits no socket, no pipe of another worker and no other descriptor; an interrupt of the terminal, and
  SIGTERM to all processes of a service, are left to the parent.
- Linux: the limit of memory. Ten times a second, what busy workers hold is compared with it. Where the whole
  machine is out of memory, workers are ended before their parent.
- POSIX: a worker that crashes leaves no core file.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from emofuse.core.errors import IsolationError, WorkerLostError
from emofuse.system.memory import resident_bytes
from emofuse.system.pooled_worker import KILL_S, PooledWorker, Ticket
from emofuse.system.worker_lifetime import cause_of_death
from emofuse.system.worker_process import Reply, Request, WorkerProcess
from emofuse.system.worker_tasks import Talk, TaskHandler

__all__ = ["PoolState", "Reply", "Request", "Talk", "TaskHandler", "Ticket", "WorkerPool"]

logger = logging.getLogger(__name__)

_RUN: Final = "emofuse.system.worker_tasks:handle_tasks"
_MEMORY_S: Final = 0.1
"""How often the memory of busy workers is looked at."""
_IDLE_S: Final = 1.0
_MOST_UNSENT_BYTES: Final = 64_000_000
"""What may wait to be sent to a worker that does not read."""
_STARTS: Final = 3
"""How often workers may die while they load before :meth:`WorkerPool.start` gives up."""
_LONGEST_PAUSE_S: Final = 4.0
_REFUSED_PAUSE_S: Final = 30.0
"""Between attempts to replace a worker that dies while it loads, and one that says that it cannot load."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """What the workers of a pool are doing."""

    workers: int
    """That have loaded."""
    busy: int
    waiting: int
    """Tasks that no worker has taken, without the urgent ones."""
    waiting_urgent: int
    died: int
    """Workers that died or were killed since the pool was started."""


class WorkerPool:
    """Workers that take tasks, each in a process of its own; a context manager, which starts and closes it.

    All methods may be called from any thread.
    """

    def __init__(
        self,
        target: str,
        setup: Mapping[str, Any],
        *,
        workers: int,
        kept_free: int = 0,
        memory_bytes: int | None = None,
    ) -> None:
        """Set up a pool; :meth:`start` starts its workers.

        Args:
            target: ``"module:function"``. The function gets ``setup`` and returns the handler.
            setup: JSON data.
            workers: processes at once.
            kept_free: how many of them take urgent tasks only; fewer than all.
            memory_bytes: what a worker may hold, with all that it has loaded, before it is killed; on Linux.
        """
        if workers < 1 or not 0 <= kept_free < workers:
            raise ValueError(
                f"workers must be at least 1, and fewer of them kept free, got {workers} and {kept_free}"
            )
        self._target, self._setup = target, dict(setup)
        self._n, self._kept_free, self._memory_bytes = workers, kept_free, memory_bytes
        self._changed = threading.Condition()
        """Guards everything below. Nobody calls back or waits for a process while holding it."""
        self._waiting: dict[bool, deque[Ticket]] = {True: deque(), False: deque()}
        """Urgent tasks, and others."""
        self._workers: list[PooledWorker] = []
        self._died = self._failed_starts = 0
        self._start_again = 0.0
        self._refusal = ""
        """Why the last worker did not load."""
        self._watcher: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        """Start the workers, and wait until all have loaded.

        Raises:
            IsolationError: one cannot load; none is left.
        """
        with self._changed:
            if self._watcher is not None or self._closed:
                raise RuntimeError("a pool of workers is started once")
            self._watcher = threading.Thread(target=self._watch, daemon=True, name="watch-workers")
            self._watcher.start()
            while not self._closed and self._failed_starts < _STARTS:
                if sum(worker.ready for worker in self._workers) == self._n:
                    return
                self._changed.wait()
            refusal = self._refusal or "the pool of workers was closed"
        self.close()
        raise IsolationError(refusal)

    def submit(
        self,
        request: Request,
        *,
        urgent: bool = False,
        limit_s: float | None = None,
        on_progress: Callable[[Reply], None] | None = None,
    ) -> Ticket:
        """Have a worker handle a request: JSON data.

        Args:
            request: what the handler gets.
            urgent: whether it goes before all others that are not, and to workers that are kept free.
            limit_s: seconds that it may take once a worker has it; None: no limit.
            on_progress: called with each :meth:`Talk.progress`, in order and before the future ends, by the
                thread that reads from the worker: it may block, which holds up nothing but this task.

        Returns:
            Its ticket. If the pool is closed, its future has ended with a :class:`WorkerLostError`.
        """
        ticket = Ticket(self._cancel, self._send, request, urgent, limit_s, on_progress)
        with self._changed:
            closed = self._closed
            if not closed:
                self._waiting[urgent].append(ticket)
                self._give_tasks()
        if closed:
            ticket.end(_closed())
        return ticket

    def state(self) -> PoolState:
        """What the workers are doing now."""
        with self._changed:
            return PoolState(
                workers=sum(worker.ready for worker in self._workers),
                busy=sum(worker.ticket is not None for worker in self._workers),
                waiting=len(self._waiting[False]),
                waiting_urgent=len(self._waiting[True]),
                died=self._died,
            )

    def close(self) -> None:
        """Kill all workers at once. What is running or waiting ends with a :class:`WorkerLostError`."""
        with self._changed:
            self._closed = True
            workers = list(self._workers)
            waiting = [ticket for tickets in self._waiting.values() for ticket in tickets]
            for tickets in self._waiting.values():
                tickets.clear()
            for worker in workers:
                worker.kill(worker.cause or _closed())
            self._changed.notify_all()
        for ticket in waiting:
            ticket.end(_closed())
        end = time.monotonic() + KILL_S
        for worker in workers:
            if not worker.ended.wait(max(0.0, end - time.monotonic())):
                self._on_end(worker, None, "")
        if self._watcher not in (None, threading.current_thread()):
            self._watcher.join()

    def __enter__(self) -> WorkerPool:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give_tasks(self) -> None:
        """Give tasks to workers that have none; the condition is held."""
        for worker in self._workers:
            if worker.ready and worker.ticket is None and worker.cause is None:
                ticket = self._next_ticket()
                if ticket is None:
                    break
                worker.start(ticket)
        self._changed.notify_all()

    def _next_ticket(self) -> Ticket | None:
        if self._waiting[True]:
            return self._waiting[True].popleft()
        tickets = (worker.ticket for worker in self._workers)
        running = sum(ticket is not None and not ticket.urgent for ticket in tickets)
        if self._waiting[False] and running < self._n - self._kept_free:
            return self._waiting[False].popleft()
        return None

    def _send(self, ticket: Ticket, line: bytes) -> None:
        with self._changed:
            worker = ticket.worker
            if worker is None or not worker.begun:
                ticket.unsent.append(line)
            if worker is not None and worker.ticket is ticket:
                worker.send(line)

    def _cancel(self, ticket: Ticket) -> None:
        with self._changed:
            worker = ticket.worker
            waiting = ticket in self._waiting[ticket.urgent]
            if waiting:
                self._waiting[ticket.urgent].remove(ticket)
            elif worker is not None and worker.ticket is ticket and not worker.cancelled:
                worker.cancel(ticket)
                self._changed.notify_all()
        if waiting:
            ticket.end(None)

    def _on_message(self, worker: PooledWorker, message: Reply | None) -> None:
        """Take a message of a worker, in the thread that reads from it."""
        if message is None:
            status, said = worker.close()
            self._on_end(worker, status, said)
        elif "progress" in message:
            ticket = worker.ticket
            if ticket is not None and ticket.on_progress is not None and not worker.cancelled:
                try:
                    ticket.on_progress(message["progress"])
                except Exception:
                    logger.exception("what was to be told of progress failed")
        elif "begun" in message:
            with self._changed:
                worker.begun = True
                if worker.ticket is not None:
                    worker.ticket.unsent.clear()
        elif "failed" in message:
            worker.refusal = message["failed"]
        else:
            self._on_ready(worker, message)

    def _on_ready(self, worker: PooledWorker, message: Reply) -> None:
        """It has loaded, or has ended its task."""
        with self._changed:
            if worker.cause is not None:  # it is being killed, which decides
                return
            ticket, cancelled = worker.ticket, worker.cancelled
            worker.finish()
            if not worker.ready:
                worker.ready = True
                self._failed_starts = 0
            self._give_tasks()
        if ticket is not None:
            ticket.end(None if cancelled else message["result"])

    def _on_end(self, worker: PooledWorker, status: int | None, said: str) -> None:
        """A worker has ended, or is given up."""
        cause = worker.cause or WorkerLostError(f"the worker process {cause_of_death(status)}")
        with self._changed:
            if worker not in self._workers:
                worker.ended.set()
                return
            self._workers.remove(worker)
            ticket, closed = worker.ticket, self._closed
            if worker.ready:
                self._died += 1
            elif not closed:
                died = f"it {cause_of_death(status)}: {said}"
                self._not_started(died if worker.cause is None else cause.reason, worker.refusal)
            if ticket is not None and not (worker.begun or worker.cancelled or worker.cause):
                ticket.worker = None  # it had died before: this task is as good as new
                self._waiting[ticket.urgent].appendleft(ticket)
                ticket = None
            self._give_tasks()
        if worker.ready and not (worker.cancelled or closed):
            logger.warning("%s; another worker takes its place", cause)
        if ticket is not None:
            ticket.end(None if worker.cancelled else cause)
        worker.ended.set()

    def _not_started(self, reason: str, refusal: str | None = None) -> None:
        """Wait before the next attempt, longer each time; the condition is held."""
        self._refusal = refusal or f"a worker process could not start: {reason}"
        self._failed_starts += _STARTS if refusal else 1
        longest_s = _REFUSED_PAUSE_S if refusal else _LONGEST_PAUSE_S
        pause_s = min(longest_s, 0.25 * 2.0 ** min(self._failed_starts, 10))
        self._start_again = time.monotonic() + pause_s
        logger.warning("%s; the next attempt is in %.1f s", self._refusal, pause_s)
        self._changed.notify_all()

    def _watch(self) -> None:
        """Start workers that are missing and kill those that take too much, until the pool is closed."""
        try:
            while self._watch_once():
                pass
        except BaseException:
            logger.exception("the pool of workers is closed because of an error of its own")
            self.close()
            raise

    def _watch_once(self) -> bool:
        with self._changed:
            if self._closed:
                return False
            given_up = self._kill_those_that_take_too_much()
            missing = self._n - len(self._workers) if time.monotonic() >= self._start_again else 0
            if not missing and not given_up:
                self._changed.wait(self._pause_s())
        for worker in given_up:
            self._on_end(worker, None, "")
        if missing:
            self._start_one()
        return True

    def _kill_those_that_take_too_much(self) -> list[PooledWorker]:
        """Those that were killed long ago are returned; the condition is held."""
        now = time.monotonic()
        given_up = []
        for worker in self._workers:
            worker.process.shorten_stderr()
            cause = None
            if worker.cause is not None:
                if now >= worker.deadline:
                    given_up.append(worker)
            elif now >= worker.deadline:
                cause = worker.late
            elif self._memory_bytes and (resident_bytes(worker.process.pid) or 0) > self._memory_bytes:
                cause = f"took more than {self._memory_bytes / 1e6:,.0f} MB of memory"
            elif worker.unsent_bytes > _MOST_UNSENT_BYTES:
                cause = "did not read what it was sent"
            if cause is not None:
                worker.kill(WorkerLostError(cause, killed=worker.ready))
        return given_up

    def _pause_s(self) -> float:
        """How long nothing will be late; the condition is held."""
        soonest = min((worker.deadline for worker in self._workers), default=math.inf)
        if len(self._workers) < self._n:
            soonest = min(soonest, self._start_again)
        busy = any(worker.ticket is not None or not worker.ready for worker in self._workers)
        longest = _MEMORY_S if busy and self._memory_bytes is not None else _IDLE_S
        return max(0.0, min(soonest - time.monotonic(), longest))

    def _start_one(self) -> None:
        worker = None
        try:
            worker = PooledWorker(WorkerProcess(_RUN, self._target, self._setup))
            with self._changed:
                if not self._closed:
                    self._workers.append(worker)
                    worker.follow(self._on_message)
                    return
            worker.close()
        except (OSError, RuntimeError, MemoryError) as error:
            with self._changed:
                if worker in self._workers:
                    self._workers.remove(worker)
                self._not_started(str(error) or type(error).__name__)


def _closed() -> WorkerLostError:
    return WorkerLostError("the pool of workers was closed")
