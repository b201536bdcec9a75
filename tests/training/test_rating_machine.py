"""Kernel machines of ratings: the closed form against explicit refits; missing ratings; landmarks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.core.errors import ExperimentError
from emofuse.core.rating_metrics import concordance
from emofuse.core.recipes.part import Ensemble
from emofuse.training import rating_machine
from emofuse.training.networks.descriptor_ensemble import Layout, kernel
from emofuse.training.rating_machine import fit_rating_machine

SETTINGS = Ensemble(components=8, gamma=0.3, ridges=(0.1, 0.4), networks=0)
LAYOUT = Layout(((0, 6), (6, 14)))


def clips(seed: int, n_speakers: int = 6, each: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (n, 14) that show what was rated, and more of the speaker; ratings (n, 2)."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(n_speakers), each)
    ratings = rng.uniform(-1, 1, (len(speakers), 2)) * (3, 1) + (4, 0)
    values = ((ratings - (4, 0)) / (3, 1)) @ rng.normal(0, 1, (2, 14))
    values = values + rng.normal(0, 1, (n_speakers, 14))[speakers] + 0.2 * rng.standard_normal(values.shape)
    return values.astype(np.float32), ratings, speakers.astype(str)


def test_new_speakers_are_rated() -> None:
    values, ratings, speakers = clips(0)
    train = speakers != "0"
    machine = fit_rating_machine(
        [values[train]], ratings[train], speakers[train], [(LAYOUT, SETTINGS)], ("a", "b"), seed=1
    )
    found = machine(torch.from_numpy(values)).numpy()
    for index in range(2):
        assert concordance(ratings[~train, index], found[~train, index]) > 0.5
        assert concordance(ratings[train, index], found[train, index]) > 0.9


def test_the_ridge_is_the_one_of_explicit_refits_without_each_speaker() -> None:
    values, ratings, speakers = clips(1)
    machine = fit_rating_machine([values], ratings, speakers, [(LAYOUT, SETTINGS)], ("a", "b"), seed=1)
    (one,) = machine.machines
    supports = [one.get_buffer(f"support_{i}") for i in range(2)]
    gram = kernel(supports, supports, SETTINGS.gamma, 0).double().numpy()
    for index in range(2):
        y = ratings[:, index] - ratings[:, index].mean()
        found = {}
        for ridge in (0.1, 0.4, 1.6, 6.4):
            held_out = np.empty(len(y))
            for name in np.unique(speakers):
                own = speakers == name
                others = gram[~own][:, ~own] + ridge * np.eye(int((~own).sum()))
                held_out[own] = gram[own][:, ~own] @ np.linalg.solve(others, y[~own])
            found[ridge] = concordance(y, held_out)
        best = max(found, key=lambda ridge: found[ridge])
        wanted = np.linalg.solve(gram + best * np.eye(len(y)), y)
        np.testing.assert_allclose(one.get_buffer("weights")[:, index].numpy(), wanted, atol=2e-4)


def test_a_missing_rating_counts_for_its_dimension_alone() -> None:
    values, ratings, speakers = clips(2)
    holes = ratings.copy()
    holes[::3, 1] = np.nan
    whole, part = (
        fit_rating_machine([values], one, speakers, [(LAYOUT, SETTINGS)], ("a", "b"), seed=1)
        for one in (ratings, holes)
    )
    x = torch.from_numpy(values)
    np.testing.assert_allclose(whole(x)[:, 0].numpy(), part(x)[:, 0].numpy(), atol=1e-4)
    weights = part.machines[0].get_buffer("weights")[:, 1].numpy()
    assert not weights[::3].any()
    assert weights[1::3].all()
    assert concordance(ratings[:, 1], part(x)[:, 1].numpy()) > 0.8


def test_landmarks_stand_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values, ratings, speakers = clips(3, each=40)
    arguments = ([values, values + 0.01], ratings, speakers, [(LAYOUT, SETTINGS)], ("a", "b"))
    whole = fit_rating_machine(*arguments, seed=1)
    monkeypatch.setattr(rating_machine, "MOST_ROWS", 300)
    thinned = fit_rating_machine(*arguments, seed=1)
    assert torch.equal(fit_rating_machine(*arguments, seed=1)(torch.ones(1, 14)), thinned(torch.ones(1, 14)))
    x = torch.from_numpy(values)
    np.testing.assert_allclose(whole(x).numpy(), thinned(x).numpy(), atol=0.2)


def test_what_cannot_be_learned_from_is_refused() -> None:
    values, ratings, speakers = clips(4)
    same = ratings.copy()
    same[:, 1] = 2.0
    alone = ratings.copy()
    alone[speakers != "3", 1] = np.nan
    for wrong in (same, alone):
        with pytest.raises(ExperimentError, match="b: training needs different ratings"):
            fit_rating_machine([values], wrong, speakers, [(LAYOUT, SETTINGS)], ("a", "b"), seed=1)
