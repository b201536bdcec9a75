from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from emofuse.system.steady_clock import SteadyClock, elapsed_s


def test_it_starts_at_the_time_of_day_and_goes_forward() -> None:
    before = datetime.now(UTC)
    clock = SteadyClock()
    first, second = clock(), clock()
    assert before - timedelta(seconds=1) <= first <= second <= before + timedelta(minutes=5)


@pytest.mark.parametrize("jump_s", [-1e7, 1e7])
def test_it_does_not_follow_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    real = time.time
    clock = SteadyClock()
    before, elapsed_before_s = clock(), elapsed_s()
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert abs(time.time() - before.timestamp()) > 1e6
    assert before <= clock() <= before + timedelta(minutes=5)
    assert elapsed_before_s <= elapsed_s() <= elapsed_before_s + 300
