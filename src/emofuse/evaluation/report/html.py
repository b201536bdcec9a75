"""The few pieces of HTML the report is made of. Plain text is escaped here, ready HTML is not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as esc

__all__ = ["Cell", "callout", "esc", "figure", "legend", "number", "table"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: ``html`` is ready, ``kind`` is a class of the style sheet, ``tip`` a tooltip."""

    html: str
    kind: str = ""
    tip: str = ""
    style: str = ""
    span: int = 1

    def render(self, tag: str, scope: str = "") -> str:
        """The cell as ``<td>`` or ``<th>``."""
        given = {
            "class": self.kind,
            "title": self.tip,
            "style": self.style,
            "scope": scope,
            "colspan": "" if self.span == 1 else str(self.span),
        }
        attributes = "".join(f' {name}="{esc(value)}"' for name, value in given.items() if value)
        return f"<{tag}{attributes}>{self.html}</{tag}>"


def table(
    caption: str,
    head: Sequence[Cell | str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    kind: str = "",
    foot: Sequence[Cell | str] | None = None,
) -> str:
    """A table with a caption, whose first column names the rows. Plain text is escaped; ``Cell`` is not."""

    def line(cells: Sequence[Cell | str], first: str, scope: str, rest: str, rest_scope: str = "") -> str:
        made = [cell if isinstance(cell, Cell) else Cell(esc(cell)) for cell in cells]
        return (
            "<tr>"
            + made[0].render(first, scope)
            + "".join(cell.render(rest, rest_scope) for cell in made[1:])
            + "</tr>"
        )

    top = line(head, "th", "col", "th", "col")
    body = "\n".join(line(row, "th", "row", "td") for row in rows)
    end = f"<tfoot>{line(foot, 'th', 'row', 'td')}</tfoot>" if foot else ""
    shape = f' class="{kind}"' if kind else ""
    # Wide tables scroll by themselves, and by keyboard, so that the page never does sideways.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(caption)}">'
        f"<table{shape}><caption>{esc(caption)}</caption>"
        f"<thead>{top}</thead>\n<tbody>{body}</tbody>{end}</table></div>"
    )


def figure(picture: str, caption: str, *, above: str = "", kind: str = "") -> str:
    """A picture (SVG or ``<img>``) with its legend above and its caption below; the caption is text."""
    classes = f"figure {kind}".strip()
    return (
        f'<figure class="{classes}">{above}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{esc(caption)}">{picture}</div><figcaption>{esc(caption)}</figcaption></figure>'
    )


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """A line of (name, colour or CSS variable, shape); shapes: dot, line, dash, cross."""
    items = "".join(
        f'<li><span class="key {shape}" style="--c:{esc(colour)}" aria-hidden="true"></span>{esc(name)}</li>'
        for name, colour, shape in entries
    )
    return f'<ul class="legend">{items}</ul>'


def callout(title: str, text: str, *, kind: str = "warning") -> str:
    """A box that must not be overlooked."""
    return f'<aside class="{kind}" role="note"><p><strong>{esc(title)}</strong> {esc(text)}</p></aside>'


def number(value: float | None, *, digits: int = 3, scale: float = 1) -> str:
    """A figure to so many digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{scale * value:.{digits}f}"
