from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from emofuse.system import steady_clock
from emofuse.system.steady_clock import SteadyClock


def test_it_starts_at_the_time_of_day_and_goes_forward() -> None:
    before = datetime.now(UTC)
    clock = SteadyClock()
    first, second = clock(), clock()
    assert before - timedelta(seconds=1) <= first <= second <= before + timedelta(minutes=5)


@pytest.mark.parametrize("jump", [timedelta(days=-100), timedelta(days=100)])
def test_it_does_not_follow_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch, jump: timedelta) -> None:
    class SetClock(datetime):
        """The time of day after somebody has set it."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + jump

    clock = SteadyClock()
    before = clock()
    monkeypatch.setattr(steady_clock, "datetime", SetClock)
    assert before <= clock() <= before + timedelta(minutes=5)
    assert abs(SteadyClock()() - before - jump) < timedelta(minutes=5), "a new one starts at the time of day"
