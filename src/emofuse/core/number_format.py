"""How figures are written for people: digits, percent, intervals; a dash where there is no figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["MISSING", "count", "interval", "number", "percent", "points", "spelled", "with_interval"]

MISSING: Final = "–"
"""Stands where there is no figure."""
_WORDS: Final = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def number(value: float | None, digits: int = 3) -> str:
    """A figure to so many digits.

    >>> number(0.12345), number(None)
    ('0.123', '–')
    """
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, without the sign.

    >>> percent(0.8125), percent(0.5, 0)
    ('81.2', '50')
    """
    return number(None if value is None else 100 * value, digits)


def points(difference: float) -> str:
    """A difference of two fractions in percentage points, with its sign.

    >>> points(-0.0123)
    '-1.2'
    """
    return f"{100 * difference:+.1f}"


def interval(bounds: Sequence[float] | None) -> str:
    """Both bounds of an interval in percent.

    >>> interval((0.75, 0.875))
    '75.0 to 87.5'
    """
    return f"{percent(bounds[0])} to {percent(bounds[1])}" if bounds else MISSING


def with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    """A fraction in percent, its interval after it where there is one.

    >>> with_interval(0.8, (0.75, 0.875))
    '80.0 (75.0 to 87.5)'
    """
    return f"{percent(value)} ({interval(bounds)})" if bounds else percent(value)


def spelled(value: int) -> str:
    """A small number of things in a sentence: as a word up to twelve.

    >>> spelled(8), spelled(50)
    ('eight', '50')
    """
    return _WORDS[value] if 0 <= value < len(_WORDS) else f"{value:,}"


def count(value: int | None) -> str:
    """A number of things.

    >>> count(1440), count(None)
    ('1,440', '–')
    """
    return MISSING if value is None else f"{value:,}"
