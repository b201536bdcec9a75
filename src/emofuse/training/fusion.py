"""Late fusion: classifiers that read the outputs of networks for training actors that these had not seen."""

from __future__ import annotations

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
from emofuse.training.tuning import Tuned, out_of_fold, tune


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
    prefix = "enrolled-" if enrolled else ""
    classifiers: dict[Classifier, list[FusionClassifier]] = {}
    tuned: list[Tuned] = []
    held_out: dict[Classifier, NDArray[np.float64]] = {}
    for name in recipe.fusion.classifiers:
        classifiers[name] = []
        parts = []
        for index, (X, rows) in sets:
            y, groups, supervision = inputs.labels[rows], inputs.speakers[rows], inputs.supervised(rows)
            seed = derive_seed(recipe.seed, plan.name, index, prefix + name)
            storage = work / plan.name / f"tuning-{prefix}{index}.sqlite3"
            best = tune(
                name, X, y, groups, recipe.fusion,
                n_emotions=inputs.n_emotions, seed=seed, plan=plan.name, storage=storage,
                supervision=supervision,
            )  # fmt: skip
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
