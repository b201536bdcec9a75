from __future__ import annotations

import pytest

from emofuse.core.times import clock, decimal_seconds, milliseconds, short_clock


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (61.25, "1:01.2"), (3599.99, "1:00:00.0"), (7325.5, "2:02:05.5"),
     (-1.5, "-0:01.5")],
)  # fmt: skip
def test_clock(time_s: float, shown: str) -> None:
    assert short_clock(time_s) == shown


def test_times_are_rounded_once_from_the_exact_value_half_to_even() -> None:
    assert [milliseconds(t) for t in (0.0625, 0.1875, 0.3125, -0.0625)] == [62, 188, 312, -62]
    assert milliseconds(2.0005) == 2001, "the float is above the half, though 1000 times it is not"


def test_times_in_formats() -> None:
    assert [decimal_seconds(ms) for ms in (0, -40, 36_000_000)] == ["0.000", "-0.040", "36000.000"]
    assert [clock(ms) for ms in (0, 12_345, 360_000_001)] == ["00:00:00.000", "00:00:12.345", "100:00:00.001"]
