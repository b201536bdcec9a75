"""What the axes of several charts have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from emofuse.evaluation.report.svg import Ink


def in_percent(ax: Axes, *which: str) -> None:
    """Write the ticks of the axes that are named, ``x`` or ``y``, in per cent."""
    for name in which:
        axis = {"x": ax.xaxis, "y": ax.yaxis}[name]
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def named_rows(
    ax: Axes,
    places: Sequence[float],
    names: Sequence[str],
    xlabel: str,
    *,
    ylim: tuple[float, float],
    right: float = 1,
) -> None:
    """One named row per place, and accuracy from 0 at the left to ``right``."""
    ax.set_yticks(places, names)
    ax.set_ylim(ylim)
    ax.set_xlim(0, right)
    in_percent(ax, "x")
    ax.set_xlabel(xlabel)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)


def dot(
    ax: Axes,
    place: float,
    record: Mapping[str, Any],
    ink: str,
    *,
    upright: bool = False,
    hollow: bool = False,
    bounds: str = "ci95",
) -> None:
    """One accuracy with its interval as a bar behind it; ``upright``: accuracy is the vertical axis."""
    interval, value = record.get(bounds), record["accuracy"]
    if interval:
        ends = ([place, place], interval) if upright else (interval, [place, place])
        ax.plot(*ends, color=ink, linewidth=4, alpha=0.35, solid_capstyle="round", zorder=2.5)
    x, y = (place, value) if upright else (value, place)
    face, edge = (Ink.PAPER, ink) if hollow else (ink, Ink.PAPER)
    ax.plot([x], [y], "o", color=face, markersize=5.5, markeredgecolor=edge, zorder=3)
