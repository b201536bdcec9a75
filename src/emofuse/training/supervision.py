"""What the labels of clips are evidence about, where they come from several corpora or several raters.

nEMO has no calm: that none of its clips is labeled calm says nothing against calm. The emotions that a clip's
corpus does not distinguish are left out of its loss, and corpora may count differently. Where several raters
judged a clip, its target is their shares, not one label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.metrics import log_loss

LEFT_OUT = -1e9
"""In place of a score that is left out of a softmax: it gets no probability, and no gradient."""


@dataclass(frozen=True, slots=True)
class Supervision:
    """How the labels of n clips count in a loss.

    ``known``: (n, n_emotions) bool, the emotions that each clip's corpus distinguishes; ``weights``: (n,)
    float64 above 0 with a mean of 1; ``shares``: (n, n_emotions) float64, of raters, whose rows sum to 1; NaN
    where a clip has one label alone. None: all have.
    """

    known: NDArray[np.bool_]
    weights: NDArray[np.float64]
    shares: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        known: NDArray[np.bool_],
        weights: NDArray[np.float64],
        shares: NDArray[np.float64] | None = None,
    ) -> Supervision | None:
        """The supervision of clips; None where every label speaks about every emotion and counts the same.

        An emotion that none of the clips' corpora distinguishes is known of all: as with a single corpus
        without it, the clips are then examples of something else.
        """
        known = known | ~known.any(axis=0)
        if shares is not None and np.isnan(shares).all():
            shares = None
        if shares is None and known.all() and (weights == weights[:1]).all():
            return None
        return cls(known, weights / weights.mean(), shares)

    def of_rows(self, rows: NDArray[Any]) -> Supervision | None:
        """That of some of the clips, chosen by indices or a mask."""
        shares = None if self.shares is None else self.shares[rows]
        return Supervision.of(self.known[rows], self.weights[rows], shares)

    def of_raters(self, rows: NDArray[Any]) -> Supervision | None:
        """The shares of the raters of some of the clips alone; None where none of these has any."""
        known = np.ones_like(self.known[rows])
        shares = None if self.shares is None else self.shares[rows]
        return Supervision.of(known, np.ones(len(known)), shares)

    def of_emotions(self, emotions: NDArray[np.int64]) -> Supervision:
        """That of the same clips, over some emotions, chosen by index."""
        shares = None
        if self.shares is not None:
            shares = self.shares[:, emotions]
            total = shares.sum(axis=1, keepdims=True)
            shares = np.where(total > 0, shares / np.where(total > 0, total, 1), np.nan)
        return Supervision(self.known[:, emotions], self.weights, shares)

    def targets(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, n_emotions): the raters' shares where there are any, else all of it on the label."""
        one_hot = np.eye(self.known.shape[1])[labels]
        return one_hot if self.shares is None else np.where(np.isnan(self.shares), one_hot, self.shares)

    def soft_targets(self, labels: NDArray[np.int64], smoothing: float) -> NDArray[np.float64]:
        """(n, n_emotions) targets, label smoothing spread over each clip's own emotions."""
        own = self.known / self.known.sum(axis=1, keepdims=True)
        return np.asarray(self.targets(labels) * (1 - smoothing) + smoothing * own, dtype=np.float64)

    def mark(self) -> bytes:
        """What tells two supervisions apart, for fingerprints."""
        shares = b"" if self.shares is None else self.shares.tobytes()
        return self.known.tobytes() + self.weights.tobytes() + shares


def of_rows(supervision: Supervision | None, rows: NDArray[Any]) -> Supervision | None:
    """The supervision of some of the clips."""
    return None if supervision is None else supervision.of_rows(rows)


def targets_of(
    labels: NDArray[np.int64], n_emotions: int, supervision: Supervision | None
) -> NDArray[np.float64]:
    """(n, n_emotions) float64: what the answers for clips should be."""
    return np.eye(n_emotions)[labels] if supervision is None else supervision.targets(labels)


def supervised_log_loss(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], supervision: Supervision | None
) -> float:
    """Log loss, each clip's over its own emotions, as :func:`emofuse.core.metrics.log_loss`.

    Args:
        labels: (n,) emotions.
        probabilities: (n, n_emotions), rows sum to 1.
        supervision: of these clips.
    """
    if supervision is None:
        return log_loss(labels, probabilities)
    own = np.where(supervision.known, np.maximum(probabilities, np.finfo(np.float64).eps), 0)
    if supervision.shares is None:
        right = own[np.arange(len(labels)), labels] / own.sum(axis=1)
        return float(-(supervision.weights * np.log(right)).mean())
    logs = np.log(np.where(supervision.known, own, 1)) - np.log(own.sum(axis=1, keepdims=True))
    return float(-(supervision.weights * (supervision.targets(labels) * logs).sum(axis=1)).mean())


def log_softmax(scores: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, n_emotions) scores → log-probabilities over each clip's own emotions; elsewhere 0."""
    own = np.where(known, scores, LEFT_OUT)
    return np.where(known, own - np.logaddexp.reduce(own, axis=1, keepdims=True), 0)


def fit_logistic(
    X: NDArray[np.float64], labels: NDArray[np.int64], supervision: Supervision, strength: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression in which each clip's softmax is over its own emotions.

    As scikit-learn's LogisticRegression, which cannot leave classes out: the loss is
    ``strength · Σ w_i loss_i + ½ |coefficients|²``.

    Args:
        X: (n, d) inputs.
        labels: (n,) emotions.
        supervision: of these clips.
        strength: C.

    Returns:
        The emotions that occur, as a label or a share, (k,); their coefficients, (k, d), and intercepts,
        (k,).
    """
    from scipy.optimize import minimize

    every = supervision.targets(labels)
    classes = np.union1d(labels, np.flatnonzero(every.any(axis=0)))
    known, weights = supervision.known[:, classes], supervision.weights
    targets = every[:, classes]
    n, d, k = len(X), X.shape[1], len(classes)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        table = values.reshape(k, d + 1)
        coefficients = table[:, :d]
        logs = log_softmax(X @ coefficients.T + table[:, d], known)
        error = (np.where(known, np.exp(logs), 0) - targets) * weights[:, None]
        gradient = np.concatenate([error.T @ X, error.sum(0)[:, None]], axis=1) / n
        gradient[:, :d] += coefficients / (strength * n)
        value = -(weights * (logs * targets).sum(1)).sum() / n + np.square(coefficients).sum() / (
            2 * strength * n
        )
        return float(value), gradient.ravel()

    found = minimize(
        loss, np.zeros(k * (d + 1)), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6}
    ).x.reshape(k, d + 1)
    return classes.astype(np.int64), found[:, :d], found[:, d]
