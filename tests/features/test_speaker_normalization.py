"""A person's centre and scale against the closed formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emofuse.features import speaker_normalization as enrolment
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


def people(n: int = 20, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three persons who differ in centre and spread."""
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c"], n)
    centres = np.repeat(rng.normal(0, 3, (3, d)), n, axis=0)
    spreads = np.repeat([0.5, 1.0, 2.0], n)[:, None]
    return (centres + spreads * rng.standard_normal((3 * n, d))).astype(np.float32), names


def test_population_is_what_numpy_says() -> None:
    rows, names = people()
    known = SpeakerPrior.of(rows, names)
    x = rows.astype(np.float64)
    np.testing.assert_allclose(known.mean, x.mean(0), rtol=1e-9)
    np.testing.assert_allclose(known.spread, x.std(0), rtol=1e-4)
    within = np.sqrt(np.mean([x[names == one].var(0) for one in "abc"], axis=0))
    np.testing.assert_allclose(known.within, within, rtol=1e-4)
    assert (known.within < known.spread).all()


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("prior", [0.5, 3.0, 40.0])
def test_standard_from_moments_is_the_closed_formula_on_rows(n: int, prior: float) -> None:
    """As if ``prior`` clips at the population's mean, and deviations about the new centre."""
    rows, names = people()
    known = SpeakerPrior.of(rows, names)
    mine = rows[names == "c"][:n].astype(np.float64)
    standard = speaker_scaler(Moments.of(mine), known, prior)
    centre = (mine.sum(0) + prior * known.mean) / (n + prior)
    np.testing.assert_allclose(standard.centre, centre, rtol=1e-9)
    variance = (np.square(mine - centre).sum(0) + 2 * prior * known.within**2) / (n + 2 * prior)
    np.testing.assert_allclose(standard.scale, np.sqrt(variance) + LEAST_SHARE * known.spread, rtol=1e-9)


def test_a_stranger_is_standardised_as_people_in_general() -> None:
    rows, names = people()
    known = SpeakerPrior.of(rows, names)
    nobody = speaker_scaler(Moments.of(rows[:0]), known, 3.0)
    np.testing.assert_allclose(nobody.centre, known.mean)
    np.testing.assert_allclose(nobody.scale, known.within + LEAST_SHARE * known.spread)


def test_many_clips_give_the_persons_own_mean_and_deviation() -> None:
    rng = np.random.default_rng(1)
    mine = rng.normal([5.0, -3.0], [0.2, 4.0], (50_000, 2))
    known = SpeakerPrior(np.zeros(2), np.ones(2), np.ones(2))
    standard = speaker_scaler(Moments.of(mine), known, 3.0)
    np.testing.assert_allclose(standard.centre, mine.mean(0), atol=2e-3)
    np.testing.assert_allclose(standard.scale - LEAST_SHARE, mine.std(0), rtol=0.02)
    done = standard.apply(mine)
    assert done.dtype == np.float32
    np.testing.assert_allclose(done.mean(0), 0, atol=0.01)


def test_more_clips_come_nearer_to_the_person() -> None:
    rows, names = people(n=64)
    known = SpeakerPrior.of(rows, names)
    mine = rows[names == "c"].astype(np.float64)
    far = [
        np.abs(speaker_scaler(Moments.of(np.tile(mine, (times, 1))), known, 3.0).centre - mine.mean(0)).max()
        for times in (1, 2, 8)
    ]
    assert far[0] > far[1] > far[2] > 0


def test_moments_are_those_of_the_rows() -> None:
    rows, _ = people()
    known = Moments.of(rows)
    assert known.n == 60
    x = rows.astype(np.float64)
    np.testing.assert_allclose(known.mean, x.mean(0))
    np.testing.assert_allclose(known.deviations, 60 * x.var(0))
    # float32 rows far from 0 lose nothing: what is kept is float64
    shifted = Moments.of(x + 1e4)
    np.testing.assert_allclose(shifted.deviations, known.deviations, rtol=1e-6)
    none = Moments.of(rows[:0])
    assert (none.n, none.mean.shape, none.deviations.any()) == (0, (4,), False)


def test_values_stay_within_five() -> None:
    known = SpeakerPrior(np.zeros(2), np.ones(2), np.zeros(2))
    # a value that never varied, then does: no division by 0
    done = speaker_scaler(Moments.of(np.zeros((9, 2))), known, 3.0).apply(np.array([[1e9, -1e9]]))
    np.testing.assert_array_equal(done, [[5, -5]])


def test_everybody_is_standardised_by_themselves_alone() -> None:
    rows, names = people()
    known = SpeakerPrior.of(rows, names)
    order = np.random.default_rng(3).permutation(len(rows))
    done = np.empty(rows.shape, np.float32)
    done[order] = standardize_speakers(rows[order], names[order], known, 3.0)
    for one in "abc":
        mine = names == one
        alone = speaker_scaler(Moments.of(rows[mine]), known, 3.0).apply(rows[mine])
        np.testing.assert_allclose(done[mine], alone, atol=1e-6)
    others = rows.copy()
    others[names == "b"] += 100
    again = standardize_speakers(others, names, known, 3.0)
    np.testing.assert_array_equal(
        again[names != "b"], standardize_speakers(rows, names, known, 3.0)[names != "b"]
    )
    # what tells people apart is nearly gone
    means = np.array([done[names == one].mean(0) for one in "abc"])
    before = np.array([rows[names == one].mean(0) for one in "abc"])
    assert (means.std(0) < 0.3 * before.std(0)).all()


def test_no_label_can_enter() -> None:
    """What enrolment reads: features, whose they are, numbers of clips. No emotion, no truth."""
    allowed = {
        "rows", "people", "known", "population", "prior_clips", "n_clips", "stranger", "enrolled", "share",
        "n_own", "seed",
    }  # fmt: skip
    functions: list[Callable[..., Any]] = [
        SpeakerPrior.of, Moments.of, speaker_scaler, standardize_speakers, unenrolled_weight, blend,
        draw_clips,
    ]  # fmt: skip
    assert {name for f in functions for name in inspect.signature(f).parameters} == allowed
    source = inspect.getsource(enrolment)
    assert "labels" not in source.replace("label is ever used", "")


def test_the_strangers_share_falls_with_every_clip() -> None:
    shares = [unenrolled_weight(n, 3.0) for n in (0, 1, 3, 30, 10**6)]
    assert shares[0] == 1
    assert shares[2] == 0.5
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1e-5


def test_blend_is_a_weighted_geometric_mean() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.dirichlet(np.ones(8), 5), rng.dirichlet(np.ones(8), 5)
    np.testing.assert_allclose(blend(one, two, 1.0), one, atol=1e-12)
    np.testing.assert_allclose(blend(one, two, 0.0), two, atol=1e-12)
    wanted = one**0.3 * two**0.7
    np.testing.assert_allclose(blend(one, two, 0.3), wanted / wanted.sum(1, keepdims=True), atol=1e-12)
    certain = np.eye(8)[:1]
    said = blend(certain, np.eye(8)[1:2], 0.5)
    assert np.isfinite(said).all()
    np.testing.assert_allclose(said.sum(), 1)


@pytest.mark.parametrize(("own", "clips"), [(8, 0), (8, 3), (8, 8), (60, 30)])
def test_draws_are_of_so_many_clips_and_follow_from_the_seed(own: int, clips: int) -> None:
    draws: list[Any] = [draw_clips(own, clips, [seed]) for seed in range(40)]
    assert all(one.shape == (own,) and one.sum() == clips for one in draws)
    np.testing.assert_array_equal(draws[7], draw_clips(own, clips, [7]))
    if 0 < clips < own:
        assert len({one.tobytes() for one in draws}) > 10
        assert np.sum(draws, axis=0).min() > 0  # every clip is drawn now and then
