"""A learning curve as a table for the terminal, CSV, and a chart."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table

from emofuse.core.csv_tables import write_csv
from emofuse.core.errors import MissingExtraError
from emofuse.core.number_format import number, percent, with_interval
from emofuse.evaluation.learning_curve import LearningCurve
from emofuse.evaluation.report.leakage import light_palette
from emofuse.system.atomic_write import write_atomically

_COLUMNS = (
    "share", "takes", "minutes", "n_tested", "uar", "uar_low", "uar_high", "accuracy", "accuracy_low",
    "accuracy_high",
)  # fmt: skip


def curve_table(found: LearningCurve) -> Table:
    """The points, for a Rich console."""
    table = Table(
        title=f"{found.recipe} on {found.corpus}, {found.protocol}",
        caption=f"{len(found.emotions)} labels, {found.n_speakers} speakers, tested on speakers in no "
        f"training; by chance {percent(1 / len(found.emotions))} %; 95 % intervals over speakers",
        title_justify="left",
    )
    for heading in ("share", "takes", "coded minutes", "UAR, %", "accuracy, %"):
        table.add_column(heading, justify="right")
    for one in found.points:
        table.add_row(
            f"{one.share:g}", number(one.takes, 1), number(one.minutes, 1),
            with_interval(one.uar, one.uar_ci95), with_interval(one.accuracy, one.accuracy_ci95),
        )  # fmt: skip
    return table


def write_curve(folder: Path, found: LearningCurve) -> Path:
    """Write FOLDER/learning-curve.csv, .svg and .png, and return the path of the table.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a learning curve")
    text = io.StringIO(newline="")
    write_csv(text, _COLUMNS, (
        [
            f"{one.share:g}", f"{one.takes:.1f}", "" if one.minutes is None else f"{one.minutes:.3f}",
            str(one.n_tested), *(f"{value:.6f}" for value in (
                one.uar, *one.uar_ci95, one.accuracy, *one.accuracy_ci95,
            )),
        ]
        for one in found.points
    ))  # fmt: skip
    table = folder / "learning-curve.csv"
    write_atomically(table, text.getvalue().encode())
    svg, png = _chart(found)
    write_atomically(table.with_suffix(".svg"), svg)
    write_atomically(table.with_suffix(".png"), png)
    return table


def _chart(found: LearningCurve) -> tuple[bytes, bytes]:
    import matplotlib

    from emofuse.evaluation.report.svg import Ink, drawing

    palette = light_palette()
    inks = {Ink.TEXT: "text", Ink.QUIET: "quiet", Ink.GRID: "grid", Ink.PAPER: "paper"}
    plain = {ink: palette[name] for ink, name in inks.items()}
    in_minutes = all(one.minutes is not None for one in found.points)
    along = [one.takes if one.minutes is None or not in_minutes else one.minutes for one in found.points]
    with drawing(6.2, 3.6) as figure:
        # outside a page nothing sets the placeholder colors
        settings = matplotlib.rcParams
        settings.update({key: plain[v] for key, v in settings.items() if isinstance(v, str) and v in plain})
        ax = figure.subplots()
        color = palette["fused"]
        low, high = ([100 * one.uar_ci95[bound] for one in found.points] for bound in (0, 1))
        ax.fill_between(along, low, high, color=color, alpha=0.18, linewidth=0)
        ax.plot(along, [100 * one.uar for one in found.points], "o-", color=color)
        chance = 100 / len(found.emotions)
        ax.axhline(chance, color=palette["quiet"], linewidth=0.8, linestyle="--")
        ax.annotate(
            "by chance", (along[-1], chance), (0, 4), textcoords="offset points", ha="right", fontsize=8
        )
        ax.set_ylim(0, 100)
        ax.set_xlim(left=0)
        ax.grid(axis="y")
        ax.set_ylabel("UAR, %, with its 95 % interval")
        ax.set_xlabel("coded minutes that were trained on" if in_minutes else "takes that were trained on")
        described = "; ".join(
            f"{x:.1f}: {percent(one.uar)} %" for x, one in zip(along, found.points, strict=True)
        )
        nothing = dict.fromkeys(("Date", "Creator"))
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={**nothing, "Title": f"Learning curve: {described}."})
        figure.savefig(png, format="png", dpi=160)
    return svg.getvalue(), png.getvalue()
