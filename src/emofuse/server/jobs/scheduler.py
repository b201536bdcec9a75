"""Who runs jobs: claims them while workers are free, follows them, takes over those of servers that died."""

from __future__ import annotations

import errno
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import EmofuseError, JobStoreError, WorkerLostError
from emofuse.server.jobs.dead_servers import DeadServers
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job, Lease
from emofuse.server.jobs.retention import Retention
from emofuse.server.jobs.store import JobStore
from emofuse.system.worker_pool import Reply, Ticket, WorkerPool

logger = logging.getLogger(__name__)

_LEAVE_S: Final = 1.5
"""How long a scheduler that ends waits for the database."""
_WARN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SchedulerRules:
    """How often a scheduler does what, in seconds of a clock that nobody sets."""

    poll_s: float = 0.5
    """How often it looks for new jobs, and whether its own were cancelled elsewhere."""
    progress_s: float = 1.0
    """How often the progress of a job is written at most."""
    beat_s: float = 2.0
    """How often it shows the other servers that it lives."""
    dead_after_s: float = 20.0
    """A server whose beats have stood still for so long is dead."""
    sweep_s: float = 60.0
    """How often jobs are erased that have been kept long enough."""


@dataclass(eq=False, slots=True)
class _Run:
    """A job that a worker has, or is about to get."""

    lease: Lease
    ticket: Ticket | None = None
    failure: str | None = None
    """Why no worker got it."""
    progress: tuple[float, float | None] | None = None
    """Seconds read, and of how many, that are not written yet."""
    written: float = field(default=-float("inf"))
    """When progress was written."""

    def on_progress(self, message: Reply) -> None:
        total_s = message.get("total_s")
        self.progress = (float(message.get("done_s", 0.0)), None if total_s is None else float(total_s))


class Scheduler:
    """Runs the jobs of a store in the workers of a pool, in a thread of its own, until it is stopped.

    Nothing that happens to the database, to a worker or to a job ends it: it tries again. Jobs that had a
    worker when it was killed are run again by whoever finds them: it, once it starts again (SQLite), or
    another server.

    Args:
        store: the jobs.
        files: their files.
        pool: the workers, started.
        request_for: what a worker is asked for a job whose results go to that folder. The job fails with the
            text of an :class:`EmofuseError` that it raises.
        slots: how many jobs may have a worker at once.
        limit_s: how long a worker may take for a job; None: no limit.
        rules: how often it does what.
        on_sweep: called whenever jobs may have been erased for their age.
    """

    def __init__(
        self,
        store: JobStore,
        files: JobFiles,
        pool: WorkerPool,
        *,
        request_for: Callable[[Job, Path], Mapping[str, Any]],
        slots: int,
        limit_s: float | None = None,
        rules: SchedulerRules | None = None,
        on_sweep: Callable[[], None] = lambda: None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots must be 1 or more, got {slots}")
        self.server: Final = uuid.uuid4().hex
        """The name of this server in the database; another one after each start."""
        self._store, self._files, self._pool = store, files, pool
        self._request_for, self._slots, self._limit_s = request_for, slots, limit_s
        self._rules = rules or SchedulerRules()
        self._dead = DeadServers(self._rules.dead_after_s, longest_gap_s=2 * self._rules.beat_s)
        self._retention = Retention(store, files)
        self._on_sweep = on_sweep
        self._runs: dict[str, _Run] = {}
        """By the key of the job. Only the scheduler's thread changes it."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop_at: float | None = None
        self._ended = threading.Event()
        self._next_beat = 0.0
        self._warned: dict[str, float] = {}
        """When what was last logged."""
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name="schedule-jobs"),
            threading.Thread(target=self._sweep, daemon=True, name="erase-expired-jobs"),
        ]

    def start(self) -> None:
        """Take up what a server left that was killed, and begin.

        Raises:
            JobStoreError: the database cannot be used. OSError: the data folder cannot.
        """
        if self._store.is_exclusive:  # so whoever ran these is dead
            for server in {*self._store.running_servers(), *self._store.beats()}:
                n = self._store.release(server)
                logger.info("%d jobs of a server that ended are queued again", n)
            self._retention.erase_orphans(at_once=True)
        self._store.beat(self.server)
        for thread in self._threads:
            thread.start()

    def stop(self, drain_s: float = 0.0) -> None:
        """End: begin no more jobs, wait so long for those that run, and queue again the others.

        A database that is away is not waited for: what could not be written, whoever looks next will find.
        """
        with self._lock:
            if self._stop_at is None:
                self._stop_at = time.monotonic() + drain_s
        self._wake.set()
        self._ended.set()
        end = time.monotonic() + drain_s + _LEAVE_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def wake(self) -> None:
        """Look for new jobs at once."""
        self._wake.set()

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job, also one that a worker is reading; one that has ended stays as it is.

        Returns:
            The job as it is now; None: there is none.

        Raises:
            JobStoreError: the database cannot be used.
        """
        job = self._store.cancel(job_id)
        if job is not None and job.state == "cancelled":
            self._give_up(job_id)
        return job

    def erase(self, job_id: str) -> bool:
        """Erase everything of a job, whatever it is doing; whether there was one.

        Raises:
            JobStoreError: the database cannot be used. OSError: a file cannot be deleted.
        """
        existed = self._store.erase(job_id)
        self._give_up(job_id)
        if existed:
            self._files.erase(job_id)
        return existed

    # --- the thread that runs jobs

    def _work(self) -> None:
        steps = (self._beat, self._settle, self._follow, self._claim)
        while True:
            self._wake.wait(self._rules.poll_s)
            self._wake.clear()
            for step in steps:
                self._try(step)
            with self._lock:
                stop_at = self._stop_at
            if stop_at is not None and (not self._runs or time.monotonic() >= stop_at):
                break
        self._try(self._leave)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except JobStoreError as error:
            self._warn(str(error))
        except OSError as error:  # its text may hold a path, and with it a name
            self._warn(errno.errorcode.get(error.errno or 0, type(error).__name__))
        except Exception:
            logger.exception("jobs cannot be run for a moment")

    def _warn(self, reason: str) -> None:
        """Log why jobs cannot be run, once a minute: a disk may be full for a day."""
        now = time.monotonic()
        if now >= self._warned.get(reason, -float("inf")) + _WARN_S:
            self._warned = {reason: now}
            logger.warning("jobs cannot be run for now: %s", reason)

    def _beat(self) -> None:
        """Show that this server lives, and look whether the others do."""
        if time.monotonic() < self._next_beat:
            return
        self._store.beat(self.server)
        self._next_beat = time.monotonic() + self._rules.beat_s
        for lease in self._store.held_by(self.server):
            if lease.id not in self._runs:  # claimed by a call whose connection broke
                self._store.requeue(lease)
        if self._store.is_exclusive:
            return
        beats: dict[str, int] = dict.fromkeys(self._store.running_servers(), 0)
        beats |= self._store.beats()
        beats.pop(self.server, None)
        for server in self._dead.observe(beats):
            n = self._store.release(server, beats[server])
            logger.warning("a server has died, and %d of its jobs are queued again", n)

    def _claim(self) -> None:
        """Give jobs to workers while there are both."""
        while len(self._runs) < self._slots and self._stop_at is None:
            job = self._store.claim(self.server)
            if job is None:
                return
            run = _Run(job.lease)
            with self._lock:
                self._runs[job.id] = run
            try:
                request = self._request_for(job, self._files.begin(job.id, job.attempts))
                ticket = self._pool.submit(request, limit_s=self._limit_s, on_progress=run.on_progress)
                run.ticket = ticket
                ticket.future.add_done_callback(lambda _: self._wake.set())
            except Exception as error:
                run.failure = _told(error)
                self._wake.set()

    def _follow(self) -> None:
        """Write how far jobs are, and give up those that are no longer this server's."""
        if not self._runs:
            return
        states = self._store.states(list(self._runs))
        now = time.monotonic()
        for run in list(self._runs.values()):
            lease, progress = run.lease, run.progress
            if states.get(lease.id) != ("running", lease.server, lease.attempt):
                self._give_up(lease.id)
            elif progress is not None and now >= run.written + self._rules.progress_s:
                run.progress, run.written = None, now
                self._store.progress(lease, *progress)

    def _settle(self) -> None:
        """Write what has become of the jobs that have no worker any more."""
        for run in list(self._runs.values()):
            if run.failure is not None or (run.ticket is not None and run.ticket.future.done()):
                self._try(partial(self._end, run))

    def _end(self, run: _Run) -> None:
        """Write how a job ended; if that fails, it is tried again."""
        if not self._conclude(run):
            self._clear(run)
        with self._lock:
            del self._runs[run.lease.id]

    def _conclude(self, run: _Run) -> bool:
        """Write how a job ended; False: it was not for this server to say."""
        lease = run.lease
        if run.ticket is None:
            return self._fail(lease, run.failure or "")
        try:
            reply = run.ticket.future.result()
        except (CancelledError, WorkerLostError) as error:
            return self._lost(lease, error)
        if "error" in reply:
            return self._fail(lease, str(reply["error"]))
        try:
            return self._store.finish(lease, reply, partial(self._files.publish, lease.id, lease.attempt))
        except FileNotFoundError:
            return self._fail(lease, "its results were deleted before it was done")

    def _lost(self, lease: Lease, error: CancelledError | WorkerLostError) -> bool:
        """Write that a job's worker died, or was told to end."""
        if isinstance(error, CancelledError) or self._stop_at is not None:
            self._files.discard(lease.id, lease.attempt)
            return self._store.requeue(lease)  # a job that was cancelled has no lease, and stays so
        if error.killed:
            return self._fail(lease, f"the process that read it {error.reason}")
        self._files.discard(lease.id, lease.attempt)
        return self._store.worker_died(lease, error.reason) is not None

    def _fail(self, lease: Lease, error: str) -> bool:
        self._files.discard(lease.id, lease.attempt)  # first: where the disk was full, there is room again
        return self._store.fail(lease, error)

    def _clear(self, run: _Run) -> None:
        """Delete what was written for a job that is no longer this server's; all of it if nobody's."""
        if self._store.get(run.lease.id) is None:
            self._files.erase(run.lease.id)
        else:
            self._files.discard(run.lease.id, run.lease.attempt)

    def _give_up(self, job_id: str) -> None:
        """End the work on a job, if it is done here."""
        with self._lock:
            run = self._runs.get(job_id)
        if run is not None and run.ticket is not None:
            run.ticket.cancel()

    def _leave(self) -> None:
        """Give back what still runs."""
        for run in list(self._runs.values()):
            if run.ticket is not None and run.ticket.future.done():
                self._end(run)
                continue
            self._give_up(run.lease.id)
            if not self._store.requeue(run.lease):
                self._clear(run)
        self._store.release(self.server)

    # --- the thread that erases

    def _sweep(self) -> None:
        while True:
            self._try(self._retention.sweep)
            self._try(self._on_sweep)
            if self._ended.wait(self._rules.sweep_s):
                return


def _told(error: Exception) -> str:
    """An error for whoever sees the job: without the path that an ``OSError`` names."""
    if isinstance(error, EmofuseError):
        return str(error)
    if isinstance(error, OSError):
        return f"its files cannot be written: {error.strerror}"
    logger.error("a job could not be given to a worker", exc_info=error)
    return "it could not be given to a worker: see the log of the service"
