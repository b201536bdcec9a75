"""The voice of what is shipped, on a small corpus: what is measured of it, and on whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.metrics import accuracy
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.features.store import FeatureStore
from emofuse.training.dataset import Inputs
from emofuse.training.plan import NetworkJob, Plan, make_plan
from emofuse.training.resources import Resources
from emofuse.training.ship.voice import damaged_figures, fit_voice, held_out_readings, read_voices

RECIPE = """
extends = "out-of-the-box"
name = "small-voice"
[voice]
speeds = [1.1]
conditions = ["telephone", "noise-20-db"]
[voice.features]
n_fft = 512
win_length = 400
hop_length = 200
n_mels = 26
duration_s = 1.0
highpass_hz = "none"
start_at_speech = false
[voice.network.ensemble]
components = 6
[voice.network.attention]
networks = 1
[voice.network.attention.training]
epochs = 2
[fusion]
inner_folds = 3
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "small-voice.toml"
    path.write_text(RECIPE)
    return load_recipe(path)


@pytest.fixture(scope="module")
def fitted(
    recipe: Recipe, video_folder: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, Inputs, Path]:
    """Who trains on whom, what they read, and the folder of the networks."""
    work = tmp_path_factory.mktemp("work")
    resources = Resources(store=FeatureStore(home / "store"))
    inputs = read_voices(load_corpus(video_folder), recipe, work, resources)
    plan = make_plan("all", inputs, list(range(len(inputs.labels))), (), recipe)
    fit_voice(plan, inputs, recipe, work, resources)
    return plan, inputs, work


def jobs(plan: Plan) -> list[NetworkJob]:
    rows: tuple[int, ...] = ()
    return [NetworkJob(plan.name, member.index, "voice", rows, rows, rows) for member in plan.members]


def test_damage_is_read_by_networks_that_had_not_heard_the_speaker(
    recipe: Recipe, fitted: tuple[Plan, Inputs, Path]
) -> None:
    """Clean recordings in the place of degraded ones: the figure is that of the clean ones on held-out
    speakers."""
    plan, inputs, work = fitted
    telephone, noise = damaged_figures(plan, jobs(plan), inputs, recipe, work)
    assert [telephone["condition"], noise["condition"]] == ["telephone", "noise-20-db"]
    rows, logs = held_out_readings(plan, work)
    clean = accuracy(inputs.labels[rows], logs.argmax(1))
    n = len(inputs.labels)
    for figures in (telephone, noise):
        assert figures["accuracy"] * n == pytest.approx(round(figures["accuracy"] * n))
        low, high = figures["accuracy_ci95"]
        assert 0 <= low <= figures["accuracy"] <= high <= 1
    degraded = [np.load(work / f"voice-{number}.npy") for number in (2, 3)]
    try:
        np.save(work / "voice-2.npy", np.load(work / "voice.npy"))
        np.save(work / "voice-3.npy", np.zeros_like(degraded[1]))
        as_clean, silent = damaged_figures(plan, jobs(plan), inputs, recipe, work)
    finally:
        for number, rows_before in zip((2, 3), degraded, strict=True):
            np.save(work / f"voice-{number}.npy", rows_before)
    assert as_clean["accuracy"] == clean
    # the same input for every clip: each network always answers the same
    assert silent["accuracy"] <= max(np.bincount(inputs.labels)) / n
    assert as_clean["corpora"] == []  # there is one


def test_what_a_bundle_says_of_a_voice_has_its_damage(
    recipe: Recipe, fitted: tuple[Plan, Inputs, Path]
) -> None:
    plan, inputs, work = fitted
    facts = fit_voice(plan, inputs, recipe, work, Resources()).as_dict()
    assert [one["condition"] for one in facts["damaged"]] == list(recipe.voice.conditions)
    assert facts["damaged"] == damaged_figures(plan, jobs(plan), inputs, recipe, work)
