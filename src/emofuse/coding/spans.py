"""Coded spans: who said what of whom, from when to when, whatever program it was written in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_SPANS: Final = 1_000_000
"""Of one file."""


@dataclass(frozen=True, slots=True)
class CodedSpan:
    """A label for a span of time, in seconds on the clock of the file that it is from."""

    tier: str
    """The tier, or the column of a table."""
    start_s: float
    end_s: float
    label: str
    """As it was written, without blanks around it; never empty."""
    person: str | None = None
    """Whom the file says it is of: ELAN's participant, the subject or speaker of a table."""
    coder: str | None = None
    """Who the file says has coded it."""
    recording: str | None = None
    """Which media file the file says it is of."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and self.start_s < self.end_s):
            raise ValueError(f"an invalid span: {self.start_s} to {self.end_s} s")
        if not self.label:
            raise ValueError(f"the span at {self.start_s:g} s has no label")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class CodedFile:
    """The coded spans of one annotation file."""

    path: Path
    spans: tuple[CodedSpan, ...]
    """Tier by tier, in the order of the file."""
    notes: tuple[str, ...] = ()
    """What of the file could not be used, and why."""

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers in which something is coded, in their order."""
        return tuple(dict.fromkeys(span.tier for span in self.spans))
