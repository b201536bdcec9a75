"""A real PostgreSQL in a temporary folder, on a free port of the loopback interface."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.sql import SQL, Identifier

START_S = 120
_UNPRIVILEGED = ("postgres", "nobody")


def find() -> Path | None:
    """The folder with PostgreSQL's programs: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found is not None and Path(found).with_name("postgres").exists():
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return folders[-1] if folders else None


class Postgres:
    """A cluster with its server, which can be stopped, killed and started again on the same port.

    Args:
        programs: the folder of PostgreSQL's programs.
        password: of the user ``emofuse``; None: everybody on this machine may connect.
    """

    def __init__(self, programs: Path, password: str | None = None) -> None:
        self._programs = programs
        self._password = password
        self._user: dict[str, Any] = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="emofuse-postgres-"))
        self._schemas = 0
        try:
            if self._user:
                os.chown(self.folder, self._user["user"], self._user["group"])
            self._init()
            self.port = _free_port()
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _init(self) -> None:
        given: list[object] = ["-A", "trust"]
        if self._password is not None:
            file = self.folder / "password"
            file.write_text(f"{self._password}\n", encoding="utf-8")
            given = ["-A", "scram-sha-256", "--pwfile", file]
        self._run("initdb", "-D", self._data, "-U", "emofuse", *given, "-E", "UTF8", "--no-sync")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        command = [
            str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), "-c", "fsync=off",
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self._user
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self._url, password=self._password, connect_timeout=10).close()
                return
            except psycopg.OperationalError:
                said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                assert self._process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.02)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the server: ``fast`` breaks the connections, ``immediate`` is a crash."""
        self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self._process.wait(timeout=START_S)

    def new_database(self) -> str:
        """The URL of a schema of its own, which is to a client like an empty database, and costs no files."""
        self._schemas += 1
        name = f"jobs_{self._schemas}"
        with psycopg.connect(self._url, password=self._password, autocommit=True) as connection:
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
        return f"{self._url}?options=-csearch_path%3D{name}"

    @property
    def _url(self) -> str:
        return f"postgresql://emofuse@127.0.0.1:{self.port}/postgres"

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, cwd=self.folder, check=False, timeout=START_S, **self._user
        )
        assert done.returncode == 0, f"{program}: {done.stderr.decode(errors='replace')}"


def _unprivileged() -> dict[str, Any]:
    """As whom to run programs that refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in _UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError(f"none of {_UNPRIVILEGED} can run PostgreSQL here")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
