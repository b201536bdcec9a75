"""How a service runs: where it listens, where it keeps what, and what a client may ask for."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emofuse.core.limits import default_max_pixels
from emofuse.server.label_studio import LabelStudio
from emofuse.server.live.limits import LiveLimits
from emofuse.system.cores import usable_cores

LOOPBACK_NAMES: Final = frozenset(("localhost", "127.0.0.1", "::1"))
SHORTEST_TOKEN: Final = 16
"""Characters of a token."""
DAY_S: Final = 86_400.0
_MIB: Final = 2**20


def default_workers() -> int:
    """One worker per core; two at least, so that one can be kept free."""
    return max(2, usable_cores())


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a client may ask for. What asks for more is refused before it costs much."""

    prediction_bytes: int = 64 * _MIB
    """Of a recording that is answered at once."""
    upload_bytes: int = 16 * 1024 * _MIB
    """Of a recording that becomes a job."""
    json_bytes: int = 1 * _MIB
    """Of a body that is data."""
    prediction_duration_s: float = 600.0
    """Of a recording that is answered at once."""
    duration_s: float = 4 * 3600.0
    """Of a recording that becomes a job."""
    max_pixels: int = field(default_factory=default_max_pixels)
    """Of a video frame."""
    max_channels: int = 32
    """Of an audio stream."""
    max_sample_rate_hz: int = 384_000
    """Of an audio stream."""
    prediction_s: float = 120.0
    """How long a prediction may take."""
    open_jobs: int = 100
    """Jobs that are queued or running."""
    open_requests: int = 16
    """Predictions and enrollments that wait or are worked on; the next one is asked to come again."""
    requests_per_s: float = 50.0
    """Of one client, on average."""
    burst: int = 200
    """Requests of one client at once."""
    idle_s: float = 60.0
    """How long an upload may send nothing."""
    people: int = 1000
    """Profiles that are kept."""
    studies: int = 1000
    """Studies that are kept."""
    enrollment_files: int = 50
    """Recordings of one person."""
    worker_bytes: int | None = 4 * 1024 * _MIB
    """Memory of a worker; None: no limit."""
    drain_s: float = 8.0
    """How long work may take to end after SIGTERM; jobs that have not ended by then are queued again."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where a service listens, where it keeps what, and for how long."""

    data: Path
    """The folder of everything that is kept: jobs, their files, profiles, the purpose."""
    host: str = "127.0.0.1"
    port: int = 8000
    database: str | None = None
    """A URL of PostgreSQL or SQLite; None: SQLite in the data folder."""
    database_password: str | None = field(default=None, repr=False)
    """Of the user in that URL; None: it needs none, or is in the URL."""
    purpose: str | None = None
    """What the service is used for; None: what was set before."""
    folders: tuple[Path, ...] = ()
    """Folders whose recordings may be named instead of uploaded."""
    token: str | None = field(default=None, repr=False)
    """What every request must carry; None: loopback needs none."""
    token_file: Path | None = None
    """Where it is kept."""
    keep_s: float | None = 7 * DAY_S
    """How long a finished job is kept; None: until it is erased."""
    workers: int = field(default_factory=default_workers)
    """Processes that read recordings. One of several is kept free of long jobs."""
    bundle: Path | None = None
    """The recognizer; None: the one that comes with emofuse."""
    hosts: tuple[str, ...] = ()
    """Further names under which clients reach the service, as behind a proxy."""
    label_studio: LabelStudio | None = None
    """The Label Studio whose backend the service is; None: of none."""
    quotas: Quotas = field(default_factory=Quotas)
    live: LiveLimits = field(default_factory=LiveLimits)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be 1 or more, got {self.workers}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.keep_s is not None and not self.keep_s > 0:
            raise ValueError(f"keep_s must be positive, got {self.keep_s}")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise ValueError(f"a token has {SHORTEST_TOKEN} characters or more, got {len(self.token)}")
        if self.token is None and not is_loopback(self.host):
            raise ValueError(f"the host {self.host} can be reached from elsewhere: it needs a token")

    @property
    def database_url(self) -> str:
        """The database of jobs, as SQLAlchemy names it."""
        return self.database or f"sqlite:///{os.fspath(self.data.absolute() / 'jobs.sqlite')}"

    @property
    def kept_free(self) -> int:
        """Workers that take no long jobs."""
        return 1 if self.workers > 1 else 0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
