"""Protocol × recipe → out-of-fold predictions and figures. Nothing else walks folds to measure honestly."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.evaluation.enrollment_curve import EnrolledOutputs, query_enrolled
from emofuse.evaluation.fold_audit import check_folds
from emofuse.evaluation.fold_outputs import (
    FusedFold,
    fold_name,
    fold_plans,
    fold_predictions,
    fuse_fold,
    unenrolled_outputs,
)
from emofuse.evaluation.rating_enrollment import Enrolled, enroll_fold
from emofuse.evaluation.rating_outputs import (
    RatingRow,
    fold_ratings,
    rate_fold,
    rating_figures,
    write_ratings,
)
from emofuse.evaluation.results import Results, Stopwatch, corpus_entry, run_results, write_results
from emofuse.evaluation.run_files import (
    DETAILS_FILE,
    Example,
    FeatureMap,
    PredictionRow,
    write_example,
    write_map,
    write_predictions,
)
from emofuse.evaluation.system_metrics import FoldThresholds, figures_of
from emofuse.recognition.bundle import licence_text
from emofuse.system.atomic_write import write_atomically
from emofuse.system.file_lock import locked_folder
from emofuse.training.dataset import Dataset, Inputs, read_dataset
from emofuse.training.fusion import share_trials
from emofuse.training.jobs import load_outputs, pretrained_sha256, run_network_jobs
from emofuse.training.plan import Plan, network_jobs
from emofuse.training.rating_jobs import run_rating_jobs
from emofuse.training.rating_plan import rating_jobs
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import RunMarks, check_run, claim_run, read_run_json, write_json

_MOST_EXAMPLES = 8


def evaluate(
    corpus: Corpus,
    recipe: Recipe,
    protocol: str,
    run: Path,
    resources: Resources = ONE_PROCESS,
    notes: Sequence[str] = (),
) -> Results:
    """Measure a recipe on a corpus: every fold is held out from everything that is fitted.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how.
        protocol: name of the folds (see :mod:`emofuse.corpus.folds`).
        run: folder of the results; an interrupted run in it resumes.
        resources: executor, device, stored features, progress.
        notes: what a reader of the figures must know of the corpus.

    Returns:
        What ``run``/results.json holds.

    Raises:
        ExperimentError: ``run`` holds another run or is in use, or the corpus is too small for the protocol.
    """
    with locked_folder(run), resources.computing():
        return _evaluate(corpus, recipe, protocol, run, resources, notes)


def _evaluate(
    corpus: Corpus, recipe: Recipe, protocol: str, run: Path, resources: Resources, told: Sequence[str]
) -> Results:
    stopwatch, work = Stopwatch(), run / "work"
    pretrained = pretrained_sha256(recipe, corpus)
    chosen = get_protocol(protocol)
    marks: RunMarks = {
        "recipe": recipe.hash(),
        "pretrained_sha256": pretrained,
        "protocol": chosen.hash(),
        **resources.marks(recipe),
    }
    check_run(run, marks)
    dataset = read_dataset(corpus, recipe, work, resources)
    split = chosen.plan(dataset.takes)
    claim_run(run, {**marks, "corpus": dataset.fingerprint})
    write_atomically(work / "LICENSE.txt", licence_text(corpus.licence, corpus.name).encode())
    warnings = check_folds(split.folds, dataset, speaker_independent=chosen.speaker_independent)
    plans = fold_plans(split.folds, dataset.inputs, recipe)
    networks = [job for plan in plans for job in network_jobs(plan, dataset.inputs, recipe, thresholds=True)]
    run_network_jobs(networks, dataset.inputs, recipe, work, resources)
    ratings = [job for plan in plans for job in rating_jobs(plan, dataset.inputs, recipe)]
    run_rating_jobs(ratings, dataset.inputs, recipe, work, resources)
    fused, enrolled = _fuse(plans, dataset.inputs, recipe, work, resources)
    table = predictions(split.folds, plans, dataset, recipe, work, fused)
    figures = figures_of(table, split.folds, dataset, recipe, enrolled, fold_thresholds(split.folds, fused))
    if dataset.inputs.dimensions:
        rated, known = _rate(split.folds, plans, dataset, recipe.seed, work, resources)
        names = [fold_name(fold) for fold in split.folds]
        figures["dimensions"] = rating_figures(rated, names, dataset.inputs, recipe.seed, known)
        write_ratings(run, rated)
    results = run_results(
        recipe,
        chosen,
        corpus_entry(corpus, clips=len(dataset.takes), actors=dataset.n_speakers, takes=dataset.takes),
        figures,
        pretrained_sha256=pretrained,
        notes=[*told, *split.notes, *warnings, *dataset.notes, *resources.notes(recipe)],
        fused_choice=fused_choice(split.folds, fused),
        emotions=dataset.inputs.emotions,
        compute=resources.compute.entry(),
        stopwatch=stopwatch,
    )
    write_predictions(run, table, dataset.inputs.emotions)
    write_json(run / DETAILS_FILE, _details(dataset, plans, split.folds, fused, recipe, work))
    _write_map(run, split.folds[0], plans[0], dataset)
    _write_examples(run, table, dataset, recipe)
    write_results(run, results)
    dataset.forget()
    return results


def _fuse(
    plans: Sequence[Plan], inputs: Inputs, recipe: Recipe, work: Path, resources: Resources
) -> tuple[list[FusedFold], list[EnrolledOutputs]]:
    """The fusions of every fold, and those for enrolled speakers where the recipe has an enrollment."""
    arguments = [(plan, inputs, recipe, work) for plan in plans]
    share_trials(plans, inputs, recipe, work, resources)
    fused = resources.map("fusions", fuse_fold, arguments)
    if recipe.enrolment is None or not inputs.emotions:
        return fused, []
    with_fused = [(*one, of_fold) for one, of_fold in zip(arguments, fused, strict=True)]
    return fused, resources.map("enrolment", _enroll_fold, with_fused)


def _rate(
    folds: Sequence[Fold],
    plans: Sequence[Plan],
    dataset: Dataset,
    seed: int,
    work: Path,
    resources: Resources,
) -> tuple[list[RatingRow], list[Enrolled]]:
    """The rows of ratings.csv, fold by fold; and, of each fold, ratings of enrolled speakers."""
    found = resources.map("scales", rate_fold, [(plan, dataset.inputs, work) for plan in plans])
    rows = [
        row
        for fold, (fitted, outputs) in zip(folds, found, strict=True)
        for row in fold_ratings(fold_name(fold), fitted, outputs, dataset)
    ]
    return rows, [enroll_fold(fitted, outputs, dataset.inputs, seed) for fitted, outputs in found]


def _enroll_fold(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, fused: FusedFold) -> EnrolledOutputs:
    return query_enrolled(plan, inputs, recipe, work, unenrolled_outputs(plan, inputs, work, fused))


def predictions(
    folds: Sequence[Fold],
    plans: Sequence[Plan],
    dataset: Dataset,
    recipe: Recipe,
    work: Path,
    fused: Sequence[FusedFold],
) -> list[PredictionRow]:
    """The rows of predictions.csv, fold by fold."""
    return [
        row
        for fold, plan, of_fold in zip(folds, plans, fused, strict=True)
        for row in fold_predictions(fold, plan, dataset, recipe, work, of_fold)
    ]


def fused_choice(folds: Sequence[Fold], fused: Sequence[FusedFold]) -> dict[str, str]:
    """The classifier that was chosen in each fold; none where nothing is fused."""
    return {
        fold_name(fold): chosen
        for fold, of_fold in zip(folds, fused, strict=True)
        if (chosen := of_fold["chosen"]) is not None
    }


def fold_thresholds(folds: Sequence[Fold], fused: Sequence[FusedFold]) -> FoldThresholds:
    """The confidences from which to answer that each fold's training actors set, by system."""
    return {
        fold_name(fold): of_fold.get("thresholds", {}) for fold, of_fold in zip(folds, fused, strict=True)
    }


def _details(
    dataset: Dataset,
    plans: Sequence[Plan],
    folds: Sequence[Fold],
    fused: Sequence[FusedFold],
    recipe: Recipe,
    work: Path,
) -> dict[str, Any]:
    curves = []
    for fold, plan in zip(folds, plans, strict=True):
        for job in network_jobs(plan, dataset.inputs, recipe, thresholds=True):
            epochs = read_run_json(work / job.name / "curve.json")
            curves.append(
                {"fold": fold_name(fold), "member": job.member, "modality": job.modality, "epochs": epochs}
            )
    tuning = [
        {"fold": fold_name(fold), **one}
        for fold, of_fold in zip(folds, fused, strict=True)
        for one in of_fold["tuning"]
    ]
    return {
        "curves": curves,
        "tuning": tuning,
        "sources": dataset.sources,
        "features_notes": dataset.feature_notes,
        "failed": dataset.failed,
        "command": sys.argv[1:],
    }


def _write_map(run: Path, fold: Fold, plan: Plan, dataset: Dataset) -> None:
    """The joined feature layers of the first fold's test clips, for the report to draw."""
    inputs = dataset.inputs
    rows = inputs.having("both", plan.test)
    if len(rows) < 2 or not inputs.emotions:
        return
    first = plan.scoring[:1]
    outputs = [load_outputs(plan, modality, rows, first, run / "work") for modality in inputs.modalities]
    joined = np.concatenate([of_modality.features[0] for of_modality in outputs], axis=1)
    takes = np.array([dataset.takes[row].take for row in rows])
    write_map(run, FeatureMap(f"fused-fold-{fold_name(fold)}", joined, takes, inputs.labels[rows]))


def _write_examples(run: Path, table: Sequence[PredictionRow], dataset: Dataset, recipe: Recipe) -> None:
    """The most confident mistakes of the fusion, with the features that it read."""
    wrong = [row for row in table if row.system == "fused" and row.probabilities.argmax() != row.emotion]
    wrong.sort(key=lambda row: (-row.probabilities.max(), row.take))
    for number, row in enumerate(wrong[:_MOST_EXAMPLES], 1):
        write_example(run, number, _example(row, dataset.inputs, recipe))


def _example(row: PredictionRow, inputs: Inputs, recipe: Recipe) -> Example:
    log_mel = strip = None
    if inputs.has["voice"][row.row]:
        voice = inputs.load("voice")[row.row]
        if recipe.voice.features.kind == "log-mel":
            log_mel = voice[: recipe.voice.features.n_mels]
        elif recipe.voice.features.kind == "rosred-image":
            log_mel = voice[::-1].mean(2, dtype=np.float32)
    if inputs.has["face"][row.row] and recipe.face.features.kind == "stack":
        stack = inputs.load("face")[row.row]
        strip = stack[:: max(1, len(stack) // 8)][:8]
    return Example(
        take=row.take,
        emotion=inputs.emotions[row.emotion],
        predicted=inputs.emotions[int(row.probabilities.argmax())],
        probabilities=row.probabilities,
        log_mel=log_mel,
        strip=strip,
    )
