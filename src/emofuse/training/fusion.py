"""Late fusion: classifiers that read what the networks say of training actors whom these had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY, Classifier
from emofuse.core.recipes.recipe import Recipe
from emofuse.training.dataset import Inputs, Rows
from emofuse.training.fusion_classifiers import FusionClassifier, make_classifier
from emofuse.training.jobs import NetworkOutputs, load_outputs
from emofuse.training.plan import Plan, branches, derive_seed
from emofuse.training.tuning import Tuned, tune


def join_inputs(recipe: Recipe, answers: Sequence[NetworkOutputs], member: int | None) -> NDArray[np.float32]:
    """What the fusion reads: (n_takes, n_inputs) float32, voice first.

    For ``features`` the joined feature layers of one member, for ``probabilities`` the log-probabilities.
    """
    if recipe.fusion.inputs == "features":
        assert member is not None
        return np.concatenate([said.features[member] for said in answers], axis=1)
    return join_logs([said.log_probabilities for said in answers])


def join_logs(logs: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Log-probabilities of several networks side by side, none lower than counts."""
    return np.asarray(np.maximum(np.concatenate(logs, axis=1), MIN_LOG_PROBABILITY), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FittedFusion:
    """The classifiers of late fusion, each as its members, and the one that inner folds chose."""

    classifiers: dict[Classifier, list[FusionClassifier]]
    tuned: list[Tuned]
    chosen: Classifier

    def predict(
        self, classifier: Classifier, recipe: Recipe, answers: Sequence[NetworkOutputs]
    ) -> NDArray[np.float64]:
        """(n_takes, n_emotions) probabilities, the mean over the members."""
        members = self.classifiers[classifier]
        per_member = recipe.fusion.inputs == "features"
        said = [
            model.predict_proba(join_inputs(recipe, answers, k if per_member else None))
            for k, model in enumerate(members)
        ]
        return np.asarray(np.mean(said, axis=0), dtype=np.float64)


def fit_fusion(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, *, enrolled: bool = False
) -> FittedFusion:
    """Tune and fit every classifier on answers about training actors that the networks had not seen.

    Raises:
        ExperimentError: too few takes with both a voice and a face.
    """
    sets = list(enumerate(_fusion_sets(plan, inputs, recipe, work, enrolled)))
    stance = "enrolled-" if enrolled else ""
    classifiers: dict[Classifier, list[FusionClassifier]] = {}
    tuned: list[Tuned] = []
    for name in recipe.fusion.classifiers:
        classifiers[name] = []
        for index, (X, rows) in sets:
            y, groups = inputs.labels[rows], inputs.speakers[rows]
            seed = derive_seed(recipe.seed, plan.name, index, stance + name)
            storage = work / plan.name / f"tuning-{stance}{index}.sqlite3"
            best = tune(
                name, X, y, groups, recipe.fusion, n_emotions=len(EMOTIONS), seed=seed, storage=storage
            )
            model = make_classifier(name, best.parameters, recipe.fusion, n_emotions=len(EMOTIONS), seed=seed)
            classifiers[name].append(model.fit(X, y))
            tuned.append(best)
    scores = {
        name: float(np.mean([t.score for t in tuned if t.classifier == name]))
        for name in recipe.fusion.classifiers
    }
    return FittedFusion(classifiers, tuned, min(scores, key=lambda name: scores[name]))


def _fusion_sets(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, enrolled: bool
) -> list[tuple[NDArray[np.float32], Rows]]:
    """What each fusion is fitted on, and whose rows they are."""
    parts = []
    for member in plan.members:
        rows = inputs.having("both", member.fusion_rows)
        if len(rows) < 2:
            raise ExperimentError(f"{plan.name}: too few takes with both a voice and a face to fuse")
        answers = [
            load_outputs(plan, branch, rows, [member.index], work, enrolled=enrolled)
            for branch in branches(recipe, enrolled)
        ]
        parts.append((join_inputs(recipe, answers, 0), rows))
    if recipe.fusion.inputs == "features":
        return parts
    return [(np.concatenate([X for X, _ in parts]), np.concatenate([rows for _, rows in parts]))]
