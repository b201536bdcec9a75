"""Limits of live sessions."""

from __future__ import annotations

import pytest

from emofuse.server.live.limits import Allowance, LiveLimits


def test_a_rate_holds_on_average_and_bursts_pass() -> None:
    allowance = Allowance(per_s=8, burst_s=2)
    assert all(allowance.spend(1, 100.0) for _ in range(16))
    assert not allowance.spend(1, 100.0)
    assert allowance.spend(1, 100.125) and not allowance.spend(1, 100.125)
    assert sum(allowance.spend(1, 101 + number / 64) for number in range(640)) == 7 + 79
    assert not allowance.spend(17, 1e6) and allowance.spend(16, 1e6)


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="sessions must be positive, got 0"):
        LiveLimits(sessions=0)
