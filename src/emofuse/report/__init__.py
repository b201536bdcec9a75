"""The report of a run: one page for people, one table for the terminal."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from emofuse.atomic import write_atomically
from emofuse.errors import ExperimentError, MissingExtraError
from emofuse.report.run import read_results, read_run
from emofuse.report.terminal import summary_table

__all__ = ["read_results", "summary_table", "write_report"]


def write_report(run: Path) -> Path:
    """Draw RUN/report.html from what the folder holds, and return its path.

    Needed are results.json and predictions.csv; details.json, maps/ and examples/ are drawn where they are.
    The page is written whole or not at all.

    Raises:
        ExperimentError: results.json or predictions.csv is missing or damaged, or the page cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a report")
    from emofuse.report.page import render

    target = run / "report.html"
    page = render(read_run(run))
    try:
        write_atomically(target, page.encode())
    except OSError as error:
        raise ExperimentError(f"{target} cannot be written: {error.strerror}") from error
    return target
