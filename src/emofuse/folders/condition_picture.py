"""A picture of the means of conditions: a row per condition, a column per emotion, a dot per person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from emofuse.core.text import one_line
from emofuse.exports.picture import as_document
from emofuse.folders.condition_means import ConditionMean
from emofuse.folders.drawing import QUIET, axis_top, counted, shortened, text_element, wrapped
from emofuse.folders.participants import in_order
from emofuse.folders.resampling import LEAST

_WIDTH: Final = 1200
_LEFT: Final = 190
_NAME_LENGTH: Final = 28
"""Characters of a name that fit left of the columns."""
_TOP: Final = 66
_ROW: Final = 66
_MEAN: Final = 17
"""From the top of a row to its mean; the people are below it."""
_GAP: Final = 14
"""Between columns."""
_PEOPLE: Final = (31.0, 59.0)
"""From the top of a row to the dots of the first and the last person."""
NOT_SURE: Final = "not sure"
_MOST_COLUMNS: Final = 11
"""Of labels; beyond, their names do not fit."""
_CHARACTER: Final = 7.0
"""The width of a character of a name."""
_LINE: Final = 14
"""From one line of a name to the next."""
_MOST_LINES: Final = 3


def draw_conditions(
    means: Sequence[ConditionMean], emotions: Sequence[str], purpose: str | None, *, dark: bool = False
) -> str:
    """An SVG document: shares of the time that was read, of everybody and of each person.

    Args:
        means: of :func:`~emofuse.folders.condition_means.condition_means`.
        emotions: their columns, in order.
        purpose: for what the recordings were read.
        dark: whether it is for a dark page.
    """
    rows = [one for one in means if one.person is None]
    columns = {f"share_{emotion}": (emotion, f"var(--e{n})") for n, emotion in enumerate(emotions)}
    columns = _largest(columns, rows)
    columns["share_abstained"] = (NOT_SURE, QUIET)
    grid = _Grid.of(means, columns, len(rows))
    title = text_element(_LEFT, 20, "Share of the time that was read", bold=True)
    parts = [title, *grid.frame(columns)]
    dots = _People.of(means, [one.condition for one in rows])
    for number, row in enumerate(rows):
        parts += grid.row(number, row)
    for number, (column, (name, color)) in enumerate(columns.items()):
        parts += dots.drawn(grid, number, column)
        for line, row in enumerate(rows):
            parts += _mean_mark(grid, number, line, row, column, (name, color))
    if not rows:
        parts.append(text_element(_LEFT, grid.first + 20, "Nothing was read yet.", QUIET))
    height, notes = grid.bottom + 16.0, _notes(rows, purpose)
    if len(emotions) >= len(columns):
        notes.insert(0, f"The {len(columns) - 1} of {len(emotions)} labels with the largest shares.")
    parts += _legend(height)
    for note in notes:
        height += 20
        parts.append(text_element(_LEFT, height + 4, note, QUIET))
    chart = (
        f'<svg viewBox="0 0 {_WIDTH} {height + 18:g}" role="img" font-family="inherit" font-size="12" '
        'aria-label="Shares of emotions in each condition; the table has the same figures">'
        f"<defs></defs>{''.join(parts)}</svg>"
    )
    return as_document(chart, emotions, dark=dark)


def _largest(
    columns: dict[str, tuple[str, str]], rows: Sequence[ConditionMean]
) -> dict[str, tuple[str, str]]:
    """Those of the columns that there is room for: the ones with the largest shares, in order."""
    if len(columns) <= _MOST_COLUMNS:
        return columns
    most = {name: max((row.values[name] or 0.0 for row in rows), default=0.0) for name in columns}
    shown = sorted(columns, key=lambda name: -most[name])[:_MOST_COLUMNS]
    return {name: shown_as for name, shown_as in columns.items() if name in shown}


class _Grid:
    """Where rows and columns lie."""

    def __init__(self, names: Sequence[str], n_rows: int, largest: float) -> None:
        self.n_rows, self.largest = max(n_rows, 1), largest
        self.width = (_WIDTH - 10 - _LEFT) / len(names) - _GAP
        length = max(4, int((self.width - 15) / _CHARACTER))
        self.names = [wrapped(name, length, _MOST_LINES) for name in names]
        self.first = _TOP + (max(map(len, self.names)) - 1) * _LINE
        self.bottom = self.first + self.n_rows * _ROW

    @classmethod
    def of(cls, means: Sequence[ConditionMean], columns: Mapping[str, tuple[str, str]], n_rows: int) -> _Grid:
        values = [one.values.get(column) or 0.0 for one in means for column in columns]
        values += [one.intervals[column][1] for one in means for column in columns if column in one.intervals]
        most = max(values, default=1.0)
        return cls([name for name, _ in columns.values()], n_rows, axis_top(most))

    def left(self, column: int) -> float:
        return _LEFT + column * (self.width + _GAP)

    def x(self, column: int, share: float) -> float:
        return round(self.left(column) + self.width * min(max(share / self.largest, 0.0), 1.0), 1)

    def top(self, row: int) -> float:
        return self.first + row * _ROW

    def frame(self, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        for number, (_, color) in enumerate(columns.values()):
            left = self.left(number)
            yield f'<rect x="{left:.1f}" y="34" width="10" height="10" rx="3" fill="{color}"/>'
            for line, text in enumerate(self.names[number]):
                yield text_element(left + 15, 43 + line * _LINE, text)
            for part in (0.0, 0.5, 1.0):
                x = self.x(number, part * self.largest)
                yield f'<path d="M{x} {self.first}V{self.bottom:g}" stroke="var(--grid)" fill="none"/>'
                anchor = "start" if not part else "end" if part == 1 else "middle"
                if part != 0.5:
                    label = f"{part * self.largest:.0%}"
                    yield text_element(x, self.first - 6, label, QUIET, anchor=anchor, size=10)

    def row(self, number: int, row: ConditionMean) -> Iterator[str]:
        top = self.top(number)
        yield (
            f'<path d="M10 {top}H{_WIDTH - 10 - _GAP}" stroke="var(--{"line" if number == 0 else "grid"})" '
            'fill="none"/>'
        )
        name = "no condition" if row.condition is None else one_line(row.condition) or "(blank)"
        yield text_element(_LEFT - 12, top + 26, shortened(name, _NAME_LENGTH), anchor="end", bold=True)
        yield text_element(_LEFT - 12, top + 43, _counted(row), QUIET, anchor="end", size=11)


class _People:
    """The dots of people: the same person lies at the same height of each row."""

    def __init__(self, heights: Mapping[str, float], found: Mapping[tuple[int, str], ConditionMean]) -> None:
        self._heights, self._found = heights, found

    @classmethod
    def of(cls, means: Sequence[ConditionMean], conditions: Sequence[str | None]) -> _People:
        people = [name for name in in_order(one.person for one in means) if name is not None]
        heights = dict(zip(people, np.linspace(*_PEOPLE, max(len(people), 2)).tolist(), strict=False))
        rows = {condition: number for number, condition in enumerate(conditions)}
        found = {(rows[one.condition], one.person): one for one in means if one.person is not None}
        return cls(heights, found)

    def drawn(self, grid: _Grid, number: int, column: str) -> Iterator[str]:
        for (row, name), one in self._found.items():
            value = one.values[column]
            if value is not None:
                x, y = grid.x(number, value), grid.top(row) + self._heights[name]
                yield (
                    f'<circle cx="{x}" cy="{y:.1f}" r="3" fill="var(--paper)" stroke="var(--quiet)">'
                    f"<title>{escape(f'{one_line(name)}: {value:.1%}')}</title></circle>"
                )


def _mean_mark(
    grid: _Grid, number: int, line: int, row: ConditionMean, column: str, shown: tuple[str, str]
) -> Iterator[str]:
    value = row.values[column]
    if value is None:
        return
    name, color = shown
    y, title = grid.top(line) + _MEAN, f"{name}: {value:.1%}"
    if column in row.intervals:
        low, high = row.intervals[column]
        left, right = grid.x(number, low), grid.x(number, high)
        title += f", 95 % interval {low:.1%} to {high:.1%}"
        yield f'<path d="M{left} {y:g}H{right}" stroke="{color}" stroke-width="3" fill="none"/>'
    yield (
        f'<circle cx="{grid.x(number, value)}" cy="{y:g}" r="5" fill="{color}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _legend(y: float) -> Iterator[str]:
    yield f'<circle cx="{_LEFT + 6}" cy="{y:g}" r="5" fill="var(--text)"/>'
    yield text_element(_LEFT + 18, y + 4, "mean over people")
    yield f'<path d="M{_LEFT + 135} {y:g}h24" stroke="var(--text)" stroke-width="3" fill="none"/>'
    yield text_element(_LEFT + 165, y + 4, "95 % interval of it, by resampling people")
    yield f'<circle cx="{_LEFT + 430}" cy="{y:g}" r="3" fill="var(--paper)" stroke="var(--quiet)"/>'
    yield text_element(_LEFT + 440, y + 4, "one person: mean over their recordings")


def _notes(rows: Sequence[ConditionMean], purpose: str | None) -> list[str]:
    """What the reader must know: where there are too few, and for what it was read."""
    few = [shortened(one.condition or "no condition", _NAME_LENGTH) for one in rows if one.n_people < LEAST]
    notes = [f"No interval where fewer than {LEAST} people were read: {', '.join(few)}."] if few else []
    return notes if purpose is None else [*notes, f"Purpose: {one_line(purpose)}"]


def _counted(row: ConditionMean) -> str:
    return f"{counted(row.n_people, 'person')}, {counted(row.n_recordings, 'recording')}"
