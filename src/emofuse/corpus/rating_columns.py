"""The columns of a table that hold ratings on numeric scales: which they are, and what a cell says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from emofuse.core.dimensions import MOST, USUAL, check_dimension
from emofuse.core.errors import CorpusError

NO_DIMENSIONS: Final = "none"
"""Given in place of names, no column is read as ratings."""
_MISSING: Final = ("", "na", "n/a", "nan", "none", "null")
"""How tables write that a clip was not rated, in small letters."""
_COMMA: Final = re.compile(r"[-+]?\d+,\d+")


def parse_dimensions(text: str) -> tuple[str, ...]:
    """The names in a text such as ``valence,arousal``; none of ``none``.

    Raises:
        ValueError: a name cannot be one, is given twice, or there are too many.
    """
    if text.strip().lower() == NO_DIMENSIONS:
        return ()
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        check_dimension(name)
    if len(set(names)) < len(names):
        raise ValueError(f"{text}: a dimension is named twice")
    if len(names) > MOST:
        raise ValueError(f"{len(names)} dimensions are too many, {MOST} at most")
    return names


def rating_columns(
    columns: Iterable[object], dimensions: Sequence[str] | None, others: Sequence[str]
) -> tuple[str, ...]:
    """The columns of a table that are dimensions, in order.

    Args:
        columns: all that the table has.
        dimensions: those that are wanted; None: valence, arousal and dominance, if there are such columns.
        others: the columns that mean something else.

    Raises:
        CorpusError: a wanted one means something else.
    """
    for name in dimensions or ():
        if name in others:
            raise CorpusError(f"--dimensions {name}: that column means something else")
    there = set(columns)
    return tuple(name for name in (USUAL if dimensions is None else dimensions) if name in there)


def ratings(row: Mapping[str, object], columns: Sequence[str]) -> dict[str, float]:
    """What a row says of each dimension; what is missing is left out.

    Raises:
        ValueError: a cell is not a number.
    """
    found = {}
    for name in columns:
        text = "" if row.get(name) is None else str(row[name]).strip()
        if text.lower() in _MISSING:
            continue
        try:
            value = float(text.replace(",", ".") if _COMMA.fullmatch(text) else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(
                f"{name} {text!r:.40} is not a number (leave it empty where a clip was not rated; "
                f"--dimensions {NO_DIMENSIONS} reads no ratings)"
            )
        found[name] = value
    return found
