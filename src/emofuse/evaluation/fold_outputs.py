"""What every system outputs for the test takes of one fold: each modality alone, and each fusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core.metrics import threshold_for_coverage
from emofuse.core.recipes.fusion import Classifier
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import Fold
from emofuse.evaluation.results import System
from emofuse.evaluation.run_files import PredictionRow
from emofuse.training.dataset import Dataset, Inputs, ModalityName, Rows
from emofuse.training.fusion import FittedFusion, fit_fusion
from emofuse.training.jobs import load_outputs
from emofuse.training.plan import Plan, make_plan
from emofuse.training.run_folder import read_run_json, write_json
from emofuse.training.tuning import Tuned

FUSION_FILE: Final = "fusion.json"
COVERAGES: Final = (0.9, 0.8, 0.7, 0.5)
"""The shares of clips to answer that thresholds are chosen for."""

Thresholds = dict[str, float]
"""By coverage, such as ``"0.9"``: the confidence from which that share of the training actors is answered."""


class Tuning(TypedDict):
    """The settings that were chosen for one classifier, and their score."""

    classifier: Classifier
    best: dict[str, object]
    score: float
    trials: NotRequired[int]


class FusedFold(TypedDict):
    """What fusion.json holds: the outputs of a fold's fusions for test takes that have voice and face."""

    rows: list[int]
    chosen: Classifier | None
    """None where the corpus has one modality: nothing is fused."""
    probabilities: dict[Classifier, list[list[float]]]
    """Per classifier, one row per take."""
    tuning: list[Tuning]
    thresholds: NotRequired[dict[str, Thresholds]]
    """Of each modality and of the chosen classifier, from training actors that they had not seen."""


def fold_name(fold: Fold) -> str:
    """What a fold is called in results: 1, 2, …"""
    return str(fold.index + 1)


def plan_name(fold: Fold) -> str:
    """What a fold's plan and its folder are called: fold-1, fold-2, …"""
    return f"fold-{fold_name(fold)}"


def fold_plans(folds: Sequence[Fold], inputs: Inputs, recipe: Recipe) -> list[Plan]:
    """The plan of each fold.

    Raises:
        ExperimentError: a fold has too few training speakers.
    """
    return [make_plan(plan_name(fold), inputs, fold.train, fold.test, recipe) for fold in folds]


def fuse_fold(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path) -> FusedFold:
    """Tune and fit every fusion of a fold, and run it on the test takes; what is there is read."""
    if not inputs.emotions:
        return {"rows": [], "chosen": None, "probabilities": {}, "tuning": [], "thresholds": {}}
    if len(inputs.modalities) == 1:
        thresholds = modality_thresholds(plan, inputs, work)
        thresholds["fused"] = thresholds[inputs.modalities[0]]
        return {"rows": [], "chosen": None, "probabilities": {}, "tuning": [], "thresholds": thresholds}
    path = work / plan.name / FUSION_FILE
    if path.is_file() and "thresholds" in (known := read_fused_fold(path)):
        return known
    fusion: FittedFusion = fit_fusion(plan, inputs, recipe, work)
    rows = inputs.having("both", plan.test)
    outputs = [load_outputs(plan, modality, rows, plan.scoring, work) for modality in inputs.modalities]
    fused: FusedFold = {
        "rows": rows.tolist(),
        "chosen": fusion.chosen,
        "probabilities": {
            name: fusion.predict(name, recipe, outputs).tolist() for name in recipe.fusion.classifiers
        },
        "tuning": [{**tuning_entry(tuned), "trials": tuned.trials} for tuned in fusion.tuned],
        "thresholds": {
            **modality_thresholds(plan, inputs, work),
            "fused": thresholds_of(fusion.out_of_fold[fusion.chosen]),
        },
    }
    write_json(path, fused)
    return fused


def modality_thresholds(plan: Plan, inputs: Inputs, work: Path) -> dict[str, Thresholds]:
    """The thresholds of each modality alone, from networks that had not seen the training actors."""
    out: dict[str, Thresholds] = {}
    for modality in inputs.modalities:
        parts = []
        for member in plan.members:
            rows = member.fusion_rows[inputs.has[modality][member.fusion_rows]]
            parts.append(np.exp(load_outputs(plan, modality, rows, [member.index], work).log_probabilities))
        out[modality] = thresholds_of(np.concatenate(parts))
    return out


def thresholds_of(probabilities: NDArray[np.float64]) -> Thresholds:
    """For each of COVERAGES, the confidence from which that share of the rows is answered."""
    return {f"{share:g}": threshold_for_coverage(probabilities, share) for share in COVERAGES}


def tuning_entry(tuned: Tuned) -> Tuning:
    """Plain data for JSON."""
    return {"classifier": tuned.classifier, "best": dict(tuned.parameters), "score": tuned.score}


def read_fused_fold(path: Path) -> FusedFold:
    """Read a fusion.json."""
    fused: FusedFold = read_run_json(path)
    return fused


def probabilities_of(
    plan: Plan, modality: ModalityName, rows: Rows, work: Path
) -> dict[int, NDArray[np.float64]]:
    """Row → (n_emotions,) probabilities of a plan's networks for one modality."""
    outputs = load_outputs(plan, modality, rows, plan.scoring, work)
    return dict(zip(rows.tolist(), np.exp(outputs.log_probabilities), strict=True))


def unenrolled_outputs(
    plan: Plan, inputs: Inputs, work: Path, fused: FusedFold
) -> dict[System, dict[int, NDArray[np.float64]]]:
    """Without enrollment: row → probabilities of each system, for test takes that have voice and face.

    In a corpus of one modality, for those that have it.
    """
    rows = inputs.having("both", plan.test)
    outputs: dict[System, dict[int, NDArray[np.float64]]] = {
        modality: probabilities_of(plan, modality, rows, work) for modality in inputs.modalities
    }
    if fused["chosen"] is None:
        outputs["fused"] = outputs[inputs.modalities[0]]
    else:
        both = np.array(fused["probabilities"][fused["chosen"]])
        outputs["fused"] = dict(zip(fused["rows"], both, strict=True))
    return outputs


def fold_predictions(
    fold: Fold, plan: Plan, dataset: Dataset, recipe: Recipe, work: Path, fused: FusedFold
) -> Iterator[PredictionRow]:
    """The probabilities of every system for the test takes of a fold, system by system."""
    inputs = dataset.inputs
    outputs: dict[str, dict[int, NDArray[np.float64]]] = {}
    if not inputs.emotions:
        return
    for modality in inputs.modalities:
        rows = plan.test[inputs.has[modality][plan.test]]
        outputs[modality] = probabilities_of(plan, modality, rows, work)
    # a take that lacks a modality is judged by the other alone, whatever the fusion
    alone = {row: p for modality in inputs.modalities for row, p in outputs[modality].items()}
    chosen = fused["chosen"]
    for name in () if chosen is None else recipe.fusion.classifiers:
        both = dict(zip(fused["rows"], map(np.asarray, fused["probabilities"][name]), strict=True))
        outputs[f"fused:{name}"] = {**alone, **both}
    outputs["fused"] = alone if chosen is None else outputs[f"fused:{chosen}"]
    for system, by_row in outputs.items():
        for row in sorted(by_row):
            take = dataset.takes[row]
            yield PredictionRow(
                row=row,
                take=take.take,
                clip=take.clip_id,
                actor=take.speaker,
                emotion=int(inputs.labels[row]),
                fold=fold_name(fold),
                system=system,
                probabilities=by_row[row],
            )
