"""The findings of a leakage audit: tables for the terminal, a Markdown page, and a chart of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from emofuse.core.errors import MissingExtraError
from emofuse.core.number_format import points, with_interval
from emofuse.evaluation.results import MAIN_SYSTEMS
from emofuse.system.atomic_write import write_atomically
from emofuse.system.templates import render_markdown

_SHOWN: Final = ("a − b", "c − d", "a − c", "b − d", "a+ − a", "a+ − d")
"""The differences for which the chart has room."""


def write_leakage(run: Path, found: Mapping[str, Any]) -> Path:
    """Write RUN/leak.md, leak.svg and leak.png from the contents of leak.json, and return the first path.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a report")
    svg, png = leakage_chart(found)
    write_atomically(run / "leak.svg", svg)
    write_atomically(run / "leak.png", png)
    write_atomically(run / "leak.md", leakage_markdown(found).encode())
    return run / "leak.md"


def leakage_tables(found: Mapping[str, Any]) -> tuple[Table, Table]:
    """Accuracy under each condition, and what each shortcut adds, for a Rich console."""
    accuracies = Table(
        title=f"{found['recipe']['name']} · accuracy in % with its 95 % interval over actors",
        caption="all but d are FLATTERED on purpose: see leak.md" + _synthetic(found),
        title_justify="left",
    )
    added = Table(title="what each shortcut adds, in percentage points", title_justify="left")
    for shown, heading in ((accuracies, "condition"), (added, "shortcut")):
        shown.add_column("")
        shown.add_column(heading)
        for name in MAIN_SYSTEMS:
            shown.add_column(name, justify="right", no_wrap=True)
    for one in found["conditions"]:
        accuracies.add_row(one["key"], one["title"], *_cells(one, _accuracy))
    for one in found["differences"]:
        added.add_row(_pair(one), one["shortcut"], *_cells(one, _points))
    return accuracies, added


def leakage_markdown(found: Mapping[str, Any]) -> str:
    """The findings as Markdown, the warning first."""
    conditions, differences = found["conditions"], found["differences"]
    fusions = [name for name in conditions[0]["systems"] if name.startswith("fused:")]
    return render_markdown(
        __package__,
        "leakage.md.j2",
        recipe=found["recipe"]["name"],
        corpus=found["corpus"],
        protocols=found["protocols"],
        seed=found["seed"],
        systems=list(MAIN_SYSTEMS),
        condition_rows=[[one["key"], one["title"], *_cells(one, _accuracy)] for one in conditions],
        difference_rows=[[_pair(one), one["shortcut"], *_cells(one, _points)] for one in differences],
        fusions=[name.removeprefix("fused:") for name in fusions],
        fusion_rows=[[one["key"], *_cells(one, _accuracy, fusions)] for one in conditions],
        conditions=conditions,
        notes=_notes(found),
    )


def leakage_chart(found: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """A chart as SVG and as PNG: accuracy under each condition, and what each shortcut adds."""
    import matplotlib

    from emofuse.evaluation.report.svg import Ink, drawing

    palette = light_palette()
    inks = {Ink.TEXT: "text", Ink.QUIET: "quiet", Ink.GRID: "grid", Ink.PAPER: "paper"}
    plain = {ink: palette[name] for ink, name in inks.items()}
    with drawing(7.6, 6.4) as figure:
        # outside a page nothing sets the placeholder colors
        settings = matplotlib.rcParams
        settings.update({key: plain[v] for key, v in settings.items() if isinstance(v, str) and v in plain})
        above, below = figure.subplots(2, 1, height_ratios=(len(found["conditions"]), len(_SHOWN)))
        rows = [(f"{one['title']}  ({one['key']})", one["systems"]) for one in found["conditions"]]
        _draw(above, rows, "accuracy", "accuracy_ci95", palette)
        above.set_xlim(0, 100)
        above.set_xlabel("accuracy, %")
        shown = [one for one in found["differences"] if _pair(one) in _SHOWN]
        rows = [(f"{one['shortcut']}  ({_pair(one)})", one["systems"]) for one in shown]
        _draw(below, rows, "difference", "ci95", palette)
        below.axvline(0, color=palette["quiet"], linewidth=0.8)
        below.set_xlabel("added by the shortcut, percentage points")
        handles = [below.plot([], [], "o", color=palette[name], label=name)[0] for name in MAIN_SYSTEMS]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(MAIN_SYSTEMS), frameon=False)
        figure.suptitle(
            f"{found['recipe']['name']}: inflated figures, and what inflates them",
            x=0.01,
            ha="left",
            fontsize=10,
        )
        svg, png = io.BytesIO(), io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator"))
        figure.savefig(svg, format="svg", metadata={**nothing, "Title": _description(found)})
        figure.savefig(png, format="png", dpi=160)
    return svg.getvalue(), png.getvalue()


def _draw(
    ax: Any,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    value: str,
    bounds: str,
    palette: Mapping[str, str],
) -> None:
    """One row per condition or shortcut; one dot per system, with its interval as a bar behind it."""
    for row, (_, systems) in enumerate(rows):
        for index, name in enumerate(MAIN_SYSTEMS):
            y, color, figures = row + 0.24 * (index - 1), palette[name], systems[name]
            ends = [100 * bound for bound in figures[bounds]]
            ax.plot(ends, [y, y], color=color, linewidth=4, alpha=0.35, solid_capstyle="round")
            ax.plot(
                [100 * figures[value]], [y], "o", color=color, markersize=5, markeredgecolor=palette["paper"]
            )
    ax.set_yticks(range(len(rows)), [label for label, _ in rows])
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def light_palette() -> dict[str, str]:
    """The colors of the report in light mode."""
    css = resources.files(__package__).joinpath("templates/report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css[: css.index("}")]))


def _description(found: Mapping[str, Any]) -> str:
    """Text for readers who cannot see the chart."""
    conditions = (
        f"({one['key']}) {one['title']}: "
        + ", ".join(f"{name} {100 * one['systems'][name]['accuracy']:.1f} %" for name in MAIN_SYSTEMS)
        for one in found["conditions"]
    )
    return f"Accuracy of {found['recipe']['name']}: {'; '.join(conditions)}."


def _cells(
    one: Mapping[str, Any], shown: Callable[[Mapping[str, Any]], str], systems: Sequence[str] = MAIN_SYSTEMS
) -> list[str]:
    """The cells of a condition or a difference, one per system."""
    return [shown(one["systems"][name]) for name in systems]


def _accuracy(system: Mapping[str, Any]) -> str:
    return with_interval(system["accuracy"], system["accuracy_ci95"])


def _points(difference: Mapping[str, Any]) -> str:
    low, high = difference["ci95"]
    return f"{points(difference['difference'])} ({points(low)} to {points(high)})"


def _pair(difference: Mapping[str, Any]) -> str:
    return f"{difference['of']} − {difference['over']}"


def _synthetic(found: Mapping[str, Any]) -> str:
    return "; synthetic corpus: the figures say nothing about people" if found["corpus"]["synthetic"] else ""


def _notes(found: Mapping[str, Any]) -> list[str]:
    """The notes of the audit, and those of its conditions that do not name a leak; each once."""
    notes = dict.fromkeys(found["notes"])
    for one in found["conditions"]:
        notes |= dict.fromkeys(note for note in one["notes"] if not note.startswith("FLATTERED"))
    return list(notes)
