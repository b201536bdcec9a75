"""``emofuse report``: write the report of a run again, or a table of several for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.core.text import shown


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders written by emofuse evaluate.")],
    *,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TABLE",
            help="Write the figures of all runs as one table for a paper instead: .md, .tex or .csv. Can be "
            "given several times.",
        ),
    ] = None,
) -> None:
    """Write the report of each run again, from its results.json and predictions.csv; or a table of all.

    Example: `emofuse report runs/au`

    Example: `emofuse report runs/au runs/ensemble --table table.tex`
    """
    if table:
        from emofuse.evaluation.report.paper_table import check_table_name, write_paper_table
        from emofuse.evaluation.run_files import read_run

        for path in table:
            check_table_name(path)
        found = [read_run(run) for run in runs]
        for path in table:
            write_paper_table(path, found)
            typer.echo(shown(str(path)))
        return
    from emofuse.evaluation.report.write import write_report

    for run in runs:
        typer.echo(shown(str(write_report(run))))
