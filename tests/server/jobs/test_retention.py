from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job, NewJob, new_job_id
from emofuse.server.jobs.retention import ORPHAN_S, Retention, parse_keep
from emofuse.server.jobs.store import JobStore
from tests.support.typed import not_none


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7d", 604_800), ("90s", 90), (" 1.5 H ", 5400), ("30m", 1800), ("2w", 1_209_600), ("forever", None)],
)
def test_how_long_to_keep(text: str, seconds: float | None) -> None:
    assert parse_keep(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "0d", "0.0s", "7 days", "1e3d", "nan", "7d 3h", "∞d", "never"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not how long to keep a job: use a number of days \(7d\)"):
        parse_keep(text)


class Clocks:
    """The time of day, and a clock that nobody sets."""

    def __init__(self) -> None:
        self.now, self.passed_s = datetime(2026, 11, 27, tzinfo=UTC), 0.0

    def __call__(self) -> datetime:
        return self.now

    def steady(self) -> float:
        return self.passed_s


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def store(database_url: str, clocks: Clocks) -> Iterator[JobStore]:
    with JobStore.open(database_url, clock=clocks) as store:
        yield store


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    return JobFiles(tmp_path / "data")


@pytest.fixture
def retention(store: JobStore, files: JobFiles, clocks: Clocks) -> Retention:
    return Retention(store, files, clock=clocks.steady)


def done(store: JobStore, files: JobFiles, keep_s: float | None) -> Job:
    new = NewJob(name="a", purpose="p", keep_s=keep_s)
    files.create(new.id)
    files.upload(new.id).write_bytes(b"film")
    store.add(new, max_open=100)
    job = not_none(store.claim("server"))
    files.begin(job.id, 1)
    assert store.finish(job.lease, {}, lambda: files.publish(job.id, 1))
    return job


def test_jobs_are_erased_with_their_files_when_it_is_time(
    store: JobStore, files: JobFiles, retention: Retention, clocks: Clocks
) -> None:
    brief, long, forever = (done(store, files, keep_s) for keep_s in (60, 3600, None))
    queued = store.add(NewJob(name="b", purpose="p", keep_s=1), max_open=100)
    files.create(queued.id)
    clocks.now += timedelta(seconds=59)
    retention.sweep()
    assert len(set(files.ids())) == 4
    clocks.now += timedelta(seconds=2)
    retention.sweep()
    assert set(files.ids()) == {job.id for job in store.list()} == {long.id, forever.id, queued.id}
    clocks.now += timedelta(days=900)
    retention.sweep()
    assert set(files.ids()) == {job.id for job in store.list()} == {forever.id, queued.id}
    assert store.get(brief.id) is None


def test_files_of_no_job_go_unless_somebody_is_sending_them(
    store: JobStore, files: JobFiles, retention: Retention, clocks: Clocks
) -> None:
    job = done(store, files, None)
    growing, left = new_job_id(), new_job_id()
    for one in (growing, left):
        files.create(one)
        files.upload(one).write_bytes(b"f")
    retention.sweep()
    for n in range(4):
        clocks.passed_s += ORPHAN_S / 4
        assert set(files.ids()) == {job.id, growing, left}
        files.upload(growing).write_bytes(bytes(n + 2))
        retention.sweep()
    assert set(files.ids()) == {job.id, growing}
    clocks.passed_s += ORPHAN_S
    retention.sweep()
    assert set(files.ids()) == {job.id}


def test_a_job_that_came_after_its_files_is_kept(
    store: JobStore, files: JobFiles, retention: Retention, clocks: Clocks
) -> None:
    new = NewJob(name="a", purpose="p")
    files.create(new.id)
    retention.sweep()
    store.add(new, max_open=1)
    clocks.passed_s += 10 * ORPHAN_S
    retention.sweep()
    assert list(files.ids()) == [new.id]


def test_a_server_that_is_alone_erases_orphans_at_once(
    store: JobStore, files: JobFiles, retention: Retention
) -> None:
    job = done(store, files, None)
    files.create(new_job_id())
    retention.erase_orphans(at_once=True)
    assert list(files.ids()) == [job.id]


def test_what_was_erased_in_part_is_erased_at_the_next_start(
    store: JobStore, files: JobFiles, retention: Retention
) -> None:
    """The server was killed between the row and the files."""
    job = done(store, files, 60)
    store.erase(job.id)
    assert list(files.ids()) == [job.id]
    retention.erase_orphans(at_once=True)
    assert list(files.root.iterdir()) == []
