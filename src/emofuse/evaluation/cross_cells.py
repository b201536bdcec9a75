"""The cells of a matrix across corpora: who is trained on, who is tested, on which labels, in which folds."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.common_labels import CommonLabels, common_labels
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.evaluation.fold_outputs import plan_name
from emofuse.training.dataset import Dataset, Inputs
from emofuse.training.group_normalization import Normalization
from emofuse.training.label_space import supervision_of
from emofuse.training.plan import NetworkJob, Plan, make_plan, network_jobs
from emofuse.training.supervision import Supervision

Kind = Literal["within", "pair", "rest", "recognizer"]

KINDS: Final[dict[Kind, str]] = {
    "within": "trained on other speakers of the same corpus, in folds",
    "pair": "trained on one other corpus",
    "rest": "trained on all other corpora",
    "recognizer": "a finished recognizer, not trained here",
}
"""What a cell is."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the matrix. ``train``: names of corpora, or of a recognizer."""

    condition: Normalization
    kind: Kind
    train: tuple[str, ...]
    test: str

    @property
    def name(self) -> str:
        """For people: ``RAVDESS + nEMO → EMO-DB``."""
        if self.kind == "within":
            return f"within {self.test}"
        return f"{' + '.join(self.train)} → {self.test}"

    @property
    def folder(self) -> str:
        """A name for files, the same on every system, different for every cell."""
        whole = "\n".join((self.condition, self.kind, *self.train, self.test))
        plain = re.sub(r"[^a-z0-9]+", "-", f"{'-'.join(self.train)}-to-{self.test}".lower()).strip("-")[:60]
        return f"{self.condition}-{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell and what it is fitted and tested on; ``problem`` says why it cannot be measured."""

    cell: Cell
    common: CommonLabels
    inputs: Inputs
    """Of all takes; labels of those that are left out say nothing."""
    folds: tuple[Fold, ...] = ()
    plans: tuple[Plan, ...] = ()
    jobs: tuple[NetworkJob, ...] = ()
    """The networks of all folds."""
    left_out: tuple[tuple[str, str, int], ...] = ()
    """(corpus, label, takes) that only one side has."""
    problem: str | None = None

    @property
    def cost(self) -> int:
        """Grows with the time that it takes: rows that are trained on, over all folds."""
        return sum(len(plan.train) for plan in self.plans)


def all_cells(corpora: Sequence[str], conditions: Sequence[Normalization]) -> list[Cell]:
    """Every corpus by itself, every pair, and from three corpora on each against all others."""
    cells = []
    for condition in conditions:
        cells += [Cell(condition, "within", (name,), name) for name in corpora]
        cells += [
            Cell(condition, "pair", (train,), test) for train in corpora for test in corpora if train != test
        ]
        if len(corpora) > 2:
            cells += [
                Cell(condition, "rest", tuple(other for other in corpora if other != name), name)
                for name in corpora
            ]
    return cells


def plan_cell(
    cell: Cell, corpus: Corpus, dataset: Dataset, inputs: Inputs, recipe: Recipe, n_folds: int
) -> CellPlan:
    """Which takes a cell trains on and tests, and how the training speakers are split.

    Args:
        cell: not of kind "recognizer".
        corpus: all corpora, joined.
        dataset: its takes.
        inputs: its features, as the cell's condition reads them.
        recipe: what is fitted.
        n_folds: of a corpus by itself; fewer where it has fewer speakers.

    Returns:
        Its plan; with a problem where the corpora have too few labels in common, or too few speakers.
    """
    corpora = np.array([take.facts[CORPUS_FACT] for take in dataset.takes])
    labels = np.array([take.emotion or "" for take in dataset.takes])
    occurring = {name: {*labels[corpora == name].tolist()} - {""} for name in (*cell.train, cell.test)}
    common = common_labels([occurring[name] for name in cell.train], occurring[cell.test])
    meant = np.array([common.of(label) or "" for label in labels.tolist()])
    lost = Counter(
        (corpus, label)
        for corpus, label, kept in zip(corpora.tolist(), labels.tolist(), meant.tolist(), strict=True)
        if corpus in occurring and label and not kept
    )
    left_out = tuple((corpus, label, count) for (corpus, label), count in sorted(lost.items()))
    if len(common.labels) < 2:
        why = f"fewer than two labels in common ({', '.join(common.labels) or 'none'})"
        return CellPlan(cell, common, inputs, left_out=left_out, problem=why)
    index = {label: i for i, label in enumerate(common.labels)}
    own = replace(
        inputs,
        labels=np.array([index.get(label, 0) for label in meant.tolist()], dtype=np.int64),
        emotions=common.labels,
        supervision=_supervision(corpus, dataset, common, occurring),
        distinguished={name: common.of_all(found) for name, found in occurring.items()},
    )
    usable = meant != ""
    try:
        folds = _folds(cell, dataset, corpora, usable, n_folds)
        plans = tuple(make_plan(plan_name(fold), own, fold.train, fold.test, recipe) for fold in folds)
        jobs = tuple(job for plan in plans for job in network_jobs(plan, own, recipe))
    except ExperimentError as error:
        return CellPlan(cell, common, own, left_out=left_out, problem=str(error))
    return CellPlan(cell, common, own, folds, plans, jobs, left_out)


def _folds(
    cell: Cell, dataset: Dataset, corpora: NDArray[np.str_], usable: NDArray[np.bool_], n_folds: int
) -> tuple[Fold, ...]:
    test = np.flatnonzero(usable & (corpora == cell.test))
    if cell.kind == "within":
        takes = [dataset.takes[row] for row in test]
        k = min(n_folds, len({take.speaker for take in takes}))
        found = get_protocol(f"actors-{max(k, 2)}").folds(takes)
        return tuple(
            replace(
                fold,
                train=tuple(int(test[i]) for i in fold.train),
                test=tuple(int(test[i]) for i in fold.test),
            )
            for fold in found
        )
    train = np.flatnonzero(usable & np.isin(corpora, cell.train))
    people = tuple(sorted({dataset.takes[row].speaker for row in test}))
    return (Fold(0, "fold 1", tuple(train.tolist()), tuple(test.tolist()), people),)


def _supervision(
    corpus: Corpus, dataset: Dataset, common: CommonLabels, occurring: Mapping[str, Collection[str]]
) -> Supervision | None:
    """Where a training corpus lacks a label that another has, its clips are no evidence against it."""
    parts = tuple(
        replace(part, emotions=common.of_all(occurring.get(part.name, ())) or common.labels)
        for part in corpus.parts
    )
    takes = [replace(take, shares=common.of_shares(take.shares)) for take in dataset.takes]
    return supervision_of(takes, replace(corpus, parts=parts), common.labels)
