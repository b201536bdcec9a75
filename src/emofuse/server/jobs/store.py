"""The jobs in the database: accepted, claimed, finished, each change in one transaction.

Who works on a job has a :class:`~emofuse.server.jobs.records.Lease`; a change with a lease that no longer
counts does nothing, and says so. Thus a server that was taken for dead, and comes back, can neither lose a
job nor give it a second result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import Connection, Update, and_, delete, func, insert, select, update

from emofuse.core.errors import JobConflictError, JobError, JobQuotaError
from emofuse.server.jobs.database import Database
from emofuse.server.jobs.records import (
    MAX_WORKER_DEATHS,
    OPEN_STATES,
    Job,
    JobState,
    Lease,
    NewJob,
    timestamp,
)
from emofuse.server.jobs.table import job_of, jobs, servers
from emofuse.system.steady_clock import SteadyClock

_AT_ONCE: Final = 500
"""How many jobs one query names: databases limit its parameters."""


class JobStore:
    """All jobs of a database. Threads may share it; every method may wait for the database.

    Every method raises :class:`JobStoreError` if the database cannot be used, or could not be reached for
    ``wait_s`` seconds; those that write, ``OSError`` (``errno.ENOSPC``) if its disk is full.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    @classmethod
    def open(
        cls,
        url: str,
        *,
        password: str | None = None,
        wait_s: float = 30.0,
        clock: Callable[[], datetime] | None = None,
    ) -> JobStore:
        """Open a database of jobs; one that is new gets its tables.

        Args:
            url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
            password: of the user, in place of one in the URL.
            wait_s: how long to try again while the database restarts.
            clock: tells the time of day; None: one that does not follow when the computer's is set.

        Raises:
            JobStoreError: it is neither, cannot be reached, or another version of emofuse wrote it.
            FolderInUseError: another server uses this SQLite database.
            MissingExtraError: PostgreSQL without the extra ``postgres``.
        """
        return cls(Database(url, password=password, wait_s=wait_s), clock or SteadyClock())

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_exclusive(self) -> bool:
        """Whether no other server can use this database: it is SQLite."""
        return self._database.is_sqlite

    @property
    def shown_url(self) -> str:
        """The address of the database, without its password."""
        return self._database.shown_url

    # --- for those who want something read

    def add(self, new: NewJob, *, max_open: int) -> Job:
        """Accept a job; once this returns, it will be run, whatever happens. Its files must be there.

        Args:
            new: the job.
            max_open: how many may be queued or running, this one included.

        Raises:
            JobQuotaError: there are that many.
        """

        def work(connection: Connection) -> Job:
            self._database.take_turns(connection)
            existing = _get(connection, new.id)
            if existing is not None:  # this call's, whose connection broke while the answer was on its way
                return existing
            if _open_count(connection) >= max_open:
                raise JobQuotaError(f"{max_open} jobs are queued or running, as many as are allowed: wait")
            values = {name: getattr(new, name) for name in NewJob.__dataclass_fields__}
            row = connection.execute(
                insert(jobs).values(**values, state="queued", created=self._now()).returning(jobs)
            )
            return job_of(row.mappings().one())

        return self._database.write(work)

    def get(self, job_id: str) -> Job | None:
        """The job as it is now; None: there is none."""
        return self._database.read(lambda connection: _get(connection, job_id))

    def list(
        self, *, state: JobState | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Job]:
        """Jobs, the newest first.

        Args:
            state: only those in this state.
            limit: at most so many.
            after: the last job of the list before: those that are older than it.

        Raises:
            JobError: there is no job ``after``.
        """

        def work(connection: Connection) -> Sequence[Job]:
            wanted = select(jobs).order_by(jobs.c.number.desc()).limit(limit)
            if state is not None:
                wanted = wanted.where(jobs.c.state == state)
            if after is not None:
                last = _get(connection, after)
                if last is None:
                    raise JobError(f"there is no job {after} after which a list could go on")
                wanted = wanted.where(jobs.c.number < last.number)
            return [job_of(row) for row in connection.execute(wanted).mappings()]

        return self._database.read(work)

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that occurs."""
        wanted = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        return self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(wanted)})

    def open_count(self) -> int:
        """How many jobs are queued or running."""
        return self._database.read(_open_count)

    def cancel(self, job_id: str) -> Job | None:
        """Have a job not run, or not to its end; one that has ended stays as it is. None: there is none.

        Who runs it learns of it from :meth:`progress` and :meth:`states`.
        """

        def work(connection: Connection) -> Job | None:
            is_open = and_(jobs.c.id == job_id, jobs.c.state.in_(OPEN_STATES))
            change = update(jobs).where(is_open)
            return self._end(connection, change, "cancelled") or _get(connection, job_id)

        return self._database.write(work)

    def annotate(self, job_id: str, annotations: Mapping[str, Any], version: int) -> Job:
        """Replace the annotations of a job by those that were made of version ``version``.

        Raises:
            JobError: there is no such job.
            JobConflictError: somebody else has changed them since that version.
        """

        def work(connection: Connection) -> Job:
            same = and_(jobs.c.id == job_id, jobs.c.annotations_version == version)
            change = update(jobs).where(same)
            job = _one(connection, change.values(annotations=annotations, annotations_version=version + 1))
            if job is not None:
                return job
            found = _get(connection, job_id)
            if found is None:
                raise JobError(f"there is no job {job_id}")
            if found.annotations_version == version + 1 and found.annotations == annotations:
                return found  # this call's, whose connection broke while the answer was on its way
            raise JobConflictError(
                f"the annotations of job {job_id} are at version {found.annotations_version} by now, not "
                f"{version}: read them again, and repeat the change"
            )

        return self._database.write(work)

    def note_consent(self, job_id: str, consent: str | None) -> Job | None:
        """Say what the people in a recording have agreed to; None: there is no such job."""
        change = update(jobs).where(jobs.c.id == job_id).values(consent=consent)
        return self._database.write(lambda connection: _one(connection, change))

    def keep(self, job_id: str, keep_s: float | None) -> Job | None:
        """Keep a job for so long from now on, or after its end; None: there is no such job.

        Args:
            job_id: the job.
            keep_s: seconds; None: until somebody erases it.
        """

        def work(connection: Connection) -> Job | None:
            change = update(jobs).where(jobs.c.id == job_id)
            job = _one(connection, change.values(keep_s=keep_s, keep_until=None))
            return job if job is None or job.is_open else self._kept(connection, job, self._clock())

        return self._database.write(work)

    def of_ids(self, ids: Sequence[str]) -> Mapping[str, Job]:
        """Those of these jobs that there are, by their keys."""

        def work(connection: Connection) -> dict[str, Job]:
            found = {}
            for start in range(0, len(ids), _AT_ONCE):
                wanted = select(jobs).where(jobs.c.id.in_(ids[start : start + _AT_ONCE]))
                found.update({row["id"]: job_of(row) for row in connection.execute(wanted).mappings()})
            return found

        return self._database.read(work)

    def of_person(self, person_id: str) -> Sequence[str]:
        """The jobs that were, or will be, read with the profile of somebody."""
        wanted = select(jobs.c.id).where(jobs.c.profile == person_id).order_by(jobs.c.number)
        return self._database.read(lambda connection: list(connection.scalars(wanted)))

    def erase(self, job_id: str) -> bool:
        """Forget a job, whatever its state; whether there was one. Its files are erased by others."""
        gone = delete(jobs).where(jobs.c.id == job_id)
        return self._database.write(lambda connection: connection.execute(gone).rowcount > 0)

    def expired(self) -> Sequence[Job]:
        """Jobs that have been kept as long as they should."""
        wanted = select(jobs).where(jobs.c.keep_until <= self._now(), jobs.c.state.not_in(OPEN_STATES))
        return self._database.read(
            lambda connection: [job_of(row) for row in connection.execute(wanted).mappings()]
        )

    # --- for those who run jobs

    def claim(self, server: str) -> Job | None:
        """Give the oldest queued job to a server; no two servers get the same. None: nothing is queued."""
        oldest = select(jobs.c.number).where(jobs.c.state == "queued").order_by(jobs.c.number).limit(1)
        if not self._database.is_sqlite:
            oldest = oldest.with_for_update(skip_locked=True)
        change = update(jobs).where(jobs.c.number == oldest.scalar_subquery())
        change = change.values(
            state="running", server=server, attempts=jobs.c.attempts + 1, started=self._now(), done_s=0.0
        )
        return self._database.write(lambda connection: _one(connection, change))

    def states(self, ids: Sequence[str]) -> Mapping[str, tuple[JobState, str | None, int]]:
        """State, server and attempt of each of these jobs that there is."""
        columns = (jobs.c.id, jobs.c.state, jobs.c.server, jobs.c.attempts)

        def work(connection: Connection) -> dict[str, tuple[JobState, str | None, int]]:
            found = {}
            for start in range(0, len(ids), _AT_ONCE):
                wanted = select(*columns).where(jobs.c.id.in_(ids[start : start + _AT_ONCE]))
                found.update({row[0]: (row[1], row[2], row[3]) for row in connection.execute(wanted)})
            return found

        return self._database.read(work)

    def held_by(self, server: str) -> Sequence[Lease]:
        """The leases that a server has according to the database."""
        wanted = select(jobs.c.id, jobs.c.attempts).where(jobs.c.state == "running", jobs.c.server == server)
        return self._database.read(
            lambda connection: [Lease(row[0], server, row[1]) for row in connection.execute(wanted)]
        )

    def progress(self, lease: Lease, done_s: float, total_s: float | None) -> bool:
        """Note how far a job is; whether the lease still counts."""
        change = _leased(lease).values(done_s=done_s, total_s=total_s)
        return self._database.write(lambda connection: connection.execute(change).rowcount > 0)

    def finish(self, lease: Lease, outcome: Mapping[str, Any], publish: Callable[[], None]) -> bool:
        """Let a result count, the only one of its job; whether it does.

        Args:
            lease: of who made it.
            outcome: what the worker answered.
            publish: puts the files of the result in their place. It is called while nobody else can change
                the job, and maybe a second time, after a connection broke. If it raises, nothing has changed.
        """

        def work(connection: Connection) -> bool:
            if self._end(connection, _leased(lease), "done", outcome=outcome) is None:
                return _has_ended(connection, lease, "done")
            publish()
            return True

        return self._database.write(work)

    def fail(self, lease: Lease, error: str) -> bool:
        """Note that a job cannot be done, and why; whether the lease still counted."""

        def work(connection: Connection) -> bool:
            job = self._end(connection, _leased(lease), "failed", error=error)
            return job is not None or _has_ended(connection, lease, "failed")

        return self._database.write(work)

    def worker_died(self, lease: Lease, reason: str) -> Job | None:
        """Queue a job again whose worker died, or fail it at the third; None: the lease does not count."""

        def work(connection: Connection) -> Job | None:
            job = _one(connection, _leased(lease).values(worker_deaths=jobs.c.worker_deaths + 1))
            if job is None:
                return None
            change = update(jobs).where(jobs.c.id == lease.id)
            if job.worker_deaths < MAX_WORKER_DEATHS:
                return _one(connection, change.values(state="queued", server=None, done_s=0.0))
            error = f"{job.worker_deaths} worker processes died of this job; of the last: {reason}"
            return self._end(connection, change, "failed", error=error)

        return self._database.write(work)

    def requeue(self, lease: Lease) -> bool:
        """Give a job back unharmed, for anybody to run; whether the lease still counted."""
        change = _leased(lease).values(state="queued", server=None, done_s=0.0)
        return self._database.write(lambda connection: connection.execute(change).rowcount > 0)

    # --- of servers

    def beat(self, server: str) -> None:
        """Show the other servers that this one lives."""

        def work(connection: Connection) -> None:
            mine = update(servers).where(servers.c.name == server)
            if not connection.execute(mine.values(beat=servers.c.beat + 1)).rowcount:
                connection.execute(insert(servers).values(name=server, beat=1))

        self._database.write(work)

    def beats(self) -> Mapping[str, int]:
        """How often each server has shown that it lives."""
        wanted = select(servers.c.name, servers.c.beat)
        return self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(wanted)})

    def release(self, server: str, beat: int | None = None) -> int:
        """Queue again what a server ran, and forget the server; how many jobs that were.

        Args:
            server: the server.
            beat: it is dead if its count is still this one (0: it has none); otherwise nothing happens. None:
                it is dead whatever its count is.
        """

        def work(connection: Connection) -> int:
            name = servers.c.name == server
            found = connection.scalar(select(servers.c.beat).where(name).with_for_update()) or 0
            if beat is not None and beat != found:
                return 0
            connection.execute(delete(servers).where(name))
            left = update(jobs).where(jobs.c.state == "running", jobs.c.server == server)
            return connection.execute(left.values(state="queued", server=None, done_s=0.0)).rowcount

        return self._database.write(work)

    def running_servers(self) -> Sequence[str]:
        """The servers that run jobs according to the database, alive or not."""
        wanted = select(jobs.c.server).where(jobs.c.state == "running").distinct()
        return self._database.read(lambda connection: [row[0] for row in connection.execute(wanted)])

    def _end(self, connection: Connection, change: Update, state: JobState, **values: Any) -> Job | None:
        """Make a change with which a job ends: from now on its time to be kept runs."""
        now = self._clock()
        job = _one(connection, change.values(state=state, finished=timestamp(now), **values))
        return None if job is None else self._kept(connection, job, now)

    def _kept(self, connection: Connection, job: Job, since: datetime) -> Job | None:
        """A job that has ended, with the time until which it is kept from some moment on."""
        if job.keep_s is None:
            return job
        until = timestamp(since + timedelta(seconds=job.keep_s))
        return _one(connection, update(jobs).where(jobs.c.number == job.number).values(keep_until=until))

    def _now(self) -> str:
        return timestamp(self._clock())


def _get(connection: Connection, job_id: str) -> Job | None:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    return None if row is None else job_of(row)


def _open_count(connection: Connection) -> int:
    wanted = select(func.count()).select_from(jobs).where(jobs.c.state.in_(OPEN_STATES))
    return connection.execute(wanted).scalar_one()


def _leased(lease: Lease) -> Update:
    """A change of a job that happens only while a lease counts."""
    return update(jobs).where(
        jobs.c.id == lease.id,
        jobs.c.state == "running",
        jobs.c.server == lease.server,
        jobs.c.attempts == lease.attempt,
    )


def _has_ended(connection: Connection, lease: Lease, state: JobState) -> bool:
    """Whether a job has ended so with this lease: by a call whose connection broke before it knew."""
    job = _get(connection, lease.id)
    return job is not None and (job.state, job.server, job.attempts) == (state, lease.server, lease.attempt)


def _one(connection: Connection, change: Update) -> Job | None:
    """The job that a change has changed; None: none."""
    row = connection.execute(change.returning(jobs)).mappings().one_or_none()
    return None if row is None else job_of(row)
