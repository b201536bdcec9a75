"""Ratings on numeric scales as tiers of annotation files: one per person and dimension."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emofuse.core.text import one_line
from emofuse.exports.marks import MarkInterval
from emofuse.exports.tiers import drawable_ms, plain_names
from emofuse.timeline.records import Timeline
from emofuse.timeline.window_ratings import rating_steps

RATING: Final = "rating"
"""The type of these tiers."""


def rating_tiers(timeline: Timeline) -> Iterator[tuple[str, list[MarkInterval]]]:
    """The name of each tier, such as ``valence@Anna``, and its intervals with the value as text.

    A dimension that was not rated in a person's windows has no tier.
    """
    names = plain_names(timeline.people)
    span = drawable_ms(timeline)
    for person, windows in timeline.by_person(timeline.windows).items():
        for scale in timeline.dimensions:
            steps = list(rating_steps(windows, scale.name, span))
            if steps:
                name = one_line(scale.name) if person is None else f"{one_line(scale.name)}@{names[person]}"
                yield name, [(start, end, f"{one.value:.3f}") for start, end, one in steps]
