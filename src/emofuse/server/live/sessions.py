"""How many live sessions there are, and the processes that read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from emofuse.core.errors import IsolationError
from emofuse.server.live.limits import LiveLimits
from emofuse.system.worker_pool import Reply, Request, Ticket, WorkerPool


class LiveSessions:
    """A pool for live sessions alone: one of an hour holds up no prediction, and no job holds up a session.

    Its processes start with the first session. All methods may be called from any thread.
    """

    def __init__(
        self, target: str, setup: Mapping[str, Any], *, limits: LiveLimits, memory_bytes: int | None = None
    ) -> None:
        """``target``, ``setup`` and ``memory_bytes`` are those of :class:`WorkerPool`."""
        self.limits = limits
        self._target, self._setup, self._memory_bytes = target, dict(setup), memory_bytes
        self._pool: WorkerPool | None = None
        self._starting = threading.Lock()
        """Held while processes start."""
        self._changing = threading.Condition()
        self._open = 0
        self._closed = False

    @property
    def open(self) -> int:
        """Sessions at present."""
        return self._open

    @contextmanager
    def entered(self) -> Generator[bool]:
        """A session for as long as the block lasts; False: there are too many."""
        with self._changing:
            entered = self._open < self.limits.sessions
            self._open += entered
        try:
            yield entered
        finally:
            with self._changing:
                self._open -= entered
                self._changing.notify_all()

    def submit(self, request: Request, on_progress: Callable[[Reply], None]) -> Ticket:
        """Start the reading of a session; the first time, this waits for processes to start.

        Raises:
            IsolationError: they cannot start, or the service ends.
        """
        with self._starting:
            if self._pool is None:
                pool = WorkerPool(
                    self._target, self._setup, workers=self.limits.sessions, memory_bytes=self._memory_bytes
                )
                with self._changing:
                    if self._closed:
                        raise IsolationError("the service ends")
                    self._pool = pool
                try:
                    pool.start()
                except IsolationError:
                    self._pool = None
                    raise
        return self._pool.submit(
            request, urgent=True, limit_s=self.limits.ready_s + self.limits.session_s, on_progress=on_progress
        )

    def wait_until_none(self, timeout_s: float) -> bool:
        """Wait until no session is left; whether that is so."""
        with self._changing:
            return self._changing.wait_for(lambda: not self._open, timeout_s)

    def close(self) -> None:
        """End all sessions and processes at once."""
        with self._changing:
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.close()
