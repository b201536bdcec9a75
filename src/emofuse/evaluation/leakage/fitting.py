"""Fitting with an eye on the test clips, as the notebooks do: on purpose, to measure what that is worth.

Nothing but the leakage audit may import this module, so that no honest figure can come from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.metrics import accuracy, log_loss
from emofuse.core.recipes.fusion import Classifier
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import Fold
from emofuse.evaluation.fold_outputs import (
    FUSION_FILE,
    FusedFold,
    Tuning,
    plan_name,
    read_fused_fold,
    tuning_entry,
)
from emofuse.features.extraction import MODALITIES
from emofuse.training.dataset import Inputs, ModalityName
from emofuse.training.fusion import join_inputs
from emofuse.training.fusion_classifiers import make_classifier
from emofuse.training.jobs import load_outputs
from emofuse.training.plan import Member, NetworkJob, Plan, derive_seed, is_ensemble
from emofuse.training.run_folder import write_json
from emofuse.training.tuning import Parameters, Search, data_digest

_LARGEST_LOG_LOSS: Final = 40.0
"""Above the largest log loss there is: probabilities are clipped to 2.2e-16 from 0."""


def selecting(recipe: Recipe) -> Recipe:
    """The recipe with networks that keep the epoch that does best on the held-out clips.

    A recipe's own patience stays; where it has none, all epochs are run. An ensemble has no epochs to choose.
    """
    parts: dict[str, Any] = {}
    for modality in MODALITIES:
        part = getattr(recipe, modality)
        if not is_ensemble(modality, recipe):
            patience = part.training.patience or part.training.epochs
            training = part.training.model_copy(update={"patience": patience})
            part = part.model_copy(update={"training": training})
        parts[modality] = part
    return recipe.model_copy(update=parts)


def flattering_job(fold: Fold, modality: ModalityName, inputs: Inputs, recipe: Recipe) -> NetworkJob:
    """One network on the whole training part of a fold, its epoch chosen on the test part.

    It scores both: the fusion is fitted on its outputs for its own training clips, among which are the test
    clips of the other folds.

    Raises:
        ExperimentError: there are too few clips.
    """
    train, test = (
        tuple(int(i) for i in inputs.having(modality, np.asarray(rows, dtype=np.int64)))
        for rows in (fold.train, fold.test)
    )
    if len(train) < 2 or not test:
        raise ExperimentError(f"{fold.name}: too few clips with a {modality} to train on")
    held_out = () if is_ensemble(modality, recipe) else test
    return NetworkJob(plan_name(fold), 0, modality, train, held_out, tuple(sorted(train + test)))


def scoring_plan(fold: Fold, folds: Sequence[Fold], *, seen: bool) -> Plan:
    """What is scored; named after the fold whose networks score it: its own, or the next, which saw it."""
    index = [one.index for one in folds].index(fold.index)
    networks_of = folds[(index + 1) % len(folds)] if seen else fold
    train = np.asarray(fold.train, dtype=np.int64)
    pair = Member(0, train, np.zeros(0, dtype=np.int64), train)
    return Plan(plan_name(networks_of), train, np.asarray(fold.test, dtype=np.int64), (pair,))


def flattering_fusion(
    plan: Plan, inputs: Inputs, recipe: Recipe, network_work: Path, folder: Path
) -> FusedFold:
    """Fit every fusion on a pair's outputs for its training clips, choose on the test clips, score these.

    Args:
        plan: what is fitted on, and what is scored; its name is that of the networks.
        inputs: the features.
        recipe: the fusion's settings.
        network_work: where the networks' outputs are.
        folder: where trials and the result are kept, so that an interrupted run resumes.
    """
    path = folder / FUSION_FILE
    if path.is_file():
        return read_fused_fold(path)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"train": inputs.having("both", plan.train), "test": inputs.having("both", plan.test)}
    X = {
        part: join_inputs(recipe, [load_outputs(plan, m, of_part, [0], network_work) for m in MODALITIES], 0)
        for part, of_part in rows.items()
    }
    y = {part: inputs.labels[of_part] for part, of_part in rows.items()}
    data = data_digest(X["train"], y["train"], X["test"], y["test"], inputs.n_emotions)
    probabilities: dict[Classifier, Any] = {}
    tuning: list[Tuning] = []
    for name in recipe.fusion.classifiers:
        seed = derive_seed(recipe.seed, folder.name, "flattered", name)

        def fitted(parameters: Parameters, name: Classifier = name, seed: int = seed) -> Any:
            model = make_classifier(name, parameters, recipe.fusion, n_emotions=inputs.n_emotions, seed=seed)
            return model.fit(X["train"], y["train"]).predict_proba(X["test"])

        def loss(parameters: Parameters, fitted: Callable[[Parameters], Any] = fitted) -> float:
            return _loss_on_test(y["test"], fitted(parameters))

        best = Search(name, loss, recipe.fusion, seed, folder.name, data).best(folder / "tuning.sqlite3")
        probabilities[name] = fitted(best.parameters).tolist()
        tuning.append(tuning_entry(best))
    fused: FusedFold = {
        "rows": rows["test"].tolist(),
        "chosen": min(tuning, key=lambda one: one["score"])["classifier"],
        "probabilities": probabilities,
        "tuning": tuning,
    }
    write_json(path, fused)
    return fused


def _loss_on_test(truth: Any, probabilities: Any) -> float:
    """Share of mistakes; log loss decides between equal shares, being scaled to less than one clip."""
    mistakes = 1 - accuracy(truth, probabilities.argmax(1))
    return mistakes + log_loss(truth, probabilities) / (_LARGEST_LOG_LOSS * len(truth))
