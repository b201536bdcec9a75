"""Ratings on numeric scales in the rows of windows: their columns, and what they must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emofuse.core.dimensions import PARTS, Rated, Scale, rating_column
from emofuse.timeline.plain_rows import Row


def rating_columns(scales: Sequence[Scale]) -> tuple[str, ...]:
    """The columns of ratings in a table: ``rated_valence``, ``rated_valence_low``, ``rated_valence_high``."""
    return tuple(rating_column(scale.name, part) for scale in scales for part in PARTS)


def rating_cells(ratings: Mapping[str, Rated], scales: Sequence[Scale]) -> Row:
    """The cells of these columns; None where nothing was rated."""
    cells: Row = {}
    for scale in scales:
        one = ratings.get(scale.name)
        for part in PARTS:
            cells[rating_column(scale.name, part)] = None if one is None else getattr(one, part)
    return cells


def check_ratings(ratings: Mapping[str, Rated], scales: Sequence[Scale]) -> None:
    """Ratings are on scales that a timeline lists.

    Raises:
        ValueError: one is not.
    """
    if unknown := ratings.keys() - {scale.name for scale in scales}:
        raise ValueError(f"a rating of {min(unknown)!r}, which is not among the dimensions")
