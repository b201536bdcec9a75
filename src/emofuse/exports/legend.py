"""The legend of a chart: which color is which label, on as many lines as the labels need."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from emofuse.core.text import one_line

_CHARACTER: Final = 7.0
"""The width of a character, as the charts reckon it; those of East Asian scripts and emoji have two."""
_BEFORE: Final = 17
"""From the left of a mark to its text."""
_FEWEST: Final = 8
"""A line of fewer entries is not stretched over the whole width."""
_WIDEST: Final = 185.0
"""Of a column, where there are several lines: a longer text has two columns, or more."""
LINE: Final = 18
"""From one line to the next."""


def draw_legend(entries: Sequence[tuple[str, str]], left: float, right: float, top: float) -> tuple[str, int]:
    """The legend as SVG, and how many units higher it is than one of one line.

    Args:
        entries: (fill, text) of each.
        left: of the first column.
        right: of the last.
        top: of the first line.
    """
    texts = [one_line(text) for _, text in entries]
    parts, line = [], 0
    for (fill, _), text, (line, x) in zip(entries, texts, _places(texts, right - left), strict=True):
        y = top + line * LINE
        parts.append(
            f'<rect x="{left + x:.1f}" y="{y:g}" width="12" height="12" rx="3" fill="{fill}"/>'
            f'<text x="{left + x + _BEFORE:.1f}" y="{y + 10:g}" fill="var(--text)">{escape(text)}</text>'
        )
    return "".join(parts), line * LINE


def _places(texts: Sequence[str], width: float) -> Iterator[tuple[int, float]]:
    """The line of each entry, and where it starts on it: on one line if all fit, else in columns."""
    needed = [_BEFORE + _characters(text) * _CHARACTER + _BEFORE / 2 for text in texts]
    widest = max(needed, default=0.0)
    if widest * len(texts) <= width:
        step = max(width / max(len(texts), _FEWEST), widest)
        yield from ((0, number * step) for number in range(len(texts)))
        return
    columns = max(1, int(width // min(widest, _WIDEST)))
    step = width / columns
    line = column = 0
    for own in needed:
        span = max(1, math.ceil(own / step - 1e-9))
        if column and column + span > columns:
            line, column = line + 1, 0
        yield line, column * step
        column += span


def _characters(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
