"""The results of a matrix across corpora: what a cell holds; cross.json, cross.csv and predictions.csv."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

from emofuse.core.csv_tables import write_csv
from emofuse.core.errors import ExperimentError
from emofuse.evaluation.results import read_json_object
from emofuse.system.atomic_write import write_atomically
from emofuse.training.run_folder import write_json

CROSS_FILE: Final = "cross.json"
TABLE_FILE: Final = "cross.csv"
PREDICTIONS_FILE: Final = "predictions.csv"
SCHEMA: Final = 1

COLUMNS: Final = (
    "condition", "kind", "train", "test", "labels", "takes", "speakers", "chance", "uar", "uar_low",
    "uar_high", "accuracy", "accuracy_low", "accuracy_high", "seen_before", "problem",
)  # fmt: skip
"""Of cross.csv. Figures are fractions; empty where there are none."""
_OF_TAKES: Final = ("take", "speaker", "fold", "emotion", "predicted", "confidence")


class SystemEntry(TypedDict):
    """One system in one cell. Intervals are 95 %, over test speakers; None: there is one speaker."""

    n: int
    n_speakers: int
    accuracy: float
    accuracy_ci95: list[float] | None
    uar: float
    uar_ci95: list[float] | None


class CellEntry(TypedDict):
    """One cell of the matrix; ``seen_before``: parts that were trained on the test corpus."""

    condition: str
    kind: str
    train: list[str]
    test: str
    labels: list[str]
    merged: dict[str, str]
    left_out: list[dict[str, Any]]
    folds: int
    systems: dict[str, SystemEntry]
    """``fused``, and ``voice`` and ``face`` where there are both."""
    recall: dict[str, float]
    """Of each label, by the fusion."""
    seen_before: list[str]
    problem: str | None


class CellFile(CellEntry):
    """What the file of a cell holds: the entry, and each test take."""

    takes: list[dict[str, Any]]


class CorpusFacts(TypedDict):
    """One of the corpora: what was found of it."""

    name: str
    licence: str
    takes: int
    speakers: int
    labels: dict[str, int]


class CrossResults(TypedDict):
    """What cross.json holds."""

    schema: int
    recipe: dict[str, Any]
    seed: int
    protocol: str
    conditions: dict[str, str]
    corpora: list[CorpusFacts]
    pretrained: list[dict[str, Any]]
    cells: list[CellEntry]
    notes: list[str]
    software: dict[str, str]
    compute: dict[str, Any]
    command: list[str]
    seconds: float


def write_cross(run: Path, results: CrossResults, cells: Sequence[CellFile]) -> None:
    """Write cross.json, cross.csv and predictions.csv into a folder."""
    write_json(run / CROSS_FILE, results)
    _write_table(run / TABLE_FILE, COLUMNS, (_table_row(cell) for cell in results["cells"]))
    rows = (
        [cell["condition"], cell["kind"], " + ".join(cell["train"]), cell["test"],
         *(take[name] for name in _OF_TAKES)]
        for cell in cells
        for take in cell["takes"]
    )  # fmt: skip
    _write_table(run / PREDICTIONS_FILE, ("condition", "kind", "train", "test", *_OF_TAKES), rows)


def read_cross(run: Path) -> CrossResults:
    """Read the cross.json of a folder.

    Raises:
        ExperimentError: it is missing, or is not what ``emofuse cross`` writes.
    """
    results = read_json_object(run / CROSS_FILE, fix="run emofuse cross first")
    cells = results.get("cells")
    if results.get("schema") != SCHEMA or not isinstance(cells, list):
        raise ExperimentError(f"{run / CROSS_FILE}: not results of emofuse cross, schema {SCHEMA}")
    return results  # type: ignore[return-value]


def headline(cell: CellEntry) -> SystemEntry | None:
    """The system whose figure stands in the matrix; None where nothing could be measured."""
    return cell["systems"].get("fused")


def chance(cell: CellEntry) -> float:
    """The mean recall of guessing."""
    return 1 / max(len(cell["labels"]), 1)


def _table_row(cell: CellEntry) -> list[object]:
    found = headline(cell)
    row: list[object] = [
        cell["condition"], cell["kind"], " + ".join(cell["train"]), cell["test"], ", ".join(cell["labels"]),
    ]  # fmt: skip
    if found is None:
        return [*row, *[""] * 9, "; ".join(cell["seen_before"]), cell["problem"] or ""]
    row += [found["n"], found["n_speakers"], f"{chance(cell):.6f}"]
    for value, interval in (
        (found["uar"], found["uar_ci95"]),
        (found["accuracy"], found["accuracy_ci95"]),
    ):
        row += [f"{value:.6f}", *((f"{bound:.6f}" for bound in interval) if interval else ("", ""))]
    return [*row, "; ".join(cell["seen_before"]), cell["problem"] or ""]


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    write_csv(text, columns, (map(str, row) for row in rows))
    write_atomically(path, text.getvalue().encode())


def entry_of(cell: Mapping[str, Any]) -> CellEntry:
    """A cell without its takes."""
    return {key: value for key, value in cell.items() if key != "takes"}  # type: ignore[return-value]
