"""What several charts have in common: rows, percent axes, dots with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from emofuse.evaluation.report.svg import Ink


def in_percent(ax: Axes, *which: str) -> None:
    """Label the ticks of these axes, ``x`` or ``y``, in percent."""
    for name in which:
        axis = {"x": ax.xaxis, "y": ax.yaxis}[name]
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def named_rows(
    ax: Axes,
    positions: Sequence[float],
    names: Sequence[str],
    xlabel: str,
    *,
    ylim: tuple[float, float],
    right: float = 1,
) -> None:
    """One named row per position, and accuracy from 0 to ``right`` along the x axis."""
    ax.set_yticks(positions, names)
    ax.set_ylim(ylim)
    ax.set_xlim(0, right)
    in_percent(ax, "x")
    ax.set_xlabel(xlabel)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)


def dot(
    ax: Axes,
    position: float,
    record: Mapping[str, Any],
    ink: str,
    *,
    vertical: bool = False,
    hollow: bool = False,
    bounds: str = "ci95",
) -> None:
    """One accuracy, with its interval as a bar behind it; ``vertical``: accuracy is the y axis."""
    interval, value = record.get(bounds), record["accuracy"]
    if interval:
        ends = ([position, position], interval) if vertical else (interval, [position, position])
        ax.plot(*ends, color=ink, linewidth=4, alpha=0.35, solid_capstyle="round", zorder=2.5)
    x, y = (position, value) if vertical else (value, position)
    face, edge = (Ink.PAPER, ink) if hollow else (ink, Ink.PAPER)
    ax.plot([x], [y], "o", color=face, markersize=5.5, markeredgecolor=edge, zorder=3)
