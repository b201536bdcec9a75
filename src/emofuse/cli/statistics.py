"""``emofuse statistics``: tables of people and conditions for SPSS and R."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli.printing import print_line


def statistics(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="R", help="A folder that emofuse timeline DIR --out-dir R wrote.", file_okay=False
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", show_default="R/statistics", help="Folder for the tables."
        ),
    ] = None,
) -> None:
    """Make tables for statistics programs: the means of each person in each condition, long and wide.

    long.csv has a row per person, condition and label, as mixed models in R want it; wide.csv has a row per
    person and a column per condition and label, as repeated measures in SPSS want it; spss.sps has SPSS read
    both, with labels. Means are those of conditions.csv: of recordings that count the same.

    Example: `emofuse statistics results`
    """
    from emofuse.folders.statistics_tables import write_statistics

    for path in write_statistics(results, out or results / "statistics"):
        print_line(f"wrote {path}")
