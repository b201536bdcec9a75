from __future__ import annotations

from tests.support.service import RunningService


def test_data_is_bounded(service: RunningService) -> None:
    for content in (b'{"purpose": "' + b"a" * 2**21 + b'"}', b"[" * 2**21):
        answer = service.client.put(
            "/v1/purpose", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:emofuse:problem:content-too-large"
    answer = service.client.post(
        "/v1/jobs", content=b" " * 2**21, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


def test_who_is_refused_early_sees_the_answer(service: RunningService) -> None:
    """Megabytes are on their way when the request is refused: the connection is not just reset."""
    body = bytes(3_000_000)
    for path in ("/v1/nothing", "/v1/jobs/x", "/v1/health"):
        for _ in range(5):
            answer = service.client.post(path, content=body)
            assert answer.status_code in (404, 405, 413)
