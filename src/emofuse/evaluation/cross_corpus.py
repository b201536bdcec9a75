"""Across corpora: every corpus against every other, all others against each, and each within itself.

The features of all corpora are read once. A cell of the matrix is a training on some corpora and a test on
another, among the labels that both have; the test corpus is in nothing that is fitted. Cells are independent
and kept when they are done.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.common_labels import common_labels, meet_labels, occurring_labels
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.corpus.joined import join_corpora
from emofuse.evaluation.contamination import SeenBefore, bundle_seen, contaminated_by, seen_before
from emofuse.evaluation.cross_cells import Cell, CellPlan, all_cells, plan_cell
from emofuse.evaluation.cross_picture import write_pictures
from emofuse.evaluation.cross_results import (
    SCHEMA,
    CellEntry,
    CellFile,
    CorpusFacts,
    CrossResults,
    SystemEntry,
    entry_of,
    write_cross,
)
from emofuse.evaluation.fold_audit import audit_folds
from emofuse.evaluation.fold_outputs import FusedFold, fold_predictions, fuse_fold
from emofuse.evaluation.results import Stopwatch
from emofuse.evaluation.run_files import PredictionRow
from emofuse.recognition.bundle import Bundle
from emofuse.system.file_lock import locked_folder
from emofuse.training.dataset import Dataset, read_dataset
from emofuse.training.group_normalization import (
    NORMALIZATIONS,
    Normalization,
    check_normalization,
    normalized,
)
from emofuse.training.jobs import pretrained_sha256, run_network_job
from emofuse.training.measured import measure_bundle
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import claim_run, read_run_json, software, write_json

FOLDS = 5
"""Of a corpus by itself; fewer where it has fewer speakers."""
CELLS = "cells"
_CELL_FILE = "cell.json"


@dataclass(frozen=True, slots=True)
class _Task:
    """One cell, for another process."""

    plan: CellPlan
    dataset: Dataset
    recipe: Recipe
    folder: Path


def cross(
    corpora: Sequence[Corpus],
    recipe: Recipe,
    run: Path,
    resources: Resources = ONE_PROCESS,
    *,
    conditions: Sequence[str] = tuple(NORMALIZATIONS),
    bundles: Mapping[str, Bundle] | None = None,
) -> CrossResults:
    """Measure a recipe across corpora.

    Args:
        corpora: two or more, of different names.
        recipe: what is fitted, and how; networks for enrolled speakers are left out.
        run: folder of the results; an interrupted run in it resumes, cell by cell.
        resources: processes, device, stored features, progress.
        conditions: names of :data:`~emofuse.training.group_normalization.NORMALIZATIONS`.
        bundles: finished recognizers by name, each a row of the matrix; nothing is fitted for them.

    Returns:
        What ``run``/cross.json holds.

    Raises:
        ExperimentError: there are too few corpora, two share a recording, an unknown condition, or ``run``
            holds another run.
        CorpusError: two corpora have the same name.
    """
    chosen = [check_normalization(name, recipe) for name in dict.fromkeys(conditions)]
    if len(corpora) < 2:
        raise ExperimentError("across corpora there must be two or more")
    with locked_folder(run), resources.computing():
        return _cross(corpora, recipe, run, resources, chosen, bundles or {})


def _cross(
    corpora: Sequence[Corpus],
    recipe: Recipe,
    run: Path,
    resources: Resources,
    conditions: Sequence[Normalization],
    bundles: Mapping[str, Bundle],
) -> CrossResults:
    stopwatch, joined = Stopwatch(), join_corpora(corpora)
    told, recipe = recipe, recipe.model_copy(update={"enrolment": None})
    names = [corpus.name for corpus in corpora]
    weights = pretrained_sha256(recipe, joined)
    dataset = read_dataset(joined, recipe, run / "work", resources)
    claim_run(run, {
        "recipe": told.hash(), "pretrained_sha256": weights, "protocol": f"cross-{FOLDS}",
        "corpus": dataset.fingerprint, **resources.marks(told),
    })  # fmt: skip
    plans = []
    for condition in conditions:
        inputs = normalized(dataset.inputs, condition, run / "work" / condition)
        own = [cell for cell in all_cells(names, conditions) if cell.condition == condition]
        plans += [plan_cell(cell, joined, dataset, inputs, recipe, FOLDS) for cell in own]
    _check(plans, dataset)
    parts = seen_before(recipe)
    cells = _measured(plans, dataset, recipe, run, resources)
    cells = [{**cell, "seen_before": contaminated_by(parts, cell["test"])} for cell in cells]
    for name, bundle in bundles.items():
        own_parts = [bundle_seen(name, bundle), *seen_before(bundle.recipe)]
        cells += [_of_bundle(name, bundle, one, own_parts, recipe.seed, resources) for one in corpora]
        parts += own_parts
    results: CrossResults = {
        "schema": SCHEMA,
        "recipe": {"name": told.name, "hash": told.hash(), "settings": told.model_dump(mode="json")},
        "seed": recipe.seed,
        "protocol": f"within a corpus: {FOLDS} folds of its speakers, fewer where it has fewer; across "
        "corpora: all speakers of the test corpus, none of whom is trained on",
        "conditions": {name: NORMALIZATIONS[name] for name in conditions},
        "corpora": [_facts(corpus, dataset) for corpus in corpora],
        "pretrained": [part.as_dict() for part in {part.part: part for part in parts}.values()],
        "cells": [entry_of(cell) for cell in cells],
        "notes": [*dataset.notes, *resources.notes(recipe)],
        "software": software(),
        "compute": dict(resources.compute.entry()),
        "command": sys.argv[1:],
        "seconds": stopwatch.seconds,
    }
    write_cross(run, results, cells)
    write_pictures(run, results)
    dataset.forget()
    for condition in conditions:
        shutil.rmtree(run / "work" / condition, ignore_errors=True)
    return results


def _check(plans: Sequence[CellPlan], dataset: Dataset) -> None:
    """Check, before anything is trained, that no fold of any cell shares a speaker or a recording."""
    folds = [
        replace(fold, name=f"{plan.cell.name}, {fold.name}")
        for plan in plans
        if plan.cell.condition == plans[0].cell.condition  # the same folds in all conditions
        for fold in plan.folds
    ]
    audit_folds(folds, dataset.takes, dataset.inputs, speaker_independent=True)


def _measured(
    plans: Sequence[CellPlan], dataset: Dataset, recipe: Recipe, run: Path, resources: Resources
) -> list[CellFile]:
    """The cells in their order; the longest are begun first."""
    order = sorted(range(len(plans)), key=lambda i: -plans[i].cost)
    tasks = [
        (_Task(plans[i], dataset, recipe, run / CELLS / plans[i].cell.folder),)
        for i in order
    ]  # fmt: skip
    found = dict(zip(order, resources.map("cells", measure_cell, tasks), strict=True))
    return [found[i] for i in range(len(plans))]


def measure_cell(task: _Task) -> CellFile:
    """Train and test one cell; one that is done is read."""
    path = task.folder / _CELL_FILE
    if path.is_file():
        known: CellFile = read_run_json(path)
        return known
    plan, work = task.plan, task.folder / "work"
    found = _empty(plan)
    if plan.problem is None:
        for job in plan.jobs:
            run_network_job(job, plan.inputs, task.recipe, work)
        table = _predictions(task, work)
        found.update(_figures(table, plan, task.recipe.seed))  # type: ignore[typeddict-item]
    task.folder.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    shutil.rmtree(work, ignore_errors=True)  # networks are of no use but for these figures
    return found


def _predictions(task: _Task, work: Path) -> list[PredictionRow]:
    plan = task.plan
    dataset = replace(task.dataset, inputs=plan.inputs)
    table = []
    for fold, of_fold in zip(plan.folds, plan.plans, strict=True):
        fused: FusedFold = {"rows": [], "chosen": None, "probabilities": {}, "tuning": []}
        if len(plan.inputs.modalities) > 1:
            fused = fuse_fold(of_fold, plan.inputs, task.recipe, work)
        table += list(fold_predictions(fold, of_fold, dataset, task.recipe, work, fused))
    return table


def _empty(plan: CellPlan) -> CellFile:
    cell = plan.cell
    return {
        "condition": cell.condition,
        "kind": cell.kind,
        "train": list(cell.train),
        "test": cell.test,
        "labels": list(plan.common.labels),
        "merged": dict(plan.common.merged),
        "left_out": [{"corpus": c, "label": label, "takes": n} for c, label, n in plan.left_out],
        "folds": len(plan.folds),
        "systems": {},
        "recall": {},
        "seen_before": [],
        "problem": plan.problem,
        "takes": [],
    }


def _figures(table: Sequence[PredictionRow], plan: CellPlan, seed: int) -> dict[str, Any]:
    labels = plan.common.labels
    systems = ["fused", *plan.inputs.modalities] if len(plan.inputs.modalities) > 1 else ["fused"]
    rows = {name: [row for row in table if row.system == name] for name in systems}
    if not rows["fused"]:
        return {"problem": "no test take has what the recipe reads"}
    fused = rows["fused"]
    truth, predicted = _decisions(fused)
    recall = metrics.recall_per_class(truth, predicted, len(labels))
    return {
        "systems": {name: _system(own, seed) for name, own in rows.items() if own},
        "recall": {
            label: float(value) for label, value in zip(labels, recall, strict=True) if not np.isnan(value)
        },
        "takes": [
            {
                "take": row.take,
                "speaker": row.actor,
                "fold": row.fold,
                "emotion": labels[row.emotion],
                "predicted": labels[int(row.probabilities.argmax())],
                "confidence": round(float(row.probabilities.max()), 6),
            }
            for row in fused
        ],
    }


def _decisions(rows: Sequence[PredictionRow]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return (
        np.array([row.emotion for row in rows], dtype=np.int64),
        np.array([row.probabilities.argmax() for row in rows], dtype=np.int64),
    )


def _system(rows: Sequence[PredictionRow], seed: int) -> SystemEntry:
    truth, predicted = _decisions(rows)
    speakers = np.array([row.actor for row in rows])
    n_speakers = len(np.unique(speakers))
    intervals = [
        list(metrics.bootstrap_interval(metric, truth, predicted, speakers, seed=seed))
        if n_speakers > 1
        else None
        for metric in (metrics.accuracy, metrics.uar)
    ]
    return {
        "n": len(rows),
        "n_speakers": n_speakers,
        "accuracy": metrics.accuracy(truth, predicted),
        "accuracy_ci95": intervals[0],
        "uar": metrics.uar(truth, predicted),
        "uar_ci95": intervals[1],
    }


def _of_bundle(
    name: str, bundle: Bundle, corpus: Corpus, parts: Sequence[SeenBefore], seed: int, resources: Resources
) -> CellFile:
    """A finished recognizer on one corpus; what it was trained on is in its provenance."""
    cell = Cell("none", "recognizer", (name,), corpus.name)
    common = common_labels([bundle.emotions], occurring_labels(corpus))
    # a recognizer that knows calm is asked among neutral and calm, and calm is then read as neutral
    found: CellFile = {
        **_empty(CellPlan(cell, common, inputs=None)),  # type: ignore[arg-type]
        "seen_before": contaminated_by(parts, corpus.name),
    }
    try:
        figures = measure_bundle(bundle, meet_labels(corpus, common), seed, resources)
    except ExperimentError as error:
        return {**found, "problem": str(error)}
    found["systems"] = {
        "fused": {
            "n": figures["n"],
            "n_speakers": figures["n_actors"],
            "accuracy": figures["accuracy"],
            "accuracy_ci95": figures["accuracy_ci95"],
            "uar": figures["uar"],
            "uar_ci95": figures["uar_ci95"],
        }
    }
    found["labels"] = figures["emotions"]
    return found


def _facts(corpus: Corpus, dataset: Dataset) -> CorpusFacts:
    own = [take for take in dataset.takes if take.facts[CORPUS_FACT] == corpus.name]
    counts = Counter(str(take.emotion) for take in own)
    return {
        "name": corpus.name,
        "licence": corpus.licence,
        "takes": len(own),
        "speakers": len({take.speaker for take in own}),
        "labels": {label: counts[label] for label in corpus.emotions if counts[label]},
    }


def cell_of(results: CrossResults, condition: str, train: Sequence[str], test: str) -> CellEntry | None:
    """One cell of the results; None where there is none."""
    return next(
        (
            cell
            for cell in results["cells"]
            if (cell["condition"], cell["train"], cell["test"]) == (condition, list(train), test)
        ),
        None,
    )
