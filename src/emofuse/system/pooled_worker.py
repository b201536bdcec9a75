"""One worker of :mod:`emofuse.system.worker_pool`, and its tasks. The lock of the pool guards both."""

from __future__ import annotations

import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from emofuse.core.errors import WorkerLostError
from emofuse.system.worker_process import START_S, Reply, Request, WorkerProcess, as_line

KILL_S: Final = 5.0
"""A process that is killed and has not ended by then sleeps in the kernel: it is not waited for."""
_CANCEL_S: Final = 2.0
"""A handler that has not ended so long after it was asked to is killed."""
_NUMBERS: Final = itertools.count(1)


class Ticket:
    """A task that was submitted. All methods may be called from any thread, and return at once."""

    def __init__(
        self,
        cancel: Callable[[Ticket], None],
        send: Callable[[Ticket, bytes], None],
        request: Request,
        urgent: bool,
        limit_s: float | None,
        on_progress: Callable[[Reply], None] | None,
    ) -> None:
        self.number: Final = next(_NUMBERS)
        self.future: Future[Reply] = _Answer(self)
        """Of the reply. It ends once, and when no process works on the task any more: with the reply, with a
        :class:`WorkerLostError`, or cancelled. To cancel it is to cancel the ticket: where
        :func:`asyncio.wrap_future` is given up, the work ends. Its callbacks must not block."""
        self.urgent: Final = urgent
        self.limit_s: Final = limit_s
        self.on_progress: Final = on_progress
        self.unsent = [as_line({"task": self.number, "request": dict(request)})]
        """What a worker will be sent: it is kept until its handler has begun."""
        self.worker: PooledWorker | None = None
        self._cancel, self._send = cancel, send

    def cancel(self) -> None:
        """End the task. If it is running, its handler is asked to end, and its process is killed 2 s later.

        Once the task has ended, this does nothing; else its future will be cancelled, whatever it returns.
        """
        self._cancel(self)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send JSON data to the handler, even before it has started; it gets them by ``talk.receive``."""
        self._send(self, as_line({"task": self.number, "message": dict(message)}))

    def end(self, outcome: Reply | WorkerLostError | None) -> None:
        """End the future, and with it what waits for it: called once, by the pool, without its lock."""
        assert isinstance(self.future, _Answer)
        self.future.end(outcome)


class _Answer(Future[Reply]):
    """A future that is cancelled by cancelling its ticket."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__()
        self._ticket = ticket

    def cancel(self) -> bool:
        self._ticket.cancel()
        return not self.done() or self.cancelled()

    def end(self, outcome: Reply | WorkerLostError | None) -> None:
        """End it; None: it was cancelled."""
        if outcome is None:
            super().cancel()
            self.set_running_or_notify_cancel()  # wakes who waits for several futures
        elif isinstance(outcome, WorkerLostError):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)


class PooledWorker:
    """One process of a pool, and the task that it has."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.ready = False
        self.ticket: Ticket | None = None
        self.begun = False
        """Whether the handler has begun with it."""
        self.cancelled = False
        self.deadline = time.monotonic() + START_S
        """When it is killed; once it was killed, when it is given up."""
        self.late = f"did not start within {START_S:g} s"
        """Why it is killed then."""
        self.cause: WorkerLostError | None = None
        """Why it was killed."""
        self.refusal: str | None = None
        """Why it did not load, in its own words."""
        self.ended = threading.Event()
        self._unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._n_given = self._n_sent = 0

    def follow(self, on_message: Callable[[PooledWorker, Reply | None], None]) -> None:
        """Have it work, with a thread that reads from it and one that writes to it."""
        threading.Thread(target=self._write, daemon=True, name="write-requests").start()
        try:
            self.process.follow(lambda message: on_message(self, message))
        except BaseException:
            self._unsent.put(None)
            raise

    def _write(self) -> None:
        while (line := self._unsent.get()) is not None:
            self.process.send_line(line)
            self._n_sent += len(line)

    def send(self, line: bytes) -> None:
        """Have a line sent; a worker that does not read holds nobody up."""
        self._n_given += len(line)
        self._unsent.put(line)

    @property
    def unsent_bytes(self) -> int:
        """What it has not read yet."""
        return self._n_given - self._n_sent

    def start(self, ticket: Ticket) -> None:
        """Send it a task; its time starts to count."""
        self.ticket, ticket.worker, self.begun, self.cancelled = ticket, self, False, False
        if ticket.limit_s is not None:
            self.deadline = time.monotonic() + ticket.limit_s
            self.late = f"took longer than {ticket.limit_s:g} s"
        for line in ticket.unsent:
            self.send(line)

    def finish(self) -> None:
        """It has ended its task, or has loaded."""
        self.ticket, self.deadline = None, math.inf

    def cancel(self, ticket: Ticket) -> None:
        """Ask its handler to end."""
        self.cancelled = True
        self.deadline = min(self.deadline, time.monotonic() + _CANCEL_S)
        self.send(as_line({"task": ticket.number, "cancel": True}))

    def kill(self, cause: WorkerLostError) -> None:
        """Kill it; the thread that reads from it sees when it has ended."""
        self.cause, self.deadline = cause, time.monotonic() + KILL_S
        self.process.signal_kill()

    def close(self) -> tuple[int | None, str]:
        """Of a process that has ended or is killed here: its exit status, and the last that it wrote."""
        self._unsent.put(None)
        status = self.process.kill()
        said = self.process.stderr_tail()
        self.process.close()
        return status, said
