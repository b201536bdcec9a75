from __future__ import annotations

import time

import pytest

from emofuse.server.access import SESSION_S, Rate, Tokens

TOKEN = "a token of many characters"


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
