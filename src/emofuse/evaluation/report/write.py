"""Writes the report of a run: one page and two cards."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from emofuse.core.errors import ExperimentError, MissingExtraError
from emofuse.evaluation.run_files import read_run
from emofuse.system.atomic_write import write_atomically


def write_report(run: Path) -> Path:
    """Write RUN/report.html from the files of the run, and return its path.

    RUN/model-card.md and RUN/data-card.md are written beside it. results.json and predictions.csv are
    required; details.json, maps/ and examples/ are used if they exist. Each file is written atomically, and
    none before all three are complete.

    Raises:
        ExperimentError: results.json or predictions.csv is missing or damaged, results.json does not say
            what pretrained parts were trained on, or a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("train", "drawing a report")
    from emofuse.evaluation.report.data_card import data_card
    from emofuse.evaluation.report.model_card import model_card
    from emofuse.evaluation.report.page import render

    found = read_run(run)
    page = run / "report.html"
    texts = {
        page: render(found),
        run / "model-card.md": model_card(found),
        run / "data-card.md": data_card(found),
    }
    for target, text in texts.items():
        try:
            write_atomically(target, text.encode())
        except OSError as error:
            raise ExperimentError(f"{target} cannot be written: {error.strerror}") from error
    return page
