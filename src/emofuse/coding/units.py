"""Spans → units of time: what each coder says in each tenth of a second.

A unit has the label of the span that covers its middle. Where a coder's spans contradict each other, and
where there is none, the coder says nothing: a gap is missing, never agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.coding.assignment import AssignedSpan
from emofuse.core.agreement_metrics import MISSING
from emofuse.core.times import milliseconds

UNIT_S: Final = 0.1
SHORTEST_UNIT_S: Final = 0.01

Labels = NDArray[np.int16]
"""(n_units,) index of the label, or MISSING."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The units of a recording: whole milliseconds, from its start on; a rest at the end is left out."""

    start_ms: int
    unit_ms: int
    n_units: int

    @classmethod
    def of(cls, start_s: float, end_s: float, unit_s: float) -> Grid:
        """The units of ``unit_s`` seconds between two times.

        Raises:
            ValueError: a unit is shorter than a hundredth of a second, or not of whole milliseconds.
        """
        unit_ms = milliseconds(unit_s)
        if unit_s < SHORTEST_UNIT_S or abs(unit_ms - 1000 * unit_s) > 1e-6:
            raise ValueError(f"a unit of {unit_s:g} s: use whole milliseconds, {SHORTEST_UNIT_S:g} s or more")
        start_ms = milliseconds(start_s)
        return cls(start_ms, unit_ms, max(0, milliseconds(end_s) - start_ms) // unit_ms)

    def covered(self, start_s: float, end_s: float) -> slice:
        """The units whose middle lies in a span, which includes its start and not its end."""
        first, last = (self._middle_from(milliseconds(time_s)) for time_s in (start_s, end_s))
        return slice(first, max(first, last))

    def _middle_from(self, ms: int) -> int:
        """The first unit whose middle is not before a time."""
        number = -(-(2 * (ms - self.start_ms) - self.unit_ms) // (2 * self.unit_ms))
        return min(max(number, 0), self.n_units)


def unit_labels(spans: Iterable[AssignedSpan], labels: Sequence[str], grid: Grid) -> tuple[Labels, int]:
    """The label of each unit, by the spans of one coder about one person.

    Args:
        spans: in any order; those that overlap with the same label are one.
        labels: what spans may say.
        grid: of the recording.

    Returns:
        (n_units,) labels, and how many units have two different ones, and therefore none.
    """
    index = {label: number for number, label in enumerate(labels)}
    found = np.full(grid.n_units, MISSING, dtype=np.int16)
    contradicted = np.zeros(grid.n_units, dtype=bool)
    for span in spans:
        units, label = grid.covered(span.start_s, span.end_s), index[span.label]
        contradicted[units] |= (found[units] != MISSING) & (found[units] != label)
        found[units] = label
    found[contradicted] = MISSING
    return found, int(contradicted.sum())
