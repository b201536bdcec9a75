"""The tables of the database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Column, Dialect, Float, Index, Integer, MetaData, RowMapping, String, Table, Text
from sqlalchemy.types import TypeDecorator

from emofuse.server.jobs.records import Job

SCHEMA: Final = 2
"""Raised whenever a table changes. Databases of older numbers are changed, by :data:`MIGRATIONS`; those of
newer ones are not used."""


class JsonText(TypeDecorator[Any]):
    """JSON data as text in ASCII: every string comes back from both databases as it was."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """From the database."""
        return None if value is None else json.loads(value)


metadata: Final = MetaData()

schema: Final = Table("emofuse_schema", metadata, Column("version", Integer, primary_key=True))

jobs: Final = Table(
    "emofuse_jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("name", JsonText, nullable=False),
    Column("purpose", JsonText, nullable=False),
    Column("options", JsonText, nullable=False),
    Column("source", JsonText, nullable=False),
    Column("profile", JsonText),
    Column("keep_s", Float),
    Column("state", String(16), nullable=False),
    Column("created", String(32), nullable=False),
    Column("started", String(32)),
    Column("finished", String(32)),
    Column("keep_until", String(32)),
    Column("done_s", Float, nullable=False, default=0.0),
    Column("total_s", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("worker_deaths", Integer, nullable=False, default=0),
    Column("server", String(64)),
    Column("error", JsonText),
    Column("outcome", JsonText, nullable=False, default={}),
    Column("annotations", JsonText, nullable=False, default={}),
    Column("annotations_version", Integer, nullable=False, default=0),
    Column("consent", JsonText),
    Index("emofuse_jobs_by_state", "state", "number"),
    sqlite_autoincrement=True,  # the number of an erased job is not given again
)

servers: Final = Table(
    "emofuse_servers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("beat", Integer, nullable=False),
)
"""Each server counts its beats here. Others watch whether a count moves; nobody compares clocks."""


MIGRATIONS: Final[Mapping[int, str]] = {1: "ALTER TABLE emofuse_jobs ADD COLUMN consent TEXT"}
"""By the number of a database, what makes it one of the next number; the same on both databases."""


def job_of(row: RowMapping) -> Job:
    """The record of a row of :data:`jobs`."""
    return Job(**{str(name): value for name, value in row.items()})
