"""A speaker's center and scale against the closed formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emofuse.features import speaker_normalization
from emofuse.features.speaker_normalization import (
    LEAST_SHARE,
    Moments,
    SpeakerPrior,
    blend,
    draw_clips,
    speaker_scaler,
    standardize_speakers,
    unenrolled_weight,
)


def speakers(n: int = 20, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three speakers who differ in center and spread."""
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c"], n)
    centers = np.repeat(rng.normal(0, 3, (3, d)), n, axis=0)
    spreads = np.repeat([0.5, 1.0, 2.0], n)[:, None]
    return (centers + spreads * rng.standard_normal((3 * n, d))).astype(np.float32), names


def test_the_prior_is_what_numpy_computes() -> None:
    rows, names = speakers()
    prior = SpeakerPrior.of(rows, names)
    x = rows.astype(np.float64)
    np.testing.assert_allclose(prior.mean, x.mean(0), rtol=1e-9)
    np.testing.assert_allclose(prior.spread, x.std(0), rtol=1e-4)
    within = np.sqrt(np.mean([x[names == one].var(0) for one in "abc"], axis=0))
    np.testing.assert_allclose(prior.within, within, rtol=1e-4)
    assert (prior.within < prior.spread).all()


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("prior_clips", [0.5, 3.0, 40.0])
def test_a_scaler_from_moments_is_the_closed_formula_on_rows(n: int, prior_clips: float) -> None:
    """As if ``prior_clips`` clips were at the prior's mean, with deviations about the new center."""
    rows, names = speakers()
    prior = SpeakerPrior.of(rows, names)
    own = rows[names == "c"][:n].astype(np.float64)
    scaler = speaker_scaler(Moments.of(own), prior, prior_clips)
    center = (own.sum(0) + prior_clips * prior.mean) / (n + prior_clips)
    np.testing.assert_allclose(scaler.center, center, rtol=1e-9)
    variance = (np.square(own - center).sum(0) + 2 * prior_clips * prior.within**2) / (n + 2 * prior_clips)
    np.testing.assert_allclose(scaler.scale, np.sqrt(variance) + LEAST_SHARE * prior.spread, rtol=1e-9)


def test_an_unenrolled_speaker_is_standardized_by_the_prior() -> None:
    rows, names = speakers()
    prior = SpeakerPrior.of(rows, names)
    nobody = speaker_scaler(Moments.of(rows[:0]), prior, 3.0)
    np.testing.assert_allclose(nobody.center, prior.mean)
    np.testing.assert_allclose(nobody.scale, prior.within + LEAST_SHARE * prior.spread)


def test_many_clips_give_the_speakers_own_mean_and_deviation() -> None:
    rng = np.random.default_rng(1)
    own = rng.normal([5.0, -3.0], [0.2, 4.0], (50_000, 2))
    prior = SpeakerPrior(np.zeros(2), np.ones(2), np.ones(2))
    scaler = speaker_scaler(Moments.of(own), prior, 3.0)
    np.testing.assert_allclose(scaler.center, own.mean(0), atol=2e-3)
    np.testing.assert_allclose(scaler.scale - LEAST_SHARE, own.std(0), rtol=0.02)
    done = scaler.apply(own)
    assert done.dtype == np.float32
    np.testing.assert_allclose(done.mean(0), 0, atol=0.01)


def test_more_clips_come_closer_to_the_speaker() -> None:
    rows, names = speakers(n=64)
    prior = SpeakerPrior.of(rows, names)
    own = rows[names == "c"].astype(np.float64)
    far = [
        np.abs(speaker_scaler(Moments.of(np.tile(own, (times, 1))), prior, 3.0).center - own.mean(0)).max()
        for times in (1, 2, 8)
    ]
    assert far[0] > far[1] > far[2] > 0


def test_moments_are_those_of_the_rows() -> None:
    rows, _ = speakers()
    moments = Moments.of(rows)
    assert moments.n == 60
    x = rows.astype(np.float64)
    np.testing.assert_allclose(moments.mean, x.mean(0))
    np.testing.assert_allclose(moments.deviations, 60 * x.var(0))
    # float32 rows far from 0 lose nothing: moments are float64
    shifted = Moments.of(x + 1e4)
    np.testing.assert_allclose(shifted.deviations, moments.deviations, rtol=1e-6)
    none = Moments.of(rows[:0])
    assert (none.n, none.mean.shape, none.deviations.any()) == (0, (4,), False)


def test_values_stay_within_five() -> None:
    prior = SpeakerPrior(np.zeros(2), np.ones(2), np.zeros(2))
    # a value that never varied, then does: no division by 0
    done = speaker_scaler(Moments.of(np.zeros((9, 2))), prior, 3.0).apply(np.array([[1e9, -1e9]]))
    np.testing.assert_array_equal(done, [[5, -5]])


def test_every_speaker_is_standardized_by_their_own_clips_alone() -> None:
    rows, names = speakers()
    prior = SpeakerPrior.of(rows, names)
    order = np.random.default_rng(3).permutation(len(rows))
    done = np.empty(rows.shape, np.float32)
    done[order] = standardize_speakers(rows[order], names[order], prior, 3.0)
    for one in "abc":
        own = names == one
        alone = speaker_scaler(Moments.of(rows[own]), prior, 3.0).apply(rows[own])
        np.testing.assert_allclose(done[own], alone, atol=1e-6)
    others = rows.copy()
    others[names == "b"] += 100
    again = standardize_speakers(others, names, prior, 3.0)
    np.testing.assert_array_equal(
        again[names != "b"], standardize_speakers(rows, names, prior, 3.0)[names != "b"]
    )
    # what tells speakers apart is nearly gone
    means = np.array([done[names == one].mean(0) for one in "abc"])
    before = np.array([rows[names == one].mean(0) for one in "abc"])
    assert (means.std(0) < 0.3 * before.std(0)).all()


def test_no_label_can_enter() -> None:
    """What enrollment reads: features, their speakers, numbers of clips. No emotion, no ground truth."""
    allowed = {
        "rows", "speaker_ids", "moments", "prior", "prior_clips", "n_clips", "unenrolled", "enrolled",
        "weight", "n_own", "seed",
    }  # fmt: skip
    functions: list[Callable[..., Any]] = [
        SpeakerPrior.of, Moments.of, speaker_scaler, standardize_speakers, unenrolled_weight, blend,
        draw_clips,
    ]  # fmt: skip
    assert {name for f in functions for name in inspect.signature(f).parameters} == allowed
    source = inspect.getsource(speaker_normalization)
    assert "labels" not in source.replace("label is ever used", "")


def test_the_unenrolled_weight_falls_with_every_clip() -> None:
    weights = [unenrolled_weight(n, 3.0) for n in (0, 1, 3, 30, 10**6)]
    assert weights[0] == 1
    assert weights[2] == 0.5
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] < 1e-5


def test_blend_is_a_weighted_geometric_mean() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.dirichlet(np.ones(8), 5), rng.dirichlet(np.ones(8), 5)
    np.testing.assert_allclose(blend(one, two, 1.0), one, atol=1e-12)
    np.testing.assert_allclose(blend(one, two, 0.0), two, atol=1e-12)
    wanted = one**0.3 * two**0.7
    np.testing.assert_allclose(blend(one, two, 0.3), wanted / wanted.sum(1, keepdims=True), atol=1e-12)
    certain = np.eye(8)[:1]
    blended = blend(certain, np.eye(8)[1:2], 0.5)
    assert np.isfinite(blended).all()
    np.testing.assert_allclose(blended.sum(), 1)


@pytest.mark.parametrize(("n_own", "n_clips"), [(8, 0), (8, 3), (8, 8), (60, 30)])
def test_draws_have_the_given_size_and_follow_from_the_seed(n_own: int, n_clips: int) -> None:
    draws: list[Any] = [draw_clips(n_own, n_clips, [seed]) for seed in range(40)]
    assert all(one.shape == (n_own,) and one.sum() == n_clips for one in draws)
    np.testing.assert_array_equal(draws[7], draw_clips(n_own, n_clips, [7]))
    if 0 < n_clips < n_own:
        assert len({one.tobytes() for one in draws}) > 10
        assert np.sum(draws, axis=0).min() > 0  # every clip is drawn sometimes
