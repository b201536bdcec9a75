from __future__ import annotations

import importlib.util
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from emofuse.cli import serve
from emofuse.cli.app import app
from emofuse.core.errors import MissingExtraError, ServiceError

FOREVER_S = 180


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """``emofuse serve`` on a free port: its process, its address, and what it printed before it listened."""
    command = [sys.executable, "-m", "emofuse", "serve", "--port", "0", "--workers", "1", *options]
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "home"), "COLUMNS": "200"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    )
    assert process.stdout is not None
    printed = []
    late = threading.Timer(FOREVER_S, process.kill)
    late.start()
    try:
        for line in process.stdout:
            printed.append(line.strip())
            if found := re.fullmatch(r"emofuse serves at (http://\S+)", line.strip()):
                yield process, found[1], printed
                break
        else:
            pytest.fail("\n".join(printed))
    finally:
        late.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_says_where_it_listens_and_ends_without_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, "--purpose", "a study") as (process, url, _):
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/v1/health", timeout=60).json() == {"status": "ok"}
        assert httpx.get(f"{url}/v1/purpose", timeout=60).json() == {"purpose": "a study"}
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait(FOREVER_S) == 0
    assert "GET /v1/health 200" in rest
    assert rest.rstrip().endswith("emofuse: stopped")
    assert (tmp_path / "home" / "emofuse" / "service" / "jobs.sqlite").exists()


def test_the_purpose_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_PURPOSE", "a study")
    with serving(tmp_path) as (_, url, _printed):
        assert httpx.get(f"{url}/v1/purpose", timeout=60).json() == {"purpose": "a study"}
    monkeypatch.setenv("EMOFUSE_PURPOSE", "")  # as compose.yaml passes it on where nobody has set it
    with serving(tmp_path, "--data", "other") as (_, url, _printed):
        assert httpx.get(f"{url}/v1/purpose", timeout=60).json() == {"purpose": None}


def test_another_host_has_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--data", "data", "--quiet") as (process, url, _):
        port = url.rpartition(":")[2]
        own = f"http://127.0.0.1:{port}/v1/jobs"
        token = (tmp_path / "data" / "token").read_text().strip()
        assert len(token) > 30
        assert stat.S_IMODE((tmp_path / "data" / "token").stat().st_mode) == 0o600
        assert httpx.get(own, timeout=60).status_code == 401
        assert httpx.get(own, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert token not in process.stdout.read()
        assert process.wait(FOREVER_S) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "soon"], "is not how long to keep a job"),
        (["--purpose", " "], "a purpose has 1 to 500 characters"),
        (["--folder", "missing"], "does not exist"),
        (["--port", "70000"], "--port"),
        (["--workers", "0"], "--workers"),
        (["--database-password-file", "password"], "is the password of a --database"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--data", str(tmp_path), *options], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert message in result.output


def test_a_token_file_without_a_token_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    result = CliRunner().invoke(
        app, ["serve", "--data", str(tmp_path), "--token-file", str(tmp_path / "token")]
    )
    assert isinstance(result.exception, ServiceError)
    assert "holds no token" in str(result.exception)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name == "uvicorn" else importlib.util.find_spec(name)

    monkeypatch.setattr(serve, "find_spec", find)
    result = CliRunner().invoke(app, ["serve"])
    assert isinstance(result.exception, MissingExtraError)
    assert str(result.exception) == "a local service needs an optional part: pip install 'emofuse[server]'"


def test_neither_the_library_nor_other_commands_load_a_server() -> None:
    code = (
        "import sys, emofuse, emofuse.cli.app\n"
        "print(*sorted({'fastapi', 'starlette', 'uvicorn', 'sqlalchemy', 'prometheus_client'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_its_help_teaches() -> None:
    output = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "120"}).output
    for words in ("emofuse serve --purpose", "curl", "token", "postgresql://", "forever"):
        assert words in output
