from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from emofuse.core.times import axis_step, clock, decimal_seconds, milliseconds, parse_seconds, short_clock


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
    rng = random.Random(1)
    for _ in range(5000):
        tick = rng.randrange(10**9) / 2000
        for time_s in (
            rng.uniform(-5, 40_000),
            tick,
            math.nextafter(tick, 0),
            -tick,
            rng.uniform(-1e15, 1e15),
        ):
            assert milliseconds(time_s) == round(Fraction(time_s) * 1000)


def test_times_in_formats() -> None:
    assert [decimal_seconds(ms) for ms in (0, -40, 36_000_000)] == ["0.000", "-0.040", "36000.000"]
    assert [clock(ms) for ms in (0, 12_345, 360_000_001)] == ["00:00:00.000", "00:00:12.345", "100:00:00.001"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("1,5", 1.5), ("1:30", 90), ("01:30.25", 90.25), ("1:02:03.5", 3723.5),
     ("90:00", 5400), (" 0:07 ", 7), ("-0:01.5", -1.5), ("-3", -3), ("100:00:00", 360_000)],
)  # fmt: skip
def test_times_are_read_as_seconds_or_as_a_clock_shows_them(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)
    assert parse_seconds(short_clock(seconds)) == pytest.approx(seconds, abs=0.051)


@pytest.mark.parametrize("text", ["", "x", "1:60", "1:60:00", "1:2:3:4", ":30", "1:", "1:-30", "1m30s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_seconds(text)


def test_marks_of_an_axis_are_round_and_as_far_apart_as_asked() -> None:
    steps = [axis_step(least_s) for least_s in (0.1, 0.6, 3.2, 61, 36000, 40000)]
    assert steps == [
        0.5,
        1,
        5,
        120,
        36000,
        360000,
    ]
