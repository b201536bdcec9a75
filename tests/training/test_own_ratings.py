"""Variance components and slopes: what was put in comes out, and chance is not taken for a person."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.own_ratings import KnownClips
from emofuse.training.own_ratings import fit_shift, variance_components


def groups(counts: list[int]) -> np.ndarray:
    return np.repeat([f"s{k}" for k in range(len(counts))], counts)


def test_components_are_those_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(5, 30, 400).tolist()
    speakers = groups(counts)
    values = np.repeat(rng.normal(0, 1.5, 400), counts) + rng.normal(0, 0.8, len(speakers))
    found = variance_components(values, speakers)
    assert found.between == pytest.approx(1.5**2, rel=0.15)
    assert found.within == pytest.approx(0.8**2, rel=0.05)


def test_equal_groups_give_the_table_of_an_analysis_of_variance() -> None:
    values = np.array([1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
    found = variance_components(values, groups([3, 3]))
    # mean squares: 24 between, 1 within; (24 - 1) / 3
    assert (found.between, found.within) == (pytest.approx(23 / 3), pytest.approx(1.0))
    assert variance_components(values, groups([6])).between == 0.0
    assert variance_components(values, groups([1] * 6)).between == 0.0
    assert variance_components(np.array([1.0, 5.0, 5.0, 1.0]), groups([2, 2])).between == 0.0


def test_a_slope_is_found_where_mean_predictions_are_errors() -> None:
    rng = np.random.default_rng(1)
    speakers = groups([20] * 30)
    truth = rng.normal(4, 1, 600)
    bias = np.repeat(rng.normal(0, 0.7, 30), 20)
    assert fit_shift(truth, truth + bias + rng.normal(0, 0.3, 600), speakers).slope > 0.85
    # people who are rated higher, and predicted so, are no errors
    own = np.repeat(rng.normal(0, 0.7, 30), 20)
    honest = fit_shift(truth + own, truth + own + rng.normal(0, 0.3, 600), speakers)
    assert honest.slope < 0.1
    few = fit_shift(truth[:60], (truth + bias)[:60], speakers[:60])
    assert few.slope == 0.0, "three speakers cannot tell"


def test_a_shift_brings_new_people_nearer() -> None:
    rng = np.random.default_rng(2)
    speakers = groups([24] * 40)
    truth = rng.normal(4, 1, len(speakers))
    predicted = truth + np.repeat(rng.normal(0, 0.8, 40), 24) + rng.normal(0, 0.5, len(speakers))
    new = slice(720, None)
    shift = fit_shift(truth[:720], predicted[:720], speakers[:720])
    errors: dict[str, list[float]] = {"none": [], "unrated": [], "rated": []}
    for name in np.unique(speakers[new]):
        own = np.flatnonzero(speakers == name)
        enrolled, scored = own[:8], own[8:]
        ratings: dict[str, list[float | None]] = {"unrated": [None] * 8, "rated": truth[enrolled].tolist()}
        for kind, given in ratings.items():
            known = {"voice": KnownClips.of(predicted[enrolled].tolist(), given)}
            moved = predicted[scored] + shift.of({"voice": 1.0}, 0.0, known)
            errors[kind] += np.abs(truth[scored] - moved).tolist()
        errors["none"] += np.abs(truth[scored] - predicted[scored]).tolist()
    none, unrated, rated = (np.mean(errors[kind]) for kind in ("none", "unrated", "rated"))
    assert rated < unrated < 0.8 * none


def test_without_personal_errors_nothing_is_shifted_much() -> None:
    rng = np.random.default_rng(3)
    speakers = groups([12] * 20)
    truth = rng.normal(4, 1, 240)
    shift = fit_shift(truth, truth + rng.normal(0, 0.5, 240), speakers)
    known = {"voice": KnownClips.of([5.0, 5.2], [4.0, 4.2])}
    assert abs(shift.of({"voice": 1.0}, 0.0, known)) < 0.3
