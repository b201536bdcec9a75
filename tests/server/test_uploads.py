from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emofuse.server.uploads import LONGEST_NAME, shown_name
from tests.support.malformed_uploads import PATH_NAMES, malformed_uploads
from tests.support.service import RunningService, form, resident_bytes

MOST_BYTES = 700 * 2**20
"""What the service's own process may hold; it loads no network."""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("impatient")
    quotas = {
        "idle_s": 1.0, "prediction_bytes": 1_000_000, "upload_bytes": 2_000_000, "burst": 100_000,
        "requests_per_s": 1000.0,
    }  # fmt: skip
    with RunningService(folder / "data", quotas=quotas) as service:
        yield service


@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/jobs"])
def test_malformed_uploads_are_refused(impatient: RunningService, clip: Path, path: str) -> None:
    for upload in malformed_uploads(clip.read_bytes(), 21, seed=len(path), path=path):
        answer = impatient.send(upload.head, upload.body)
        assert answer.status is not None and 400 <= answer.status < 500, (
            upload.name,
            answer.status,
            answer.body,
        )
        assert str(impatient.data).encode() not in answer.body, upload.name
        assert impatient.client.get("/v1/health").status_code == 200, upload.name
    assert impatient.leftovers() == []
    assert impatient.client.get("/v1/jobs").json() == {"jobs": []}
    assert resident_bytes(impatient.process.pid) < MOST_BYTES
    assert impatient.predict(clip).status_code == 200


def test_what_is_too_large_is_refused_before_and_while_it_comes(impatient: RunningService) -> None:
    for path, limit in (("/v1/predictions", 1_000_000), ("/v1/jobs", 2_000_000)):
        head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: video/mp4"
        assert impatient.send(f"{head}\nContent-Length: {limit + 2**21}").status == 413
        kind, body = form(("file", "large.mp4", bytes(limit + 1)))
        answer = impatient.client.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 413
        assert str(limit) in answer.json()["detail"]
        chunk = f"{limit:x}\r\n".encode() + bytes(limit) + b"\r\n"
        assert impatient.send(f"{head}\nTransfer-Encoding: chunked", 2 * chunk).status == 413
    assert impatient.leftovers() == []


def test_who_sends_nothing_for_a_while_is_not_waited_for(impatient: RunningService) -> None:
    head = "POST /v1/predictions HTTP/1.1\nHost: localhost\nContent-Type: audio/wav\nContent-Length: 1000"
    answer = impatient.send(head, b"RIFF")
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert impatient.leftovers() == []


def test_who_goes_away_leaves_nothing(impatient: RunningService, clip: Path) -> None:
    for path in ("/v1/predictions", "/v1/jobs", "/v1/people"):
        kind, body = form(("file", "clip.wav", clip.read_bytes()))
        head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: {kind}\nContent-Length: {len(body)}"
        assert impatient.send(head, body[:50_000], half_close=True).status is None
    end = time.monotonic() + 60
    while impatient.leftovers() and time.monotonic() < end:
        time.sleep(0.05)
    assert impatient.leftovers() == []


def test_a_form_may_have_its_parts_in_any_pieces(impatient: RunningService, clip: Path) -> None:
    kind, body = form(("file", "clip.wav", clip.read_bytes()))
    head = f"POST /v1/predictions HTTP/1.1\nHost: localhost\nContent-Type: {kind}\nTransfer-Encoding: chunked"
    pieces = [body[:1], body[1:40], body[40:41], body[41:-3], body[-3:]]
    chunked = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    assert impatient.send(head, chunked).status == 200


@pytest.mark.parametrize("name", PATH_NAMES)
def test_names_are_shown_and_never_paths(name: str) -> None:
    shown = shown_name(name)
    assert 1 <= len(shown) <= LONGEST_NAME
    assert "/" not in shown and "\\" not in shown and shown not in (".", "..")
    assert shown_name(shown) == shown


def test_a_recording_without_a_name_has_one() -> None:
    assert [shown_name(name) for name in (None, "", " ", "/", "..", "\0")] == ["recording"] * 6


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_507_and_leaves_nothing(tmp_path: Path, clip: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with RunningService(disk / "data", log=tmp_path / "log") as service:
            for path in ("/v1/predictions", "/v1/jobs"):
                answer = service.client.post(path, content=bytes(4_000_000))
                assert answer.status_code == 507, answer.text
                assert answer.json()["type"] == "urn:emofuse:problem:insufficient-storage"
                assert service.leftovers() == []
            assert service.predict(clip).status_code == 200
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_slow_upload_does_not_delay_others(service: RunningService, clip: Path) -> None:
    """A byte now and then, and many who only hold a connection open."""

    async def idle(n: int) -> list[asyncio.StreamWriter]:
        return [(await asyncio.open_connection("127.0.0.1", service.port))[1] for _ in range(n)]

    async def main() -> None:
        others = await idle(100)
        _, slow = await asyncio.open_connection("127.0.0.1", service.port)
        slow.write(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(3):
            slow.write(b"R")
            await slow.drain()
            answer = await asyncio.to_thread(service.predict, clip)
            assert answer.status_code == 200
        for writer in (*others, slow):
            writer.close()

    asyncio.run(main())
