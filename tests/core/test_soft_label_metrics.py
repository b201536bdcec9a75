"""Metrics against several raters: by drawing raters one by one, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from emofuse.core import metrics
from emofuse.core.soft_label_metrics import (
    chosen_shares,
    cross_entropies,
    largest_shares,
    mean_interval,
    pair_agreement,
    share_entropies,
)

K = 3


def votes(n: int = 60, raters: int = 5, seed: int = 0) -> np.ndarray:
    """(n, raters) labels."""
    return np.random.default_rng(seed).integers(0, K, (n, raters))


def shares_of(labels: np.ndarray) -> np.ndarray:
    return np.stack([(labels == label).mean(axis=1) for label in range(K)], axis=1)


def probabilities(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(K), n)


def test_metrics_are_the_means_over_raters_of_those_against_one_rater() -> None:
    labels = votes()
    shares, p = shares_of(labels), probabilities(len(labels))
    predicted = p.argmax(axis=1)
    each = [metrics.accuracy(rater, predicted) for rater in labels.T]
    assert chosen_shares(shares, predicted).mean() == pytest.approx(np.mean(each))
    losses = [sklearn_log_loss(rater, p, labels=range(K)) for rater in labels.T]
    assert cross_entropies(shares, p).mean() == pytest.approx(np.mean(losses))
    pairs = [(one == other).mean() for one in labels.T for other in labels.T]
    assert pair_agreement(shares).mean() == pytest.approx(np.mean(pairs))


def test_one_rater_is_a_label() -> None:
    labels = votes(raters=1)
    shares, p = shares_of(labels), probabilities(len(labels))
    assert chosen_shares(shares, p.argmax(1)).mean() == metrics.accuracy(labels[:, 0], p.argmax(1))
    assert cross_entropies(shares, p).mean() == pytest.approx(metrics.log_loss(labels[:, 0], p))
    assert (share_entropies(shares) == 0).all()
    assert (largest_shares(shares) == 1).all()


def test_no_prediction_is_beyond_the_bounds_of_the_raters() -> None:
    shares = shares_of(votes())
    for seed in range(20):
        p = probabilities(len(shares), seed)
        assert (chosen_shares(shares, p.argmax(1)) <= largest_shares(shares)).all()
        assert (cross_entropies(shares, p) >= share_entropies(shares) - 1e-12).all()
    assert (chosen_shares(shares, shares.argmax(1)) == largest_shares(shares)).all()
    np.testing.assert_allclose(cross_entropies(shares, shares), share_entropies(shares))


def test_the_interval_is_that_of_resampled_speakers() -> None:
    """Accuracy has its own bootstrap, which draws the same groups for a seed."""
    labels = votes(raters=1)
    predicted = probabilities(len(labels)).argmax(1)
    speakers = np.arange(len(labels)) % 7
    right = chosen_shares(shares_of(labels), predicted)
    expected = metrics.bootstrap_interval(metrics.accuracy, labels[:, 0], predicted, speakers, seed=3)
    assert mean_interval(right, speakers, seed=3) == pytest.approx(expected)
    assert mean_interval([0.25, 0.75], ["a", "a"], seed=0) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("shares", "p", "reason"),
    [
        ([[0.5, 0.4]], [[0.5, 0.5]], "shares must be finite, not below 0, and sum to 1"),
        ([[np.nan, np.nan]], [[0.5, 0.5]], "shares must be finite"),
        ([[0.5, 0.5]], [[0.5, 0.6]], "probabilities must be finite"),
        ([[0.5, 0.5]], [[1.0, 0.0], [0.5, 0.5]], "as the shares are"),
        ([], [], "must be"),
    ],
)
def test_what_is_no_share_is_refused(shares: object, p: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cross_entropies(shares, p)  # type: ignore[arg-type]


def test_what_is_no_class_is_refused() -> None:
    for predicted in ([2], [-1], [0.0], [0, 1]):
        with pytest.raises(ValueError, match="predicted must be"):
            chosen_shares([[0.5, 0.5]], predicted)
    with pytest.raises(ValueError, match="values and groups"):
        mean_interval([1.0], ["a", "b"], seed=0)
