"""``emofuse report``: write the report of a run again."""

from __future__ import annotations

import typer

from emofuse.cli import options
from emofuse.core.text import shown


def report(run: options.RunFolder) -> None:
    """Write the report of a run again, from its results.json and predictions.csv.

    Example: `emofuse report runs/au`
    """
    from emofuse.evaluation.report.write import write_report

    typer.echo(shown(str(write_report(run))))
