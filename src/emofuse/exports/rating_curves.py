"""Ratings on numeric scales in the still chart: a line with its interval for each dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from emofuse.core.dimensions import Scale
from emofuse.core.text import one_line
from emofuse.timeline.records import SpanMs, Window
from emofuse.timeline.window_ratings import rating_steps

HEIGHT: Final = 64
"""Of one dimension's panel."""
RATING_FILL: Final = "var(--text)"
INTERVAL_FILL: Final = "var(--hatch)"
_HALF: Final = 0.9
"""Half the thickness of the line."""
_SHORTEST_PX: Final = 0.5


def rating_curve(
    windows: Sequence[Window],
    scale: Scale,
    within: SpanMs,
    top: float,
    edges: tuple[float, float],
    x_of: Callable[[float], float],
) -> Iterator[str]:
    """SVG of one person's ratings on one scale: the interval as a band, the value as a line.

    Args:
        windows: of one person.
        scale: its range goes from the bottom to the top of the panel.
        within: the span of the recording.
        top: of the panel.
        edges: its left and right edge.
        x_of: the place of a time in seconds.
    """
    left, right = edges

    def y(value: float) -> float:
        return round(top + HEIGHT * (1 - scale.share(value)), 1)

    name = escape(f"{one_line(scale.name)}, {scale.low:g} to {scale.high:g}")
    yield (
        f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{HEIGHT}" fill="var(--gap)">'
        f"<title>{name}</title></rect>"
    )
    runs: list[list[tuple[float, float, float, float, float]]] = []
    reached = None
    for start, end, one in rating_steps(windows, scale.name, within):
        x1, x2 = x_of(start / 1000), x_of(end / 1000)
        if reached != start:
            runs.append([])
        elif x2 - runs[-1][-1][0] < _SHORTEST_PX:
            reached = end
            continue
        reached = end
        runs[-1].append((x1, x2, y(one.low), y(one.value), y(one.high)))
    for run in runs:
        upper = [f"{x:g} {high:g}" for x1, x2, _, _, high in run for x in (x1, x2)]
        lower = [f"{x:g} {low:g}" for x1, x2, low, _, _ in reversed(run) for x in (x2, x1)]
        yield f'<path d="M{"L".join([*upper, *lower])}Z" fill="{INTERVAL_FILL}"/>'
        # filled bars, not a stroke: pictures in pixels know no other lines
        bars = "".join(_bar(x1, x2, value) for x1, x2, _, value, _ in run)
        yield f'<path d="{bars}" fill="{RATING_FILL}"/>'
    for value, level in ((scale.high, top + 11), (scale.low, top + HEIGHT - 4)):
        yield (
            f'<text x="{right - 4:g}" y="{level:g}" text-anchor="end" font-size="10" fill="var(--quiet)">'
            f"{value:g}</text>"
        )


def _bar(left: float, right: float, middle: float) -> str:
    """A level piece of a line as a path."""
    top, bottom = f"{middle - _HALF:g}", f"{middle + _HALF:g}"
    return f"M{left:g} {top}L{right:g} {top}L{right:g} {bottom}L{left:g} {bottom}Z"
