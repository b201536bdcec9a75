from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.support.service import RunningService

MARKER = {"start_s": 1.0, "end_s": None, "text": "question 1"}
EXCLUDED = {"start_s": 0.5, "end_s": 1.5, "reason": "a phone rings", "person": None}


@pytest.fixture(scope="module")
def film(service: RunningService, conversation: Path) -> dict[str, Any]:
    """A job of two people that is done."""
    job = service.add_job(conversation)
    done = service.wait_for(job["id"], "done", "failed")
    assert done["state"] == "done", done
    return done


@pytest.fixture
def done(service: RunningService, clip: Path) -> str:
    """A new job that is done."""
    job = service.wait_for(service.add_job(clip)["id"], "done", "failed")
    assert job["state"] == "done", job
    return str(job["id"])


def patch(service: RunningService, job_id: str, change: Any, **headers: str) -> httpx.Response:
    return service.client.patch(f"/v1/jobs/{job_id}/annotations", json=change, headers=headers)


def get(service: RunningService, job_id: str) -> httpx.Response:
    answer = service.client.get(f"/v1/jobs/{job_id}/annotations")
    assert answer.status_code == 200, answer.text
    return answer


def document(service: RunningService, job_id: str) -> dict[str, Any]:
    answer = service.client.get(f"/v1/jobs/{job_id}/results/json")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_change_is_in_the_results(service: RunningService, film: dict[str, Any]) -> None:
    assert get(service, film["id"]).json() == {
        "version": 0, "names": {}, "merges": {}, "excluded": [], "markers": []
    }  # fmt: skip
    change = {"names": {"person 1": "Anna"}, "excluded": [EXCLUDED], "markers": [MARKER]}
    answer = patch(service, film["id"], change)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"version": 1, "merges": {}, **change}
    assert answer.headers["etag"] == '"1"' == get(service, film["id"]).headers["etag"]
    found = document(service, film["id"])
    assert found["people"] == ["Anna", "person 2"]
    assert [one["text"] for one in found["markers"]] == ["question 1"]
    assert found["excluded"][0]["reason"] == "a phone rings"
    assert not [one for one in found["windows"] if one["start_s"] < 1.5 and one["end_s"] > 0.5]
    # what is not mentioned stays, null takes back, lists are replaced
    again = patch(service, film["id"], {"names": {"person 2": "Bert"}, "markers": []})
    assert again.json()["names"] == {"person 1": "Anna", "person 2": "Bert"}
    assert again.json()["markers"] == [] and again.json()["excluded"] == [EXCLUDED]
    merged = patch(service, film["id"], {"names": {"person 2": None}, "merges": {"person 2": "person 1"}})
    assert merged.json()["version"] == 3
    assert document(service, film["id"])["people"] == ["Anna"]
    undone = patch(service, film["id"], {"names": None, "merges": None, "excluded": None})
    assert undone.json() == {"version": 4, "names": {}, "merges": {}, "excluded": [], "markers": []}
    assert document(service, film["id"])["people"] == ["person 1", "person 2"]
    assert service.job(film["id"])["annotations_version"] == 4


def test_a_change_of_something_old_is_refused(service: RunningService, done: str) -> None:
    old = get(service, done).headers["etag"]
    assert patch(service, done, {"markers": [MARKER]}, **{"If-Match": old}).status_code == 200
    for stale in (old, f"W/{old}", '"7"', "nonsense"):
        answer = patch(service, done, {"markers": []}, **{"If-Match": stale})
        assert (answer.status_code, answer.headers["etag"]) == (412, '"1"')
        assert answer.headers["content-type"] == "application/problem+json"
        assert "version 1 by now" in answer.json()["detail"]
    assert get(service, done).json()["markers"] == [MARKER]
    for fresh in ('"1"', "*", '"0", "3"'):
        answer = patch(service, done, {"markers": [dict(MARKER, text=fresh)]}, **{"If-Match": fresh})
        assert answer.status_code == 200, answer.text
    # the same again changes nothing
    for same in ({}, {"markers": [dict(MARKER, text='"0", "3"')]}):
        assert patch(service, done, same, **{"If-Match": '"4"'}).json()["version"] == 4


def test_nobodys_change_is_lost(service: RunningService, done: str) -> None:
    """Changes at once: with a version one wins, and the others are told; without, all are made."""
    version = get(service, done).headers["etag"]
    statuses: list[int] = []

    def change(number: int, **headers: str) -> None:
        marks = [dict(MARKER, text=f"mark {number}")]
        with httpx.Client(base_url=service.url, timeout=180) as client:
            answer = client.patch(f"/v1/jobs/{done}/annotations", json={"markers": marks}, headers=headers)
        statuses.append(answer.status_code)

    def together(**headers: str) -> list[int]:
        statuses.clear()
        threads = [threading.Thread(target=change, args=(n,), kwargs=headers) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(statuses)

    assert together(**{"If-Match": version}) == [200, 412, 412, 412, 412, 412]
    assert get(service, done).json()["version"] == 1
    free = together()
    assert set(free) <= {200, 412} and free.count(200) >= 5
    assert get(service, done).json()["version"] >= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": {}}, "annotations has no 'name'"),
        ({"names": {"person 9": "x"}}, "there is no 'person 9' in the recording"),
        ({"names": 3}, "names must be an object, got a number"),
        ([], "changed by a JSON object, got a list"),
        ({"merges": {"a": "a"}}, "merged into themselves"),
        ({"markers": [{"start_s": 99, "text": "x"}]}, "99 s is outside the recording, 0.000 to"),
        ({"markers": [{"start_s": 1, "text": "a\x00"}]}, "control character"),
        ({"excluded": [{"start_s": 2, "end_s": 1, "reason": "x"}]}, "must start before it ends"),
        ({"markers": [{"start_s": 1, "text": "x" * 2001}]}, "at most 2000 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    service: RunningService, film: dict[str, Any], change: Any, message: str
) -> None:
    before = get(service, film["id"]).json()
    answer = patch(service, film["id"], change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["title"] == "Invalid annotations" and message in answer.json()["detail"]
    assert str(service.data) not in answer.text
    assert get(service, film["id"]).json() == before


def test_bodies_that_are_no_change(service: RunningService, done: str) -> None:
    address = f"/v1/jobs/{done}/annotations"
    json_type = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    for content, headers, status in (
        (b"{", json_type, 422), (b"\xff", json_type, 422), (b"[" * 100_000, json_type, 422),
        (b"", json_type, 422),
        (b"NaN", json_type, 422), (b'{"markers": [{"start_s": NaN, "text": "x"}]}', json_type, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415), (b"{}", {}, 415),
        (b" " * (2 * 2**20), json_type, 413),
    ):  # fmt: skip
        answer = service.client.patch(address, content=content, headers=headers)
        assert answer.status_code == status, (content[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert service.client.patch(address, content=b"{}", headers=json_type).status_code == 200


def test_openapi_describes_a_change(service: RunningService, film: dict[str, Any]) -> None:
    """Its example is one, and what it forbids is refused."""
    operation = service.client.get("/v1/openapi.json").json()["paths"]["/v1/jobs/{job_id}/annotations"][
        "patch"
    ]
    schema = operation["requestBody"]["content"]["application/merge-patch+json"]["schema"]
    assert "$ref" not in json.dumps(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for change, is_valid in (
        (schema["examples"][0], True), ({}, True), ({"names": {"person 1": None}, "markers": None}, True),
        ({"markers": [{"start_s": 1}]}, False), ({"excluded": [{"start_s": 1, "end_s": 2}]}, False),
        ({"name": {}}, False), ({"names": {"person 1": ""}}, False), ([], False),
    ):  # fmt: skip
        assert validator.is_valid(change) == is_valid, change
        if not is_valid:
            assert patch(service, film["id"], change).status_code == 422


def test_jobs_without_a_result(service: RunningService, long_recording: Path) -> None:
    for missing in ("0" * 32, "x", "..%2f..%2fetc"):
        assert service.client.get(f"/v1/jobs/{missing}/annotations").status_code == 404
        assert patch(service, missing, {}).status_code == 404
    job = service.add_job(long_recording, hop_s=0.1)
    answer = patch(service, job["id"], {"markers": [MARKER]})
    assert answer.status_code == 409 and "has no result: wait" in answer.json()["detail"]
    assert get(service, job["id"]).json()["version"] == 0
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 200
    answer = patch(service, job["id"], {"markers": [MARKER]})
    assert answer.status_code == 409 and "cancelled" in answer.json()["detail"]
    assert service.client.delete(f"/v1/jobs/{job['id']}", params={"erase": "true"}).status_code == 204


def test_the_command_line_makes_the_same(
    service: RunningService, film: dict[str, Any], conversation: Path, tmp_path: Path
) -> None:
    """The service and ``emofuse timeline --annotations`` share what they do."""
    from typer.testing import CliRunner

    from emofuse.cli.app import app

    change = {"names": {"person 2": "Zoë"}, "excluded": [EXCLUDED], "markers": [MARKER], "merges": {}}
    assert patch(service, film["id"], change).status_code == 200
    (tmp_path / "changes.json").write_text(json.dumps(change), encoding="utf-8")
    recording = tmp_path / film["name"]
    recording.write_bytes(conversation.read_bytes())
    outs = {kind: tmp_path / f"out{end}" for kind, end in (("csv", ".csv"), ("windows-csv", ".windows.csv"))}
    words = ["timeline", str(recording), "--annotations", str(tmp_path / "changes.json")]
    words += ["--purpose", film["purpose"], *(word for out in outs.values() for word in ("-o", str(out)))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for kind, out in outs.items():
        answer = service.client.get(f"/v1/jobs/{film['id']}/results/{kind}")
        assert answer.content == out.read_bytes(), kind
    rows = list(csv.DictReader(outs["csv"].read_text(encoding="utf-8").splitlines()))
    assert {row["purpose"] for row in rows} == {film["purpose"]}
