"""What the pictures of many recordings share: texts, the top of an axis, counts in words."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Final

from emofuse.core.text import one_line

QUIET: Final = "var(--quiet)"
_TOPS: Final = (0.25, 0.5)


def axis_top(largest: float) -> float:
    """Up to which share an axis goes.

    >>> axis_top(0.2), axis_top(0.51)
    (0.25, 1.0)
    """
    return next((top for top in _TOPS if largest <= top), 1.0)


def counted(count: int, noun: str) -> str:
    """A count in words.

    >>> counted(1, "person"), counted(2, "person"), counted(0, "marker")
    ('1 person', '2 people', '0 markers')
    """
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def shortened(text: str, length: int) -> str:
    """A text on one line, of so many characters at most."""
    text = one_line(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def wrapped(text: str, length: int, most: int) -> list[str]:
    """A text on ``most`` lines at most, of so many characters each; what has no room is cut.

    >>> wrapped("looks away and says nothing", 10, 2)
    ['looks away', 'and says …']
    """
    lines = textwrap.wrap(one_line(text), length) or [""]
    return (
        lines if len(lines) <= most else [*lines[: most - 1], shortened(" ".join(lines[most - 1 :]), length)]
    )


def text_element(
    x: float, y: float, text: str, fill: str = "var(--text)", *,
    anchor: str = "start", size: int = 12, bold: bool = False,
) -> str:  # fmt: skip
    """A line of text as SVG; ``x`` is where its ``anchor`` (start, middle or end) lies."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{weight} fill="{fill}">'
        f"{escape(one_line(text))}</text>"
    )
