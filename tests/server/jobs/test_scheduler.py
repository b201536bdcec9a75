"""Real workers and real servers, which are killed; on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from emofuse.core.errors import ProfileError
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import MAX_WORKER_DEATHS, Job, JobState, NewJob, new_job_id
from emofuse.server.jobs.scheduler import Scheduler
from emofuse.server.jobs.store import JobStore
from emofuse.system.worker_pool import WorkerPool
from tests.support.job_server import QUICK, TARGET, request_for
from tests.support.postgres import Postgres
from tests.support.processes import wait_until
from tests.support.typed import not_none

PATIENCE_S = 120
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(TARGET, {}, workers=2) as pool:
        yield pool


class Service:
    """A store, its files, and a scheduler in this process."""

    def __init__(self, url: str, data: Path, pool: WorkerPool) -> None:
        self.store = JobStore.open(url)
        self.data, self.pool = data, pool
        self.files = JobFiles(data)
        self.scheduler = self.new_scheduler()

    def new_scheduler(self, **settings: Any) -> Scheduler:
        asked = {"request_for": request_for, "slots": 2, "rules": QUICK, **settings}
        return Scheduler(self.store, self.files, self.pool, **asked)

    def add(self, name: str = "clip", *, keep_s: float | None = None, **options: Any) -> Job:
        new = NewJob(name=name, purpose="p", options=options, keep_s=keep_s)
        self.files.create(new.id)
        self.files.upload(new.id).write_bytes(b"film")
        job = self.store.add(new, max_open=1000)
        self.scheduler.wake()
        return job

    def get(self, job: Job) -> Job:
        return not_none(self.store.get(job.id))

    def wait(self, *jobs: Job, state: JobState = "done") -> list[Job]:
        """Wait until jobs have ended, or are in that state."""
        for job in jobs:
            reached = wait_until(
                partial(self._has_reached, job, state),
                limit_s=PATIENCE_S,
            )
            assert reached and self.get(job).state == state, self.get(job)
        return [self.get(job) for job in jobs]

    def _has_reached(self, job: Job, state: JobState) -> bool:
        now = self.get(job)
        return now.state == state or not now.is_open

    def left(self, job: Job) -> set[str]:
        """The files of a job."""
        folder = self.files.folder(job.id)
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def until(self, condition: Callable[[], bool]) -> None:
        assert wait_until(condition, limit_s=PATIENCE_S)


@pytest.fixture
def service(database_url: str, tmp_path: Path, pool: WorkerPool) -> Iterator[Service]:
    service = Service(database_url, tmp_path / "data", pool)
    service.scheduler.start()
    yield service
    service.scheduler.stop()
    service.store.close()


WHOLE = {"upload", "result/result.txt"}


def test_jobs_are_done(service: Service) -> None:
    jobs = [service.add(f"clip {n}") for n in range(6)]
    for n, job in enumerate(service.wait(*jobs)):
        assert (service.files.result(job.id) / "result.txt").read_bytes() == f"of clip {n}".encode()
        assert service.left(job) == WHOLE
        assert (job.attempts, job.worker_deaths) == (1, 0) and job.outcome["pid"] > 0
        assert job.server == service.scheduler.server and job.error is None


def test_progress_is_written(service: Service) -> None:
    job = service.add(do="wait")
    service.until(lambda: service.get(job).done_s > 3)
    assert service.get(job).total_s == 1000.0
    service.scheduler.cancel(job.id)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_job_is_cancelled_while_it_is_read(service: Service, stubborn: bool) -> None:
    job, other = service.add(do="wait", stubborn=stubborn), service.add(do="wait", stubborn=stubborn)
    waiting = service.add("third")
    service.until(lambda: all(service.left(one) == {"upload", "attempt-1/half.txt"} for one in (job, other)))
    assert not_none(service.scheduler.cancel(job.id)).state == "cancelled"
    service.wait(waiting)
    service.until(lambda: service.left(job) == {"upload"})
    assert (service.get(job).state, service.get(other).state) == ("cancelled", "running")
    service.store.cancel(other.id)  # as another server would
    service.until(lambda: service.left(other) == {"upload"})
    assert service.get(other).state == "cancelled" and service.get(other).attempts == 1
    assert service.scheduler.cancel(new_job_id()) is None
    assert not_none(service.scheduler.cancel(waiting.id)).state == "done"


def test_a_job_is_erased_while_it_is_read(service: Service) -> None:
    job, elsewhere = service.add(do="wait"), service.add(do="wait")
    service.until(lambda: all("attempt-1/half.txt" in service.left(one) for one in (job, elsewhere)))
    assert service.scheduler.erase(job.id)
    assert not service.scheduler.erase(job.id)
    assert service.store.erase(elsewhere.id)  # as another server would
    service.wait(service.add("next"))
    service.until(lambda: len(list(service.files.root.iterdir())) == 1)
    assert service.store.get(job.id) is None and service.store.open_count() == 0


def test_a_job_that_kills_its_workers_is_failed(service: Service, tmp_path: Path) -> None:
    poison = service.add("poison", do="die", deaths=100, marks=str(tmp_path))
    unlucky = service.add("unlucky", do="die", deaths=MAX_WORKER_DEATHS - 1, marks=str(tmp_path))
    healthy = [service.add(f"{n}") for n in range(4)]
    service.wait(*healthy, unlucky)
    (failed,) = service.wait(poison, state="failed")
    assert failed.worker_deaths == failed.attempts == MAX_WORKER_DEATHS
    assert not_none(failed.error).startswith("3 worker processes died of this job; of the last: ")
    assert "SIGKILL" in not_none(failed.error)
    assert len(list(tmp_path.glob("poison *"))) == MAX_WORKER_DEATHS
    assert service.get(unlucky).worker_deaths == MAX_WORKER_DEATHS - 1
    assert (service.left(poison), service.left(unlucky)) == ({"upload"}, WHOLE)


def test_a_recording_that_cannot_be_read_fails_its_job(service: Service) -> None:
    job = service.add(do="fail")
    (failed,) = service.wait(job, state="failed")
    assert (failed.error, failed.attempts, service.left(job)) == ("no audio", 1, {"upload"})


def test_a_job_that_takes_too_long_is_failed_at_once(service: Service) -> None:
    service.scheduler.stop()
    service.scheduler = service.new_scheduler(limit_s=0.5)
    service.scheduler.start()
    job = service.add(do="wait", stubborn=True)
    (failed,) = service.wait(job, state="failed")
    assert failed.error == "the process that read it took longer than 0.5 s"
    assert (failed.attempts, service.left(job)) == (1, {"upload"})


def test_a_job_that_cannot_be_asked_for_is_failed(service: Service) -> None:
    def refuse(job: Job, _out: Path) -> Mapping[str, Any]:
        if job.name == "odd":
            raise ZeroDivisionError
        raise ProfileError("anna was erased")

    service.scheduler.stop()
    service.scheduler = service.new_scheduler(request_for=refuse)
    service.scheduler.start()
    odd, erased = service.wait(service.add("odd"), service.add("even"), state="failed")
    assert erased.error == "anna was erased"
    assert odd.error == "it could not be given to a worker: see the log of the service"
    assert service.left(odd) == service.left(erased) == {"upload"}


def test_a_job_without_a_folder_is_failed(service: Service) -> None:
    job = service.store.add(NewJob(name="a", purpose="p"), max_open=10)
    (failed,) = service.wait(job, state="failed")
    assert failed.error == "its files cannot be written: No such file or directory"


def test_a_server_that_stops_finishes_or_gives_back(service: Service) -> None:
    endless, short = service.add(do="wait"), service.add("short", takes_s=0.3)
    waiting = service.add("waiting")
    service.wait(endless, short, state="running")
    service.scheduler.stop(drain_s=3.0)
    assert [service.get(job).state for job in (endless, short, waiting)] == ["queued", "done", "queued"]
    assert service.get(endless).worker_deaths == 0
    service.scheduler = service.new_scheduler()
    service.scheduler.start()
    service.wait(waiting)
    (again,) = service.wait(endless, state="running")
    assert again.attempts == 2
    service.scheduler.cancel(endless.id)


def test_what_expires_is_erased(service: Service) -> None:
    kept, brief = service.add("kept"), service.add("brief", keep_s=0.01)
    service.wait(kept)
    service.until(lambda: service.store.get(brief.id) is None)
    service.until(lambda: list(service.files.ids()) == [kept.id])


def test_a_claim_that_nobody_knows_of_is_given_back(service: Service) -> None:
    """Its connection broke after the database had given the job away."""
    service.scheduler.stop()
    service.scheduler = service.new_scheduler()
    job = service.add()
    assert not_none(service.store.claim(service.scheduler.server)).id == job.id
    service.scheduler.start()
    (done,) = service.wait(job)
    assert (done.attempts, done.worker_deaths) == (2, 0)


@contextlib.contextmanager
def other_server(url: str, data: Path, *, slots: int = 1) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its name."""
    command = [sys.executable, "-m", "tests.support.job_server", url, str(data), str(slots)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", cwd=ROOT) as process:
        try:
            yield process, not_none(process.stdout).readline().strip()
        finally:
            process.kill()


def has_more_than(folder: Path, n: int) -> bool:
    return len(list(folder.iterdir())) > n


def test_jobs_of_a_killed_server_are_done_by_the_next(
    database_url: str, tmp_path: Path, pool: WorkerPool
) -> None:
    data, marks = tmp_path / "data", tmp_path / "marks"
    marks.mkdir()
    first = Service(database_url, data, pool)
    jobs = [first.add(str(n), takes_s=0.2, marks=str(marks)) for n in range(8)]
    first.store.close()  # only one process may open SQLite
    for killed in range(2):
        with other_server(database_url, data) as (process, _):
            first.until(partial(has_more_than, marks, 2 * killed))
            process.kill()
    last = Service(database_url, data, pool)
    last.scheduler.start()
    done = last.wait(*jobs)
    last.scheduler.stop()
    assert all(last.left(job) == WHOLE and job.worker_deaths == 0 for job in done)
    assert max(job.attempts for job in done) > 1
    assert sum(job.attempts for job in done) == len(list(marks.iterdir()))
    last.store.close()


def test_two_servers_share_jobs_and_one_takes_over(
    postgres: Postgres, tmp_path: Path, pool: WorkerPool
) -> None:
    service = Service(postgres.new_database(), tmp_path / "data", pool)
    url = service.store.shown_url
    service.scheduler.start()
    with other_server(url, tmp_path / "data", slots=2) as (process, name):
        jobs = [service.add(str(n), takes_s=0.1) for n in range(20)]
        done = service.wait(*jobs)
        assert {job.server for job in done} == {name, service.scheduler.server}
        assert all(job.attempts == 1 for job in done)
        long = [service.add(f"long {n}", do="wait") for n in range(4)]
        running = service.wait(*long, state="running")
        theirs = [job for job in running if job.server == name]
        assert len(theirs) == 2
        process.kill()
        for job in running:
            if job.server != name:
                service.scheduler.cancel(job.id)
        ours = service.scheduler.server
        service.until(lambda: all(service.get(job).server == ours for job in theirs))
    assert all((service.get(job).attempts, service.get(job).worker_deaths) == (2, 0) for job in theirs)
    for job in theirs:
        service.scheduler.cancel(job.id)
    service.scheduler.stop()
    service.store.close()


def test_a_server_that_was_taken_for_dead_gives_no_second_result(
    postgres: Postgres, tmp_path: Path, pool: WorkerPool
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    service = Service(postgres.new_database(), tmp_path / "data", pool)
    with other_server(service.store.shown_url, tmp_path / "data") as (process, name):
        job = service.add("a", marks=str(marks), takes_s=0.5)
        (running,) = service.wait(job, state="running")
        assert running.server == name
        process.send_signal(signal.SIGSTOP)  # its worker goes on, and finishes
        service.scheduler.start()
        (done,) = service.wait(job)
        assert (done.server, done.attempts) == (service.scheduler.server, 2)
        process.send_signal(signal.SIGCONT)
        service.until(lambda: name in service.store.beats())
        later = [service.add(str(n)) for n in range(6)]
        service.wait(*later)
        assert service.get(job) == done
        service.until(lambda: service.left(job) == WHOLE)
    service.scheduler.stop()
    service.store.close()


def test_jobs_outlast_a_restart_of_postgresql(postgres: Postgres, tmp_path: Path, pool: WorkerPool) -> None:
    service = Service(postgres.new_database(), tmp_path / "data", pool)
    service.scheduler.start()
    jobs = [service.add(str(n), takes_s=0.1) for n in range(12)]
    modes: tuple[Literal["fast", "immediate"], ...] = ("fast", "immediate")
    for mode in modes:
        service.until(lambda: service.store.open_count() < len(jobs) - 1)
        postgres.stop(mode)
        postgres.start()
    done = service.wait(*jobs)
    assert all(service.left(job) == WHOLE and job.worker_deaths == 0 for job in done)
    service.scheduler.stop()
    service.store.close()
