"""The same tests on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from emofuse.core.errors import JobConflictError, JobError, JobQuotaError
from emofuse.server.jobs.records import MAX_WORKER_DEATHS, FolderFile, Job, Lease, NewJob
from emofuse.server.jobs.store import JobStore
from tests.support.typed import not_none

MANY = 1000
OURS, THEIRS = "server-a", "server-b"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[JobStore]:
    with JobStore.open(database_url, clock=clock) as store:
        yield store


def added(store: JobStore, name: str = "clip.mp4", *, keep_s: float | None = None) -> Job:
    return store.add(NewJob(name=name, purpose="teaching", keep_s=keep_s), max_open=MANY)


def test_consent_and_how_long_a_job_is_kept_are_changed(store: JobStore, clock: Clock) -> None:
    job = added(store, keep_s=60.0)
    assert not_none(store.note_consent(job.id, "form \x00 12")).consent == "form \x00 12"
    assert not_none(store.keep(job.id, 3600.0)).keep_until is None  # it has not ended
    claimed = not_none(store.claim(OURS))
    clock.now += timedelta(minutes=1)
    store.finish(claimed.lease, {}, nothing)
    done = not_none(store.get(job.id))
    assert (done.keep_until, done.consent) == ("2026-11-27T13:01:00.000000Z", "form \x00 12")
    clock.now += timedelta(days=1)  # from now on, not from its end: that would erase it at once
    assert not_none(store.keep(job.id, 3600.0)).keep_until == "2026-11-28T13:01:00.000000Z"
    assert store.expired() == []
    assert not_none(store.keep(job.id, None)).keep_until is None
    clock.now += timedelta(days=9999)
    assert store.expired() == []
    assert not_none(store.note_consent(job.id, None)).consent is None
    assert store.keep("0" * 32, 1.0) is None and store.note_consent("0" * 32, "x") is None


def test_many_jobs_are_read_at_once(store: JobStore) -> None:
    jobs = [added(store) for _ in range(3)]
    found = store.of_ids([jobs[2].id, "0" * 32, jobs[0].id])
    assert found == {jobs[2].id: jobs[2], jobs[0].id: jobs[0]} and store.of_ids([]) == {}


def test_the_jobs_of_a_person_are_found(store: JobStore) -> None:
    ids = [
        store.add(NewJob(name="a", purpose="p", profile=who), max_open=MANY).id
        for who in ("anna", None, "anna", "bert")
    ]
    assert store.of_person("anna") == [ids[0], ids[2]] and store.of_person("zoe") == []


def nothing() -> None:
    """Publish no files."""


def test_a_job_comes_back_as_it_was(database_url: str, clock: Clock) -> None:
    new = NewJob(
        name="a\x00b \ud800 \U0001f600 ü", purpose="teaching \x00",
        options={"window": 3.0, "x": [None, "\x00"]},
        source=FolderFile(folder=1, path="a/b.mp4"), profile="anna", keep_s=3.5,
    )  # fmt: skip
    with JobStore.open(database_url, clock=clock) as store:
        job = store.add(new, max_open=1)
    with JobStore.open(database_url) as store:
        assert store.get(job.id) == job
        assert store.list() == [job]
    assert {name: getattr(job, name) for name in NewJob.__dataclass_fields__} == {
        name: getattr(new, name) for name in NewJob.__dataclass_fields__
    }
    assert (job.state, job.created, job.number) == ("queued", "2026-11-27T12:00:00.000000Z", 1)
    assert (job.attempts, job.worker_deaths, job.server, job.error) == (0, 0, None, None)


def test_a_job_runs_and_is_done_once(store: JobStore, clock: Clock) -> None:
    id = added(store, keep_s=60).id  # noqa: A001
    job = not_none(store.claim(OURS))
    assert (job.id, job.state, job.server, job.attempts) == (id, "running", OURS, 1)
    assert store.claim(THEIRS) is None
    assert store.progress(job.lease, 1.5, 4.0)
    assert (not_none(store.get(id)).done_s, not_none(store.get(id)).total_s) == (1.5, 4.0)
    published = []
    clock.now += timedelta(seconds=5)
    assert store.finish(job.lease, {"n_people": 2}, lambda: published.append(1))
    done = not_none(store.get(id))
    assert (done.state, done.outcome, published) == ("done", {"n_people": 2}, [1])
    assert done.finished == "2026-11-27T12:00:05.000000Z"
    assert done.keep_until == "2026-11-27T12:01:05.000000Z"
    # the same call again, as after a connection that broke: it counts, and publishes nothing twice
    assert store.finish(job.lease, {"n_people": 3}, lambda: published.append(2))
    assert (not_none(store.get(id)).outcome, published) == ({"n_people": 2}, [1])
    assert not store.fail(job.lease, "too late") and not store.requeue(job.lease)
    assert not_none(store.get(id)) == done


def test_what_cannot_be_published_is_not_done(store: JobStore) -> None:
    added(store)
    job = not_none(store.claim(OURS))

    def full() -> None:
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        store.finish(job.lease, {}, full)
    assert not_none(store.get(job.id)).state == "running"
    assert store.finish(job.lease, {}, nothing)


def test_jobs_run_in_their_order_whatever_the_clock_says(store: JobStore, clock: Clock) -> None:
    ids = []
    for jump_h in (0, -100, 5000):
        clock.now += timedelta(hours=jump_h)
        ids.append(added(store).id)
    assert [not_none(store.claim(OURS)).id for _ in ids] == ids
    assert [job.id for job in store.list()] == ids[::-1]


def test_no_two_claims_get_the_same_job(store: JobStore) -> None:
    ids = {added(store).id for _ in range(24)}
    barrier = threading.Barrier(6)

    def claim(server: str) -> list[str]:
        barrier.wait()
        found = []
        while (job := store.claim(server)) is not None:
            found.append(job.id)
        return found

    with ThreadPoolExecutor(6) as threads:
        claimed = [id for found in threads.map(claim, "abcdef") for id in found]  # noqa: A001
    assert len(claimed) == 24 and set(claimed) == ids


def test_the_quota_holds_when_many_ask_at_once(store: JobStore) -> None:
    barrier = threading.Barrier(8)

    def add(_: int) -> bool:
        barrier.wait()
        try:
            store.add(NewJob(name="a", purpose="p"), max_open=3)
        except JobQuotaError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(8))) == 3
    assert store.open_count() == 3
    job = not_none(store.claim(OURS))
    with pytest.raises(JobQuotaError, match="3 jobs are queued or running"):
        store.add(NewJob(name="a", purpose="p"), max_open=3)
    store.finish(job.lease, {}, nothing)
    assert store.add(NewJob(name="a", purpose="p"), max_open=3).state == "queued"
    assert store.counts() == {"queued": 3, "done": 1}


def test_a_job_that_was_added_twice_is_one(store: JobStore) -> None:
    new = NewJob(name="a", purpose="p")
    assert store.add(new, max_open=1) == store.add(new, max_open=1)
    assert len(store.list()) == 1


def test_lists(store: JobStore) -> None:
    jobs = [added(store, str(n)) for n in range(5)]
    assert [job.name for job in store.list(limit=2)] == ["4", "3"]
    assert [job.name for job in store.list(limit=2, after=jobs[3].id)] == ["2", "1"]
    store.cancel(jobs[1].id)
    assert [job.name for job in store.list(state="cancelled")] == ["1"]
    assert [job.name for job in store.list(state="queued", after=jobs[2].id)] == ["0"]
    with pytest.raises(JobError, match="no job nobody after which"):
        store.list(after="nobody")


def test_cancelling(store: JobStore) -> None:
    queued, running, done = added(store), added(store, keep_s=1), added(store)
    leases = [not_none(store.claim(OURS)).lease for _ in range(3)]
    assert store.requeue(leases[0])
    assert store.finish(leases[2], {}, nothing)
    assert [not_none(store.cancel(job.id)).state for job in (queued, running, done)] == [
        "cancelled", "cancelled", "done",
    ]  # fmt: skip
    assert not_none(store.get(running.id)).keep_until is not None
    assert store.claim(OURS) is None
    assert not store.progress(leases[1], 1.0, None)
    assert not store.finish(leases[1], {}, lambda: pytest.fail("a cancelled job was published"))
    assert store.cancel("0" * 32) is None
    assert store.states([job.id for job in (queued, running, done)]) == {
        queued.id: ("cancelled", None, 1), running.id: ("cancelled", OURS, 1), done.id: ("done", OURS, 1),
    }  # fmt: skip


def test_a_lease_that_was_lost_counts_for_nothing(store: JobStore) -> None:
    """A server that was taken for dead comes back: the other's attempt is the one that counts."""
    added(store)
    ours = not_none(store.claim(OURS))
    assert store.release(OURS) == 1
    assert not store.progress(ours.lease, 1.0, None)
    theirs = not_none(store.claim(THEIRS))
    assert (theirs.id, theirs.attempts) == (ours.id, 2)
    for lease in (ours.lease, Lease(ours.id, OURS, 2), Lease(ours.id, THEIRS, 1)):
        assert not store.finish(lease, {}, lambda: pytest.fail("published without a lease"))
        assert not store.fail(lease, "no") and store.worker_died(lease, "no") is None
        assert not store.requeue(lease)
    assert store.finish(theirs.lease, {}, nothing)
    assert not store.finish(ours.lease, {}, lambda: pytest.fail("published twice"))


def test_a_job_that_kills_three_workers_is_failed(store: JobStore) -> None:
    poison, other = added(store, keep_s=9), added(store)
    for n in range(1, MAX_WORKER_DEATHS + 1):
        job = not_none(store.claim(OURS))
        assert job.id == poison.id
        after = not_none(store.worker_died(job.lease, f"was killed, number {n}"))
        assert after.worker_deaths == n
    assert after.state == "failed" and after.keep_until is not None
    assert after.error == "3 worker processes died of this job; of the last: was killed, number 3"
    assert not_none(store.claim(OURS)).id == other.id


def test_a_server_that_dies_costs_a_job_no_life(store: JobStore) -> None:
    added(store)
    for n in range(2 * MAX_WORKER_DEATHS):
        job = not_none(store.claim(f"server {n}"))
        assert store.release(f"server {n}") == 1
    assert (job.worker_deaths, not_none(store.claim(OURS)).state) == (0, "running")


def test_failing(store: JobStore) -> None:
    added(store)
    job = not_none(store.claim(OURS))
    assert store.fail(job.lease, "no audio\ud800")
    failed = not_none(store.get(job.id))
    assert (failed.state, failed.error, failed.keep_until) == ("failed", "no audio\ud800", None)
    assert store.fail(job.lease, "no audio\ud800"), "the same call again"


def test_beats(store: JobStore) -> None:
    store.beat(OURS)
    store.beat(THEIRS)
    store.beat(OURS)
    assert store.beats() == {OURS: 2, THEIRS: 1}
    added(store)
    added(store)
    for server in (OURS, THEIRS):
        store.claim(server)
    assert store.running_servers() == [OURS, THEIRS] or store.running_servers() == [THEIRS, OURS]
    assert store.release(OURS, beat=1) == 0, "it has shown since that it lives"
    assert [lease.server for lease in store.held_by(OURS)] == [OURS]
    assert store.release(OURS, beat=2) == 1
    assert store.held_by(OURS) == [] and len(store.held_by(THEIRS)) == 1
    assert store.beats() == {THEIRS: 1}
    assert store.release(OURS, beat=2) == 0
    assert not_none(store.claim(OURS)).server == OURS, "it lives after all, and has not shown it yet"
    assert store.release(OURS, beat=3) == 0
    assert store.release(OURS, beat=0) == 1
    store.beat(OURS)
    assert store.release(OURS, beat=0) == 0
    assert store.beats() == {OURS: 1, THEIRS: 1}


def test_annotations_are_never_overwritten_unseen(store: JobStore) -> None:
    job = added(store)
    assert (job.annotations, job.annotations_version) == ({}, 0)
    first = store.annotate(job.id, {"names": {"1": "Anna"}}, 0)
    assert (first.annotations, first.annotations_version) == ({"names": {"1": "Anna"}}, 1)
    assert store.annotate(job.id, {"names": {"1": "Anna"}}, 0) == first, "the same call again"
    with pytest.raises(JobConflictError, match="version 1 by now, not 0"):
        store.annotate(job.id, {"names": {"1": "Bert"}}, 0)
    assert store.annotate(job.id, {}, 1).annotations == {}
    with pytest.raises(JobError, match="no job"):
        store.annotate("0" * 32, {}, 0)


def test_what_has_ended_expires_and_nothing_else(store: JobStore, clock: Clock) -> None:
    kept, ended, running, queued = (added(store, keep_s=keep_s) for keep_s in (None, 60, 60, 60))
    for job in (kept, ended):
        store.finish(not_none(store.claim(OURS)).lease, {}, nothing)
        assert not_none(store.get(job.id)).state == "done"
    store.claim(OURS)
    clock.now += timedelta(seconds=59)
    assert store.expired() == []
    clock.now += timedelta(days=1000)
    assert [job.id for job in store.expired()] == [ended.id]
    assert store.erase(ended.id) and not store.erase(ended.id)
    assert store.get(ended.id) is None
    assert {job.id for job in store.list()} == {kept.id, running.id, queued.id}


def test_the_number_of_an_erased_job_is_not_given_again(store: JobStore) -> None:
    first = added(store)
    store.erase(first.id)
    assert added(store).number > first.number
