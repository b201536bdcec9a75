"""A picture of mean curves around markers: a panel for each text and condition, a line for each emotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.text import one_line
from emofuse.exports.legend import draw_legend
from emofuse.exports.picture import as_document
from emofuse.folders.drawing import QUIET, axis_top, counted, shortened, text_element
from emofuse.folders.marker_means import MarkerMean
from emofuse.folders.resampling import LEAST
from emofuse.timeline.marker_curves import CurveRules

_WIDTH: Final = 1200
_COLUMNS: Final = 3
_PANEL: Final = 380
_HEIGHT: Final = 170
"""Of the axes of a panel."""
_ROW: Final = 262
_MOST: Final = 60
"""Panels of one picture."""
_TITLE_LENGTH: Final = 44
_TICK_S: Final = 5.0

Float64 = NDArray[np.float64]


def draw_markers(
    means: Sequence[MarkerMean],
    emotions: Sequence[str],
    purpose: str | None,
    *,
    rules: CurveRules | None = None,
    dark: bool = False,
) -> str:
    """An SVG document: everybody's mean curves around the markers of each text and condition.

    Args:
        means: of :func:`~emofuse.folders.marker_means.marker_means`, made with the same rules.
        emotions: their columns, in order.
        purpose: for what the recordings were read.
        rules: which times around a marker the curves have.
        dark: whether it is for a dark page.
    """
    shown = [one for one in means if one.person is None]
    offsets_s = (rules or CurveRules()).offsets_s
    largest = _largest(shown[:_MOST])
    parts = [text_element(20, 22, "Mean probability around markers, in seconds", bold=True)]
    entries = [(f"var(--e{number})", emotion) for number, emotion in enumerate(emotions)]
    legend, more = draw_legend(entries, 20, _WIDTH - 20, 36)
    parts.append(legend)
    for number, one in enumerate(shown[:_MOST]):
        left = 50.0 + number % _COLUMNS * (_PANEL + 10)
        top = 108.0 + more + number // _COLUMNS * _ROW
        parts += _Panel(one, left, top, offsets_s, largest).drawn(emotions)
    rows = -(-len(shown[:_MOST]) // _COLUMNS)
    height = (84.0 + rows * _ROW if rows else 108.0) + more
    if not shown:
        parts.append(text_element(20, 84 + more, "There are no markers yet around which something was read."))
    for note in _notes(len(shown), purpose):
        parts.append(text_element(20, height, note, QUIET))
        height += 20
    chart = (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" font-family="inherit" font-size="12" '
        'aria-label="Mean probabilities around markers; the table has the same figures">'
        f"<defs></defs>{''.join(parts)}</svg>"
    )
    return as_document(chart, emotions, dark=dark)


def _largest(shown: Sequence[MarkerMean]) -> float:
    """The top of the axes, the same for all panels."""
    values = [one.means for one in shown] + [one.bounds for one in shown if one.bounds is not None]
    most = max((float(np.nanmax(one)) for one in values if not np.isnan(one).all()), default=1.0)
    return axis_top(most)


class _Panel:
    """The curves of one text and condition."""

    def __init__(self, mean: MarkerMean, left: float, top: float, offsets_s: Float64, largest: float) -> None:
        self._mean, self._left, self._top = mean, left, top
        self._offsets_s, self._largest = offsets_s, largest
        self._width = _PANEL - 50

    def drawn(self, emotions: Sequence[str]) -> Iterator[str]:
        title = one_line(self._mean.marker)
        if self._mean.condition is not None:
            title += f" · {one_line(self._mean.condition)}"
        yield text_element(self._left, self._top - 24, shortened(title, _TITLE_LENGTH), bold=True)
        yield text_element(self._left, self._top - 8, self._counted(), QUIET, size=11)
        yield from self._axes()
        for number in range(len(emotions)):
            if self._mean.bounds is not None:
                yield from self._band(number, *self._mean.bounds[..., number])
        for number, emotion in enumerate(emotions):
            yield from self._line(number, emotion)

    def _counted(self) -> str:
        numbers = zip(self._mean.counts.max(1), ("marker", "person", "recording"), strict=True)
        text = ", ".join(counted(int(number), noun) for number, noun in numbers)
        if self._mean.resampled is None:
            return f"{text}; fewer than {LEAST}: no interval"
        return f"{text}; band: 95 %, {self._mean.resampled} resampled"

    def _x(self, place: int | float) -> float:
        first, last = self._offsets_s[0], self._offsets_s[-1]
        share = (place - first) / ((last - first) or 1.0)
        return round(float(self._left + share * self._width), 1)

    def _y(self, value: float) -> float:
        return round(float(self._top + _HEIGHT * (1 - min(value / self._largest, 1.0))), 1)

    def _axes(self) -> Iterator[str]:
        bottom, right = self._top + _HEIGHT, self._left + self._width
        for part in (0.0, 0.5, 1.0):
            y = self._y(part * self._largest)
            yield f'<path d="M{self._left:g} {y}H{right:g}" stroke="var(--grid)" fill="none"/>'
            label = f"{part * self._largest:.1%}".replace(".0", "")
            yield text_element(self._left - 6, y + 4, label, QUIET, anchor="end", size=10)
        first, last = self._offsets_s[0], self._offsets_s[-1]
        for tick in np.arange(np.ceil(first / _TICK_S), np.floor(last / _TICK_S) + 1) * _TICK_S:
            x = self._x(float(tick))
            color = "var(--quiet)" if tick == 0 else "var(--grid)"
            yield f'<path d="M{x} {self._top:g}V{bottom:g}" stroke="{color}" fill="none"/>'
            label = "marker" if tick == 0 else f"{'−' if tick < 0 else '+'}{abs(tick):g}"
            yield text_element(x, bottom + 15, label, QUIET, anchor="middle", size=10)

    def _band(self, number: int, low: Float64, high: Float64) -> Iterator[str]:
        for first, last in _runs(low):
            xs = [self._x(float(offset)) for offset in self._offsets_s[first:last]]
            upper = [f"{x} {self._y(y)}" for x, y in zip(xs, high[first:last], strict=True)]
            lower = [f"{x} {self._y(y)}" for x, y in zip(xs, low[first:last], strict=True)]
            outline = "L".join([*upper, *reversed(lower)])
            yield f'<path d="M{outline}Z" fill="var(--e{number})" fill-opacity="0.14"/>'

    def _line(self, number: int, emotion: str) -> Iterator[str]:
        curve, path = self._mean.means[:, number], ""
        for first, last in _runs(curve):
            points = [
                f"{self._x(float(offset))} {self._y(value)}"
                for offset, value in zip(self._offsets_s[first:last], curve[first:last], strict=True)
            ]
            path += f"M{'L'.join(points if len(points) > 1 else points * 2)}"
        yield (
            f'<path d="{path}" stroke="var(--e{number})" stroke-width="2" stroke-linecap="round" '
            f'stroke-linejoin="round" fill="none"><title>{escape(one_line(emotion))}</title></path>'
        )


def _runs(values: Float64) -> Iterator[tuple[int, int]]:
    """The stretches without NaN: where each starts, and where it has ended."""
    known = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(np.diff(known.astype(np.int8)))
    for number, (first, last) in enumerate(pairwise(edges.tolist())):
        if number % 2 == 0:
            yield first, last


def _notes(n_panels: int, purpose: str | None) -> Iterator[str]:
    if n_panels > _MOST:
        yield f"The first {_MOST} of {n_panels} texts and conditions: the table has all."
    if n_panels:
        yield (
            "A window is some seconds long: what happens at a marker shows in the windows around it, also "
            "shortly before."
        )
    if purpose is not None:
        yield f"Purpose: {one_line(purpose)}"
