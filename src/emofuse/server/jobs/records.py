"""What is known of a job."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypedDict

JobState = Literal["queued", "running", "done", "failed", "cancelled"]

STATES: Final[tuple[JobState, ...]] = ("queued", "running", "done", "failed", "cancelled")
OPEN_STATES: Final[tuple[JobState, ...]] = ("queued", "running")
"""Of a job that still has work ahead; such jobs are never erased for their age."""

MAX_WORKER_DEATHS: Final = 3
"""A job whose worker process dies that often is failed: it most likely kills them."""


class FolderFile(TypedDict):
    """A file below one of the folders that the service may read."""

    folder: int
    """Which of them, from 0."""
    path: str
    """Relative to it."""


Source = Literal["upload"] | FolderFile
"""Where the recording of a job lies: among the job's own files, or in a folder."""


def new_job_id() -> str:
    """32 random hexadecimal digits: also the name of the folder with the job's files."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a job is made of before it is accepted."""

    name: str
    """As it is shown; never a path."""
    purpose: str
    """What the predictions are for; it is written into every export."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """How the recording is read: JSON data."""
    source: Source = "upload"
    profile: str | None = None
    """The key of an enrolled person."""
    keep_s: float | None = None
    """Seconds for which the job is kept after it has ended; None: until somebody erases it."""
    consent: str | None = None
    """What the people in it have agreed to."""
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job: of one server, for one attempt.

    Whatever a server wants to say about a job it runs, it says with its lease. When the job was given to
    another server meanwhile, cancelled or erased, the lease no longer counts.
    """

    id: str
    server: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(NewJob):
    """A job as it was when it was read from the database. Times are UTC in ISO 8601."""

    number: int
    """Jobs run, and are listed, in the order in which they came, whatever the clock said."""
    state: JobState
    created: str
    started: str | None = None
    """Of the last attempt."""
    finished: str | None = None
    keep_until: str | None = None
    """When it is erased; None: it has not ended, or is kept."""
    done_s: float = 0.0
    """Seconds of the recording that were read."""
    total_s: float | None = None
    """Its duration, where it is known."""
    attempts: int = 0
    """How often somebody began to work on it."""
    worker_deaths: int = 0
    server: str | None = None
    """The server that runs it."""
    error: str | None = None
    """Why it failed."""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """What the worker answered; the rest lies in the job's files."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Names, merges, markers and excluded spans, as JSON data."""
    annotations_version: int = 0
    """How often they were changed."""

    @property
    def is_open(self) -> bool:
        """Whether it still has work ahead."""
        return self.state in OPEN_STATES

    @property
    def lease(self) -> Lease:
        """The right of its server to work on it.

        Raises:
            ValueError: nobody runs it.
        """
        if self.server is None:
            raise ValueError(f"job {self.id} is {self.state}, nobody runs it")
        return Lease(self.id, self.server, self.attempts)


def timestamp(moment: datetime) -> str:
    """UTC in ISO 8601 with microseconds: all of one length, so that they sort like the moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
