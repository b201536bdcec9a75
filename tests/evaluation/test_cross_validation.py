"""The figures of a run: reproducible, also after an interruption and in parallel, and recomputable."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.system.executors import Processes
from emofuse.training.resources import Resources
from tests.support import small_corpora


@pytest.fixture(scope="module")
def recipe(au_toml: Path) -> Recipe:
    return load_recipe(au_toml)


@pytest.fixture(scope="module")
def killed(au_folder: Path, au_toml: Path, store: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed by SIGKILL after its first network."""
    run = tmp_path_factory.mktemp("killed") / "run"
    code = (
        "from pathlib import Path\n"
        "from emofuse.corpus.load import load_corpus\n"
        "from emofuse.evaluation.cross_validation import evaluate\n"
        "from emofuse.features.store import FeatureStore\n"
        "from emofuse.core.recipes.load import load_recipe\n"
        "from emofuse.training.resources import Resources\n"
        f"evaluate(load_corpus({str(au_folder)!r}), load_recipe({str(au_toml)!r}), 'actors-2',\n"
        f"         Path({str(run)!r}), Resources(store=FeatureStore(Path({str(store.root)!r}))))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(run.glob("work/*/*/curve.json")):
        time.sleep(0.01)  # waits for a file, not for time
    process.send_signal(signal.SIGKILL)
    _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error
    return run


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_run_resumes_and_ends_like_an_uninterrupted_one(
    killed: Path, au_run: Path, au_folder: Path, recipe: Recipe, store: Any
) -> None:
    trained = {path: path.stat().st_mtime_ns for path in killed.glob("work/*/*/curve.json")}
    assert 1 <= len(trained) < 8
    assert not (killed / "predictions.csv").exists()
    before = sorted(path.name for path in killed.parent.iterdir())
    # in two processes: the figures do not depend on their number
    evaluate(load_corpus(au_folder), recipe, "actors-2", killed, Resources(Processes(2), store=store))
    assert (killed / "predictions.csv").read_bytes() == (au_run / "predictions.csv").read_bytes()
    assert all(path.stat().st_mtime_ns == then for path, then in trained.items())
    assert sorted(path.name for path in killed.parent.iterdir()) == before


def test_another_seed_gives_other_figures(
    tmp_path: Path, au_run: Path, au_folder: Path, recipe: Recipe, store: Any
) -> None:
    fusion = recipe.fusion.model_copy(update={"classifiers": ("lr",)})
    other = recipe.model_copy(update={"seed": recipe.seed + 1, "fusion": fusion})
    evaluate(load_corpus(au_folder), other, "actors-2", tmp_path / "run", Resources(store=store))
    for system in ("voice", "face", "fused:lr"):
        mine, theirs = (
            [row for row in rows(run) if row["system"] == system] for run in (tmp_path / "run", au_run)
        )
        assert [row["take"] for row in mine] == [row["take"] for row in theirs]
        assert mine != theirs


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, au_run: Path, au_folder: Path, recipe: Recipe, store: Any
) -> None:
    run = shutil.copytree(au_run, tmp_path / "run")
    networks = {path: path.stat().st_mtime_ns for path in run.glob("work/*/*/weights.safetensors")}
    assert len(networks) == 8
    stages: dict[str, int] = {}
    evaluate(
        load_corpus(au_folder),
        recipe,
        "actors-2",
        run,
        Resources(store=store, on_progress=lambda stage, done, _: stages.update({stage: done})),
    )
    assert (run / "predictions.csv").read_bytes() == (au_run / "predictions.csv").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in networks} == networks
    assert stages == {"features": 144, "networks": 8, "fusions": 2}


def test_a_folder_holds_one_run(
    tmp_path: Path, au_run: Path, au_folder: Path, recipe: Recipe, store: Any
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(au_run / "run.json", run)
    corpus = load_corpus(au_folder)
    other = recipe.model_copy(update={"seed": 99})
    with pytest.raises(ExperimentError, match=r"holds another run \(recipe differ\).*give another folder"):
        evaluate(corpus, other, "actors-2", run, Resources(store=store))
    with pytest.raises(ExperimentError, match=r"holds another run \(protocol differ\)"):
        evaluate(corpus, recipe, "actors-3", run, Resources(store=store))
    assert (run / "run.json").read_bytes() == (au_run / "run.json").read_bytes()


def test_figures_are_those_of_scikit_learn(au_run: Path) -> None:
    results = json.loads((au_run / "results.json").read_text())
    table = rows(au_run)
    assert list(results["systems"]) == ["voice", "face", *(f"fused:{c}" for c in
                                        ("lr", "pca-lr", "svm", "nn")), "fused"]  # fmt: skip
    for name, system in results["systems"].items():
        mine = [row for row in table if row["system"] == name]
        assert len(mine) == 144
        truth = np.array([EMOTIONS.index(row["emotion"]) for row in mine])
        scores = np.array([[float(row[emotion]) for emotion in EMOTIONS] for row in mine])
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
        outputs = scores.argmax(1)
        assert system["accuracy"] == pytest.approx(accuracy_score(truth, outputs))
        assert system["uar"] == pytest.approx(balanced_accuracy_score(truth, outputs))
        assert system["f1_macro"] == pytest.approx(f1_score(truth, outputs, average="macro"))
        assert system["log_loss"] == pytest.approx(log_loss(truth, scores, labels=range(8)))
        assert [fold["fold"] for fold in system["folds"]] == ["1", "2"]
        for fold in system["folds"]:
            of = np.array([row["fold"] == fold["fold"] for row in mine])
            assert fold["n"] == of.sum() == 72
            assert fold["accuracy"] == pytest.approx(accuracy_score(truth[of], outputs[of]))
            assert fold["uar"] == pytest.approx(balanced_accuracy_score(truth[of], outputs[of]))
            assert {row["actor"] for row, here in zip(mine, of, strict=True) if here} == set(
                fold["test_actors"]
            )


def test_the_chosen_fusion_is_the_one_that_training_actors_chose(au_run: Path) -> None:
    results = json.loads((au_run / "results.json").read_text())
    details = json.loads((au_run / "details.json").read_text())
    table = {(row["system"], row["take"]): row for row in rows(au_run)}
    for fold, chosen in results["fused_choice"].items():
        scores = {t["classifier"]: t["score"] for t in details["tuning"] if t["fold"] == fold}
        assert set(scores) == {"lr", "pca-lr", "svm", "nn"}
        assert chosen == min(scores, key=lambda name: scores[name])
        for (system, take), row in table.items():
            if system == "fused" and row["fold"] == fold:
                other = table[f"fused:{chosen}", take]
                assert [row[e] for e in EMOTIONS] == [other[e] for e in EMOTIONS]


def test_each_take_is_tested_once_by_networks_that_never_saw_its_actor(au_run: Path) -> None:
    for system in ("voice", "face", "fused"):
        takes = [row["take"] for row in rows(au_run) if row["system"] == system]
        assert len(takes) == len(set(takes)) == 144
    results = json.loads((au_run / "results.json").read_text())
    assert results["speaker_independent"] is True
    folds = results["systems"]["fused"]["folds"]
    assert not set(folds[0]["test_actors"]) & set(folds[1]["test_actors"])


def test_figures_show_that_something_was_learned(au_run: Path) -> None:
    """Tones and action units depend on the emotion: a fusion that learned nothing would be at 1/8."""
    results = json.loads((au_run / "results.json").read_text())
    assert results["systems"]["fused"]["accuracy"] > 0.3


def test_a_finished_run_has_removed_its_arrays(au_run: Path) -> None:
    assert not list((au_run / "work").glob("*.npy"))
    assert list((au_run / "maps").glob("*.npz"))
    assert list((au_run / "examples").glob("*.npz"))
    assert not [path for path in au_run.rglob("*") if path.name.endswith(".part")]
    for path in au_run.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype.kind != "O" for name in arrays.files), path


@pytest.mark.parametrize(("protocol", "says"), [("six-folds", "unknown protocol"), ("actors-9", "9 groups")])
def test_an_impossible_protocol_is_rejected(
    tmp_path: Path, au_folder: Path, recipe: Recipe, store: Any, protocol: str, says: str
) -> None:
    with pytest.raises(ExperimentError, match=says):
        evaluate(load_corpus(au_folder), recipe, protocol, tmp_path / "run", Resources(store=store))


def test_a_fold_without_faces_is_rejected(tmp_path: Path, au_toml: Path, store: Any) -> None:
    """As where the videos of some actors were not fetched."""
    corpus = small_corpora.write_au_corpus(tmp_path / "corpus", actors=9, takes=1)
    table = corpus / small_corpora.TABLE
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if line.split(",")[0][-2:] not in ("01", "04", "07")))
    recipe = load_recipe(au_toml)
    fusion = recipe.fusion.model_copy(update={"classifiers": ("lr",), "trials": 1, "inner_folds": 3})
    recipe = recipe.model_copy(update={"fusion": fusion})
    with pytest.raises(ExperimentError, match="face"):
        evaluate(load_corpus(corpus), recipe, "actors-3", tmp_path / "run", Resources(store=store))
    # this is detected before anything is trained
    assert not list((tmp_path / "run").rglob("weights.safetensors"))
