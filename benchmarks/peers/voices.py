"""Voices of RAVDESS: tables of features that other programs made, and runs of emofuse, in the same folds.

    python benchmarks/peers/voices.py --ravdess DIR --table NAME=TABLE.npy --run NAME=RUN --out voices.csv

Each table is read by three classifiers. In each fold of the protocol, features are standardized by the
training speakers; the cost of the classifier is the one that is right most often in inner folds of training
speakers; nothing else is chosen. A second time with ``:own`` in its name, features are standardized by the
speaker's own recordings first, without their labels. That is transductive: the recordings that are
scored are among them. A run of emofuse is of the same takes and folds, or an error; its voice is taken.

Writes a row per take: the emotion that is expressed, and what each system predicts. The costs that were
chosen, the folds and versions are in the .json of the same name.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from emofuse.core.labels import EMOTIONS, emotion_index
from emofuse.corpus.folds import Fold, get_protocol, inner_folds
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.run_files import read_run

PROTOCOL = "six-fold"
INNER_FOLDS = 4
CLASSIFIERS = ("linear SVM", "RBF SVM", "logistic regression")
COSTS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""C of scikit-learn, for features whose squares sum to about 1: see :func:`standardized`."""
OWN = ":own"
"""Ends the name of a system that knows the mean and spread of each speaker's recordings."""

COLUMNS = ("take", "actor", "fold", "expressed")

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Voices:
    """Takes with their folds. ``takes``, ``speakers``: (n,) text; ``labels``: (n,) int64."""

    takes: NDArray[np.str_]
    speakers: NDArray[np.str_]
    labels: Labels
    folds: tuple[Fold, ...]

    @property
    def fold_of(self) -> NDArray[np.str_]:
        """(n,) the number of the fold that tests a take, from 1 on."""
        out = np.full(len(self.takes), "", dtype="U2")
        for fold in self.folds:
            out[list(fold.test)] = str(fold.index + 1)
        return out


def main() -> None:
    """Predict every take by every system, and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--table", action="append", default=[], metavar="NAME=TABLE.npy")
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--add", action="store_true", help="keep the systems that are in OUT already")
    given = parser.parse_args()
    voices = read_voices(given.ravdess)
    systems, costs, recipes = read_systems(given.out, voices) if given.add else ({}, {}, {})
    for name, table in named(given.table).items():
        plain = read_table(table, voices.takes)
        for ending, values in (("", plain), (OWN, standardized_by_speaker(plain, voices.speakers))):
            for classifier in CLASSIFIERS:
                system = f"{name}, {classifier}{ending}"
                systems[system], costs[system] = out_of_fold(values, voices, classifier)
                right = float((systems[system] == voices.labels).mean())
                print(f"{system}: {100 * right:.1f}, costs {costs[system]}", flush=True)
    for name, folder in named(given.run).items():
        systems[name], recipes[name] = of_run(folder, voices)
    write(given.out, voices, systems)
    facts = {
        "protocol": PROTOCOL, "inner_folds": INNER_FOLDS, "costs": costs, "recipes": recipes,
        "folds": {f"{fold.index + 1}": list(fold.test_actors) for fold in voices.folds},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("emofuse", "numpy", "scikit-learn")},
    }  # fmt: skip
    given.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_systems(
    path: Path, voices: Voices
) -> tuple[dict[str, Labels], dict[str, list[float]], dict[str, Mapping[str, Any]]]:
    """What an earlier run on the same takes wrote: answers, costs and recipes by system."""
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = np.array(EMOTIONS)
    for column, ours in zip(
        COLUMNS, (voices.takes, voices.speakers, voices.fold_of, names[voices.labels]), strict=True
    ):
        if [row[column] for row in rows] != ours.tolist():
            raise SystemExit(f"{path}: another {column}")
    systems = {
        name: np.array([emotion_index(row[name]) for row in rows], dtype=np.int64)
        for name in rows[0]
        if name not in COLUMNS
    }
    return systems, facts["costs"], facts["recipes"]


def named(pairs: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH of the command line."""
    return {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs)}


def read_voices(ravdess: Path) -> Voices:
    """The spoken takes, and the folds that are not empty."""
    takes = [take for take in load_corpus(ravdess).takes() if take.voice is not None and take.emotion]
    return Voices(
        np.array([take.take for take in takes]),
        np.array([take.speaker for take in takes]),
        np.array([emotion_index(str(take.emotion)) for take in takes]),
        get_protocol(PROTOCOL).folds(takes),
    )


def read_table(path: Path, takes: NDArray[np.str_]) -> Values:
    """(n, n_values) the rows of takes: a recording is called as the audio file of its take."""
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        rows = {Path(row["file"]).stem: number for number, row in enumerate(csv.DictReader(file))}
    missing = [take for take in takes.tolist() if f"03-{take}" not in rows]
    if missing:
        raise SystemExit(f"{path}: no row for {len(missing)} takes, such as {missing[0]}")
    values = np.load(path, allow_pickle=False)
    return np.asarray(values[[rows[f"03-{take}"] for take in takes.tolist()]], dtype=np.float64)


def standardized(values: Values, fitted_on: Rows | slice) -> Values:
    """Features with mean 0 and spread 1 over some rows, divided by the root of their number.

    A feature that is the same in all of those rows says nothing, and becomes 0.
    """
    mean, spread = values[fitted_on].mean(axis=0), values[fitted_on].std(axis=0)
    varies = spread > 1e-9 * (1 + np.abs(mean))
    scaled = (values - mean) / np.where(varies, spread, 1.0)
    return np.asarray(np.where(varies, scaled, 0.0) / np.sqrt(values.shape[1]))


def standardized_by_speaker(values: Values, speakers: NDArray[np.str_]) -> Values:
    """The same for each speaker over the speaker's own rows."""
    out = np.empty_like(values)
    for speaker in np.unique(speakers):
        own = speakers == speaker
        out[own] = standardized(values[own], slice(None))
    return out


def out_of_fold(values: Values, voices: Voices, classifier: str) -> tuple[Labels, list[float]]:
    """What a classifier that had not heard the speaker predicts for every take, and each fold's cost."""
    predicted = np.full(len(values), -1, dtype=np.int64)
    costs = []
    with threadpool_limits(1):
        for fold in voices.folds:
            train, test = np.array(fold.train), np.array(fold.test)
            cost = best_cost(values[train], voices.labels[train], voices.speakers[train], classifier)
            (predicted[test],) = predictions(values, voices.labels, train, test, classifier, [cost])
            costs.append(cost)
    return predicted, costs


def best_cost(values: Values, labels: Labels, speakers: NDArray[np.str_], classifier: str) -> float:
    """The cost that is right most often in inner folds of these speakers; of equals the smallest."""
    right = np.zeros(len(COSTS))
    for held_out in inner_folds(speakers.tolist(), INNER_FOLDS):
        tested = np.isin(speakers, held_out)
        train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
        found = predictions(values, labels, train, test, classifier, COSTS)
        right += [(one == labels[test]).sum() for one in found]
    return COSTS[int(right.argmax())]


def predictions(
    values: Values, labels: Labels, train: Rows, test: Rows, classifier: str, costs: Sequence[float]
) -> list[Labels]:
    """What is predicted for the test rows by classifiers fitted on the training rows, one for each cost."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    scaled = standardized(values, train)
    if classifier == "logistic regression":
        fitted_on, asked = rotated(scaled[train], scaled[test])
        models: list[Any] = [LogisticRegression(C=cost, max_iter=5000) for cost in costs]
    else:
        fitted_on, asked = kernels(scaled, train, test, radial=classifier == "RBF SVM")
        models = [SVC(C=cost, kernel="precomputed") for cost in costs]
    return [np.asarray(model.fit(fitted_on, labels[train]).predict(asked)) for model in models]


def kernels(scaled: Values, train: Rows, test: Rows, *, radial: bool) -> tuple[Values, Values]:
    """(n_train, n_train) and (n_test, n_train): products, or Gaussians of the distances."""
    products = scaled @ scaled[train].T
    if radial:
        squares = (scaled**2).sum(axis=1)
        products = np.exp(2 * products - squares[:, None] - squares[None, train])
    return products[train], products[test]


def rotated(train: Values, test: Values) -> tuple[Values, Values]:
    """The same points in the directions that training rows span: logistic regression is the same there."""
    directions = np.linalg.svd(train, full_matrices=False)[2]
    return train @ directions.T, test @ directions.T


def of_run(folder: Path, voices: Voices) -> tuple[Labels, Mapping[str, Any]]:
    """What the voice of a run of ``emofuse evaluate`` predicts for every take, and the run's recipe."""
    run = read_run(folder)
    scores = run.scores["voice"]
    row_of = {take: row for row, take in enumerate(scores.takes.tolist())}
    rows = np.array([row_of.get(take, -1) for take in voices.takes.tolist()])
    if len(row_of) != len(rows) or (rows < 0).any():
        raise SystemExit(f"{folder}: {len(row_of)} takes, and not the {len(rows)} of the corpus")
    for what, theirs, ours in (
        ("labels", scores.truth, voices.labels),
        ("speakers", scores.actors, voices.speakers),
        ("folds", scores.folds, voices.fold_of),
    ):
        if not np.array_equal(theirs[rows], ours):
            raise SystemExit(f"{folder}: other {what}")
    recipe = run.results["recipe"]
    return scores.predicted[rows], {key: recipe[key] for key in ("name", "hash")} | {
        "seed": recipe["settings"]["seed"]
    }


def write(out: Path, voices: Voices, systems: Mapping[str, Labels]) -> None:
    """A row per take."""
    out.parent.mkdir(parents=True, exist_ok=True)
    names = np.array(EMOTIONS)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *systems])
        columns = [voices.takes, voices.speakers, voices.fold_of, names[voices.labels]]
        writer.writerows(zip(*columns, *(names[one] for one in systems.values()), strict=True))


if __name__ == "__main__":
    main()
