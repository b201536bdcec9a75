"""What two runs differ in: a table for the terminal, JSON, and a chart of its own."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.table import Table

from emofuse.core.errors import MissingExtraError
from emofuse.core.number_format import number, percent, points
from emofuse.evaluation.comparison import Comparison, Difference
from emofuse.evaluation.report.leakage import light_palette
from emofuse.evaluation.report.selection import short_title
from emofuse.system.atomic_write import write_atomically
from emofuse.training.run_folder import write_json

_NAMES: Final = {
    "accuracy": "accuracy", "uar": "UAR", "f1_macro": "macro-F1", "log_loss": "log loss", "ece": "ECE",
}  # fmt: skip
_PLAIN: Final = ("log_loss",)
"""Figures that are no shares: they are shown as they are, to three digits."""
_DRAWN: Final = ("accuracy", "uar", "ece")
"""The figures for which the chart has room."""


def write_comparison(folder: Path, found: Comparison) -> Path:
    """Write FOLDER/comparison.json, comparison.svg and comparison.png, and return the first path.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a comparison")
    svg, png = comparison_chart(found)
    write_atomically(folder / "comparison.svg", svg)
    write_atomically(folder / "comparison.png", png)
    write_json(folder / "comparison.json", found.to_dict())
    return folder / "comparison.json"


def comparison_table(found: Comparison) -> Table:
    """The figures of both runs and their differences, for a Rich console; what is certain is bold."""
    table = Table(
        title=f"A: {found.first} ({found.recipes[0]}) · B: {found.second} ({found.recipes[1]})",
        caption=f"{found.n_takes} takes, {found.n_actors} speakers; 95 % intervals over the same resamples "
        "of speakers; in %, log loss in nats; bold: the interval leaves zero out",
        title_justify="left",
    )
    for heading in ("system", "figure"):
        table.add_column(heading, no_wrap=True)
    for heading in ("A", "B", "A − B", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    before = None
    for one in found.differences:
        if before not in (None, one.system):
            table.add_section()
        before = one.system
        table.add_row(*_cells(one))
    return table


def _cells(one: Difference) -> list[str]:
    plain = one.figure in _PLAIN or one.figure not in _NAMES
    shown = number if plain else percent
    change = (lambda value: f"{value:+.3f}") if plain else points
    difference = change(one.difference)
    better = {"first": "A", "second": "B", None: ""}[one.better]
    return [
        one.system, _NAMES.get(one.figure, _of_rating(one.figure)), shown(one.first), shown(one.second),
        f"[bold]{difference}[/bold]" if better else difference,
        f"{change(one.ci95[0])} to {change(one.ci95[1])}", better,
    ]  # fmt: skip


def _of_rating(figure: str) -> str:
    """A figure of a dimension, such as ``ccc valence``, as it is shown: ``valence, CCC``."""
    name, _, dimension = figure.partition(" ")
    return f"{dimension}, {name.upper()}"


def comparison_chart(found: Comparison) -> tuple[bytes, bytes]:
    """The differences with their intervals, as SVG and as PNG."""
    import matplotlib

    from emofuse.evaluation.report.svg import Ink, drawing

    palette = light_palette()
    inks = {Ink.TEXT: "text", Ink.QUIET: "quiet", Ink.GRID: "grid", Ink.PAPER: "paper"}
    plain = {ink: palette[name] for ink, name in inks.items()}
    rows = [one for one in found.differences if one.figure in _DRAWN]
    with drawing(6.6, 1.3 + 0.32 * max(1, len(rows))) as figure:
        # outside a page nothing sets the placeholder colors
        settings = matplotlib.rcParams
        settings.update({key: plain[v] for key, v in settings.items() if isinstance(v, str) and v in plain})
        ax = figure.subplots()
        for row, one in enumerate(rows):
            color = palette.get(one.system, palette["other"])
            ends = [100 * bound for bound in one.ci95]
            ax.plot(ends, [row, row], color=color, linewidth=4, alpha=0.35, solid_capstyle="round")
            face = color if one.better else palette["paper"]
            ax.plot([100 * one.difference], [row], "o", color=face, markersize=6, markeredgecolor=color)
        ax.axvline(0, color=palette["quiet"], linewidth=0.8)
        labels = [f"{short_title(one.system)}: {_NAMES[one.figure]}" for one in rows]
        ax.set_yticks(range(len(rows)), labels)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
        ax.set_xlabel("A − B, percentage points; filled: the interval leaves zero out")
        figure.suptitle(
            f"A: {_name(found.first, found.recipes[0])}\nB: {_name(found.second, found.recipes[1])}",
            x=0.01, ha="left", fontsize=9,
        )  # fmt: skip
        svg, png = io.BytesIO(), io.BytesIO()
        described = "; ".join(
            f"{short_title(one.system)}, {_NAMES[one.figure]}: {points(one.difference)} "
            f"({points(one.ci95[0])} to {points(one.ci95[1])})"
            for one in rows
        )
        nothing = dict.fromkeys(("Date", "Creator"))
        figure.savefig(
            svg, format="svg", metadata={**nothing, "Title": f"Differences of two runs: {described}."}
        )
        figure.savefig(png, format="png", dpi=160)
    return svg.getvalue(), png.getvalue()


def _name(folder: str, recipe: str) -> str:
    """The run's folder, its end where it is long, and its recipe."""
    return f"{folder if len(folder) <= 60 else '…' + folder[-59:]} ({recipe})"
