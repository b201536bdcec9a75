"""Against scikit-learn and Krippendorff's own formula as the package krippendorff has it."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix

from emofuse.core.agreement_metrics import (
    MISSING,
    cohen_kappa,
    coincidences,
    krippendorff_alpha,
    observed_agreement,
    pair_confusion,
)


@pytest.mark.parametrize("seed", range(30))
def test_pairs_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(2, 9)), int(rng.integers(3, 400))
    first, second = rng.integers(-1, k, n), rng.integers(-1, k, n)
    second = np.where(rng.random(n) < 0.6, first, second)
    both = (first != MISSING) & (second != MISSING)
    if both.sum() < 2:
        pytest.skip("nothing was coded twice")
    counts = pair_confusion(first, second, k)
    a, b = first[both], second[both]
    np.testing.assert_array_equal(counts, confusion_matrix(a, b, labels=range(k)))
    assert abs(float(observed_agreement(counts)) - accuracy_score(a, b)) < 1e-12
    if len({*a, *b}) > 1:
        assert abs(float(cohen_kappa(counts)) - cohen_kappa_score(a, b)) < 1e-9


@pytest.mark.parametrize("seed", range(30))
def test_alpha_equals_krippendorff(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, coders, n = int(rng.integers(2, 9)), int(rng.integers(2, 6)), int(rng.integers(5, 300))
    truth = rng.integers(0, k, n)
    ratings = np.where(rng.random((coders, n)) < 0.7, truth, rng.integers(0, k, (coders, n)))
    ratings[rng.random((coders, n)) < rng.uniform(0, 0.6)] = MISSING
    with_gaps = np.where(ratings == MISSING, np.nan, ratings.astype(float))
    wanted = krippendorff.alpha(with_gaps, level_of_measurement="nominal")
    assert abs(float(krippendorff_alpha(coincidences(ratings, k))) - wanted) < 1e-9


def test_the_example_of_krippendorff() -> None:
    """Computing Krippendorff's Alpha-Reliability (2011), data C: four observers, twelve units, gaps."""
    table = """
        1 2 3 3 2 1 4 1 2 . . .
        1 2 3 3 2 2 4 1 2 5 . 3
        . 3 3 3 2 3 4 2 2 5 1 .
        1 2 3 3 2 4 4 1 2 5 1 .
    """
    rows = [
        [MISSING if cell == "." else int(cell) - 1 for cell in line.split()] for line in table.split("\n")
    ]
    ratings = np.array([row for row in rows if row])
    assert float(krippendorff_alpha(coincidences(ratings, 5))) == pytest.approx(0.743, abs=5e-4)


def test_sums_of_parts_are_the_whole() -> None:
    ratings = np.random.default_rng(1).integers(-1, 4, (3, 200))
    parts = [coincidences(ratings[:, n : n + 40], 4) for n in range(0, 200, 40)]
    np.testing.assert_allclose(sum(parts), coincidences(ratings, 4))
    stacked = np.stack(
        [pair_confusion(ratings[0, n : n + 40], ratings[1, n : n + 40], 4) for n in range(0, 200, 40)]
    )
    np.testing.assert_array_equal(stacked.sum(0), pair_confusion(ratings[0], ratings[1], 4))
    assert cohen_kappa(stacked).shape == (5,)


def test_without_anything_to_compare_there_is_no_figure() -> None:
    nothing = pair_confusion([0, MISSING], [MISSING, 1], 2)
    alone = pair_confusion([0, 0], [0, 0], 2)
    assert np.isnan(observed_agreement(nothing)) and np.isnan(cohen_kappa(nothing))
    assert observed_agreement(alone) == 1 and np.isnan(cohen_kappa(alone))
    assert np.isnan(krippendorff_alpha(coincidences([[0, MISSING], [MISSING, 1]], 2)))
    assert np.isnan(krippendorff_alpha(coincidences([[0, 0], [0, 0], [0, 0]], 2)))
