"""Late fusion: classifiers that read the outputs of networks for training actors that these had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY, Classifier
from emofuse.core.recipes.recipe import Recipe
from emofuse.training.dataset import Inputs, Rows
from emofuse.training.fusion_classifiers import FusionClassifier, make_classifier
from emofuse.training.jobs import NetworkOutputs, load_outputs
from emofuse.training.plan import Plan, branches, derive_seed
from emofuse.training.resources import Resources
from emofuse.training.shared_studies import current_studies
from emofuse.training.tuning import Search, Tuned, out_of_fold, search_on


def join_inputs(recipe: Recipe, outputs: Sequence[NetworkOutputs], member: int | None) -> NDArray[np.float32]:
    """The inputs of the fusion: (n_takes, n_inputs) float32, voice first.

    With fusion.inputs ``features``, the joined feature layers of one member; with ``probabilities``, the
    log-probabilities.
    """
    if recipe.fusion.inputs == "features":
        assert member is not None
        return np.concatenate([of_modality.features[member] for of_modality in outputs], axis=1)
    return join_logs([of_modality.log_probabilities for of_modality in outputs])


def join_logs(logs: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Log-probabilities of several networks side by side, clipped at LEAST_LOG_PROBABILITY."""
    return np.asarray(np.maximum(np.concatenate(logs, axis=1), MIN_LOG_PROBABILITY), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FittedFusion:
    """The classifiers of late fusion, each with its members, and the one that inner folds chose.

    ``out_of_fold``: per classifier, (n, n_emotions) probabilities for training actors that it had not seen.
    """

    classifiers: dict[Classifier, list[FusionClassifier]]
    tuned: list[Tuned]
    chosen: Classifier
    out_of_fold: dict[Classifier, NDArray[np.float64]]

    def predict(
        self, classifier: Classifier, recipe: Recipe, outputs: Sequence[NetworkOutputs]
    ) -> NDArray[np.float64]:
        """(n_takes, n_emotions) probabilities, averaged over the members."""
        members = self.classifiers[classifier]
        per_member = recipe.fusion.inputs == "features"
        probabilities = [
            model.predict_proba(join_inputs(recipe, outputs, k if per_member else None))
            for k, model in enumerate(members)
        ]
        return np.asarray(np.mean(probabilities, axis=0), dtype=np.float64)


def fit_fusion(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, *, enrolled: bool = False
) -> FittedFusion:
    """Tune and fit every classifier on outputs for training actors that the networks had not seen.

    Raises:
        ExperimentError: too few takes with both a voice and a face.
    """
    sets = list(enumerate(_fusion_sets(plan, inputs, recipe, work, enrolled)))
    classifiers: dict[Classifier, list[FusionClassifier]] = {}
    tuned: list[Tuned] = []
    held_out: dict[Classifier, NDArray[np.float64]] = {}
    for name in recipe.fusion.classifiers:
        classifiers[name] = []
        parts = []
        for index, (X, rows) in sets:
            y, groups, supervision = inputs.labels[rows], inputs.speakers[rows], inputs.supervised(rows)
            seed = _search_seed(plan, recipe, name, index, enrolled)
            storage = work / plan.name / f"tuning-{'enrolled-' if enrolled else ''}{index}.sqlite3"
            best = _search(plan, inputs, recipe, name, index, X, rows, enrolled).best(storage)
            model = make_classifier(
                name, best.parameters, recipe.fusion, n_emotions=inputs.n_emotions, seed=seed
            )
            classifiers[name].append(model.fit(X, y, supervision))
            tuned.append(best)
            parts.append(
                out_of_fold(
                    best, X, y, groups, recipe.fusion,
                    n_emotions=inputs.n_emotions, seed=seed, supervision=supervision,
                )
            )  # fmt: skip
        held_out[name] = np.concatenate(parts)
    scores = {
        name: float(np.mean([t.score for t in tuned if t.classifier == name]))
        for name in recipe.fusion.classifiers
    }
    return FittedFusion(classifiers, tuned, min(scores, key=lambda name: scores[name]), held_out)


def share_trials(
    plans: Sequence[Plan], inputs: Inputs, recipe: Recipe, work: Path, resources: Resources
) -> None:
    """Have workers that would have no plan of their own to fuse compute trials of the plans' searches.

    Only where studies are shared; :func:`fit_fusion` finds the trials there, and computes what is left.
    """
    n_workers = math.ceil(resources.executor.at_once / len(plans))
    fuses = len(inputs.modalities) > 1 and inputs.emotions
    if resources.studies is None or not fuses or n_workers == 1:
        return
    kinds = (False,) if recipe.enrolment is None else (False, True)
    resources.map(
        "trials",
        join_searches,
        [
            (plan, inputs, recipe, work, enrolled)
            for enrolled in kinds
            for _ in range(n_workers)
            for plan in plans
        ],
    )


def join_searches(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, enrolled: bool) -> None:
    """Compute trials for :func:`fit_fusion` beside others, until all have been begun; nothing is fitted.

    Only where studies are shared: see :mod:`emofuse.training.shared_studies`.
    """
    studies = current_studies()
    assert studies is not None
    for name in recipe.fusion.classifiers:
        for index, (X, rows) in enumerate(_fusion_sets(plan, inputs, recipe, work, enrolled)):
            _search(plan, inputs, recipe, name, index, X, rows, enrolled).join(studies)


def _search(
    plan: Plan,
    inputs: Inputs,
    recipe: Recipe,
    name: Classifier,
    index: int,
    X: NDArray[np.float32],
    rows: Rows,
    enrolled: bool,
) -> Search:
    """The search for the settings of one classifier of one fusion."""
    return search_on(
        name, X, inputs.labels[rows], inputs.speakers[rows], recipe.fusion,
        n_emotions=inputs.n_emotions, seed=_search_seed(plan, recipe, name, index, enrolled),
        plan=plan.name, supervision=inputs.supervised(rows),
    )  # fmt: skip


def _search_seed(plan: Plan, recipe: Recipe, name: Classifier, index: int, enrolled: bool) -> int:
    return derive_seed(recipe.seed, plan.name, index, f"enrolled-{name}" if enrolled else name)


def _fusion_sets(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, enrolled: bool
) -> list[tuple[NDArray[np.float32], Rows]]:
    """For each fusion, the inputs that it is fitted on, and their rows."""
    parts = []
    for member in plan.members:
        rows = inputs.having("both", member.fusion_rows)
        if len(rows) < 2:
            raise ExperimentError(f"{plan.name}: too few takes with both a voice and a face to fuse")
        outputs = [
            load_outputs(plan, branch, rows, [member.index], work, enrolled=enrolled)
            for branch in branches(inputs, recipe, enrolled)
        ]
        parts.append((join_inputs(recipe, outputs, 0), rows))
    if recipe.fusion.inputs == "features":
        return parts
    return [(np.concatenate([X for X, _ in parts]), np.concatenate([rows for _, rows in parts]))]
