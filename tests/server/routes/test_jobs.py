from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import PURPOSE, RunningService, form
from tests.support.small_corpora import write_wav
from tests.support.speech import speech_like

ID = "0" * 32
RATE = 16_000


def test_a_recording_becomes_a_job_and_is_read(service: RunningService, clip: Path) -> None:
    with clip.open("rb") as content:
        answer = service.client.post(
            "/v1/jobs", files={"file": ("talk.wav", content)}, params={"hop_s": 0.5, "own_baseline": False}
        )
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["name"], job["purpose"]) == ("talk.wav", PURPOSE)
    assert job["options"] == {"hop_s": 0.5, "own_baseline": False}
    done = service.wait_for(job["id"], "done", "failed")
    assert (done["state"], done["error"], done["attempts"]) == ("done", None, 1)
    assert done["progress"]["done_s"] == pytest.approx(3.0, abs=0.2)
    assert done["outcome"]["duration_s"] == pytest.approx(3.0, abs=0.2)
    assert done["created"] <= done["started"] <= done["finished"] < done["keep_until"]


def test_consent_and_keep_are_said_and_changed(service: RunningService, clip: Path) -> None:
    job = service.add_job(clip, consent=" form 12\n of 2026 ")
    assert job["consent"] == "form 12  of 2026"
    assert job["keep_s"] == 7 * 86_400 and "consent" not in job["options"]
    done = service.wait_for(job["id"], "done")
    address = f"/v1/jobs/{job['id']}"
    changed = service.client.patch(address, json={"consent": "form 13"}).json()
    assert (changed["consent"], changed["keep_until"]) == ("form 13", done["keep_until"])
    changed = service.client.patch(address, json={"keep": "30d"}).json()
    assert changed["consent"] == "form 13" and changed["keep_until"] > done["keep_until"]
    assert service.client.patch(address, json={"keep": "forever"}).json()["keep_until"] is None
    changed = service.client.patch(address, json={"keep": None, "consent": " "}).json()
    assert (changed["keep_until"], changed["keep_s"], changed["consent"]) == (None, None, None)
    assert service.client.patch(address, json={}).json() == changed == service.job(job["id"])
    changes: list[Any] = [{"keep": "soon"}, {"keep": "0d"}, {"keep": "99999999w"}, {"keep": 7}, []]
    for wrong in (*changes, {"consent": "x" * 501}, {"consent": 7}, {"name": "x"}):
        assert service.client.patch(address, json=wrong).status_code == 422, wrong
    assert service.client.patch(f"/v1/jobs/{ID}", json={"keep": "7d"}).status_code == 404
    with clip.open("rb") as content:
        answer = service.client.post("/v1/jobs", files={"file": content}, params={"consent": "x" * 501})
    assert answer.status_code == 422


def test_a_raw_body_becomes_a_job(service: RunningService, clip: Path) -> None:
    answer = service.client.post(
        "/v1/jobs", content=clip.read_bytes(),
        headers={"Content-Disposition": "attachment; filename*=UTF-8''f%C3%BCnf.wav"},
    )  # fmt: skip
    assert answer.status_code == 202
    assert answer.json()["name"] == "fünf.wav"
    assert service.wait_for(answer.json()["id"], "done", "failed")["state"] == "done"


def test_jobs_are_listed_the_newest_first(service: RunningService, clip: Path) -> None:
    ids = [service.add_job(clip)["id"] for _ in range(3)]
    for one in ids:
        service.wait_for(one, "done")

    def listed(**query: Any) -> list[str]:
        answer = service.client.get("/v1/jobs", params=query)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["jobs"]]

    assert listed(limit=3) == ids[::-1]
    assert listed(limit=1, after=ids[2]) == [ids[1]]
    assert set(ids) <= set(listed(state="done"))
    assert not set(ids) & set(listed(state="queued"))
    assert service.client.get("/v1/jobs", params={"after": ID}).status_code == 404
    for wrong in ({"state": "lost"}, {"limit": 0}, {"limit": 1001}, {"after": "x"}, {"limit": "many"}):
        assert service.client.get("/v1/jobs", params=wrong).status_code == 422


def test_a_job_is_cancelled_while_it_decodes_and_then_erased(
    service: RunningService, long_recording: Path
) -> None:
    job_id = service.add_job(long_recording, hop_s=0.1)["id"]
    service.wait_for(job_id, "running")
    running = service.client.delete(f"/v1/jobs/{job_id}")
    assert running.status_code == 200
    assert running.json()["state"] == "cancelled"
    assert service.client.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled", "a second time, too"
    assert service.client.delete(f"/v1/jobs/{job_id}", params={"erase": True}).status_code == 204
    assert service.client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert not any(job_id in name for name in service.leftovers())


def test_a_running_job_is_erased(service: RunningService, long_recording: Path, clip: Path) -> None:
    job_id = service.add_job(long_recording, hop_s=0.1)["id"]
    service.wait_for(job_id, "running")
    assert service.client.delete(f"/v1/jobs/{job_id}", params={"erase": True}).status_code == 204
    other = service.add_job(clip)["id"]
    assert service.wait_for(other, "done", "failed")["state"] == "done"
    assert not any(job_id in name for name in service.leftovers())


def test_a_result_is_not_lost_by_a_late_cancel(service: RunningService, clip: Path) -> None:
    job_id = service.add_job(clip)["id"]
    service.wait_for(job_id, "done")
    answer = service.client.delete(f"/v1/jobs/{job_id}")
    assert answer.status_code == 409
    assert "erase=true" in answer.json()["detail"]
    assert service.job(job_id)["state"] == "done"


@pytest.mark.parametrize("name", [ID, "x", "..", "%2e%2e", "%00", "a" * 1000, "é", "' OR 1=1 --"])
def test_what_is_no_job_is_not_found(service: RunningService, name: str) -> None:
    for method in ("GET", "DELETE"):
        answer = service.client.request(method, f"/v1/jobs/{name}")
        assert answer.status_code in (404, 405), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


# --- folders


def test_a_recording_in_a_folder_is_read_where_it_is(service: RunningService, films: Path) -> None:
    answer = service.client.post("/v1/jobs", json={"folder": 0, "path": "study/talk.wav"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["name"] == "talk.wav"
    done = service.wait_for(answer.json()["id"], "done", "failed")
    assert (done["state"], done["error"]) == ("done", None)
    assert (films / "study" / "talk.wav").exists()
    assert not (service.data / "jobs" / answer.json()["id"] / "upload").exists()


def test_nothing_outside_the_folder_is_found(service: RunningService, films: Path, clip: Path) -> None:
    outside = films.parent / "outside.wav"
    outside.write_bytes(clip.read_bytes())
    (films / "link.wav").symlink_to(outside)
    (films / "inside.wav").symlink_to("study/talk.wav")
    (films / "up").symlink_to(films.parent)
    os.mkfifo(films / "pipe.wav")
    places: list[tuple[int, str]] = [
        (0, "../outside.wav"), (0, str(outside)), (0, "link.wav"), (0, "inside.wav"), (0, "up/outside.wav"),
        (0, "pipe.wav"), (0, "study"), (0, "."), (0, "missing.wav"), (0, "study/../../outside.wav"),
        (0, "study/talk.wav\0.wav"), (1, "study/talk.wav"), (0, "a/" * 1000 + "b"), (0, "/dev/zero"),
        (0, "http://127.0.0.1:1/talk.wav"), (0, "file:///etc/passwd"),
    ]  # fmt: skip
    for folder, path in places:
        answer = service.client.post("/v1/jobs", json={"folder": folder, "path": path})
        assert answer.status_code == 404, (path, answer.text)
        assert str(films) not in answer.text
    for name in ("link.wav", "inside.wav", "up", "pipe.wav"):
        (films / name).unlink()


def test_a_folder_that_is_swapped_for_a_link_meanwhile_gives_nothing_away(
    service: RunningService, films: Path, clip: Path
) -> None:
    """What is read is what lies in the folder, or nothing: the outside is shorter, and would be seen."""
    outside = films.parent / "elsewhere"
    outside.mkdir()
    write_wav(outside / "talk.wav", speech_like(RATE, 1.0), RATE)
    study, aside, ended = films / "swapped", films / "aside", threading.Event()
    study.mkdir()
    (study / "talk.wav").write_bytes(clip.read_bytes())

    def swap() -> None:
        while not ended.is_set():
            study.rename(aside)
            study.symlink_to(outside)
            study.unlink()
            aside.rename(study)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [
            service.client.post("/v1/jobs", json={"folder": 0, "path": "swapped/talk.wav"}) for _ in range(10)
        ]
    finally:
        ended.set()
        swapper.join()
    assert {answer.status_code for answer in answers} <= {202, 404, 422}
    for answer in answers:
        if answer.status_code == 202:
            job = service.wait_for(answer.json()["id"], "done", "failed")
            assert job["state"] == "failed" or job["outcome"]["duration_s"] == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b'{"folder": 0}', b'{"folder": -1, "path": "x"}',
        b'{"folder": 0, "path": ""}', b'{"folder": 0, "path": "x", "more": 1}',
        b'{"folder": "a", "path": "x"}',
        b'{"folder": 0, "path": "\\ud800"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_places_that_cannot_be(service: RunningService, body: bytes) -> None:
    answer = service.client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


# --- how many


def test_a_full_queue_is_429(tmp_path: Path, long_recording: Path) -> None:
    with RunningService(tmp_path / "data", quotas={"open_jobs": 2}) as service:
        ids = [service.add_job(long_recording, hop_s=0.1)["id"] for _ in range(2)]
        kind, body = form(("file", "clip.wav", b"anything"))
        answer = service.client.post("/v1/jobs", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        service.client.delete(f"/v1/jobs/{ids[1]}")
        assert service.add_job(long_recording)["state"] == "queued"
        assert len([name for name in service.leftovers() if name.endswith("upload")]) == 3
