"""How many sessions there are, and the processes that read them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emofuse.core.errors import IsolationError, WorkerLostError
from emofuse.server.live.limits import LiveLimits
from emofuse.server.live.sessions import LiveSessions
from emofuse.system.worker_pool import Talk, TaskHandler
from emofuse.system.worker_process import Reply, Request

WAIT_S = 120


def load_echo(setup: Mapping[str, Any]) -> TaskHandler:
    """Says what it is sent, until it is told to end."""

    def echo(request: Request, talk: Talk) -> Reply:
        talk.progress({"ready": setup["name"]})
        while not talk.cancelled.is_set():
            message = talk.receive(1.0)
            if message is not None and "end" in message:
                return {"request": dict(request)}
            if message is not None:
                talk.progress(message)
        return {}

    return echo


def load_nothing(setup: Mapping[str, Any]) -> TaskHandler:
    raise IsolationError(f"there is no {setup['name']}")


def sessions(target: str = "load_echo", n: int = 2) -> LiveSessions:
    return LiveSessions(f"{__name__}:{target}", {"name": "echo"}, limits=LiveLimits(sessions=n))


def test_as_many_as_are_allowed_may_enter() -> None:
    live = sessions(n=2)
    with live.entered() as first, live.entered() as second:
        assert first and second and live.open == 2
        with live.entered() as third:
            assert not third
        assert live.open == 2 and not live.wait_until_none(0.0)
    assert live.open == 0 and live.wait_until_none(0.0)
    with pytest.raises(KeyError), live.entered():
        raise KeyError
    assert live.open == 0


def test_the_last_session_wakes_who_waits_for_it() -> None:
    live = sessions()
    with ThreadPoolExecutor(1) as waiter:
        with live.entered():
            none_left = waiter.submit(live.wait_until_none, float(WAIT_S))
        assert none_left.result(WAIT_S)


def test_processes_start_with_the_first_session_and_serve_the_next() -> None:
    live = sessions(n=1)
    try:
        for number in range(2):
            said: queue.Queue[Reply] = queue.Queue()
            ticket = live.submit({"number": number}, said.put)
            assert said.get(timeout=WAIT_S) == {"ready": "echo"}
            ticket.send({"part": number})
            assert said.get(timeout=WAIT_S) == {"part": number}
            ticket.send({"end": True})
            assert ticket.future.result(WAIT_S) == {"request": {"number": number}}
    finally:
        live.close()


def test_two_that_come_at_once_start_one_pool() -> None:
    live = sessions(n=2)
    ready: queue.Queue[Reply] = queue.Queue()
    try:
        threads = [threading.Thread(target=live.submit, args=({}, ready.put)) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert [ready.get(timeout=WAIT_S) for _ in threads] == [{"ready": "echo"}] * 2
        for thread in threads:
            thread.join(WAIT_S)
    finally:
        live.close()


def test_the_end_of_the_service_ends_all() -> None:
    live = sessions(n=1)
    ready: queue.Queue[Reply] = queue.Queue()
    ticket = live.submit({}, ready.put)
    ready.get(timeout=WAIT_S)
    live.close()
    with pytest.raises(WorkerLostError):
        ticket.future.result(WAIT_S)
    unused = sessions(n=1)
    unused.close()
    with pytest.raises(IsolationError, match="the service ends"):
        unused.submit({}, ready.put)


def test_processes_that_cannot_start() -> None:
    live = sessions("load_nothing", n=1)
    for _ in range(2):
        with pytest.raises(IsolationError, match="there is no echo"):
            live.submit({}, lambda _: None)
    live.close()
