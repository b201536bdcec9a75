"""What a person adds to a timeline: markers, and spans of time that do not count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emofuse.timeline.value_checks import check_span


@dataclass(frozen=True, slots=True)
class Marker:
    """A note at one time, or for a span of time, in seconds on the recording's clock."""

    start_s: float
    text: str
    end_s: float | None = None
    """None: the marker is for the time ``start_s`` alone."""

    def __post_init__(self) -> None:
        if self.end_s is not None:
            check_span("marker", self.start_s, self.end_s)
        elif not math.isfinite(self.start_s):
            raise ValueError(f"a marker needs a time, got {self.start_s} s")
        if not self.text.strip():
            raise ValueError(f"the marker at {self.start_s:g} s has no text")

    @property
    def order(self) -> tuple[float, float, str]:
        """By what markers are ordered."""
        return self.start_s, self.start_s if self.end_s is None else self.end_s, self.text


@dataclass(frozen=True, slots=True)
class ExcludedSpan:
    """A span of time that does not count, of one person or of everybody, and why."""

    start_s: float
    end_s: float
    reason: str
    person: str | None = None
    """None: of everybody, and of voices that are nobody's."""

    def __post_init__(self) -> None:
        check_span("excluded span", self.start_s, self.end_s)
        if not self.reason.strip():
            raise ValueError(f"the excluded span {self.start_s:g} to {self.end_s:g} s has no reason")

    @property
    def order(self) -> tuple[float, float, str, str]:
        """By what excluded spans are ordered; those of everybody come first."""
        return self.start_s, self.end_s, self.person or "", self.reason


def check_marks(
    excluded: Sequence[ExcludedSpan],
    markers: Sequence[Marker],
    people: Sequence[str],
    limits: tuple[float, float],
) -> None:
    """Marks lie in the recording, which has these limits, and are of its people.

    Raises:
        ValueError: one is not.
    """
    spans = [(one.start_s, one.end_s) for one in excluded]
    spans += [one.order[:2] for one in markers]
    for start_s, end_s in spans:
        if start_s < limits[0] or end_s > limits[1]:
            raise ValueError(f"a marker or excluded span at {start_s} s is outside the recording")
    if unknown := {one.person for one in excluded} - {None, *people}:
        raise ValueError(f"an excluded span of {unknown.pop()!r}, who is not among the people")
