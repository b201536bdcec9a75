"""The figures of one run or several as a table for a paper: Markdown, LaTeX or CSV.

Every table says on whom and how its figures were measured, so that they are not read without it.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from emofuse.core.csv_tables import write_csv
from emofuse.core.errors import ExperimentError
from emofuse.core.number_format import count, number, percent, with_interval
from emofuse.evaluation.entry_types import Interval
from emofuse.evaluation.results import MAIN_SYSTEMS, SystemFigures
from emofuse.evaluation.run_files import Run
from emofuse.system.atomic_write import write_atomically
from emofuse.system.templates import escape_markdown

__all__ = ["PaperRow", "check_table_name", "paper_rows", "write_paper_table"]

_SYSTEMS: Final = {"voice": "voice", "face": "face", "fused": "voice and face"}
_COLUMNS: Final = (
    "recipe", "corpus", "protocol", "speaker_independent", "synthetic", "system", "takes", "speakers",
    "labels", "accuracy", "accuracy_low", "accuracy_high", "uar", "uar_low", "uar_high", "f1_macro",
    "log_loss", "ece",
)  # fmt: skip
"""Of a CSV table, whose figures are fractions."""
_LATEX: Final = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
_LATEX_SPECIAL: Final = re.compile("|".join(map(re.escape, _LATEX)))


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One system of one run."""

    name: str
    """The recipe; the run's folder, where several runs are of one recipe."""
    corpus: str
    protocol: str
    speaker_independent: bool
    synthetic: bool
    system: str
    n: int
    """Takes that were tested."""
    n_speakers: int
    n_labels: int
    figures: SystemFigures
    """Fractions, and their 95 % intervals over speakers."""


def check_table_name(path: Path) -> None:
    """Fail early if a table cannot be written.

    Raises:
        ExperimentError: its suffix is unknown.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ExperimentError(f"{path}: a table for a paper ends in {', '.join(_WRITERS)}")


def write_paper_table(path: Path, runs: Sequence[Run]) -> None:
    """Write the figures of runs, in their order, as a table whose format the suffix tells.

    ``.md``: Markdown; ``.tex``: LaTeX, with the package booktabs; ``.csv``: fractions in full, for programs.

    Raises:
        ExperimentError: the suffix is unknown, or a run has ratings alone, which have tables of their own.
    """
    check_table_name(path)
    write_atomically(path, _WRITERS[path.suffix.lower()](paper_rows(runs)).encode())


def paper_rows(runs: Sequence[Run]) -> tuple[PaperRow, ...]:
    """Voice, face and their fusion, as far as each run has them.

    Raises:
        ExperimentError: a run has no figures about labels.
    """
    names = [str((run.results.get("recipe") or {}).get("name", run.path)) for run in runs]
    often = Counter(names)
    rows = []
    for name, run in zip(names, runs, strict=True):
        systems = [system for system in run.systems if system in MAIN_SYSTEMS]
        if not systems:
            raise ExperimentError(f"{run.path} has no figures about labels, which this table is of")
        corpus = run.results.get("corpus") or {}
        for system in systems:
            scores = run.scores[system]
            rows.append(
                PaperRow(
                    name=name if often[name] == 1 else str(run.path),
                    corpus=corpus.get("name", "?"),
                    protocol=run.results.get("protocol", "?"),
                    speaker_independent=bool(run.results.get("speaker_independent")),
                    synthetic=bool(corpus.get("synthetic")),
                    system=_SYSTEMS[system],
                    n=len(scores.takes),
                    n_speakers=len(np.unique(scores.actors)),
                    n_labels=len(run.emotions),
                    figures=run.results["systems"][system],
                )
            )
    return tuple(rows)


def _cells(rows: Sequence[PaperRow]) -> tuple[list[str], list[list[str]], int]:
    """Headings, cells as text, and how many of the first columns are words."""
    several = len({(row.corpus, row.protocol) for row in rows}) > 1
    words = ["Recipe", *(["Corpus", "Protocol"] if several else []), "Read from"]
    headings = [*words, "Takes", "Speakers", "Accuracy, %", "UAR, %", "Macro-F1, %", "Log loss", "ECE, %"]
    cells = [
        [
            row.name, *([row.corpus, row.protocol] if several else []), row.system, count(row.n),
            count(row.n_speakers),
            with_interval(row.figures.get("accuracy"), row.figures.get("accuracy_ci95")),
            with_interval(row.figures.get("uar"), row.figures.get("uar_ci95")),
            percent(row.figures.get("f1_macro")), number(row.figures.get("log_loss")),
            percent(row.figures.get("ece")),
        ]
        for row in rows
    ]  # fmt: skip
    return headings, cells, len(words)


def _caption(rows: Sequence[PaperRow]) -> str:
    """On whom, how, and what the columns mean."""
    sentences = ["In parentheses: 95 % intervals over speakers, who are resampled whole."]
    for row in rows:
        chance = f"{row.n_labels} labels, of which chance gets {percent(1 / row.n_labels)} % (UAR)"
        sentences.append(f"Corpus {row.corpus}, protocol {row.protocol}: {chance}.")
    independent = {row.speaker_independent for row in rows}
    if independent == {True}:
        sentences.append("No test speaker is in the training data.")
    else:
        of = "" if independent == {False} else f"{', '.join(_dependent(rows))}: "
        sentences.append(f"{of}test speakers are in the training data, which flatters the figures.")
    sentences.append(
        "UAR: unweighted average recall; ECE: expected calibration error; log loss in nats, lower is better."
    )
    if any(row.synthetic for row in rows):
        sentences.append("Synthetic recordings: the figures say nothing about people.")
    return " ".join(dict.fromkeys(sentences))


def _dependent(rows: Sequence[PaperRow]) -> list[str]:
    return list(dict.fromkeys(row.name for row in rows if not row.speaker_independent))


def _markdown(rows: Sequence[PaperRow]) -> str:
    headings, cells, n_words = _cells(rows)
    rule = ["---"] * n_words + ["---:"] * (len(headings) - n_words)
    # of the cells, only names can hold markup
    lines = [headings, rule, *([*map(escape_markdown, row[:n_words]), *row[n_words:]] for row in cells)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{table}\n{escape_markdown(_caption(rows))}\n"


def _latex(rows: Sequence[PaperRow]) -> str:
    headings, cells, n_words = _cells(rows)
    lines = [" & ".join(map(_latex_text, line)) + r" \\" for line in [headings, *cells]]
    columns = "l" * n_words + "r" * (len(headings) - n_words)
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex_text(_caption(rows))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_text(text: str) -> str:
    r"""Text as it is to be read, whatever LaTeX would make of its signs.

    >>> print(_latex_text("ravdess_au: 5 %"))
    ravdess\_au: 5 \%
    """
    return _LATEX_SPECIAL.sub(lambda found: _LATEX[found[0]], text)


def _csv(rows: Sequence[PaperRow]) -> str:
    text = io.StringIO(newline="")
    write_csv(text, _COLUMNS, (
        [
            row.name, row.corpus, row.protocol, _yes(row.speaker_independent), _yes(row.synthetic),
            row.system, str(row.n), str(row.n_speakers), str(row.n_labels),
            _plain(row.figures.get("accuracy")), *_bounds(row.figures.get("accuracy_ci95")),
            _plain(row.figures.get("uar")), *_bounds(row.figures.get("uar_ci95")),
            _plain(row.figures.get("f1_macro")), _plain(row.figures.get("log_loss")),
            _plain(row.figures.get("ece")),
        ]
        for row in rows
    ))  # fmt: skip
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _bounds(interval: Interval | None) -> list[str]:
    return ["", ""] if interval is None else [_plain(bound) for bound in interval]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


_WRITERS: Final[dict[str, Callable[[Sequence[PaperRow]], str]]] = {
    ".md": _markdown,
    ".tex": _latex,
    ".csv": _csv,
}
