from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import Connection, text

from emofuse.core.errors import FolderInUseError, JobStoreError
from emofuse.server.jobs.database import Database
from emofuse.server.jobs.records import NewJob
from emofuse.server.jobs.store import JobStore
from tests.support.postgres import Postgres, find
from tests.support.typed import not_none


def job(name: str = "a") -> NewJob:
    return NewJob(name=name, purpose="p")


@pytest.mark.parametrize(
    "url", ["", "jobs", "mysql://localhost/jobs", "sqlite://", "sqlite:///:memory:", "postgresql"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(JobStoreError, match=r"use sqlite:///FILE, or postgresql://"):
        Database(url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(JobStoreError) as caught:
        Database("postgresql://me:secret@127.0.0.1:1/jobs", wait_s=0.1)
    assert "secret" not in str(caught.value) and "127.0.0.1:1" in str(caught.value)


def test_a_password_apart_takes_the_place_of_one_in_the_url() -> None:
    with_any_character = "s:e/c @#%r?et"
    programs = find()
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    server = Postgres(programs, password=with_any_character)
    try:
        url = server.new_database()
        for wrong in (None, "another"):
            with pytest.raises(JobStoreError, match="password") as caught:
                Database(url, password=wrong, wait_s=0.1)
            assert "another" not in str(caught.value)
        for given in (url, url.replace("emofuse@", "emofuse:another@")):
            database = Database(given, password=with_any_character)
            assert "s:e" not in database.shown_url
            assert (
                database.read(lambda connection: connection.scalar(text("SELECT current_user"))) == "emofuse"
            )
            database.close()
    finally:
        server.close()


def test_sqlite_has_no_password(tmp_path: Path) -> None:
    with pytest.raises(JobStoreError, match="SQLite has no password"):
        Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", password="secret")
    assert list(tmp_path.iterdir()) == []


def test_sqlite_writes_ahead_and_syncs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new folder' / 'jobs.sqlite3'}")
    found = database.read(
        lambda connection: [
            connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        ]
    )
    database.close()
    assert found == ["wal", 2]


def test_one_server_per_sqlite_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    code = (
        "import sys, time\nfrom emofuse.server.jobs.store import JobStore\n"
        "store = JobStore.open(sys.argv[1]); print('open', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as other:
        assert not_none(other.stdout).readline() == "open\n"
        with pytest.raises(FolderInUseError, match=r"jobs\.sqlite3 is in use by another server"):
            Database(url)
        other.kill()
    Database(url).close()


def test_a_folder_that_cannot_hold_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JobStoreError, match="cannot be used"):
        Database(f"sqlite:///{tmp_path / 'file' / 'jobs.sqlite3'}")
    (tmp_path / "folder.sqlite3").mkdir()
    with pytest.raises(JobStoreError, match="cannot be used"):
        Database(f"sqlite:///{tmp_path / 'folder.sqlite3'}")
    (tmp_path / "other.sqlite3").write_bytes(b"something else " * 100)
    with pytest.raises(JobStoreError, match="not a database"):
        Database(f"sqlite:///{tmp_path / 'other.sqlite3'}")


def test_tables_of_another_version_are_left_alone(database_url: str) -> None:
    database = Database(database_url)
    database.write(lambda connection: connection.execute(text("UPDATE emofuse_schema SET version = 99")))
    database.close()
    with pytest.raises(JobStoreError, match=r"from another version of emofuse \(tables 99"):
        Database(database_url)


def make_older(connection: Connection) -> None:
    """Make the tables those of version 1."""
    connection.execute(text("ALTER TABLE emofuse_jobs DROP COLUMN consent"))
    connection.execute(text("UPDATE emofuse_schema SET version = 1"))


def test_tables_of_the_version_before_are_changed_and_keep_their_jobs(database_url: str) -> None:
    with JobStore.open(database_url) as store:
        before = store.add(job("talk.mp4"), max_open=1)
    database = Database(database_url)
    database.write(make_older)
    database.close()
    for _ in range(2):  # changed once, and then of this version
        with JobStore.open(database_url) as store:
            assert store.list() == [before]
    with JobStore.open(database_url) as store:
        assert not_none(store.note_consent(before.id, "form 12")).consent == "form 12"
        assert store.add(NewJob(name="b", purpose="p", consent="form 13"), max_open=9).consent == "form 13"


def test_several_servers_may_change_the_tables_at_the_same_time(postgres: Postgres) -> None:
    url = postgres.new_database()
    database = Database(url)
    database.write(make_older)
    database.close()
    barrier = threading.Barrier(4)

    def open_it(number: int) -> str | None:
        barrier.wait()
        with JobStore.open(url) as store:
            return store.add(NewJob(name="a", purpose="p", consent=str(number)), max_open=100).consent

    with ThreadPoolExecutor(4) as threads:
        assert sorted(map(str, threads.map(open_it, range(4)))) == ["0", "1", "2", "3"]


def test_servers_may_make_the_tables_at_the_same_time(postgres: Postgres) -> None:
    url = postgres.new_database()
    barrier = threading.Barrier(4)

    def open_it(_: int) -> str:
        barrier.wait()
        with JobStore.open(url) as store:
            return store.add(job(), max_open=100).id

    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(open_it, range(4)))
    with JobStore.open(url) as store:
        assert {one.id for one in store.list()} == ids and len(ids) == 4


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_postgresql_loses_nothing(
    postgres: Postgres, mode: Literal["fast", "immediate"]
) -> None:
    """Jobs are added and claimed by four threads while the server restarts."""
    restarted = threading.Event()
    added: list[str] = []
    claimed: list[str] = []
    with JobStore.open(postgres.new_database(), wait_s=120) as store, ThreadPoolExecutor(4) as threads:

        def add() -> None:
            while not restarted.is_set():
                added.append(store.add(job(), max_open=10**6).id)

        def claim(server: str) -> None:
            while not restarted.is_set():
                found = store.claim(server)
                if found is not None:
                    claimed.append(found.id)

        running = [
            threads.submit(add),
            threads.submit(add),
            threads.submit(claim, "a"),
            threads.submit(claim, "b"),
        ]
        try:
            for _ in range(2):
                n = len(added)
                while len(added) < n + 5:
                    assert not any(one.done() for one in running), [
                        one.exception() for one in running if one.done()
                    ]
                postgres.stop(mode)
                postgres.start()
        finally:
            restarted.set()
        for one in running:
            one.result()
        assert {one.id for one in store.list(limit=10**6)} == set(added)
        assert len(claimed) == len(set(claimed))
        held = {lease.id for server in "ab" for lease in store.held_by(server)}
        # a claim whose answer was lost holds a job that nobody runs: the scheduler gives it back
        assert held >= set(claimed) and len(held - set(claimed)) <= 4


def test_a_database_that_stays_away_is_an_error(postgres: Postgres) -> None:
    with JobStore.open(postgres.new_database(), wait_s=0.3) as store:
        postgres.stop()
        try:
            with pytest.raises(JobStoreError, match=r"cannot be reached for 0\.3 s now"):
                store.add(job(), max_open=1)
        finally:
            postgres.start()
        assert store.add(job(), max_open=1).state == "queued"
