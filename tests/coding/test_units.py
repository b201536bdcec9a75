from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from emofuse.coding.assignment import AssignedSpan
from emofuse.coding.units import Grid, unit_labels


def spans(*given: tuple[float, float, str]) -> list[AssignedSpan]:
    return [AssignedSpan(None, *one) for one in given]


def test_a_unit_has_the_label_of_its_middle() -> None:
    grid = Grid.of(0.0, 1.05, 0.1)
    assert grid.n_units == 10
    found, contradicted = unit_labels(
        spans((0.0, 0.25, "a"), (0.25, 0.34, "b"), (0.85, 9.0, "b")), "ab", grid
    )
    assert found.tolist() == [0, 0, 1, -1, -1, -1, -1, -1, 1, 1]
    assert contradicted == 0


def test_contradictions_are_missing() -> None:
    given = spans((0.0, 0.5, "a"), (0.3, 0.8, "b"), (0.0, 0.2, "a"))
    found, contradicted = unit_labels(given, "ab", Grid.of(0.0, 1.0, 0.1))
    assert found.tolist() == [0, 0, 0, -1, -1, 1, 1, 1, -1, -1]
    assert contradicted == 2


def test_units_of_random_spans_are_those_of_exact_arithmetic() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        start_ms, unit_ms = int(rng.integers(-5000, 5000)), int(rng.integers(10, 700))
        end_ms = start_ms + int(rng.integers(0, 20_000))
        grid = Grid.of(start_ms / 1000, end_ms / 1000, unit_ms / 1000)
        first, last = sorted(int(one) for one in rng.integers(start_ms - 2000, end_ms + 2000, 2))
        covered = range(grid.n_units)[grid.covered(first / 1000, last / 1000)]
        middles = [start_ms + unit_ms * (n + Fraction(1, 2)) for n in range(grid.n_units)]
        assert list(covered) == [n for n, middle in enumerate(middles) if first <= middle < last]


@pytest.mark.parametrize("unit_s", [0.0, -1.0, 0.001, 0.0125])
def test_invalid_units(unit_s: float) -> None:
    with pytest.raises(ValueError, match="whole milliseconds"):
        Grid.of(0.0, 1.0, unit_s)
