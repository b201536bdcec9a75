from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.fusion import Fusion, NeuralFusion
from emofuse.training.tuning import Tuned, _trials_file, group_folds, study_name, tune


def settings(trials: int) -> Fusion:
    nn = NeuralFusion(hidden=(4,), epochs=1, trials=max(1, trials // 5))
    return Fusion(trials=trials, selection_folds=2, nn=nn)


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(64) % 8
    X = (rng.standard_normal((64, 6)) + y[:, None] * np.linspace(-1, 1, 6)).astype(np.float32)
    return X, y, np.array([f"{i // 16:02d}" for i in range(64)])


def search(
    trials: int, storage: Path | None = None, name: Any = "svm", seed: int = 4, plan: str = "p"
) -> Tuned:
    return tune(name, *data(), settings(trials), n_emotions=8, seed=seed, plan=plan, storage=storage)


def test_a_resumed_search_finds_what_an_uninterrupted_one_finds(tmp_path: Path) -> None:
    """Ten trials: more than the eight random ones, so that later trials depend on earlier ones."""
    whole = search(10)
    assert whole.trials == 10
    path = tmp_path / "t.sqlite3"
    search(5, path)
    # the trial in which the search was killed remains in the table as running
    study = optuna.load_study(study_name=study_name("svm", "p", 4), storage=_trials_file(path))
    study.ask().suggest_float("C", 1e-2, 1e2, log=True)
    assert search(10, path) == whole
    study = optuna.load_study(study_name=study_name("svm", "p", 4), storage=_trials_file(path))
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    assert len(finished) == 10
    assert whole.score == min(trial.value for trial in finished if trial.value is not None)


def test_the_seed_determines_the_result() -> None:
    assert search(2, name="lr", seed=1) == search(2, name="lr", seed=1)
    assert search(2, name="lr", seed=1).parameters != search(2, name="lr", seed=2).parameters


def test_studies_of_several_classifiers_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    for name in ("lr", "pca-lr", "nn"):
        tuned = search(3, path, name)
        assert tuned.classifier == name
        assert tuned.trials == (1 if name == "nn" else 3)
    keys = {"lr": {"C"}, "pca-lr": {"C", "kept"}, "nn": {"learning_rate", "weight_decay"}}
    for name, expected in keys.items():
        assert set(search(3, path, name).parameters) == expected


def n_trials(path: Path) -> dict[str, int]:
    """How many trials each study has, read without Optuna."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        rows = file.execute(
            "SELECT study_name, COUNT(trial_id) FROM studies LEFT JOIN trials USING (study_id) GROUP BY 1"
        )
        return dict(rows.fetchall())


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "{a} {0}", "a&b=c", "a:b@c", "ü 'quoted\""])
def test_trials_are_kept_in_the_file_that_is_named(tmp_path: Path, name: str) -> None:
    """In an address, part of such a path would be cut off or read as another one."""
    paths = [tmp_path / name / f"{i}.sqlite3" for i in range(2)]
    paths[0].parent.mkdir()
    for path in paths:
        found = search(2, path, "lr")
        assert found == search(2, None, "lr")
        assert n_trials(path) == {"lr, plan p, seed 4": 2}
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == paths


def test_trials_of_another_plan_or_seed_are_not_continued(tmp_path: Path) -> None:
    """Wherever they come from: those of another fold have seen this one's test actors."""
    path = tmp_path / "t.sqlite3"
    for plan, seed in (("p", 4), ("q", 4), ("p", 5)):
        assert search(2, path, "lr", seed=seed, plan=plan) == search(2, None, "lr", seed=seed, plan=plan)
    assert list(n_trials(path).values()) == [2, 2, 2]


def test_trials_of_an_earlier_version_are_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    old = optuna.create_study(study_name="lr", storage=_trials_file(path), direction="minimize")
    for _ in range(3):
        old.tell(old.ask({"C": optuna.distributions.FloatDistribution(1e-10, 1e10, log=True)}), 0.0)
    assert search(2, path, "lr") == search(2, None, "lr")


def test_score_is_the_log_loss_over_folds_of_actors() -> None:
    from sklearn.metrics import log_loss

    from emofuse.training.fusion_classifiers import make_classifier

    tuned = search(3, name="lr")
    X, y, groups = data()
    losses = []
    for actors in (["00", "02"], ["01", "03"]):
        out = np.isin(groups, actors)
        model = make_classifier("lr", tuned.parameters, settings(3), n_emotions=8, seed=4)
        outputs = model.fit(X[~out], y[~out]).predict_proba(X[out])
        losses.append(log_loss(y[out], outputs, labels=range(8)))
    assert tuned.score == pytest.approx(np.mean(losses))


def test_folds_of_actors() -> None:
    groups = np.array(["c", "a", "b", "a", "c", "d"])
    folds = group_folds(groups, 3)
    assert (np.sum(folds, axis=0) == 1).all()
    for fold in folds:
        assert not set(groups[fold]) & set(groups[~fold])
    assert len(group_folds(groups, 20)) == 4
    with pytest.raises(ExperimentError, match="at least two training actors"):
        group_folds(np.array(["a", "a"]), 2)


def test_a_search_that_failed_can_be_repeated(tmp_path: Path) -> None:
    X, y, groups = data()
    y = y.copy()
    y[groups == "00"] = 0
    y[groups != "00"] = 1
    for _ in range(3):
        with pytest.raises(ExperimentError):
            tune("lr", X[:32], y[:32], groups[:32], settings(2), n_emotions=8, seed=0,
                 storage=tmp_path / "t.sqlite3")  # fmt: skip
