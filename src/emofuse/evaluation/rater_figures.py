"""Figures of predictions against the shares of several raters, where a corpus has them.

All other figures take one label of a clip for right: that of the column ``emotion``, or else the one that
most of its raters chose. Where raters disagree these figures say more: how many of them a recognizer agrees
with, and how close its probabilities are to their shares.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core import soft_label_metrics as metrics
from emofuse.evaluation.entry_types import Interval


class RaterFigures(TypedDict, total=False):
    """One system on the takes that several raters judged. Intervals are 95 %, over speakers."""

    n: int
    n_actors: int
    agreement: float
    """Mean share of a take's raters who chose the label that is predicted."""
    agreement_ci95: Interval
    between_raters: float
    """How often two raters of a take agree."""
    highest: float
    """The mean share of the label that most raters chose: no prediction agrees with more of them."""
    log_loss: float
    """Mean cross-entropy of the probabilities to the shares, in nats."""
    log_loss_ci95: Interval
    entropy: float
    """The mean entropy of the shares, in nats: no prediction has a lower log loss."""


def rater_figures(
    shares: NDArray[np.float64], scores: NDArray[np.float64], actors: NDArray[np.str_], seed: int
) -> RaterFigures | None:
    """The figures of one system; None where several raters judged none of its takes.

    Args:
        shares: (n, n_emotions) of the takes that it answered; NaN where there are none.
        scores: (n, n_emotions) its out-of-fold probabilities.
        actors: (n,) their speakers.
        seed: of the resampling of speakers.
    """
    rated = np.isfinite(shares).all(axis=1)
    if not rated.any():
        return None
    shares, scores, actors = shares[rated], scores[rated], actors[rated]
    agreement = metrics.chosen_shares(shares, scores.argmax(axis=1))
    losses = metrics.cross_entropies(shares, scores)
    return {
        "n": len(shares),
        "n_actors": len(np.unique(actors)),
        "agreement": float(agreement.mean()),
        "agreement_ci95": list(metrics.mean_interval(agreement, actors, seed=seed)),
        "between_raters": float(metrics.pair_agreement(shares).mean()),
        "highest": float(metrics.largest_shares(shares).mean()),
        "log_loss": float(losses.mean()),
        "log_loss_ci95": list(metrics.mean_interval(losses, actors, seed=seed)),
        "entropy": float(metrics.share_entropies(shares).mean()),
    }
