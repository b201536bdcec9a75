"""Times in milliseconds, and how they are written.

A time is rounded once, from the exact value of the float and half to even; everything derived from it is
integer arithmetic, so nothing drifts over ten hours and adjacent intervals share their boundary.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_SAFE: Final = 0.49
_EXACT: Final = 2.0**40
"""Below this, products of floats are exact to far less than a hundredth."""
_CLOCK: Final = re.compile(r"([+-]?)(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")


def milliseconds(seconds: float) -> int:
    """The nearest whole millisecond, half to even."""
    near = seconds * 1000
    whole = round(near)
    # the product is inexact, which matters close to a half alone
    if abs(near - whole) < _SAFE and abs(near) < _EXACT:
        return whole
    return round(Fraction(seconds) * 1000)


def parse_seconds(text: str) -> float:
    """Seconds from a number of them, or from a clock time: ``90``, ``1.5``, ``1:30``, ``1:02:03.5``.

    A decimal comma is read like a point.

    Raises:
        ValueError: the text is neither.
    """
    plain = text.strip().replace(",", ".")
    found = _CLOCK.fullmatch(plain)
    try:
        if found is None:
            return float(plain)
        sign, hours, minutes, seconds = found.groups()
        if float(seconds) >= 60 or (hours and int(minutes) >= 60):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: use seconds (90, 1.5) or a clock time (1:30, 1:02:03.5)"
        ) from None
    value = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    return -value if sign == "-" else value


def decimal_seconds(ms: int) -> str:
    """``-0.040``, ``36000.000``: seconds with exactly three decimals."""
    whole, rest = divmod(abs(ms), 1000)
    return f"{'-' if ms < 0 else ''}{whole}.{rest:03d}"


def clock(ms: int) -> str:
    """``00:00:12.345``: hours are always written, with two digits or more. ``ms`` is not negative."""
    whole, rest = divmod(ms, 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{rest:03d}"


def short_clock(time_s: float) -> str:
    """``1:02:03.4`` or ``2:03.4``: to the tenth of a second, as a player shows it."""
    tenths = round(time_s * 10)
    minutes, rest = divmod(abs(tenths), 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{'-' if tenths < 0 else ''}{head}:{rest // 10:02}.{rest % 10}"


STEPS_S: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)
"""Distances between the marks of an axis of time that people read easily."""


def axis_step(least_s: float) -> float:
    """The distance between two marks of an axis: the first round one of at least so many seconds."""
    return next((float(each) for each in STEPS_S if each >= least_s), STEPS_S[-1] * 10.0)
