"""The Dockerfile and compose.yaml promise what docs/server.md says of them.

`tests/container.py` carries out the Dockerfile; here, both are read, and the service is started with the
command of compose.yaml, beside a PostgreSQL that wants a password.
"""

from __future__ import annotations

import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from emofuse.server.settings import Quotas
from emofuse.server.token_file import read_token
from tests.container import copy_context
from tests.smoke import VERSIONS
from tests.support.dockerfile import Ignored, Stage, stages
from tests.support.postgres import Postgres, find
from tests.support.service import FOREVER_S

ROOT = Path(__file__).parents[2]
PASSWORD = "of the database: @/?#%"
TOKEN = "a-token-of-the-container"


@pytest.fixture(scope="module")
def built() -> list[Stage]:
    return stages(ROOT / "Dockerfile")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_base_images_have_a_version_and_a_release_of_debian(
    built: list[Stage], compose: dict[str, Any]
) -> None:
    bases = {stage.image for stage in built}
    assert len(bases) == 1, "what is installed in one stage runs in the other"
    found = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", bases.pop())
    assert found and found[1] in VERSIONS
    assert re.fullmatch(r"postgres:\d+-[a-z]+", compose["services"]["database"]["image"])


def test_the_image_runs_as_nobody_of_this_machine(built: list[Stage]) -> None:
    image = built[-1]
    user = image.last("USER").text
    assert re.fullmatch(r"(\d{4,}):\1", user)
    names = [step.name for step in image.steps]
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :]), "what it installs belongs to root"
    assert "ADD" not in {step.name for stage in built for step in stage.steps}


def test_it_has_a_health_check_that_needs_no_other_program(built: list[Stage]) -> None:
    check = built[-1].last("HEALTHCHECK")
    assert check.flag("interval") and check.flag("timeout") and check.flag("start-period")
    assert check.text.startswith('CMD ["python", "-c", ')
    assert "/v1/health" in check.text


def test_versions_are_those_that_the_tests_pass_with(built: list[Stage]) -> None:
    (install,) = [step.text for stage in built for step in stage.steps if " install " in f"{step.text} "
                  and "pip" in step.text]  # fmt: skip
    assert "--constraint requirements.lock" in install
    extras = next(step for step in built[0].steps if step.name == "ARG").text
    assert extras == 'EXTRAS="server,postgres"'


def test_the_build_sees_what_it_copies_and_nothing_else(built: list[Stage], tmp_path: Path) -> None:
    copied = {
        name for step in built[0].steps if step.name == "COPY" and step.flag("from") is None
        for name in step.words[:-1]
    }  # fmt: skip
    copy_context(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == copied
    ignored = Ignored(ROOT / ".dockerignore")
    for name in (
        "secrets/token",
        ".git/config",
        ".venv/bin/python",
        "interview.mp4",
        "src/a/__pycache__/b.pyc",
    ):
        assert Path(name) in ignored, name
    assert Path("src/emofuse/recognition/shipped/out-of-the-box/voice.onnx") not in ignored


def test_services_can_change_their_volumes_and_nothing_else(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"emofuse", "database"}
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "pid", "network_mode", "devices", "ipc"} & set(service), name
        for volume in service["volumes"]:
            source, target = volume.split(":")
            assert source in compose["volumes"] and target.startswith("/"), name
        assert all(mount.startswith(("/tmp:", "/var/run/")) for mount in service["tmpfs"]), name
    assert compose["services"]["database"]["user"] == "postgres"
    assert "user" not in compose["services"]["emofuse"]  # the image's


def test_only_this_machine_reaches_the_service_and_only_that_the_database(compose: dict[str, Any]) -> None:
    service, database = compose["services"]["emofuse"], compose["services"]["database"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in database
    assert all(compose["networks"][name]["internal"] for name in database["networks"])


def test_secrets_are_files(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service["secrets"]) <= set(compose["secrets"]), name
        for key, value in service["environment"].items():
            secret = re.search("password|token|secret", key, re.IGNORECASE)
            assert not secret or str(value).startswith("/run/secrets/"), key
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_service_waits_for_the_database_and_has_time_to_end(compose: dict[str, Any]) -> None:
    service, database = compose["services"]["emofuse"], compose["services"]["database"]
    assert service["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > 2 * Quotas().drain_s


@pytest.mark.parametrize("page", ["docs/server.md", "compose.yaml"])
def test_the_commands_of_the_documentation_make_the_secrets(
    page: str, compose: dict[str, Any], tmp_path: Path
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line.removeprefix("#").strip() for line in text.splitlines()]
    first = lines.index("mkdir -m 700 secrets")
    made, start = lines[first : first + 4], lines[first + 4]
    assert start == 'EMOFUSE_PURPOSE="a study of interviews" docker compose up --build --detach'
    subprocess.run(["/bin/sh", "-c", "set -e; umask 077\n" + "\n".join(made)], cwd=tmp_path, check=True)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    tokens = {read_token(tmp_path / secret["file"]) for secret in compose["secrets"].values()}
    assert len(tokens) == len(compose["secrets"]) == len(list((tmp_path / "secrets").iterdir()))
    for file in (tmp_path / "secrets").iterdir():  # by other users, as of containers
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.fixture
def password_database() -> Iterator[Postgres]:
    programs = find()
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    server = Postgres(programs, password=PASSWORD)
    yield server
    server.close()


def test_the_command_of_compose_runs_with_its_secrets(
    built: list[Stage], compose: dict[str, Any], password_database: Postgres, clip: Path, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    (secrets / "database-password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    url = password_database.new_database()
    places = {
        "/run/secrets": str(secrets), "=/data": f"={tmp_path / 'data'}",
        "postgresql://emofuse@database/emofuse": url,
    }  # fmt: skip
    words = [*built[-1].last("ENTRYPOINT").words, *compose["services"]["emofuse"]["command"]]
    for inside, here in places.items():
        assert any(inside in word for word in words), inside
        words = [word.replace(inside, here) for word in words]
    assert words[0] == "emofuse"
    command = [sys.executable, "-m", *words, "--port=0", "--workers=1"]
    environment = {"EMOFUSE_PURPOSE": "a study", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().strip().rpartition(":")[2])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=FOREVER_S) as client:
            assert client.get("/v1/health").status_code == 200
            assert client.get("/v1/jobs").status_code == 401
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            assert client.get("/v1/purpose").json() == {"purpose": "a study"}
            with clip.open("rb") as file:
                assert client.post("/v1/jobs", files={"file": ("clip.wav", file)}).status_code == 202
        with psycopg.connect(url, password=PASSWORD) as connection:
            assert connection.execute("SELECT count(*) FROM emofuse_jobs").fetchone() == (1,)
        process.send_signal(signal.SIGTERM)
        assert process.wait(FOREVER_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not (tmp_path / "data" / "jobs.sqlite").exists()
