from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.core.version import __version__
from emofuse.server.app import create_app
from emofuse.server.settings import ServerSettings
from tests.support.service import RunningService

ROOT = Path(__file__).parents[2]
METHODS = {"get", "put", "post", "patch", "delete"}
CONFIG = """\
[parameters]
job_id = "{job}"
person_id = "{person}"
study_id = "{study}"

[[operations]]
include-name = "DELETE /v1/jobs/{{job_id}}"
parameters = {{ job_id = "{other}" }}

[[operations]]
include-name = "DELETE /v1/people/{{person_id}}"
parameters = {{ person_id = "{nobody}" }}

[[operations]]
include-name = "DELETE /v1/studies/{{study_id}}"
parameters = {{ study_id = "{gone}" }}

[warnings]
fail-on = ["missing_auth", "missing_deserializer", "unresolvable_reference", "unsupported_regex"]
"""
"""Of schemathesis: ids of what there is, so that more than "not found" is tried."""


def test_the_published_description_is_current() -> None:
    spec = importlib.util.spec_from_file_location("docs_openapi", ROOT / "docs" / "openapi.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PATH.read_text(encoding="utf-8") == module.description(), "run python docs/openapi.py"


def test_every_operation_is_described_with_examples(tmp_path: Path) -> None:
    document = create_app(ServerSettings(tmp_path)).openapi()
    assert document["info"]["version"] == __version__
    schemas = document["components"]["schemas"]
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    assert len({operation["operationId"] for _, operation in operations}) == len(operations) > 18
    for name, operation in operations:
        assert operation["summary"] and operation["description"], name
        assert {"4XX", "5XX"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if status in ("200", "201", "202") and content is not None and "$ref" in content["schema"]:
                schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
                assert "examples" in schema or set(schema["properties"]) <= {"jobs", "people"}, name
    assert "#/$defs/" not in str(document)


def test_schemathesis_finds_no_server_error(tmp_path: Path, clip: Path) -> None:
    """Whatever the description allows, and what it does not: the answer is one that it describes."""
    quotas = {"requests_per_s": 1000.0, "burst": 1_000_000, "idle_s": 5.0}
    with RunningService(tmp_path / "data", quotas=quotas) as service:
        job, other = service.add_job(clip)["id"], service.add_job(clip)["id"]
        files = {"file": ("anna.wav", clip.read_bytes())}
        people = [
            service.client.post("/v1/people", data={"name": name}, files=files).json()["id"]
            for name in ("Anna", "Bert")
        ]
        studies = [
            service.client.post("/v1/studies", json={"name": name, "recordings": [{"job": job}]}).json()["id"]
            for name in ("kept", "erased")
        ]
        assert service.wait_for(job, "done", "failed")["state"] == "done"
        (tmp_path / "schemathesis.toml").write_text(
            CONFIG.format(
                job=job,
                other=other,
                person=people[0],
                nobody=people[1],
                study=studies[0],
                gone=studies[1],
            )
        )
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/v1/openapi.json",
                "--seed=1", "--max-examples=5", "--phases=coverage,fuzzing", "--continue-on-failure",
                "--checks=not_a_server_error,status_code_conformance,content_type_conformance,"
                "response_schema_conformance",
                "--generation-database=none", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        tried = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert tried and tried[1] == tried[2] and int(tried[1]) > 300
        assert re.search(r"Tested: +(\d+)", done.stdout)
        assert not re.search(r" 500 |Traceback", service.log())
        assert service.client.get("/v1/health").json() == {"status": "ok"}
        assert service.predict(clip).status_code == 200
        assert service.leftovers("incoming") == []


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_no_page_of_the_framework_is_served(service: RunningService, path: str) -> None:
    assert service.client.get(path).status_code == 404
