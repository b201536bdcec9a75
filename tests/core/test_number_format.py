"""Figures are written one way everywhere."""

from __future__ import annotations

import doctest

import pytest

from emofuse.core import number_format
from emofuse.core.number_format import interval, number, percent, with_interval


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(number_format) == doctest.TestResults(failed=0, attempted=7)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_figure_is_a_dash(missing: float | None) -> None:
    assert number(missing) == percent(missing) == with_interval(missing, None) == "–"
    assert interval(None) == "–"


def test_percent_is_rounded_once() -> None:
    """From the fraction itself, not from a rounded figure."""
    assert percent(0.46249999) == "46.2"
    assert percent(0.46250001) == "46.3"
    assert percent(0.9999) == "100.0"
    assert with_interval(0.5, (0.4, 0.6)) == "50.0 (40.0 to 60.0)"
