from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from emofuse.core.errors import BundleError, FolderInUseError, ServiceError
from emofuse.server.run import serve
from emofuse.server.settings import ServerSettings
from tests.support.processes import children, is_running, wait_until
from tests.support.service import FOREVER_S, RunningService, events


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_ten_seconds_and_jobs_go_on(
    tmp_path: Path, long_recording: Path, number: int
) -> None:
    with RunningService(tmp_path / "data") as service:
        job_id = service.add_job(long_recording, hop_s=0.1)["id"]
        service.wait_for(job_id, "running")
        with service.client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
            following = events(answer)
            next(following)
            workers = children(service.process.pid)
            began = time.monotonic()
            assert service.end(number) == 0
            took_s = time.monotonic() - began
            list(following)  # the stream ends, too
        assert took_s < 10 + _crowded_s()
        assert not any(map(is_running, workers))
    with RunningService(tmp_path / "data", port=service.port) as again:
        job = again.wait_for(job_id, "running", "done")
        assert job["attempts"] == 2
        assert job["worker_deaths"] == 0


def test_what_runs_may_end(tmp_path: Path, clip: Path) -> None:
    """A request that came before the signal is answered; one that comes after it is not accepted."""
    with RunningService(tmp_path / "data") as service:
        kept = socket.create_connection(("127.0.0.1", service.port), timeout=FOREVER_S)
        body = clip.read_bytes()
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        kept.sendall(head.encode() + body)
        assert wait_until(lambda: bool(list((tmp_path / "data" / "incoming").glob("*/*/0"))), limit_s=60)
        service.process.send_signal(signal.SIGTERM)
        answer = kept.recv(65_536)
        kept.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert service.process.wait(FOREVER_S) == 0


def test_a_killed_service_starts_again_on_its_port_at_once(
    tmp_path: Path, long_recording: Path, clip: Path
) -> None:
    with RunningService(tmp_path / "data") as service:
        long_id = service.add_job(long_recording, hop_s=0.1)["id"]
        short_id = service.add_job(clip)["id"]
        service.wait_for(long_id, "running")
        held = socket.create_connection(("127.0.0.1", service.port))
        workers = children(service.process.pid)
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        (tmp_path / "data" / "people" / ".half-erased").mkdir()
        with RunningService(tmp_path / "data", port=service.port) as again:
            assert again.port == service.port
            assert list((tmp_path / "data" / "people").iterdir()) == []
            assert again.wait_for(long_id, "running", "done")["attempts"] == 2
            again.client.delete(f"/v1/jobs/{long_id}")
            assert again.wait_for(short_id, "done")["attempts"] <= 2
        held.close()
        assert wait_until(lambda: not any(map(is_running, workers)), limit_s=60)


def test_a_child_inherits_no_socket(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service:
        own = _sockets(service.process.pid)
        assert own
        for child in children(service.process.pid):
            assert not own & _sockets(child)


def test_an_address_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"cannot listen at 127.0.0.1, port {port}"):
            serve(ServerSettings(tmp_path / "data", port=port))
    with pytest.raises(ServiceError, match="choose another"):
        serve(ServerSettings(tmp_path / "data", host="192.0.2.1", token="a token of many characters"))
    assert not (tmp_path / "data").exists()


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        serve(ServerSettings(tmp_path / "data", port=0, bundle=tmp_path))


def test_two_services_do_not_share_a_folder_with_sqlite(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service:
        with pytest.raises(FolderInUseError, match="in use"):
            serve(ServerSettings(tmp_path / "data", port=0))
        assert service.client.get("/v1/health").status_code == 200


def _sockets(pid: int) -> set[str]:
    links = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return {link for link in links if link.startswith("socket:")}


def _crowded_s() -> float:
    """What a machine with more work than cores adds."""
    return 3.0 * os.getloadavg()[0] / (os.cpu_count() or 1)
