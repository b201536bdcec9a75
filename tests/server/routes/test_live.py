"""Live sessions over real WebSockets: what goes well, what is refused, and how sessions end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from emofuse.core.errors import RequestError
from emofuse.server.client import Client
from emofuse.server.client_live import LiveSession
from emofuse.server.schemas import LivePlaces
from tests.support import live_parts, small_corpora
from tests.support.live_parts import Part
from tests.support.service import FOREVER_S, TOKEN, RunningService

SILENCE = bytes(3200)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service for one live session at a time, which has no patience, and no purpose yet."""
    limits = {"sessions": 1, "idle_s": 2.0, "pause_s": 6.0, "messages_per_s": 20.0, "burst_s": 10.0}
    folder = tmp_path_factory.mktemp("narrow")
    with RunningService(folder / "data", purpose=None, live=limits) as running:
        yield running


def opened(service: RunningService, query: str = "", **headers: str) -> ClientConnection:
    address = service.url.replace("http", "ws", 1) + "/v1/live" + query
    return connect(address, additional_headers=headers, proxy=None, open_timeout=FOREVER_S)


def status(service: RunningService, query: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    """How a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused, opened(service, query, **headers):
        pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"{}")


def send(session: LiveSession, part: Part) -> None:
    (session.send_audio if part.kind == "audio" else session.send_picture)(part.payload, part.time_s)


def test_a_clip_is_read_as_it_is_sent(service: RunningService, tmp_path: Path) -> None:
    film = small_corpora.write_clip(tmp_path / "happy.mp4", emotion=2)
    parts = live_parts.parts_of(film)
    with Client(service.url) as client, client.live() as session:
        assert session.created["session"]["purpose"] == "tests"
        assert session.created["session"]["sample_rate_hz"] == live_parts.RATE

        def feed() -> None:
            for part in live_parts.in_real_time(parts):
                send(session, part)
            session.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        messages = list(session)
        feeder.join(FOREVER_S)
    *others, last = messages
    windows = [message for message in others if message["type"] == "window"]
    assert {message["type"] for message in others} <= {"window", "note"}
    assert any(window["face"] for window in windows) and any(window["voice"] for window in windows)
    assert all(set(window["fused"]) == set(session.created["emotions"]) for window in windows)
    assert last["type"] == "session.closed" and last["reason"] == "the client closed it"
    assert last["windows"] == len(windows) and last["problems"] == []


@pytest.mark.ravdess
def test_a_real_clip_is_read_as_it_is_sent(service: RunningService, ravdess: Path) -> None:
    film = sorted((ravdess / "video").rglob("*.mp4"))[0]
    with Client(service.url) as client, client.live() as session:
        for part in live_parts.in_real_time(live_parts.parts_of(film)):
            send(session, part)
        session.close()
        windows = [message for message in session if message["type"] == "window"]
    assert any(window["face"] for window in windows)
    assert {window["person"] for window in windows} == {"person 1"}


def test_bad_frames_are_refused_and_the_session_goes_on(service: RunningService) -> None:
    bad: list[bytes | str] = [
        b"", b"\x07" + bytes(20), bytes(5), b"\x01" + bytes(8) + b"odd", b"\x02" + bytes(8) + b"GIF89a",
        b"\x01" + bytes(8) + bytes(2**21), "nothing", '{"type": "session.delete"}',
        '{"type": "session.update", "session": {"hop_s": 2}}',
    ]  # fmt: skip
    with Client(service.url) as client, client.live(window_s=1.0) as session:
        assert session.session["window_s"] == 1.0 and session.session["hop_s"] == 1.0
        for number in range(20):
            session.send_audio(SILENCE, 5 + number / 10)
            if number == 10:
                for message in bad:
                    session.connection.send(message)
        session.close()
        messages = list(session)
    refused = [message["problem"] for message in messages if message["type"] == "refused"]
    words = (
        "no frame", "unknown kind of frame 7", "within a sample", "neither a JPEG", "over the limit",
        "must be JSON", "unknown type 'session.delete'", "only before its first audio",
    )  # fmt: skip
    assert len(refused) == len(bad)
    for word in words:
        assert any(word in problem for problem in refused), (word, refused)
    closed = messages[-1]
    assert closed["type"] == "session.closed" and closed["windows"] >= 1
    assert sum(row["count"] for row in closed["problems"]) == len(bad)


def test_options_that_cannot_be(service: RunningService) -> None:
    with Client(service.url) as client:
        with pytest.raises(RequestError, match="window_s must be between"), client.live(window_s=1000):
            pass
        with pytest.raises(RequestError, match="Extra inputs are not permitted"), client.live(loudness=3):
            pass


def test_enrolled_people_are_read_against_their_profiles(service: RunningService, clip: Path) -> None:
    """One may be anybody; several are told apart by faces, which a profile of a voice does not hold."""
    with Client(service.url) as client:
        ids = [client.enroll(name, [clip]).id for name in ("Live Anna", "Live Ben", "Live Anna")]
        with client.live(video=False, people=ids[:1]) as session:
            for part in live_parts.audio_parts(live_parts.pcm_of(clip)):
                session.send_audio(part.payload, part.time_s)
            session.close()
            *others, closed = list(session)
        assert closed["reason"] == "the client closed it" and closed["windows"] >= 1
        assert {message["type"] for message in others} <= {"window", "note"}
        for people, problem in (
            (ids[:2], "the profile of Live Anna holds no face"),
            ([ids[0], ids[2]], "two have the same name"),
            (["0" * 32], "somebody is not enrolled"),
        ):
            with pytest.raises(RequestError, match=problem), client.live(people=people):
                pass
        for person_id in ids:
            client.erase_person(person_id)


def test_a_place_is_free_again_when_a_client_has_gone(service: RunningService) -> None:
    with Client(service.url) as client:
        for _ in range(5):
            with client.live(video=False) as session:
                session.send_audio(SILENCE, 0.0)
                session.connection.socket.shutdown(socket.SHUT_RDWR)  # without a goodbye


def test_who_may_open_a_session(guarded: RunningService) -> None:
    assert status(guarded)[0] == 401
    assert status(guarded, Authorization="Bearer wrong-token-wrong-token")[0] == 401
    assert status(guarded, query=f"?token={TOKEN}")[0] == 401
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert status(guarded, Origin="http://elsewhere.example", **token)[0] == 403
    signed = guarded.client.post("/v1/session")
    cookie = signed.headers["set-cookie"].partition(";")[0]
    for headers in (token, {"Cookie": cookie, "Origin": guarded.url}):
        with opened(guarded, **headers) as connection:
            assert json.loads(connection.recv(FOREVER_S))["type"] == "session.created"


def test_a_session_needs_a_purpose_and_a_place(narrow: RunningService) -> None:
    """A browser, which is not told why a handshake was refused, can ask."""
    code, problem = status(narrow)
    assert code == 409 and problem["type"] == "urn:emofuse:problem:no-purpose"
    assert narrow.client.get("/v1/live").json()["type"] == problem["type"]
    with Client(narrow.url) as client:
        client.set_purpose("tests")
        assert client.live_places().open == 0
        full = pytest.raises(RequestError, match="Too many live sessions")
        with client.live(video=False):
            assert client.live_places() == LivePlaces(sessions=1, open=1)
            with full as refused, client.live():
                pass
    assert refused.value.status == 503


def test_a_flood_ends_the_session(narrow: RunningService) -> None:
    with Client(narrow.url) as client:
        client.set_purpose("tests")
    with opened(narrow) as connection:
        assert json.loads(connection.recv(FOREVER_S))["type"] == "session.created"
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(20_000):
                connection.send(b"\x01" + bytes(8) + SILENCE)
            while True:  # a thread that sends without a pause may keep the one that reads from its turn
                connection.recv(FOREVER_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason == "more than 20 messages per second"


def test_a_silent_client_is_not_waited_for(narrow: RunningService) -> None:
    with Client(narrow.url) as client, client.live(video=False) as session:
        session.send_audio(SILENCE, 0.0)
        *_, closed = list(session)
        assert closed["reason"] == "no audio came for 2 s"
        assert session.connection.close_code == 1008


def test_a_client_that_pauses_is_waited_for_longer(narrow: RunningService) -> None:
    with Client(narrow.url) as client, client.live(video=False) as session:
        session.send_audio(SILENCE, 0.0)
        session.pause()
        assert session.receive(4.0) is None  # twice as long as a silent one
        session.send_audio(SILENCE, 0.1)
        session.pause()
        *_, closed = list(session)
        assert closed["reason"] == "no audio came for 6 s"
    with Client(narrow.url) as client, client.live(video=False) as session:
        session.send_audio(SILENCE, 0.0)
        session.pause()
        session.send_audio(SILENCE, 0.1)
        *_, closed = list(session)
        assert closed["reason"] == "no audio came for 2 s"


def _children(pid: int) -> set[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return {int(line) for line in done.stdout.split()}


def test_a_session_whose_process_is_killed_ends_and_the_next_is_read(narrow: RunningService) -> None:
    with Client(narrow.url) as client:
        workers = _children(narrow.process.pid)
        with client.live(video=False) as session:
            session.send_audio(SILENCE, 0.0)
            for worker in workers:  # those of predictions as well: they come again
                os.kill(worker, signal.SIGKILL)
            *_, closed = list(session)
            assert "killed" in closed["reason"] and session.connection.close_code == 1011
        with client.live(video=False) as session:
            assert session.created["type"] == "session.created"


def test_the_end_of_the_service_ends_sessions(narrow: RunningService) -> None:
    with Client(narrow.url) as client, client.live(video=False) as session:
        session.send_audio(SILENCE, 0.0)
        narrow.process.send_signal(signal.SIGTERM)
        *_, closed = list(session)
        assert closed["reason"] == "the service ends" and session.connection.close_code == 1001
    assert narrow.process.wait(FOREVER_S) == 0
