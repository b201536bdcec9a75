"""A study with several raters of each clip: from its table to the report, the recognizer and a prediction."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core import soft_label_metrics as metrics
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.rater_figures import rater_figures
from emofuse.evaluation.results import read_results
from emofuse.evaluation.run_files import read_run
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.dataset import read_dataset
from emofuse.training.resources import Resources
from tests.support import small_corpora
from tests.support.report_page import render

LABELS = ("gelöst", "angespannt")
"""In the order of the columns."""
SHARES = ((0.9, 0.1), (0.3, 0.7))
"""How raters judge clips of the one kind and of the other."""
SPEAKERS, TAKES = 6, 6
RECIPE = f"""
extends = "default"
name = "small-rated"

[voice.features]
kind = "descriptors"
sample_rate_hz = 16000
duration_s = 1.0
n_fft = 512
win_length = 400
hop_length = 400
n_mels = 26
fmax_hz = 8000.0

[voice.network]
kind = "ensemble"
ensemble = {{ components = 8, networks = 0 }}

[face.features]
kind = "au-table"
table = "{small_corpora.TABLE}"

[face.network]
kind = "ensemble"
ensemble = {{ components = 4, networks = 0 }}

[fusion]
classifiers = ["svm", "pool"]
inner_folds = 3
refit = true
trials = 2
selection_folds = 2
"""
"""Kernel machines, and fusions that learn shares in different ways."""


def command(*args: object) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result


def write_study(folder: Path, *, hard: bool = False) -> Path:
    """Two kinds of clips; every table has the columns of raters but the hard one."""
    clips: list[list[object]] = [["path", "speaker", "take", *(f"share:{label}" for label in LABELS)]]
    if hard:
        clips[0][3:] = ["emotion"]
    units: list[list[object]] = [["code", *small_corpora.ACTION_UNITS]]
    for speaker in range(1, SPEAKERS + 1):
        for number in range(TAKES):
            kind, take = number % 2, f"s{speaker}-{number}"
            small_corpora.write_wav(folder / f"{take}.wav", small_corpora.speech(5 * kind, number, speaker))
            judged: list[object] = [LABELS[int(SHARES[kind][1] > 0.5)]] if hard else list(SHARES[kind])
            clips.append([f"{take}.wav", f"p{speaker}", take, *judged])
            rng = np.random.default_rng([number, speaker])
            means = 2 + 1.5 * np.cos(np.arange(len(small_corpora.ACTION_UNITS)) * (3 * kind + 1))
            units.append([f"01-{take}", *np.abs(means + 0.3 * rng.standard_normal(len(means))).round(4)])
    for name, rows in (("clips.csv", clips), (small_corpora.TABLE, units)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluated and trained by the commands."""
    folder = write_study(tmp_path_factory.mktemp("rated"))
    command("evaluate", folder / "clips.csv", "-r", folder / "recipe.toml", "-p", "actors-2",
            "-j", 1, "-o", folder / "run")  # fmt: skip
    command("train", folder / "clips.csv", "-r", folder / "recipe.toml", "-j", 1, "-o", folder / "bundle")
    return folder


def test_figures_against_raters_are_those_of_the_predictions(study: Path) -> None:
    run = read_run(study / "run")
    shares = {take.take: take.shares for take in load_corpus(study / "clips.csv").takes()}
    raters = read_results(study / "run" / "results.json")["raters"]
    assert list(raters) == ["voice", "face", "fused"]
    for name, figures in raters.items():
        scores = run.scores[name]
        truth = np.array([[shares[take][label] for label in run.emotions] for take in scores.takes])
        assert figures["n"] == SPEAKERS * TAKES
        assert figures["n_actors"] == SPEAKERS
        assert figures["agreement"] == pytest.approx(metrics.chosen_shares(truth, scores.predicted).mean())
        losses = metrics.cross_entropies(truth, scores.probabilities)
        assert figures["log_loss"] == pytest.approx(losses.mean())
        assert figures["between_raters"] == pytest.approx((0.9**2 + 0.1**2 + 0.3**2 + 0.7**2) / 2)
        assert figures["highest"] == pytest.approx((0.9 + 0.7) / 2)
        assert figures["agreement"] <= figures["highest"]
        assert figures["log_loss"] >= figures["entropy"]
        for key in ("agreement", "log_loss"):
            low, high = figures[f"{key}_ci95"]  # type: ignore[literal-required]
            assert low - 1e-9 <= figures[key] <= high + 1e-9
    # the first label of a clip is what all other figures call right
    fused = read_results(study / "run" / "results.json")["systems"]["fused"]
    assert fused["accuracy"] > 0.8


def test_report_and_card_show_them(study: Path) -> None:
    found = read_results(study / "run" / "results.json")["raters"]["fused"]
    page = render(study / "run")
    assert "raters" in page.sections
    row = page.table("Every system against all raters")[-1]
    assert row[0].startswith("Fusion")
    assert row[1].startswith(f"{100 * found['agreement']:.1f}")
    assert row[2].startswith(f"{found['log_loss']:.3f}")
    assert f"no answers agree with more than {100 * found['highest']:.1f} %" in page.text
    card = (study / "run" / "model-card.md").read_text(encoding="utf-8")
    assert "## Results against raters" in card
    assert f"cannot be lower than {found['entropy']:.3f} nats" in card


def test_a_recognizer_is_as_sure_as_its_raters(study: Path, tmp_path: Path) -> None:
    """That of the same clips with one label each is surer."""
    hard = write_study(tmp_path, hard=True)
    command("train", hard / "clips.csv", "-r", hard / "recipe.toml", "-j", 1, "-o", hard / "bundle")
    means = []
    for folder in (study, hard):
        recognizer = Recognizer.load(folder / "bundle", action_units=folder / small_corpora.TABLE)
        of_kind: list[list[float]] = [[], []]
        for speaker in range(1, SPEAKERS + 1):
            for number in range(TAKES):
                clip = folder / f"s{speaker}-{number}.wav"
                found = recognizer.predict(clip).probabilities
                assert found is not None
                of_kind[number % 2].append(found[recognizer.emotions.index(LABELS[0])])
        means.append([float(np.mean(one)) for one in of_kind])
    assert means[0] == pytest.approx([0.9, 0.3], abs=0.12)
    assert means[1][0] > 0.9
    assert means[1][1] < 0.18


def test_the_command_predicts_what_the_recognizer_does(study: Path) -> None:
    printed = command("predict", study / "s1-0.wav", "--bundle", study / "bundle",
                      "--action-units", study / small_corpora.TABLE, "--format", "json")  # fmt: skip
    (found,) = json.loads(printed.stdout)
    assert set(found["probabilities"]) == set(LABELS)
    assert found["emotion"] == LABELS[0]


def test_shares_change_what_is_fitted(study: Path, tmp_path: Path) -> None:
    """The fingerprint of a data set says whose labels they are, so that nothing is resumed with others."""
    recipe = load_recipe(study / "recipe.toml")
    soft = read_dataset(load_corpus(study / "clips.csv"), recipe, tmp_path / "soft", Resources())
    hard = write_study(tmp_path / "study", hard=True)
    other = read_dataset(load_corpus(hard / "clips.csv"), recipe, tmp_path / "hard", Resources())
    assert soft.inputs.labels.tolist() == other.inputs.labels.tolist()
    assert other.inputs.supervision is None
    assert soft.fingerprint != other.fingerprint


def test_takes_that_nobody_rated_are_left_out() -> None:
    shares = np.array([[0.5, 0.5], [np.nan, np.nan], [1.0, 0.0]])
    scores = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2]])
    actors = np.array(["a", "a", "b"])
    found = rater_figures(shares, scores, actors, 0)
    assert found is not None
    assert (found["n"], found["n_actors"], found["agreement"]) == (2, 2, 0.75)
    assert rater_figures(shares[1:2], scores[1:2], actors[1:2], 0) is None
