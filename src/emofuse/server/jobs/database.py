"""A database of jobs: SQLite in a file, or PostgreSQL; transactions that outlast its restart."""

from __future__ import annotations

import contextlib
import errno
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from emofuse.core.errors import FolderInUseError, JobStoreError, MissingExtraError
from emofuse.server.jobs.table import MIGRATIONS, SCHEMA, metadata, schema
from emofuse.system.file_lock import open_locked, remove_locked

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_BUSY_S: Final = 30.0
"""How long SQLite waits for another thread's transaction; all of ours take milliseconds."""
_MOST_CONNECTIONS: Final = 30
"""At once, beyond the few that are kept: no thread waits for the connection of another."""
_LOCK: Final = 0x656D6F66
"""The number of PostgreSQL's advisory lock behind which jobs are counted and tables are made: "emof"."""
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 2.0
_DISK_FULL: Final = ("53100",)
"""What PostgreSQL calls a full disk."""
_PASSING: Final = ("08", "40", "55P03", "57P")
"""How PostgreSQL's codes of errors begin that pass: of connections, of conflicts between transactions, of
locks, of starting and shutting down."""


class Database:
    """Connections to one database; every transaction is whole, or has not happened.

    Threads may share it.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
        password: of the user, in place of one in the URL.
        wait_s: how long a transaction is tried again while the database cannot be reached.

    Raises:
        JobStoreError: the URL is neither, or SQLite with a password; the database cannot be reached, or
            another version wrote it.
        FolderInUseError: another process uses this SQLite database.
        MissingExtraError: PostgreSQL without the extra ``postgres``.
    """

    def __init__(self, url: str, *, password: str | None = None, wait_s: float = 30.0) -> None:
        self._wait_s = wait_s
        where = _parse(url)
        self.shown_url: Final = where.render_as_string(hide_password=True)
        self.is_sqlite: Final = where.get_backend_name() == "sqlite"
        if password is not None:
            if self.is_sqlite:
                raise JobStoreError(f"{self.shown_url}: SQLite has no password: leave it out")
            where = where.set(password=password)
        self._lock: tuple[IO[bytes], Path] | None = None
        if self.is_sqlite:
            self._lock = _lock_file(where)
        try:
            self._engine: Final = _engine_of(where)
            self.write(self._make_tables)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; a second call does nothing."""
        if hasattr(self, "_engine"):
            self._engine.dispose()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                remove_locked(*self._lock)
            self._lock = None

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """What a function reads in a transaction of its own; raises as :meth:`write`."""
        return self._tried_again(work, self._engine)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """What a function returns that changes the database in a transaction of its own.

        The function is called again after a failure that passes: it must not mind if what it did the first
        time was kept after all, since a connection may break while the answer is on its way.

        Raises:
            JobStoreError: the database cannot be used, or could not be reached for too long.
            OSError: its disk is full (``errno.ENOSPC``).
        """
        return self._tried_again(work, self._engine.execution_options(emofuse_writes=True))

    def take_turns(self, connection: Connection) -> None:
        """Until the transaction ends, no other is in such a part. On SQLite, no other writes anyway."""
        if not self.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))

    def _tried_again(self, work: Callable[[Connection], _T], engine: Engine) -> _T:
        deadline = time.monotonic() + self._wait_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                if _is_disk_full(error):
                    raise OSError(errno.ENOSPC, "the disk of the database of jobs is full") from error
                if not _passes(error):
                    raise JobStoreError(f"{self.shown_url} cannot be used: {_reason(error)}") from error
                if time.monotonic() + wait_s > deadline:
                    raise JobStoreError(
                        f"{self.shown_url} cannot be reached for {self._wait_s:g} s now: {_reason(error)}"
                    ) from error
                logger.warning("the database of jobs cannot be reached, next try in %.2f s", wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _make_tables(self, connection: Connection) -> None:
        self.take_turns(connection)
        if inspect(connection).has_table(schema.name):
            found = connection.scalar(select(schema.c.version)) or 0
            while found in MIGRATIONS:
                connection.execute(text(MIGRATIONS[found]))
                found += 1
                connection.execute(update(schema).values(version=found))
            if found != SCHEMA:
                raise JobStoreError(
                    f"{self.shown_url} is from another version of emofuse (tables {found}, this version has "
                    f"{SCHEMA}): use that version, or another database"
                )
            return
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=SCHEMA))


def _parse(url: str) -> URL:
    """The address of a database, with the driver that is used here."""
    try:
        where = make_url(url)
    except (ArgumentError, ValueError):
        raise JobStoreError(f"{url!r} is not a database: {_KINDS}") from None
    backend = where.get_backend_name()
    if backend == "sqlite" and where.database and where.database != ":memory:":
        return where.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return where.set(drivername="postgresql+psycopg")
    raise JobStoreError(f"{where.render_as_string(hide_password=True)} is not a database for jobs: {_KINDS}")


_KINDS: Final = "use sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME"


def _lock_file(where: URL) -> tuple[IO[bytes], Path]:
    """Keep other processes away from a SQLite database, for as long as this process lives."""
    database = Path(str(where.database))
    path = database.with_name(f"{database.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_locked(path), path
    except BlockingIOError:
        raise FolderInUseError(
            f"{database} is in use by another server: end it, or give another --data or --database"
        ) from None
    except OSError as error:
        raise JobStoreError(f"{database} cannot be used: {error.strerror}") from None


def _engine_of(where: URL) -> Engine:
    if where.get_backend_name() == "sqlite":
        engine = create_engine(where, connect_args={"timeout": _BUSY_S}, max_overflow=_MOST_CONNECTIONS)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
        return engine
    try:
        return create_engine(
            where, pool_pre_ping=True, max_overflow=_MOST_CONNECTIONS,
            connect_args={"connect_timeout": 10, "application_name": "emofuse"},
        )  # fmt: skip
    except (ImportError, NoSuchModuleError):
        raise MissingExtraError("postgres", "a PostgreSQL database of jobs") from None


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set up a connection: the driver begins no transactions by itself, and commits are on the disk."""
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_on_sqlite(connection: Connection) -> None:
    """A transaction that will write locks at once: one that read first could not wait for others any more."""
    writes = connection.get_execution_options().get("emofuse_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_disk_full(error: SQLAlchemyError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else None
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(cause, "sqlstate", None) in _DISK_FULL
    )


def _passes(error: SQLAlchemyError) -> bool:
    """Whether it is worth trying again: the database restarts, or somebody else is writing."""
    if not isinstance(error, DBAPIError):
        return False
    cause: Any = error.orig
    if isinstance(cause, sqlite3.Error):
        # the lowest byte is the kind, the others say more
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    code = getattr(cause, "sqlstate", None)
    if code is None:  # the connection broke, or none could be made
        return error.connection_invalidated or type(cause).__name__ in ("OperationalError", "InterfaceError")
    return str(code).startswith(_PASSING)


def _reason(error: SQLAlchemyError) -> str:
    """The first line of what the database says."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
