"""The files of a run folder beside results.json: predictions, details, feature maps and examples."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from emofuse.core.csv_tables import cell_text, write_csv
from emofuse.core.errors import ExperimentError
from emofuse.evaluation.rating_outputs import RATINGS_FILE, ByDimension, read_ratings
from emofuse.evaluation.results import (
    RESULTS_FILE,
    Results,
    emotions_of,
    in_order,
    read_json_object,
    read_results,
    shown,
)
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically
from emofuse.system.csv_files import bounded_lines

PREDICTIONS_FILE: Final = "predictions.csv"
DETAILS_FILE: Final = "details.json"

_DAMAGED = (OSError, ValueError, KeyError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One line of predictions.csv: the (n_emotions,) probabilities of one system for one take.

    ``row``: which take of the data set; ``emotion``: ground truth, an index into the labels of the run.
    """

    row: int
    take: str
    clip: str
    actor: str
    emotion: int
    fold: str
    system: str
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """All out-of-fold predictions of one system.

    ``takes``, ``actors``, ``folds``: (n,) text; ``truth``: (n,) int64; ``probabilities``: (n, n_emotions)
    float64.
    """

    takes: NDArray[np.str_]
    actors: NDArray[np.str_]
    folds: NDArray[np.str_]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) the most probable emotion of each."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def chosen(self, rows: NDArray[np.intp]) -> Scores:
        """Those of some rows, in their order."""
        return Scores(
            self.takes[rows], self.actors[rows], self.folds[rows], self.truth[rows], self.probabilities[rows]
        )


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """Joined features of one fold's test clips: (n, d) float32, (n,) takes, (n,) emotion."""

    name: str
    features: NDArray[np.float32]
    takes: NDArray[np.str_]
    emotion: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Example:
    """One clip that was mistaken, with confidence, for another emotion.

    ``log_mel``: (n_mels, n_frames) float32 or None; ``strip``: (k, height, width) uint8 or None;
    ``probabilities``: (n_emotions,) float64.
    """

    take: str
    emotion: str
    predicted: str
    probabilities: NDArray[np.float64]
    log_mel: NDArray[np.float32] | None
    strip: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as far as its folder holds it."""

    path: Path
    results: Results
    scores: Mapping[str, Scores]
    details: Mapping[str, Any] = field(default_factory=dict)
    maps: tuple[FeatureMap, ...] = ()
    examples: tuple[Example, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Optional parts that are there and cannot be read, each with its reason."""
    ratings: ByDimension = field(default_factory=dict)
    """Where takes were rated: out-of-fold ratings by dimension and system."""

    @property
    def emotions(self) -> tuple[str, ...]:
        """The labels that were told apart, in the order of every probability."""
        return emotions_of(self.results)

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems that have results and are shown, in canonical order, unknown ones last."""
        return shown(self.results["systems"])


def read_run(path: Path) -> Run:
    """Read a run folder. Only results.json and predictions.csv must be there, and ratings.csv of dimensions.

    Optional parts (details.json, maps, examples) that are damaged are named in the result and left out.

    Raises:
        ExperimentError: results.json or predictions.csv is missing or is not what it should be.
    """
    results = read_results(path / RESULTS_FILE)
    emotions = emotions_of(results)
    scores = _read_predictions(path / PREDICTIONS_FILE, emotions)
    unreadable: list[str] = []
    details: dict[str, Any] = {}
    if (path / DETAILS_FILE).exists():
        try:
            details = read_json_object(path / DETAILS_FILE, fix="evaluate again")
        except ExperimentError as error:
            unreadable.append(str(error))
    maps = _read_all(path / "maps", lambda file: _read_map(file, len(emotions)), unreadable)
    examples = _read_all(path / "examples", lambda file: _read_example(file, len(emotions)), unreadable)
    ratings = read_ratings(path / RATINGS_FILE) if results.get("dimensions") else {}
    return Run(path, results, scores, details, maps, examples, tuple(unreadable), ratings)


def _read_all(folder: Path, read: Callable[[Path], T], unreadable: list[str]) -> tuple[T, ...]:
    """What can be read of a folder of .npz files; the reasons of the others are added to ``unreadable``."""
    found = []
    for file in sorted(folder.glob("*.npz")):
        try:
            found.append(read(file))
        except _DAMAGED as error:
            unreadable.append(f"{file.name}: {error}")
    return tuple(found)


def write_predictions(run: Path, table: Iterable[PredictionRow], emotions: Sequence[str]) -> None:
    """Write predictions.csv: one line per take and system, probabilities in full precision.

    Args:
        run: the folder.
        table: the lines.
        emotions: the labels of the run, each a column.
    """
    text = io.StringIO()
    names = ["take", "clip", "actor", "emotion", "fold", "system", *emotions]
    write_csv(
        text,
        names,
        (
            [row.take, row.clip, row.actor, emotions[row.emotion], row.fold, row.system,
             *(repr(float(p)) for p in row.probabilities)]
            for row in table
        ),
    )  # fmt: skip
    write_atomically(run / PREDICTIONS_FILE, text.getvalue().encode())


def _read_predictions(path: Path, emotions: tuple[str, ...]) -> dict[str, Scores]:
    by_system: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for cells in csv.DictReader(bounded_lines(file)):
                row = {name: cell_text(cell) for name, cell in cells.items()}
                by_system.setdefault(row["system"], []).append(row)
        return {name: _scores(by_system[name], emotions) for name in in_order(by_system)}
    except FileNotFoundError:
        raise ExperimentError(f"{path} is missing: run emofuse evaluate first") from None
    except KeyError as error:
        raise ExperimentError(f"{path} has no column {error}: evaluate again") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): evaluate again") from None


def _scores(rows: list[dict[str, str]], emotions: tuple[str, ...]) -> Scores:
    return Scores(
        takes=np.array([row["take"] for row in rows]),
        actors=np.array([row["actor"] for row in rows]),
        folds=np.array([row["fold"] for row in rows]),
        truth=np.array([emotions.index(row["emotion"]) for row in rows], dtype=np.int64),
        probabilities=np.array([[float(row[e]) for e in emotions] for row in rows], dtype=np.float64),
    )


def write_map(run: Path, found: FeatureMap) -> None:
    """Write a feature map, for the report to draw."""
    with write_atomically(run / "maps" / f"{found.name}.npz") as file:
        np.savez(file, features=found.features, takes=found.takes, emotion=found.emotion)


def _read_map(path: Path, n_emotions: int) -> FeatureMap:
    arrays = read_arrays(path)
    features = np.asarray(arrays["features"], dtype=np.float32)
    takes = np.asarray(arrays["takes"]).astype(str)
    emotion = np.asarray(arrays["emotion"]).astype(np.int64)
    if features.ndim != 2 or len(features) != len(takes) or len(takes) != len(emotion):
        raise ValueError("features, takes and emotion must have one row per clip")
    if not np.isfinite(features).all() or not ((emotion >= 0) & (emotion < n_emotions)).all():
        raise ValueError(f"features must be finite, and emotions must be 0 to {n_emotions - 1}")
    return FeatureMap(path.stem, features, takes, emotion)


def write_example(run: Path, number: int, example: Example) -> None:
    """Write an example, for the report to draw; the report shows them by number."""
    arrays: dict[str, Any] = {
        "take": example.take,
        "emotion": example.emotion,
        "predicted": example.predicted,
        "probabilities": example.probabilities,
    }
    if example.log_mel is not None:
        arrays["log_mel"] = example.log_mel
    if example.strip is not None:
        arrays["strip"] = example.strip
    with write_atomically(run / "examples" / f"{number:02d}-{example.take}.npz") as file:
        np.savez(file, **arrays)


def _read_example(path: Path, n_emotions: int) -> Example:
    arrays = read_arrays(path)
    log_mel = np.asarray(arrays["log_mel"], dtype=np.float32) if "log_mel" in arrays else None
    strip = np.asarray(arrays["strip"], dtype=np.uint8) if "strip" in arrays else None
    example = Example(
        take=str(arrays["take"]),
        emotion=str(arrays["emotion"]),
        predicted=str(arrays["predicted"]),
        probabilities=np.asarray(arrays["probabilities"], dtype=np.float64),
        log_mel=log_mel,
        strip=strip,
    )
    if example.probabilities.shape != (n_emotions,):
        raise ValueError(f"probabilities must be ({n_emotions},), got {example.probabilities.shape}")
    for name, array, n_axes in (("log_mel", log_mel, 2), ("strip", strip, 3)):
        if array is not None and (array.ndim != n_axes or not array.size or not np.isfinite(array).all()):
            raise ValueError(f"{name} must have {n_axes} axes, not be empty and be finite")
    return example
