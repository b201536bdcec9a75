"""A picture of what coders said: their tiers above each other, emofuse's below them, on one axis of time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np

from emofuse.coding.agreement import Agreement, CodedPerson
from emofuse.core.agreement_metrics import MISSING
from emofuse.core.text import one_line
from emofuse.core.times import axis_step, short_clock
from emofuse.exports.picture import as_document
from emofuse.folders.drawing import QUIET, counted, shortened, text_element

MOST_DRAWN: Final = 40
"""People of recordings that one picture has room for."""
_WIDTH: Final = 1200
_LEFT: Final = 170
_RIGHT: Final = 1186
_NAME_LENGTH: Final = 24
_ROW: Final = 22
_BAR: Final = 16
_TITLE: Final = 30
_AXIS: Final = 22
_GAP: Final = 18
_COLUMNS: Final = 1016
"""Of a row: one per pixel; of more units than that, the one in the middle of each is drawn."""
_TICKS: Final = 8
"""At most; one more where the axis begins at one."""
_LABEL: Final = 16
"""Half of what the text of a tick needs."""


def draw_tiers(found: Agreement) -> str:
    """One ``svg`` element, whose colors are the variables of the page (``--e0`` …)."""
    parts: list[str] = list(_legend(found.labels))
    top = 44.0
    for one in found.people[:MOST_DRAWN]:
        parts += _person(one, found, top)
        top += _TITLE + _ROW * len(one.labels) + _AXIS + _GAP
    if len(found.people) > MOST_DRAWN:
        more = counted(len(found.people) - MOST_DRAWN, "person")
        parts.append(text_element(_LEFT, top, f"and {more} more, in the table", QUIET))
        top += _GAP
    return (
        f'<svg viewBox="0 0 {_WIDTH} {top:g}" role="img" font-family="inherit" font-size="12" '
        'aria-label="What each coder said when; the tables have the figures">'
        f"<defs></defs>{''.join(parts)}</svg>"
    )


def tiers_document(found: Agreement) -> str:
    """The picture as an SVG document of its own, for a paper."""
    return as_document(draw_tiers(found), found.labels)


def _legend(labels: Sequence[str]) -> Iterator[str]:
    x = float(_LEFT)
    for number, label in enumerate(labels):
        name = shortened(label, 20)
        yield f'<rect x="{x:.1f}" y="10" width="10" height="10" rx="3" fill="var(--e{number})"/>'
        yield text_element(x + 15, 19, name)
        x += 15 + 7.2 * len(name) + 16
        if x > _RIGHT - 60:
            return


def _person(one: CodedPerson, found: Agreement, top: float) -> Iterator[str]:
    name = one.recording if one.person is None else f"{one.person}, {one.recording}"
    yield text_element(_LEFT, top + 14, shortened(name, 120), bold=True)
    top += _TITLE
    for row, coder in enumerate(coder for coder in found.coders if coder in one.labels):
        y = top + row * _ROW
        yield text_element(_LEFT - 10, y + 12, shortened(coder, _NAME_LENGTH), anchor="end")
        yield f'<rect x="{_LEFT}" y="{y:g}" width="{_RIGHT - _LEFT}" height="{_BAR}" fill="var(--gap)"/>'
        yield from _spans(one, coder, found, y)
    bottom = top + _ROW * len(one.labels)
    n_units = len(next(iter(one.labels.values())))
    yield from _axis(one.start_s, one.start_s + n_units * found.unit_s, bottom)


def _spans(one: CodedPerson, coder: str, found: Agreement, y: float) -> Iterator[str]:
    labels = one.labels[coder]
    if not len(labels):
        return
    n_columns = min(len(labels), _COLUMNS)
    drawn = labels[((np.arange(n_columns) + 0.5) * len(labels) / n_columns).astype(np.int64)]
    edges = [0, *(np.flatnonzero(np.diff(drawn)) + 1).tolist(), n_columns]
    scale = (_RIGHT - _LEFT) / n_columns
    length_s = len(labels) * found.unit_s
    for start, end in pairwise(edges):
        label = int(drawn[start])
        if label == MISSING:
            continue
        first, last = (one.start_s + length_s * edge / n_columns for edge in (start, end))
        title = (
            f"{one_line(coder)}: {one_line(found.labels[label])}, {short_clock(first)} to {short_clock(last)}"
        )
        yield (
            f'<rect x="{_LEFT + start * scale:.1f}" y="{y:g}" width="{(end - start) * scale:.1f}" '
            f'height="{_BAR}" fill="var(--e{label})"><title>{escape(title)}</title></rect>'
        )


def _axis(start_s: float, end_s: float, y: float) -> Iterator[str]:
    yield f'<path d="M{_LEFT} {y:g}H{_RIGHT}" stroke="var(--line)" fill="none"/>'
    length_s = (end_s - start_s) or 1.0
    step_s = axis_step(length_s / _TICKS)
    for number in range(math.ceil(start_s / step_s), math.floor(end_s / step_s) + 1):
        time_s = number * step_s
        x = _LEFT + (_RIGHT - _LEFT) * (time_s - start_s) / length_s
        anchor = "end" if x > _RIGHT - _LABEL else "middle"
        text = short_clock(time_s) if step_s < 1 else short_clock(time_s).partition(".")[0]
        yield f'<path d="M{x:.1f} {y:g}v4" stroke="var(--line)" fill="none"/>'
        yield text_element(x, y + 16, text, QUIET, anchor=anchor, size=10)
