from __future__ import annotations

import socket
from pathlib import Path

from tests.support.service import RunningService, events


def test_a_job_is_followed_to_its_end(service: RunningService, clip: Path) -> None:
    job_id = service.add_job(clip)["id"]
    with service.client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen = [data for name, data in events(answer) if name == "job"]
    assert [job["id"] for job in seen] == [job_id] * len(seen)
    assert seen[-1]["state"] == "done"
    assert seen[-1] == service.job(job_id)
    order = ["queued", "running", "done"]
    indices = [order.index(job["state"]) for job in seen]
    assert indices == sorted(indices)


def test_progress_is_seen_while_it_decodes_and_a_cancel_ends_it(
    service: RunningService, long_recording: Path
) -> None:
    job_id = service.add_job(long_recording, hop_s=0.1)["id"]
    states = []
    with service.client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        for _, job in events(answer):
            states.append(job["state"])
            if job["progress"]["done_s"] > 0 and states.count("cancelled") == 0:
                service.client.delete(f"/v1/jobs/{job_id}")
    assert states[-1] == "cancelled"
    assert states.count("running") >= 2


def test_who_has_seen_the_end_need_not_connect_again(service: RunningService, clip: Path) -> None:
    job_id = service.add_job(clip)["id"]
    service.wait_for(job_id, "done")
    with service.client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        lines = list(answer.iter_lines())
    last = next(line.partition(":")[2].strip() for line in lines if line.startswith("id:"))
    again = service.client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": last})
    assert again.status_code == 204
    assert service.client.get(f"/v1/jobs/{'0' * 32}/events").status_code == 404


def test_a_client_that_does_not_read_delays_nobody(
    service: RunningService, long_recording: Path, clip: Path
) -> None:
    job_id = service.add_job(long_recording, hop_s=0.1)["id"]
    lazy = []
    for _ in range(20):
        raw = socket.create_connection(("127.0.0.1", service.port))
        raw.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        lazy.append(raw)
    service.client.delete(f"/v1/jobs/{job_id}")
    assert service.predict(clip).status_code == 200
    for raw in lazy:
        raw.close()
    assert service.client.get("/v1/health").status_code == 200
