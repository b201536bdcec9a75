"""Scales, late fusion and intervals of ratings: what concordance asks for, and what intervals promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.dimensions import Dimension
from emofuse.core.errors import ExperimentError
from emofuse.core.rating_metrics import concordance, pearson
from emofuse.training.dataset import Inputs
from emofuse.training.plan import Plan, make_plan
from emofuse.training.rating_jobs import load_rating_outputs, run_rating_job, run_rating_jobs
from emofuse.training.rating_plan import rating_jobs
from emofuse.training.ratings import fit_concordance, fit_ratings, radius_by_speaker
from emofuse.training.resources import ONE_PROCESS
from tests.support import small_ensembles

Fitted = tuple[Plan, Path, tuple[Dimension, ...]]


def _outputs(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.normal(4, 1.5, n)
    X = np.stack([0.3 * y + rng.normal(0, 0.4, n), 0.2 * y - 1 + rng.normal(0, 0.5, n)], axis=1)
    return X, y


def test_of_all_scales_the_one_that_was_fitted_agrees_best() -> None:
    X, y = _outputs(0)
    weights, offset = fit_concordance(X[:, :1], y)
    found = concordance(y, X[:, :1] @ weights + offset)
    assert found == pytest.approx(pearson(y, X[:, 0])), "mean and spread are those of the ratings"
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = X[:, :1] @ (weights * rng.uniform(0.3, 2)) + offset + rng.normal(0, 1)
        assert concordance(y, other) < found


def test_a_fusion_correlates_better_than_each_column_and_no_weight_is_negative() -> None:
    X, y = _outputs(2)
    weights, offset = fit_concordance(X, y)
    fused = pearson(y, X @ weights + offset)
    assert (weights > 0).all()
    assert fused > max(pearson(y, X[:, 0]), pearson(y, X[:, 1])) + 0.02
    against = np.stack([X[:, 0], -X[:, 1]], axis=1)
    alone, single = fit_concordance(against, y), fit_concordance(X[:, :1], y)
    assert alone[0].tolist() == pytest.approx([single[0][0], 0])
    assert alone[1] == pytest.approx(single[1])


def test_where_nothing_agrees_the_mean_is_predicted() -> None:
    X, y = _outputs(3)
    for useless in (-X[:, :1], np.full((len(y), 1), 3.3), -X):
        weights, offset = fit_concordance(useless, y)
        assert not weights.any()
        assert offset == pytest.approx(y.mean())


def test_intervals_hold_new_speakers_clips_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(4)
    inside = []
    for _ in range(400):
        spread = rng.lognormal(0, 0.6, 21)
        speakers = np.repeat(np.arange(21), 12).astype(str)
        errors = np.abs(rng.normal(0, 1, len(speakers)) * np.repeat(spread, 12))
        radius = radius_by_speaker(errors[12:], speakers[12:], 0.9)
        assert radius is not None
        inside.append(float((errors[:12] <= radius).mean()))
    assert 0.89 < np.mean(inside) < 0.95


def test_every_speaker_weighs_the_same_however_many_clips_there_are() -> None:
    errors = np.array([0.1] * 500 + [1.0] * 4)
    speakers = np.array(["a"] * 500 + list("bcde"))
    assert radius_by_speaker(errors, speakers, 0.5) == 1.0
    assert radius_by_speaker(errors, speakers, 0.16) == 0.1


def test_too_few_speakers_cannot_tell() -> None:
    errors = np.linspace(0, 1, 90)
    for n, known in ((8, False), (9, True)):
        speakers = np.array([str(i % n) for i in range(90)])
        assert (radius_by_speaker(errors, speakers, 0.9) is not None) == known


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Features that depend on the emotion, and ratings that do, with noise; a third of one is missing."""
    inputs = small_ensembles.make_inputs(tmp_path_factory.mktemp("inputs"), n_actors=6, takes=2)
    rng = np.random.default_rng(8)
    scales = rng.uniform(1, 7, (8, 2))
    ratings = scales[inputs.labels] + rng.normal(0, 0.3, (len(inputs.labels), 2))
    ratings[::3, 1] = np.nan
    return replace(inputs, dimensions=("valence", "arousal"), ratings=ratings)


@pytest.fixture(scope="module")
def fitted(
    rated: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, Path, tuple[Dimension, ...]]:
    recipe = small_ensembles.recipe(enrolment=False)
    work = tmp_path_factory.mktemp("work")
    test = np.flatnonzero(rated.speakers == "01")
    train = np.flatnonzero(rated.speakers != "01")
    plan = make_plan("fold-1", rated, train.tolist(), test.tolist(), recipe)
    run_rating_jobs(rating_jobs(plan, rated, recipe), rated, recipe, work, ONE_PROCESS)
    return plan, work, fit_ratings(plan, rated, work)


def test_voice_and_face_are_scaled_and_fused(rated: Inputs, fitted: Fitted) -> None:
    plan, work, dimensions = fitted
    assert [one.name for one in dimensions] == ["valence", "arousal"]
    for index, one in enumerate(dimensions):
        own = rated.ratings[plan.train, index]
        assert (one.low, one.high) == (np.nanmin(own), np.nanmax(own))
        assert list(one.systems) == ["voice", "face", "fused"]
        assert set(one.systems["fused"].weights) == {"voice", "face"}
        assert all(combination.radius is None for combination in one.systems.values()), "5 speakers are few"
    outputs = {
        name: load_rating_outputs(plan, name, plan.test, plan.scoring, work) for name in rated.modalities
    }
    predicted = []
    for row in range(len(plan.test)):
        found = dimensions[0].rated({name: float(values[row, 0]) for name, values in outputs.items()})
        assert found is not None
        predicted.append(found.value)
    assert concordance(rated.ratings[plan.test, 0], predicted) > 0.5


def test_ratings_and_features_of_test_speakers_change_nothing_that_is_fitted(
    rated: Inputs, fitted: Fitted, tmp_path: Path
) -> None:
    plan, _, dimensions = fitted
    recipe = small_ensembles.recipe(enrolment=False)
    changed = rated.ratings.copy()
    changed[plan.test] = 1000.0
    for modality in ("voice", "voice-1", "face"):
        values = np.load(rated.folder / f"{modality}.npy")
        values[plan.test] *= 100
        np.save(tmp_path / f"{modality}.npy", values)
    other = replace(rated, folder=tmp_path, ratings=changed)
    run_rating_jobs(rating_jobs(plan, other, recipe), other, recipe, tmp_path / "work", ONE_PROCESS)
    assert fit_ratings(plan, other, tmp_path / "work") == dimensions


def test_no_test_speaker_is_in_a_job_and_unrated_rows_train_nothing(rated: Inputs) -> None:
    recipe = small_ensembles.recipe(enrolment=False)
    ratings = rated.ratings.copy()
    ratings[::5] = np.nan
    holes = replace(rated, ratings=ratings)
    test = np.flatnonzero(rated.speakers == "02")
    train = np.flatnonzero(rated.speakers != "02")
    plan = make_plan("fold-1", holes, train.tolist(), test.tolist(), recipe)
    jobs = rating_jobs(plan, holes, recipe)
    assert len(jobs) == (len(plan.members) + 1) * 2
    for job in jobs:
        assert not set(job.train) & set(test.tolist())
        assert not any(row % 5 == 0 for row in job.train)
    assert rating_jobs(plan, replace(holes, dimensions=(), ratings=np.zeros((0, 0))), recipe) == []
    with pytest.raises(ExperimentError, match="too few rated clips with a voice"):
        rating_jobs(plan, replace(rated, ratings=np.full_like(ratings, np.nan)), recipe)


def test_a_finished_job_is_left_alone(rated: Inputs, tmp_path: Path) -> None:
    recipe = small_ensembles.recipe(enrolment=False)
    plan = make_plan("all", rated, range(len(rated.labels)), (), recipe)
    job = rating_jobs(plan, rated, recipe)[0]
    run_rating_job(job, rated, recipe, tmp_path)
    before = (tmp_path / job.name / "weights.safetensors").read_bytes()
    (tmp_path / job.name / "weights.safetensors").write_bytes(b"")
    run_rating_job(job, rated, recipe, tmp_path)
    assert (tmp_path / job.name / "weights.safetensors").read_bytes() == b""
    (tmp_path / job.name / "outputs.npz").unlink()
    run_rating_job(job, rated, recipe, tmp_path)
    assert (tmp_path / job.name / "weights.safetensors").read_bytes() == before, "the same, to the bit"
