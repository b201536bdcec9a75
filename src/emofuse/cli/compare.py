"""``emofuse compare``: by how much two runs differ, take by take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_line, print_notes


def compare(
    first: options.RunFolder,
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another one, on the same takes.")],
    *,
    common: Annotated[
        bool,
        typer.Option(
            "--common", help="Compare on the takes that both scored, where some are of one run alone."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for comparison.json, .svg and .png."),
    ] = None,
    _quiet: options.Quiet = False,
) -> None:
    """Tell by how much two runs differ, with intervals over speakers.

    Both are scored on the same resamples of speakers, so that one who is hard for both cancels out. Accuracy,
    UAR, macro-F1, log loss and calibration error of each system that both have.

    Example: `emofuse compare runs/au runs/ensemble --out runs/au-or-ensemble`
    """
    from emofuse.evaluation.comparison import compare_runs
    from emofuse.evaluation.report.comparison import comparison_table, write_comparison
    from emofuse.evaluation.run_files import read_run

    found = compare_runs(read_run(first), read_run(second), common=common)
    page = None if out is None else write_comparison(out, found)
    console = Console()
    console.print(comparison_table(found))
    left_out = found.only_first + found.only_second
    notes = [f"{left_out} takes of one run alone were left out"] if left_out else []
    print_notes([*notes, *found.notes], console)
    if page is not None:
        print_line(f"comparison: {page}, figure: {page.with_suffix('.svg')}")
