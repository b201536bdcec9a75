"""Figures against scikit-learn, and in the results of a run with enrollment."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.folds import Fold
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.evaluation.fold_outputs import COVERAGES, fold_name
from emofuse.evaluation.run_files import PredictionRow
from emofuse.evaluation.system_metrics import system_figures
from emofuse.training.resources import Resources

FOLDS = (Fold(0, "1", (), (), ("a", "b")), Fold(1, "2", (), (), ("c", "d")))

THRESHOLDS = {
    "1": {name: {"0.9": 0.2, "0.5": 0.4} for name in ("voice", "face", "fused")},
    "2": {name: {"0.9": 0.3, "0.5": 1.1} for name in ("voice", "face", "fused")},
}


@pytest.fixture(scope="module")
def table() -> list[PredictionRow]:
    """Four systems on 400 takes of four actors in two folds; some systems are better than others."""
    rng = np.random.default_rng(0)
    rows = []
    for skill, system in enumerate(("voice", "face", "fused:pool", "fused")):
        for i in range(400):
            scores = rng.standard_normal(8)
            scores[i % 8] += 0.7 * skill
            p = np.exp(scores) / np.exp(scores).sum()
            actor = "abcd"[i // 100]
            rows.append(
                PredictionRow(i, f"t{i}", f"c{i}", actor, i % 8, fold_name(FOLDS[i // 200]), system, p)
            )
    return rows


@pytest.fixture(scope="module")
def systems(table: list[PredictionRow]) -> dict[str, Any]:
    recipe = load_recipe("ravdess-ensemble")
    return system_figures(
        table,
        FOLDS,
        recipe.model_copy(update={"fusion": recipe.fusion.model_copy(update={"classifiers": ("pool",)})}),
        THRESHOLDS,
    )


def test_figures_are_those_of_scikit_learn(table: list[PredictionRow], systems: dict[str, Any]) -> None:
    assert list(systems) == ["voice", "face", "fused:pool", "fused"]
    for name, outputs in systems.items():
        rows = [row for row in table if row.system == name]
        truth = np.array([row.emotion for row in rows])
        scores = np.array([row.probabilities for row in rows])
        assert outputs["n"] == 400
        assert outputs["accuracy"] == pytest.approx(accuracy_score(truth, scores.argmax(1)))
        assert outputs["uar"] == pytest.approx(balanced_accuracy_score(truth, scores.argmax(1)))
        assert outputs["f1_macro"] == pytest.approx(f1_score(truth, scores.argmax(1), average="macro"))
        assert outputs["log_loss"] == pytest.approx(log_loss(truth, scores))
        # figures of scores have intervals where they are quoted, not for every classifier
        for key in ("accuracy", "uar", *(() if ":" in name else ("ece",))):
            low, high = outputs[f"{key}_ci95"]
            assert low <= high
        assert outputs["accuracy_ci95"][0] <= outputs["accuracy"] <= outputs["accuracy_ci95"][1]
        assert [fold["test_actors"] for fold in outputs["folds"]] == [["a", "b"], ["c", "d"]]
        assert np.mean([fold["accuracy"] for fold in outputs["folds"]]) == pytest.approx(outputs["accuracy"])
    json.dumps(systems)


def test_coverage_is_accuracy_on_the_most_confident(
    table: list[PredictionRow], systems: dict[str, Any]
) -> None:
    outputs = systems["fused"]["coverage"]
    rows = [row for row in table if row.system == "fused"]
    scores = np.array([row.probabilities for row in rows])
    right = scores.argmax(1) == np.array([row.emotion for row in rows])
    order = np.argsort(-scores.max(1), kind="stable")
    assert list(outputs["at"]) == [f"{coverage:g}" for coverage in COVERAGES]
    for coverage, figures in outputs["at"].items():
        retained = order[: round(float(coverage) * 400)]
        assert figures["accuracy"] == pytest.approx(right[retained].mean(), abs=0.01)
        assert figures["ci95"][0] <= figures["accuracy"] <= figures["ci95"][1]
        answered = scores.max(1) >= figures["threshold"]
        assert answered.mean() == pytest.approx(float(coverage), abs=0.01)
    assert outputs["at"]["0.5"]["accuracy"] > outputs["at"]["0.9"]["accuracy"]
    assert len(outputs["coverage"]) == len(outputs["accuracy"]) <= 200
    assert outputs["coverage"] == sorted(outputs["coverage"])
    assert outputs["accuracy"][-1] == pytest.approx(right.mean())


def test_thresholds_chosen_beforehand_answer_what_reaches_them(
    table: list[PredictionRow], systems: dict[str, Any]
) -> None:
    """The second fold's higher threshold for a half is above every confidence: nothing of it is answered."""
    rows = [row for row in table if row.system == "fused"]
    for share in ("0.9", "0.5"):
        answered = [row for row in rows if row.probabilities.max() >= THRESHOLDS[row.fold]["fused"][share]]
        found = systems["fused"]["coverage"]["beforehand"][share]
        assert found["answered"] == len(answered) / 400
        right = [row.probabilities.argmax() == row.emotion for row in answered]
        assert found["accuracy"] == pytest.approx(np.mean(right))
        assert found["ci95"][0] <= found["accuracy"] <= found["ci95"][1]
        assert found["answered_ci95"][0] <= found["answered"] <= found["answered_ci95"][1]
    assert {row.fold for row in answered} == {"1"}
    assert found["threshold"] == pytest.approx(0.75)
    assert "coverage" not in systems["fused:pool"]


@pytest.fixture(scope="module")
def run(home: Path, few_folder: Path, ensemble_toml: Path, store: Any) -> Path:
    """Three folds of a small corpus with everything: ensembles, refit, enrollment."""
    evaluate(
        load_corpus(few_folder),
        load_recipe(ensemble_toml),
        "actors-3",
        home / "ensemble-run",
        Resources(store=store),
    )
    return home / "ensemble-run"


def test_results_hold_the_curve_and_its_0_point_is_without_enrollment(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    for name, points in results["enrolment"]["systems"].items():
        assert [point["clips"] for point in points] == [0, 1, 4, "all"]
        assert [point["n"] for point in points] == [48, 6 * 7 * 2, 6 * 4 * 2, 48]
        for key in ("accuracy", "log_loss", "ece"):
            assert points[0][key] == pytest.approx(results["systems"][name][key])
        assert points[0]["ci95"] == pytest.approx(results["systems"][name]["accuracy_ci95"])
    assert set(results["enrolment"]["systems"]) == {"voice", "face", "fused"}


def test_results_hold_groups(run: Path) -> None:
    groups = json.loads((run / "results.json").read_text())["groups"]
    assert set(groups) == {"voice", "face", "fused"}
    assert all(groups[name] for name in groups)
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["system"] == "fused"]) == 48
    assert {row["system"] for row in rows} == {"voice", "face", "fused:pool", "fused"}
    outputs = np.array([[float(row[e]) for e in EMOTIONS] for row in rows])
    np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-5)


def test_a_run_without_enrollment_has_no_curve(au_run: Path) -> None:
    results = json.loads((au_run / "results.json").read_text())
    assert "enrolment" not in results
    assert "coverage" in results["systems"]["fused"]
    assert "groups" in results


def test_a_finished_run_gives_the_same_curve(
    run: Path, few_folder: Path, ensemble_toml: Path, store: Any
) -> None:
    before = json.loads((run / "results.json").read_text())
    networks = {path: path.stat().st_mtime_ns for path in run.glob("work/*/*/weights.safetensors")}
    assert len(networks) == 3 * 3 * 5
    evaluate(load_corpus(few_folder), load_recipe(ensemble_toml), "actors-3", run, Resources(store=store))
    after = json.loads((run / "results.json").read_text())
    assert after["enrolment"] == before["enrolment"]
    assert after["systems"] == before["systems"]
    assert {path: path.stat().st_mtime_ns for path in networks} == networks
    assert not list((run / "work").glob("*.npy"))
