"""The leak meter's findings: a table for the terminal, Markdown, and a figure that stands alone."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from emofuse.core.errors import MissingExtraError
from emofuse.evaluation.report.markdown import code, document, esc, items, table
from emofuse.system.atomic_write import write_atomically

SINGLE: Final = ("voice", "face", "fused")
NOTEBOOKS: Final = (
    "The notebooks report, on one fold of their own, 85.4 (logistic regression on principal components), "
    "85.8 (neural network) and 83.0 (support vector machine) for the fusion, and 75.4 for the face, the mean "
    "of five folds. The fusion took networks that had seen the test clips, so a+ is the row to lay beside "
    "it, and a for the face alone."
)
WARNING: Final = (
    "**Every figure but those of condition d is flattered, on purpose.** They show what shortcuts are worth; "
    "they are no measure of the recipe."
)


def write_leak(run: Path, found: Mapping[str, Any]) -> Path:
    """Write RUN/leak.md, leak.svg and leak.png from what leak.json holds; returns the path of the first.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a report")
    svg, png = leak_figure(found)
    write_atomically(run / "leak.svg", svg)
    write_atomically(run / "leak.png", png)
    write_atomically(run / "leak.md", leak_markdown(found).encode())
    return run / "leak.md"


def leak_tables(found: Mapping[str, Any]) -> tuple[Table, Table]:
    """Accuracy under each condition, and what each shortcut adds, for a Rich console."""
    accuracies = Table(
        title=f"{found['recipe']['name']} · accuracy in % with its 95 % interval over actors",
        caption="all but d are FLATTERED, on purpose: see leak.md" + _synthetic(found),
        title_justify="left",
    )
    added = Table(title="what each shortcut adds, in points", title_justify="left")
    for shown, heading in ((accuracies, "condition"), (added, "shortcut")):
        shown.add_column("")
        shown.add_column(heading)
        for name in SINGLE:
            shown.add_column(name, justify="right", no_wrap=True)
    for one in found["conditions"]:
        accuracies.add_row(one["key"], one["title"], *(_accuracy(one["systems"][name]) for name in SINGLE))
    for one in found["differences"]:
        added.add_row(_pair(one), one["shortcut"], *(_points(one["systems"][name]) for name in SINGLE))
    return accuracies, added


def leak_markdown(found: Mapping[str, Any]) -> str:
    """The findings as Markdown, the warning first."""
    corpus, protocols = found["corpus"], found["protocols"]
    fusions = [name for name in found["conditions"][0]["systems"] if name.startswith("fused:")]
    return document(
        [
            f"# What leaks are worth: {esc(found['recipe']['name'])}",
            WARNING,
            f"{corpus['clips']} clips of {corpus['actors']} actors of {esc(corpus['name'])}"
            f"{_synthetic(found)}; random folds: {code(protocols['random'])}; strangers: "
            f"{code(protocols['strangers'])}; seed {found['seed']}. "
            "Accuracy in %, with 95 % intervals over actors.",
            table(
                ["", "condition", *SINGLE],
                [
                    [one["key"], esc(one["title"]), *(_accuracy(one["systems"][name]) for name in SINGLE)]
                    for one in found["conditions"]
                ],
                words=2,
            ),
            "![Accuracy under each condition, and what each shortcut adds](leak.svg)",
            "## What each shortcut adds",
            "In points of accuracy, on the clips that both score, with both on the same draws of actors.",
            table(
                ["", "shortcut", *SINGLE],
                [
                    [_pair(one), esc(one["shortcut"]), *(_points(one["systems"][name]) for name in SINGLE)]
                    for one in found["differences"]
                ],
                words=2,
            ),
            "## Every fusion",
            table(
                ["", *(code(name.removeprefix("fused:")) for name in fusions)],
                [
                    [one["key"], *(_accuracy(one["systems"][name]) for name in fusions)]
                    for one in found["conditions"]
                ],
            ),
            "" if corpus["synthetic"] else NOTEBOOKS,
            "## What leaks",
            items(
                f"{one['key']}: {esc('; '.join(one['leaks'])) or 'nothing'} ({code(one['folder'])})"
                for one in found["conditions"]
            ),
            "## Notes",
            items(map(esc, _notes(found))),
        ]
    )


def leak_figure(found: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The same drawing as SVG and as PNG: accuracy under each condition, and what each shortcut adds."""
    import matplotlib

    from emofuse.evaluation.report.svg import Ink, drawing

    palette = _light_palette()
    inks = {Ink.TEXT: "text", Ink.QUIET: "quiet", Ink.GRID: "grid", Ink.PAPER: "paper"}
    plain = {ink: palette[name] for ink, name in inks.items()}
    with drawing(7.6, 6.4) as figure:
        # no page will name the colours of a figure that stands alone
        settings = matplotlib.rcParams
        settings.update({key: plain[v] for key, v in settings.items() if isinstance(v, str) and v in plain})
        above, below = figure.subplots(2, 1, height_ratios=(len(found["conditions"]), len(SHOWN)))
        rows = [(f"{one['title']}  ({one['key']})", one["systems"]) for one in found["conditions"]]
        _draw(above, rows, "accuracy", "accuracy_ci95", palette)
        above.set_xlim(0, 100)
        above.set_xlabel("accuracy, %")
        shown = [one for one in found["differences"] if _pair(one) in SHOWN]
        rows = [(f"{one['shortcut']}  ({_pair(one)})", one["systems"]) for one in shown]
        _draw(below, rows, "difference", "ci95", palette)
        below.axvline(0, color=palette["quiet"], linewidth=0.8)
        below.set_xlabel("what the shortcut adds, points")
        handles = [below.plot([], [], "o", color=palette[name], label=name)[0] for name in SINGLE]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(SINGLE), frameon=False)
        figure.suptitle(
            f"{found['recipe']['name']}: flattered figures, and what flatters them",
            x=0.01,
            ha="left",
            fontsize=10,
        )
        svg, png = io.BytesIO(), io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator"))
        figure.savefig(svg, format="svg", metadata={**nothing, "Title": _told(found)})
        figure.savefig(png, format="png", dpi=160)
    return svg.getvalue(), png.getvalue()


SHOWN: Final = ("a − b", "c − d", "a − c", "b − d", "a+ − a", "a+ − d")
"""The differences that the figure has room for."""


def _draw(
    ax: Any,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    value: str,
    bounds: str,
    palette: Mapping[str, str],
) -> None:
    """One row a condition or shortcut, one dot a system, its interval as a bar behind it."""
    for place, (_, systems) in enumerate(rows):
        for nth, name in enumerate(SINGLE):
            y, colour, figures = place + 0.24 * (nth - 1), palette[name], systems[name]
            ends = [100 * bound for bound in figures[bounds]]
            ax.plot(ends, [y, y], color=colour, linewidth=4, alpha=0.35, solid_capstyle="round")
            ax.plot(
                [100 * figures[value]], [y], "o", color=colour, markersize=5, markeredgecolor=palette["paper"]
            )
    ax.set_yticks(range(len(rows)), [label for label, _ in rows])
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def _light_palette() -> dict[str, str]:
    """The report's colours by day."""
    css = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css[: css.index("}")]))


def _told(found: Mapping[str, Any]) -> str:
    """What a reader who cannot see the figure is told."""
    said = (
        f"({one['key']}) {one['title']}: "
        + ", ".join(f"{name} {100 * one['systems'][name]['accuracy']:.1f} %" for name in SINGLE)
        for one in found["conditions"]
    )
    return f"Accuracy of {found['recipe']['name']}: {'; '.join(said)}."


def _accuracy(system: Mapping[str, Any]) -> str:
    low, high = system["accuracy_ci95"]
    return f"{100 * system['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _points(difference: Mapping[str, Any]) -> str:
    low, high = difference["ci95"]
    return f"{100 * difference['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _pair(difference: Mapping[str, Any]) -> str:
    return f"{difference['of']} − {difference['over']}"


def _synthetic(found: Mapping[str, Any]) -> str:
    return "; synthetic corpus: the figures say nothing about people" if found["corpus"]["synthetic"] else ""


def _notes(found: Mapping[str, Any]) -> list[str]:
    """The meter's notes and what single conditions say beside what leaks, each once."""
    notes = dict.fromkeys(found["notes"])
    for one in found["conditions"]:
        notes |= dict.fromkeys(note for note in one["notes"] if not note.startswith("FLATTERED"))
    return list(notes)
