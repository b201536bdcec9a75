"""The legend of a chart: which color is which label, on as many lines as the labels need."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from emofuse.core.text import one_line

_CHARACTER: Final = 7.0
"""The width of a character, as the charts reckon it."""
_BEFORE: Final = 17
"""From the left of a mark to its text."""
_FEWEST: Final = 8
"""A line has room for this many entries, whatever it has."""
LINE: Final = 18
"""From one line to the next."""


def legend_lines(entries: Sequence[tuple[str, str]], width: float) -> list[Sequence[tuple[str, str]]]:
    """The entries, line by line: on one line where their texts fit, else in columns of one width.

    Args:
        entries: (fill, text) of each.
        width: of a line.
    """
    longest = max((len(one_line(text)) for _, text in entries), default=0)
    needed = _BEFORE + longest * _CHARACTER + _BEFORE / 2
    if needed * len(entries) <= width or len(entries) <= _FEWEST:
        return [entries]
    columns = max(1, int(width // needed))
    return [entries[first : first + columns] for first in range(0, len(entries), columns)]


def draw_legend(entries: Sequence[tuple[str, str]], left: float, right: float, top: float) -> tuple[str, int]:
    """The legend as SVG, and how many units higher it is than one of one line.

    Args:
        entries: (fill, text) of each.
        left: of the first column.
        right: of the last.
        top: of the first line.
    """
    lines = legend_lines(entries, right - left)
    n_columns = len(entries) if len(lines) == 1 else len(lines[0])
    step = (right - left) / max(n_columns, _FEWEST if len(lines) == 1 else 1)
    parts = []
    for number, line in enumerate(lines):
        y = top + number * LINE
        for index, (fill, text) in enumerate(line):
            x = left + index * step
            parts.append(
                f'<rect x="{x:.1f}" y="{y:g}" width="12" height="12" rx="3" fill="{fill}"/>'
                f'<text x="{x + _BEFORE:.1f}" y="{y + 10:g}" fill="var(--text)">'
                f"{escape(one_line(text))}</text>"
            )
    return "".join(parts), (len(lines) - 1) * LINE
