from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emofuse.server.access import COOKIE, SESSION_S, Rate, Tokens
from tests.support.service import TOKEN, RunningService

ID = "0" * 32
HANDSHAKE = (
    "GET /v1/live HTTP/1.1\nHost: {host}\nConnection: Upgrade\nUpgrade: websocket\n"
    "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


# --- tokens and rates


def test_a_session_ends_by_itself() -> None:
    tokens, now = Tokens(TOKEN), time.time()
    value = tokens.new_session(now)
    assert TOKEN not in value
    assert tokens.is_session(value, now)
    assert Tokens(TOKEN).is_session(value, now), "a restarted service knows it"
    assert not Tokens("another token, as long").is_session(value, now)
    assert not tokens.is_session(value, now + SESSION_S + 1)


@pytest.mark.parametrize(
    "value", ["", ".", "x.y", "ffffffff.", "ffffffffffff.0", "é.é", "ffffffff." + "0" * 64]
)
def test_sessions_cannot_be_made_up(value: str) -> None:
    assert not Tokens(TOKEN).is_session(value, time.time())


def test_a_session_cannot_be_made_longer() -> None:
    tokens, now = Tokens(TOKEN), time.time()
    ends, _, signature = tokens.new_session(now).partition(".")
    assert not tokens.is_session(f"{int(ends, 16) + 1000:x}.{signature}", now)


def test_without_a_token_no_token_is_right() -> None:
    assert not Tokens(None).is_token(b"")
    assert Tokens(TOKEN).is_token(TOKEN.encode())
    assert not Tokens(TOKEN).is_token(b"")


def test_a_client_may_ask_a_while_and_then_waits() -> None:
    rate = Rate(per_s=2.0, burst=3)
    assert [rate.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.take("b", 0.0) == 0, "another client does not wait"
    assert rate.take("a", 0.25) == pytest.approx(0.25)
    assert rate.take("a", 0.5) == 0
    assert rate.take("a", 100.0) == 0
    rate.fine("a", 100.0, 10.0)
    assert rate.take("a", 100.0) == 0.5


def test_many_clients_take_no_memory() -> None:
    rate = Rate(per_s=1.0, burst=1)
    for number in range(10_000):
        rate.take(str(number), 0.0)
    assert len(rate._left) <= 4096


# --- a service with a token


@pytest.fixture
def anybody(guarded: RunningService) -> Iterator[httpx.Client]:
    """Somebody who has no token."""
    with httpx.Client(base_url=guarded.url, timeout=60) as client:
        yield client


def every_route(service: RunningService) -> list[tuple[str, str]]:
    paths = service.client.get("/v1/openapi.json").json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(routes) > 15
    return [(method, re.sub(r"\{\w+\}", ID, path)) for method, path in routes]


def test_every_route_but_health_wants_the_token(guarded: RunningService, anybody: httpx.Client) -> None:
    for method, path in every_route(guarded):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": TOKEN}):
            answer = anybody.request(method, path, headers=headers)
            if path == "/v1/health":
                assert answer.status_code == 200
            else:
                assert answer.status_code == 401, (method, path, headers)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.json()["type"] == "urn:emofuse:problem:unauthorized"


def test_a_route_that_there_is_not_wants_it_too(anybody: httpx.Client, guarded: RunningService) -> None:
    for path in ("/v1/nothing", "/v1", "/v2/jobs", "//v1/health", "/v1/health/"):
        assert anybody.get(path).status_code == 401
        assert guarded.client.get(path).status_code == 404


def test_an_address_that_climbs_leads_nowhere(guarded: RunningService) -> None:
    for path in ("/v1/health/../jobs", "/v1/health%2f..%2fjobs", "/page/../v1/jobs", "/page/%2e%2e/v1/jobs"):
        answer = guarded.send(f"GET {path} HTTP/1.1\nHost: localhost")
        assert answer.status in (401, 404), path


def test_a_token_in_an_address_is_none(anybody: httpx.Client) -> None:
    for query in ({"token": TOKEN}, {"access_token": TOKEN}, {COOKIE: TOKEN}):
        assert anybody.get("/v1/jobs", params=query).status_code == 401


def test_the_token_lets_in(guarded: RunningService) -> None:
    assert guarded.client.get("/v1/jobs").status_code == 200
    assert guarded.client.get("/metrics").status_code == 200


def test_a_browser_signs_in_and_out(guarded: RunningService) -> None:
    assert guarded.client.get("/v1/jobs").status_code == 200
    with httpx.Client(base_url=guarded.url, timeout=60) as browser:
        answer = browser.post("/v1/session", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=strict", "path=/"} <= flags
        assert browser.get("/v1/jobs").status_code == 200
        handshake = HANDSHAKE.format(host=f"127.0.0.1:{guarded.port}")
        value = browser.cookies[COOKIE]
        assert guarded.send(f"{handshake}\nCookie: a=b; {COOKIE}={value}").status == 101
        assert guarded.send(f"{handshake}\nCookie: {COOKIE}={value}x").status == 401
        assert browser.get(f"/v1/jobs/{ID}/events").status_code == 404
        assert browser.delete("/v1/session").status_code == 204
        assert COOKIE not in browser.cookies
        assert browser.get("/v1/jobs").status_code == 401
        assert browser.get(f"/v1/jobs/{ID}/events").status_code == 401


def test_a_cookie_alone_gets_no_answer_for_another_site(guarded: RunningService) -> None:
    """A browser sends the cookie of a host for all its ports: the origin decides."""
    with httpx.Client(base_url=guarded.url, timeout=60) as browser:
        browser.post("/v1/session", headers={"Authorization": f"Bearer {TOKEN}"})
        foreign = {"Origin": f"http://127.0.0.1:{guarded.port + 1}"}
        assert browser.delete(f"/v1/jobs/{ID}", headers=foreign).status_code == 403


def test_a_websocket_wants_the_token(guarded: RunningService) -> None:
    handshake = HANDSHAKE.format(host=f"127.0.0.1:{guarded.port}")
    assert guarded.send(handshake).status == 401
    assert guarded.send(f"{handshake}\nAuthorization: Bearer {TOKEN}").status == 101


# --- hosts and origins


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example:{port}",
        "192.168.1.2:{port}", "127.0.0.1:{port}, evil.example", "localhost:{port}:80", "[::1", "",
        "127.0.0.1@evil.example",
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(service: RunningService, host: str) -> None:
    named = host.format(port=service.port)
    for path in ("/v1/health", "/v1/jobs", "/metrics", "/"):
        answer = service.send(f"GET {path} HTTP/1.1\nHost: {named}")
        assert answer.status == 403, (path, named)
        assert b"foreign-host" in answer.body
    assert service.send(HANDSHAKE.format(host=named)).status == 403


def test_two_hosts_are_refused(service: RunningService) -> None:
    answer = service.send(f"GET /v1/jobs HTTP/1.1\nHost: 127.0.0.1:{service.port}\nHost: evil.example")
    assert answer.status in (400, 403)
    assert service.send("GET /v1/jobs HTTP/1.1").status == 400


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "[::1]:{port}", "127.0.0.1:9", "localhost:9"]
)
def test_this_machine_has_several_names(service: RunningService, host: str) -> None:
    """Another port is that of a tunnel."""
    answer = service.send(f"GET /v1/jobs HTTP/1.1\nHost: {host.format(port=service.port)}")
    assert answer.status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "http://127.0.0.1:9", "http://127.0.0.1",
        "http://127.0.0.1:{port}.evil.example", "file://127.0.0.1:{port}", "127.0.0.1:{port}",
        "http://127.0.0.1:{port}, http://evil.example", "http://localhost:{port}",
    ],
)  # fmt: skip
def test_a_foreign_origin_is_refused(service: RunningService, origin: str) -> None:
    named = origin.format(port=service.port)
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/predictions"), ("DELETE", f"/v1/jobs/{ID}")):
        answer = service.client.request(method, path, headers={"Origin": named})
        assert answer.status_code == 403, (method, path)
        assert answer.json()["type"] == "urn:emofuse:problem:foreign-origin"
    handshake = HANDSHAKE.format(host=f"127.0.0.1:{service.port}")
    assert service.send(f"{handshake}\nOrigin: {named}").status == 403


def test_its_own_origin_and_none_pass(service: RunningService) -> None:
    assert service.client.get("/v1/jobs").status_code == 200
    assert service.client.get("/v1/jobs", headers={"Origin": service.url}).status_code == 200
    headers = {"Host": "localhost", "Origin": "http://localhost:80"}
    assert service.client.get("/v1/jobs", headers=headers).status_code == 200


def test_a_service_for_others_goes_by_addresses_and_given_names(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data", host="0.0.0.0", token=TOKEN, hosts=["Lab.Example"]) as lab:
        asked = {
            host: lab.send(f"GET /v1/health HTTP/1.1\nHost: {host}").status
            for host in ("192.168.1.2:8000", "[fe80::1]:8000", "lab.example", "localhost", "evil.example")
        }
    assert asked == {
        "192.168.1.2:8000": 200, "[fe80::1]:8000": 200, "lab.example": 200, "localhost": 200,
        "evil.example": 403,
    }  # fmt: skip


# --- what every answer says


def test_every_answer_keeps_browsers_safe(service: RunningService, guarded: RunningService) -> None:
    answers = [
        service.client.get("/v1/jobs"), service.client.get("/v1/nothing"), service.client.get("/v1/health"),
        service.client.post("/v1/predictions", content=b"x"), service.client.delete("/v1/people/x"),
        service.client.get("/v1/jobs", headers={"Origin": "http://evil.example"}),
        httpx.get(f"{guarded.url}/v1/jobs"),
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} >= {200, 401, 403, 404, 422}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_other_sites_may_read_nothing(service: RunningService) -> None:
    """No answer has a header of CORS, and no preflight is answered as one."""
    own = {"Origin": service.url, "Access-Control-Request-Method": "DELETE"}
    for answer in (
        service.client.get("/v1/jobs", headers={"Origin": service.url}),
        service.client.options("/v1/jobs", headers=own),
        service.client.options("/v1/jobs", headers={**own, "Origin": "http://evil.example"}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert service.client.options("/v1/jobs", headers=own).status_code == 405


# --- how often


def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data", quotas={"requests_per_s": 0.01, "burst": 4}) as slow:
        statuses = [slow.client.get("/v1/jobs").status_code for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
        answer = slow.client.get("/v1/jobs")
        assert 1 <= int(answer.headers["retry-after"]) <= 101
        assert answer.json()["type"] == "urn:emofuse:problem:too-many-requests"
        assert slow.client.get("/v1/health").status_code == 200
        assert slow.send(HANDSHAKE.format(host=f"127.0.0.1:{slow.port}")).status == 429


def test_who_tries_tokens_waits_longer(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data", token=TOKEN, quotas={"requests_per_s": 0.01, "burst": 25}) as slow:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [slow.client.get("/v1/jobs", headers=wrong).status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
