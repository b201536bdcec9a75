"""What the routes of a service share: workers, jobs, files, people, purpose."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter
from starlette.requests import HTTPConnection, Request

from emofuse.core.errors import EmofuseError, WorkerLostError
from emofuse.recognition.bundle import Bundle, load_bundle
from emofuse.server.exports import Exports
from emofuse.server.incoming import Incoming
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job
from emofuse.server.jobs.scheduler import Scheduler
from emofuse.server.jobs.store import JobStore
from emofuse.server.live.sessions import LiveSessions
from emofuse.server.metrics import Metrics
from emofuse.server.people import People
from emofuse.server.problems import Problem, disk_full, internal, stopping, too_many
from emofuse.server.purpose import Purpose
from emofuse.server.settings import ServerSettings
from emofuse.server.studies import Studies
from emofuse.server.study_results import StudyResults
from emofuse.system.worker_pool import WorkerPool
from emofuse.system.worker_process import Reply

logger = logging.getLogger("emofuse.server")

_P = ParamSpec("_P")
_T = TypeVar("_T")

READING: Final = "emofuse.server.reading:load_reading"
"""What the workers run."""
_BLOCKING_CALLS: Final = 16
"""Calls at once that may wait for the database or the disk."""
_PROBE_S: Final = 30.0
"""How long the recording of a job waits to be looked at, where a worker is free for that, or kept free."""
_BUSY_PROBE_S: Final = 2.0
"""Where none is: it may be a job that holds the only worker."""
_TRIES: Final = 2
"""How often a request is given to a worker that dies."""


class Service:
    """One service, between :meth:`start` and :meth:`stop`."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.stopping = asyncio.Event()
        """Set when the service begins to end: streams end, and new work is refused."""
        self.metrics = Metrics.new()
        self.bundle: Bundle
        self.purpose: Purpose
        self.people: People
        self.studies: Studies
        self.study_results: StudyResults
        self.files: JobFiles
        self.exports: Exports
        self.jobs: JobStore
        self.pool: WorkerPool
        self.scheduler: Scheduler
        self.live: LiveSessions
        self.incoming: Incoming
        self._stack = contextlib.ExitStack()
        self._started = False
        self._asked = 0

    def start(self) -> None:
        """Open the data folder and the database, load the recognizers, and begin to work on jobs.

        Raises:
            EmofuseError: a worker cannot load, the database cannot be opened, or another service uses it.
            OSError: the data folder cannot be written.
        """
        if self._started:
            return
        settings = self.settings
        with contextlib.ExitStack() as stack:
            self.bundle = load_bundle(settings.bundle)
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.purpose = Purpose(settings.data)
            if settings.purpose is not None:
                self.purpose.set(settings.purpose)
            self.people = People(settings.data, settings.quotas.people)
            self.studies = Studies(settings.data, settings.quotas.studies)
            self.files = JobFiles(settings.data)
            self.exports = Exports(self.files)
            self.jobs = stack.enter_context(
                JobStore.open(settings.database_url, password=settings.database_password)
            )
            if self.jobs.is_exclusive:  # else another service may be at it
                self.people.sweep()
                self.studies.delete_remains()
            self.study_results = StudyResults(self.studies, self.files, self.jobs.of_ids)
            self.incoming = stack.enter_context(Incoming(settings.data))
            bundle = None if settings.bundle is None else os.fspath(settings.bundle.absolute())
            self.pool = stack.enter_context(
                WorkerPool(
                    READING, {"bundle": bundle}, workers=settings.workers, kept_free=settings.kept_free,
                    memory_bytes=settings.quotas.worker_bytes,
                )
            )  # fmt: skip
            self.scheduler = Scheduler(
                self.jobs, self.files, self.pool, request_for=self.request_for,
                slots=settings.workers - settings.kept_free,
                on_sweep=lambda: self.studies.sweep(self.jobs.states),
            )  # fmt: skip
            self.scheduler.start()
            stack.callback(self.scheduler.stop)
            self.live = LiveSessions(
                READING, {"bundle": bundle}, limits=settings.live, memory_bytes=settings.quotas.worker_bytes
            )
            stack.callback(self.live.close)
            self.metrics.watch(self.pool, self.jobs)
            self._stack = stack.pop_all()
        self._started = True

    def drain(self) -> None:
        """Claim no more jobs, wait a while for those that run, and give the rest back."""
        if self._started:
            self.scheduler.stop(self.settings.quotas.drain_s)

    def stop(self) -> None:
        """Give running jobs back, and end all workers."""
        self._started = False
        self._stack.close()

    # --- for routes

    async def blocking(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Make a call that may wait for the database or the disk, in a thread.

        Such calls have threads of their own: a database that restarts holds up nothing else.
        """
        return await anyio.to_thread.run_sync(functools.partial(call, *args, **kwargs), limiter=self._limiter)

    @functools.cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(_BLOCKING_CALLS)

    def limits(self, max_duration_s: float) -> dict[str, Any]:
        """What a recording may ask for, as the workers take it."""
        quotas = self.settings.quotas
        return {
            "max_pixels": quotas.max_pixels,
            "max_channels": quotas.max_channels,
            "max_sample_rate_hz": quotas.max_sample_rate_hz,
            "max_duration_s": max_duration_s,
        }

    def request_for(self, job: Job, out: Path) -> Mapping[str, Any]:
        """What a worker is asked for a job.

        Raises:
            ProfileError: the person has been erased.
        """
        quotas = self.settings.quotas
        file: str | dict[str, str] = os.fspath(self.files.upload(job.id))
        if isinstance(job.source, Mapping):
            if job.source["folder"] >= len(self.settings.folders):
                raise EmofuseError("the folder of the recording is no longer one that the service may read")
            folder = self.settings.folders[job.source["folder"]]
            file = {"folder": os.fspath(folder.absolute()), "path": job.source["path"]}
        return {
            "do": "timeline",
            "file": file,
            "name": job.name,
            "out": os.fspath(out),
            "options": {**job.options, "limits": self.limits(quotas.duration_s)},
            "profile": None if job.profile is None else os.fspath(self.people.profile(job.profile)),
        }

    async def ask(self, request: Mapping[str, Any], limit_s: float, connection: Request) -> Reply:
        """Have a worker answer at once, before all long jobs.

        Args:
            request: what is asked, about a recording with a ``name``.
            limit_s: how long it may take.
            connection: of the client; when it ends, so does the work.

        Raises:
            Problem: 413 or 422 the recording, 409 the profile, 429 too many wait, 503 the service ends.
        """
        quotas = self.settings.quotas
        if self._asked >= quotas.open_requests:
            raise too_many("Too many recordings wait to be read: send a job, or come again.", 2.0)
        self._asked += 1
        gone = asyncio.ensure_future(_gone(connection))
        try:
            for left in reversed(range(_TRIES)):
                try:
                    return checked(await self._reply(request, limit_s, gone))
                except WorkerLostError as error:
                    if self.stopping.is_set():
                        raise stopping() from None
                    if error.killed or not left:
                        raise Problem(
                            422, "Recording not readable",
                            f"{request.get('name', 'the recording')}: the process that read it was lost: "
                            f"{error.reason}.",
                        ) from None  # fmt: skip
            raise AssertionError
        finally:
            self._asked -= 1
            gone.cancel()

    async def _reply(self, request: Mapping[str, Any], limit_s: float, gone: asyncio.Future[None]) -> Reply:
        ticket = self.pool.submit(request, urgent=True, limit_s=limit_s)
        answer = asyncio.wrap_future(ticket.future)
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Problem(400, "Connection closed", "The client went away.")
            return await answer
        finally:
            answer.cancel()

    async def probe(self, request: Mapping[str, Any]) -> None:
        """Refuse what is no recording before it becomes a job; where all workers are busy, the job will tell.

        Raises:
            Problem: 413 or 422, the recording.
        """
        state = self.pool.state()
        free = self.settings.kept_free or state.busy < state.workers
        wait_s = _PROBE_S if free else _BUSY_PROBE_S
        ticket = self.pool.submit({**request, "do": "probe"}, urgent=True, limit_s=_PROBE_S)
        answer = asyncio.wrap_future(ticket.future)
        try:
            with contextlib.suppress(TimeoutError, WorkerLostError):
                checked(await asyncio.wait_for(answer, wait_s))
        finally:
            answer.cancel()

    def erase_job(self, job_id: str) -> None:
        """Erase everything of a job, whatever it is doing.

        Raises:
            JobStoreError: the database cannot be used. OSError: a file cannot be deleted.
        """
        self.scheduler.erase(job_id)
        self.studies.leave({job_id})

    def running(self) -> None:
        """Refuse new work while the service ends.

        Raises:
            Problem: 503, it does.
        """
        if self.stopping.is_set():
            raise stopping()


def service_of(connection: HTTPConnection) -> Service:
    """The service that a request or a WebSocket belongs to."""
    service = connection.app.state.service
    assert isinstance(service, Service)
    return service


async def _gone(connection: Request) -> None:
    """Wait until a client, whose body has been read, closes its connection."""
    while (await connection.receive())["type"] != "http.disconnect":
        pass


_KINDS: Final = {
    "annotations": (422, "Invalid annotations"),
    "export": (422, "No such export"),
    "limit": (413, "Recording too large"),
    "options": (422, "Invalid options"),
    "profile": (409, "Profile not usable"),
    "study": (409, "Study not usable"),
    "timeline": (409, "Result not usable"),
}
"""What is wrong, by the kind that a worker names. What is none of these is the recording."""


def checked(reply: Reply) -> Reply:
    """A worker's reply.

    Raises:
        Problem: it is an error.
    """
    if "error" not in reply:
        return reply
    kind = str(reply.get("kind"))
    if kind == "storage":
        raise disk_full()
    if kind == "bug":
        logger.error("a worker failed: %s", reply["error"])
        raise internal()
    status, title = _KINDS.get(kind, (422, "Recording not readable"))
    raise Problem(status, title, str(reply["error"]))
