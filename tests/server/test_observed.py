from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from emofuse.server.metrics import Metrics
from emofuse.server.observed import Observed
from tests.support.service import RunningService, form

SECRET = "anna-in-therapy"


def test_the_log_holds_neither_names_nor_media(service: RunningService, clip: Path) -> None:
    kind, body = form(("file", f"{SECRET}.wav", clip.read_bytes()))
    headers = {"Content-Type": kind, "User-Agent": SECRET, "Referer": f"http://x/{SECRET}"}
    assert service.client.post("/v1/predictions", content=body, headers=headers).status_code == 200
    kind, body = form(("file", f"{SECRET}.wav", SECRET.encode()))
    assert service.client.post("/v1/jobs", content=body, headers={"Content-Type": kind}).status_code == 422
    service.client.get(f"/v1/jobs/{SECRET}", params={"x": SECRET})
    service.client.get(f"/{SECRET}")
    service.client.post("/v1/jobs", json={"folder": 0, "path": f"{SECRET}.wav"})
    service.client.put("/v1/purpose", json={"purpose": ""})
    files = {"file": (f"{SECRET}.wav", clip.read_bytes())}
    answer = service.client.post("/v1/people", data={"name": SECRET}, files=files)
    service.client.delete(f"/v1/people/{answer.json()['id']}")
    log = service.log()
    assert "POST /v1/predictions 200" in log
    assert "GET /v1/jobs/{job_id} 404" in log
    assert "POST /v1/jobs 422" in log
    assert SECRET not in log
    assert "127.0.0.1" not in log


async def run(app: Any, caplog: pytest.LogCaptureFixture, scope_type: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": scope_type, "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.INFO, "emofuse.server"):
        await Observed(app, Metrics.new())(scope, receive, send)
    return sent


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_error_of_the_service_is_logged_without_its_message(
    caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    import asyncio

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        try:
            raise FileNotFoundError(2, "missing", f"/data/{SECRET}")
        except FileNotFoundError as error:
            raise ValueError(SECRET) from error

    sent = asyncio.run(run(app, caplog, kind))
    if kind == "http":
        assert sent[0]["status"] == 500
        assert b"Internal error" in sent[1]["body"]
    else:
        assert sent == [{"type": "websocket.close", "code": 1011}]
    assert "builtins.ValueError" in caplog.text
    assert "builtins.FileNotFoundError" in caplog.text
    assert "in app" in caplog.text
    logged = "".join(record.getMessage() for record in caplog.records)
    assert SECRET not in logged
