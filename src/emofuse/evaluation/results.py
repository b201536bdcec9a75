"""What a run folder holds, read into records. Only results.json and predictions.csv must be there."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS

SYSTEMS: Final[dict[str, str]] = {
    "voice": "Voice alone",
    "face": "Face alone",
    "fused:pool": "Fusion by calibrated product",
    "fused:lr": "Fusion by logistic regression",
    "fused:pca-lr": "Fusion by PCA and logistic regression",
    "fused:svm": "Fusion by support vector machine",
    "fused:nn": "Fusion by neural network",
    "fused": "Fusion, chosen on inner folds",
}
"""What may be compared, in the order of every table and figure."""

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Scores:
    """Every out-of-fold answer of one system.

    ``takes``, ``actors``, ``folds``: (n,) text; ``truth``: (n,) int64; ``probabilities``: (n, 8) float64.
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


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """Joined features of one fold's test clips: (n, d) float32, (n,) takes, (n,) emotion."""

    name: str
    features: NDArray[np.float32]
    takes: NDArray[np.str_]
    emotion: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Example:
    """One clip that was taken, with confidence, for something else.

    ``log_mel``: (n_mels, n_frames) float32 or None; ``strip``: (k, height, width) uint8 or None;
    ``probabilities``: (8,) float64.
    """

    take: str
    emotion: str
    predicted: str
    probabilities: NDArray[np.float64]
    log_mel: NDArray[np.float32] | None
    strip: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as far as its folder has it."""

    path: Path
    results: Mapping[str, Any]
    scores: Mapping[str, Scores]
    details: Mapping[str, Any] = field(default_factory=dict)
    maps: tuple[FeatureMap, ...] = ()
    examples: tuple[Example, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Optional parts that are there and cannot be read, each with its reason."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems that have results, in the house's order, unknown ones last."""
        return in_order(self.results["systems"])


def in_order(systems: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of systems as every table and figure lists them."""
    known = [name for name in SYSTEMS if name in systems]
    return tuple(known + sorted(set(systems) - set(SYSTEMS)))


def title(system: str) -> str:
    """What a system is called in the report."""
    return SYSTEMS.get(system, system)


def natural(label: str) -> tuple[int, str]:
    """Sort key that puts actor 2 before actor 10."""
    return (int(label), "") if label.isascii() and label.isdigit() else (2**31, label)


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json.

    Raises:
        ExperimentError: it is missing, is not JSON or is not what ``emofuse evaluate`` writes.
    """
    results = _read_json(path, mend="run emofuse evaluate first")
    systems = results.get("systems")
    if results.get("schema") != 1 or not isinstance(systems, dict) or not systems:
        raise ExperimentError(f"{path}: not results of emofuse evaluate, schema 1: evaluate again")
    return results


def read_run(path: Path) -> Run:
    """Read a run folder.

    Optional parts (details.json, maps, examples) that are damaged are named in the result and left out.

    Raises:
        ExperimentError: results.json or predictions.csv is missing or is not what it should be.
    """
    results = read_results(path / "results.json")
    scores = _read_predictions(path / "predictions.csv")
    unreadable: list[str] = []
    details: dict[str, Any] = {}
    if (path / "details.json").exists():
        try:
            details = _read_json(path / "details.json", mend="evaluate again")
        except ExperimentError as error:
            unreadable.append(str(error))
    maps, examples = [], []
    for file in sorted((path / "maps").glob("*.npz")):
        try:
            maps.append(_read_map(file))
        except _DAMAGED as error:
            unreadable.append(f"{file.name}: {error}")
    for file in sorted((path / "examples").glob("*.npz")):
        try:
            examples.append(_read_example(file))
        except _DAMAGED as error:
            unreadable.append(f"{file.name}: {error}")
    return Run(path, results, scores, details, tuple(maps), tuple(examples), tuple(unreadable))


def _read_json(path: Path, *, mend: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExperimentError(f"{path} is missing: {mend}") from None
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): {mend}") from None
    if not isinstance(data, dict):
        raise ExperimentError(f"{path} is not a JSON object: {mend}")
    return data


def _read_predictions(path: Path) -> dict[str, Scores]:
    by_system: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                by_system.setdefault(row["system"], []).append(row)
        return {name: _scores(by_system[name]) for name in in_order(by_system)}
    except FileNotFoundError:
        raise ExperimentError(f"{path} is missing: run emofuse evaluate first") from None
    except KeyError as error:
        raise ExperimentError(f"{path} has no column {error}: evaluate again") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): evaluate again") from None


def _scores(rows: list[dict[str, str]]) -> Scores:
    return Scores(
        takes=np.array([row["take"] for row in rows]),
        actors=np.array([row["actor"] for row in rows]),
        folds=np.array([row["fold"] for row in rows]),
        truth=np.array([EMOTIONS.index(row["emotion"]) for row in rows], dtype=np.int64),
        probabilities=np.array([[float(row[e]) for e in EMOTIONS] for row in rows], dtype=np.float64),
    )


def _read_map(path: Path) -> FeatureMap:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        features = np.asarray(arrays["features"], dtype=np.float32)
        takes = np.asarray(arrays["takes"]).astype(str)
        emotion = np.asarray(arrays["emotion"]).astype(np.int64)
    if features.ndim != 2 or len(features) != len(takes) or len(takes) != len(emotion):
        raise ValueError("features, takes and emotion must have one row a clip")
    if not np.isfinite(features).all() or not ((emotion >= 0) & (emotion < len(EMOTIONS))).all():
        raise ValueError("features must be finite, and emotions must be 0 to 7")
    return FeatureMap(path.stem, features, takes, emotion)


def _read_example(path: Path) -> Example:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
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
    if example.probabilities.shape != (len(EMOTIONS),):
        raise ValueError(f"probabilities must be (8,), got {example.probabilities.shape}")
    for name, array, n_axes in (("log_mel", log_mel, 2), ("strip", strip, 3)):
        if array is not None and (array.ndim != n_axes or not array.size or not np.isfinite(array).all()):
            raise ValueError(f"{name} must have {n_axes} axes, not be empty and be finite")
    return example
