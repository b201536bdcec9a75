from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.service import RunningService


def enroll(service: RunningService, *files: Path, **fields: str) -> httpx.Response:
    contents = [("file", (path.name, path.read_bytes())) for path in files]
    return service.client.post("/v1/people", data=fields, files=contents)


def test_a_person_is_enrolled_used_listed_and_erased(service: RunningService, clip: Path) -> None:
    answer = enroll(service, clip, clip, name="Anna\tB.")
    assert answer.status_code == 201, answer.text
    anna = answer.json()
    assert (anna["name"], anna["clips"], anna["has_face"], anna["skipped"]) == ("Anna B.", 2, False, [])
    assert answer.headers["location"] == f"/v1/people/{anna['id']}"
    one = service.client.get(f"/v1/people/{anna['id']}").json()
    assert anna["note"] is None
    assert one == {key: value for key, value in anna.items() if key not in ("skipped", "note")}
    assert one in service.client.get("/v1/people").json()["people"]
    answer = service.predict(clip, person=anna["id"])
    assert answer.status_code == 200
    job = service.add_job(clip, person=anna["id"])
    assert job["person"] == anna["id"]
    assert service.wait_for(job["id"], "done", "failed")["state"] == "done"
    assert service.client.delete(f"/v1/people/{anna['id']}").status_code == 204
    assert service.client.delete(f"/v1/people/{anna['id']}").status_code == 404
    assert service.client.get(f"/v1/people/{anna['id']}").status_code == 404
    assert service.predict(clip, person=anna["id"]).status_code == 422
    assert list((service.data / "people").iterdir()) == []
    assert service.leftovers("incoming") == []


def test_a_person_is_erased_with_all_recordings(
    service: RunningService, clip: Path, long_recording: Path
) -> None:
    """Those that are done, that are being read and that wait; of nobody else."""
    anna = enroll(service, clip, name="Anna").json()["id"]
    bert = enroll(service, clip, name="Bert").json()["id"]
    own = [service.wait_for(service.add_job(clip, person=anna)["id"], "done")["id"]]
    others = [
        service.wait_for(service.add_job(clip, **who)["id"], "done")["id"] for who in ({"person": bert}, {})
    ]
    own += [service.add_job(long_recording, person=anna, hop_s=0.1)["id"] for _ in range(2)]
    service.wait_for(own[1], "running")
    assert service.client.get(f"/v1/jobs/{own[0]}/results/csv").status_code == 200
    answer = service.client.delete(f"/v1/people/{anna}", params={"recordings": "true"})
    assert answer.status_code == 204, answer.text
    assert [service.client.get(f"/v1/jobs/{one}").status_code for one in own] == [404, 404, 404]
    assert [service.client.get(f"/v1/jobs/{one}").status_code for one in others] == [200, 200]
    assert service.client.get(f"/v1/people/{anna}").status_code == 404
    assert not [one for one in service.leftovers() if any(job in one for job in own)]
    assert not (service.data / "people" / anna).exists()
    again = service.client.delete(f"/v1/people/{anna}", params={"recordings": "true"})
    assert again.status_code == 404
    assert service.client.delete(f"/v1/people/{bert}").status_code == 204
    assert service.client.get(f"/v1/jobs/{others[0]}").status_code == 200  # its recordings stay


def test_a_recording_that_cannot_be_used_is_named(
    service: RunningService, clip: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no recording")
    answer = enroll(service, clip, notes, name="Bert")
    assert answer.status_code == 201
    assert answer.json()["clips"] == 1
    assert [text.partition(":")[0] for text in answer.json()["skipped"]] == ["notes.txt"]
    assert str(service.data) not in answer.text
    service.client.delete(f"/v1/people/{answer.json()['id']}")
    answer = enroll(service, notes, name="Bert")
    assert answer.status_code in (409, 422)
    assert str(service.data) not in answer.text


def test_enrollment_needs_a_name_and_a_recording(service: RunningService, clip: Path) -> None:
    assert enroll(service, clip).status_code == 422
    assert enroll(service, clip, name=" ").status_code == 422
    assert enroll(service, clip, name="a" * 1000).status_code == 422
    assert enroll(service, clip, name="Anna", with_face="maybe").status_code == 422
    assert enroll(service, clip, name="Anna", path="/etc").status_code == 422
    assert service.client.post("/v1/people", data={"name": "Anna"}).status_code == 422
    assert enroll(service, *[clip] * 51, name="Anna").status_code == 422


def test_people_are_personal_and_need_a_purpose(tmp_path: Path, clip: Path) -> None:
    with RunningService(tmp_path / "data", purpose=None) as fresh:
        assert enroll(fresh, clip, name="Anna").status_code == 409


@pytest.mark.parametrize("name", ["0" * 32, "x", "%2e%2e", "a" * 500])
def test_who_is_not_enrolled_is_not_found(service: RunningService, name: str) -> None:
    assert service.client.get(f"/v1/people/{name}").status_code == 404
    assert service.client.delete(f"/v1/people/{name}").status_code == 404
