"""Hyperparameter search with Optuna: the settings of a fusion classifier that do best on training actors."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import Classifier, Fusion
from emofuse.system.shared_settings import SharedSetting, ignored_warnings
from emofuse.training.fusion_classifiers import FusionClassifier, make_classifier
from emofuse.training.shared_studies import SharedStudies, current_studies
from emofuse.training.supervision import Supervision, of_rows, supervised_log_loss

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best settings of one classifier and their loss, which is lowest.

    Of :func:`tune` it is log loss, averaged over folds of training actors.
    """

    classifier: Classifier
    parameters: Parameters
    score: float
    trials: int


def _suggest(trial: Any, classifier: Classifier) -> dict[str, Any]:
    """The notebooks' search spaces: C of logistic regression in 1e-10..1e10, of the SVM in 1e-2..1e2."""
    if classifier == "pool":
        return {"offset_penalty": trial.suggest_float("offset_penalty", 1e-4, 1.0, log=True)}
    if classifier == "lr":
        return {"C": trial.suggest_float("C", 1e-10, 1e10, log=True)}
    if classifier == "pca-lr":
        return {
            "C": trial.suggest_float("C", 1e-10, 1e10, log=True),
            "kept": trial.suggest_float("kept", 0.1, 1.0),
        }
    if classifier == "svm":
        kernel = trial.suggest_categorical("kernel", ["linear", "poly", "rbf"])
        parameters = {"C": trial.suggest_float("C", 1e-2, 1e2, log=True), "kernel": kernel}
        if kernel != "linear":
            parameters["gamma"] = trial.suggest_float("gamma", 1e-2, 1e1, log=True)
        return parameters
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1.0, log=True),
    }


def group_folds(groups: NDArray[np.str_], n_folds: int) -> list[NDArray[np.bool_]]:
    """Masks of held-out rows: actors in sorted order, dealt in turn; never more folds than actors."""
    names = sorted(set(groups.tolist()))
    if len(names) < 2:
        raise ExperimentError(
            "choosing a fusion needs at least two training actors that its networks have not seen"
        )
    n = min(n_folds, len(names))
    return [np.isin(groups, names[i::n]) for i in range(n)]


def tune(
    classifier: Classifier,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.str_],
    settings: Fusion,
    *,
    n_emotions: int,
    seed: int,
    plan: str = "",
    storage: Path | None = None,
    supervision: Supervision | None = None,
) -> Tuned:
    """Search the settings of a classifier on folds of training actors.

    Args:
        classifier: which one.
        X: (n, n_inputs) joined inputs of training actors.
        y: (n,) emotions.
        groups: (n,) actors.
        settings: trials and folds.
        n_emotions: width of the probabilities.
        seed: of the sampler. Each trial has a seed of its own, so that an interrupted search that resumes
            finds what an uninterrupted one would have found.
        plan: whose training actors they are: trials of another plan are not these, wherever they lie.
        storage: SQLite file that keeps the trials; None keeps them in memory.
        supervision: of the rows, in the loss of a fit and of its held-out rows.

    Returns:
        The settings with the lowest log loss, a proper scoring rule: it rewards calibrated probabilities.
    """
    return search_on(
        classifier, X, y, groups, settings,
        n_emotions=n_emotions, seed=seed, plan=plan, supervision=supervision,
    ).best(storage)  # fmt: skip


def search_on(
    classifier: Classifier,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.str_],
    settings: Fusion,
    *,
    n_emotions: int,
    seed: int,
    plan: str = "",
    supervision: Supervision | None = None,
) -> Search:
    """The search of :func:`tune`, which has the same arguments, before a trial is computed."""
    folds = group_folds(groups, settings.selection_folds)

    def loss(parameters: Parameters) -> float:
        make = partial(make_classifier, classifier, parameters, settings, n_emotions=n_emotions, seed=seed)
        held_out = _held_out(make, X, y, folds, supervision)
        return float(
            np.mean(
                [supervised_log_loss(y[rows], found, of_rows(supervision, rows)) for rows, found in held_out]
            )
        )

    data = data_digest(X, y, groups, n_emotions, None if supervision is None else supervision.mark())
    return Search(classifier, loss, settings, seed, plan, data)


def out_of_fold(
    tuned: Tuned,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.str_],
    settings: Fusion,
    *,
    n_emotions: int,
    seed: int,
    supervision: Supervision | None = None,
) -> NDArray[np.float64]:
    """(n, n_emotions) probabilities for training actors, each from a classifier that had not seen the actor.

    Arguments as those of :func:`tune`, whose folds these are.
    """
    make = partial(
        make_classifier, tuned.classifier, tuned.parameters, settings, n_emotions=n_emotions, seed=seed
    )
    probabilities = np.empty((len(X), n_emotions))
    for rows, found in _held_out(make, X, y, group_folds(groups, settings.selection_folds), supervision):
        probabilities[rows] = found
    return probabilities


def _held_out(
    make: Callable[[], FusionClassifier],
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: Sequence[NDArray[np.bool_]],
    supervision: Supervision | None,
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    """Per fold, the held-out rows and their probabilities, from a classifier fitted on the others."""
    for rows in folds:
        yield rows, make().fit(X[~rows], y[~rows], of_rows(supervision, ~rows)).predict_proba(X[rows])


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the settings of a classifier with the lowest loss."""

    classifier: Classifier
    loss: Callable[[Parameters], float]
    settings: Fusion
    """Number of trials, and how their settings are drawn."""
    seed: int
    """Of the sampler; each trial has one of its own."""
    plan: str
    """Whose training actors they are."""
    data: str
    """A digest of all that the loss depends on, except the settings."""

    @property
    def n_trials(self) -> int:
        """How many trials are computed."""
        return self.settings.nn.trials if self.classifier == "nn" else self.settings.trials

    def objective(self, trial: Any) -> float:
        """The loss of an Optuna trial."""
        return self.loss(_suggest(trial, self.classifier))

    def sampler(self, number: int, *, others: bool = False) -> Any:
        """What draws the settings of a trial.

        Args:
            number: of the trial, from 0.
            others: whether others may be computed meanwhile, of which nothing is known yet.
        """
        import optuna

        seed = self.seed + 7919 * number
        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, constant_liar=others)

    def best(self, storage: Path | None = None) -> Tuned:
        """The settings with the lowest loss, once all trials are computed.

        Where studies are shared (:func:`emofuse.training.shared_studies.sharing`), others may compute some
        of them, and all are copied to ``storage`` in the end.

        Args:
            storage: SQLite file that keeps the trials; None keeps them in memory.
        """
        import optuna

        with _silent(optuna):
            study = optuna.create_study(
                study_name=study_name(self.classifier, self.plan, self.seed),
                storage=None if storage is None else _trials_file(storage),
                direction="minimize",
                load_if_exists=True,
            )
            complete = [optuna.trial.TrialState.COMPLETE]
            studies = current_studies()
            while (number := len(study.get_trials(states=complete))) < self.n_trials:
                if studies is not None:
                    study.add_trials(self._shared(studies, wait=True)[number:])
                    continue
                study.sampler = self.sampler(number)
                study.optimize(self.objective, n_trials=1)
        return Tuned(self.classifier, dict(study.best_params), float(study.best_value), self.n_trials)

    def join(self, studies: SharedStudies) -> None:
        """Compute trials of a shared study, beside others, until all have been begun."""
        import optuna

        with _silent(optuna):
            self._shared(studies, wait=False)

    def _shared(self, studies: SharedStudies, *, wait: bool) -> list[Any]:
        data = data_digest(self.data, self.settings.hash())[:32]
        name = f"{study_name(self.classifier, self.plan, self.seed)}, data {data}"
        return studies.compute(
            name, self.n_trials, self.objective, partial(self.sampler, others=True), wait=wait
        )


def data_digest(*parts: NDArray[Any] | bytes | int | str | None) -> str:
    """64 hexadecimal digits that differ where arrays or other facts do."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _silent(optuna: Any) -> Iterator[None]:
    """Print nothing while Optuna searches; afterwards its settings, which are the caller's, are as before."""
    with _verbosity(optuna).held(logging.CRITICAL), ignored_warnings():
        yield


@lru_cache(maxsize=1)
def _verbosity(optuna: Any) -> SharedSetting[int]:
    return SharedSetting(optuna.logging.get_verbosity, optuna.logging.set_verbosity)


def study_name(classifier: Classifier, plan: str, seed: int) -> str:
    """What the trials of one search are called in the file that keeps them.

    Versions up to 0.1 called them by the classifier alone, and could mix the files of two folders: their
    trials are not continued. Searching again finds what they would have found.
    """
    return f"{classifier}, plan {plan}, seed {seed}"


def _trials_file(path: Path) -> Any:
    """Optuna's storage in a SQLite file, whatever characters its name has.

    In an address, ``?``, ``%``, ``#`` and braces would mean something else. The file is open only while it is
    read or written: Windows cannot delete a run with an open file.
    """
    import optuna
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False)

    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})
