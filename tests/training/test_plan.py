"""Plans keep training actors apart, and too small corpora are rejected before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.extraction import MODALITIES
from emofuse.training.dataset import Inputs
from emofuse.training.plan import derive_seed, make_plan, network_jobs
from tests.support import small_ensembles
from tests.support.small_inputs import make_inputs, small_recipe, with_patience


def test_plans_of_random_corpora_keep_actors_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    planned = 0
    for _ in range(400):
        n_actors = int(rng.integers(2, 14))
        names = np.array([f"{n:02d}" if rng.random() < 0.7 else f"s{n}" for n in range(1, n_actors + 1)])
        n = int(rng.integers(n_actors, 60))
        speakers = rng.permutation(np.concatenate([names, rng.choice(names, n - n_actors)]))
        has = {m: rng.random(n) < rng.choice([0.6, 1.0]) for m in MODALITIES}
        inputs = Inputs(tmp_path, rng.integers(0, 8, n), speakers, has)
        tested = rng.choice(names, int(rng.integers(0, n_actors)), replace=False)
        test = np.flatnonzero(np.isin(speakers, tested))
        train = np.flatnonzero(~np.isin(speakers, tested))
        folds = int(rng.integers(2, 7))
        patience = bool(rng.random() < 0.5)
        features = bool(rng.random() < 0.5)
        members = {"members": int(rng.integers(1, min(folds, n_actors) + 1))} if features else {}
        recipe = small_recipe("features" if features else "probabilities", inner_folds=folds, **members)
        recipe = with_patience(recipe) if patience else recipe
        try:
            plan = make_plan("p", inputs, train.tolist(), test.tolist(), recipe)
            jobs = network_jobs(plan, inputs, recipe)
        except ExperimentError:
            continue
        planned += 1
        assert set(plan.train) == set(train)
        assert set(plan.test) == set(test)
        for member in plan.members:
            parts = [member.network_rows, member.stopping_rows, member.fusion_rows]
            together = np.concatenate(parts)
            assert len(together) == len(set(together.tolist()))
            assert set(together.tolist()) == set(train.tolist())
            speaker_ids = [set(speakers[rows].tolist()) for rows in parts]
            assert not speaker_ids[0] & speaker_ids[1]
            assert not speaker_ids[0] & speaker_ids[2]
            assert not speaker_ids[1] & speaker_ids[2]
            assert len(speaker_ids[2]) >= (2 if features else 1)
            assert bool(len(parts[1])) == patience
            assert not set().union(*speaker_ids) & set(tested.tolist())
        if not features:
            queried = np.concatenate([member.fusion_rows for member in plan.members])
            assert sorted(queried.tolist()) == sorted(train.tolist())
        for job in jobs:
            seen = set(speakers[list(job.train)].tolist())
            stopped = set(speakers[list(job.held_out)].tolist())
            scored = set(speakers[list(job.score)].tolist())
            assert not seen & scored
            assert not seen & stopped
            assert not patience or not stopped & scored
            assert job.modality != "both"
            assert all(has[job.modality][list(job.train + job.held_out + job.score)])
    assert planned > 100


def test_seeds_of_parts_differ_and_are_reproducible() -> None:
    seeds = {derive_seed(seed, plan, member, m) for seed in (0, 1) for plan in ("fold-1", "fold-11")
             for member in (0, 1, 10) for m in MODALITIES}  # fmt: skip
    assert len(seeds) == 24
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "fold-1", 0, "voice") == derive_seed(0, "fold-1", 0, "voice")


@pytest.mark.parametrize(
    ("actors", "recipe", "says"),
    [
        (1, small_recipe(), "1 training actors are too few, 2 are needed"),
        (2, with_patience(small_recipe()), "2 training actors are too few, 3 are needed"),
        (4, with_patience(small_recipe(inner_folds=2)), "patience needs fusion.inner_folds of 3 or more"),
    ],
)
def test_too_few_actors_are_rejected(tmp_path: Path, actors: int, recipe: Recipe, says: str) -> None:
    inputs = make_inputs(tmp_path, n_actors=actors, takes=1)
    with pytest.raises(ExperimentError, match=says):
        make_plan("fold-1", inputs, range(8 * actors), (), recipe)


def test_fewer_actors_than_pairs_are_rejected(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=2, takes=1)
    recipe = small_recipe("features", inner_folds=4, members=3)
    with pytest.raises(ExperimentError, match=r"fold-1: .*lower fusion\.inner_folds"):
        make_plan("fold-1", inputs, range(16), (), recipe)


def test_a_fusion_with_one_actor_is_rejected_before_training(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=8, takes=1)
    recipe = small_recipe("features", inner_folds=4)
    with pytest.raises(ExperimentError, match="7 training actors in 4 inner folds leave a fusion one actor"):
        make_plan("fold-1", inputs, range(56), (), recipe)
    assert len(make_plan("fold-1", inputs, range(64), (), recipe).members) == 4
    # probabilities of all actors are fused at once
    assert len(make_plan("fold-1", inputs, range(32), (), small_recipe(inner_folds=4)).members) == 4


def test_training_actors_without_a_modality_are_rejected(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, n_actors=3, takes=1)
    inputs.has["face"][:] = inputs.speakers == "03"
    plan = make_plan("fold-1", inputs, range(24), (), small_recipe())
    with pytest.raises(ExperimentError, match="too few clips with a face"):
        network_jobs(plan, inputs, small_recipe())


def test_too_few_actors_for_ensembles_are_rejected_before_training(tmp_path: Path) -> None:
    inputs = small_ensembles.make_inputs(tmp_path, n_actors=3, takes=1)
    plan = make_plan("fold-1", inputs, range(24), (), small_ensembles.recipe())
    with pytest.raises(ExperimentError, match="fold-1: an ensemble trains on clips of at least two actors"):
        network_jobs(plan, inputs, small_ensembles.recipe())
