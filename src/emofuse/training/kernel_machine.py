"""The kernel machine of an ensemble: ridge regression onto the emotions, in closed form.

Its predictions for an actor who is left out follow from one matrix inverse (leave-one-group-out, Cook &
Weisberg 1982); ridge and temperature are chosen by them. With n rows (clips, times the speeds at which they
are read) it needs five n × n matrices: 2.6 GB for 8,000 rows, 20 GB for three speeds of 7,000 clips. Where
there are more, the machine rests on landmarks (Nyström approximation, Williams & Seeger 2001): on some of the
rows, drawn once, with which it needs two n × :data:`N_LANDMARKS` matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emofuse.core.recipes.part import Ensemble
from emofuse.training.networks.descriptor_ensemble import Fitted, Layout, kernel

TEMPERATURES: Final = tuple(0.03 * 1.12**i for i in range(30))
MOST_ROWS: Final = 8000
"""Up to this many rows, all of them are the machine's supports."""
N_LANDMARKS: Final = 3000
"""Supports of a machine with more rows."""
_ROWS_AT_ONCE: Final = 1000
_LEAST_EIGENVALUE: Final = 1e-6
"""Of the landmarks' kernel matrix, relative to the largest: smaller ones are rounding."""


def fit_kernel(
    fitted: Fitted,
    targets: Tensor,
    speakers: NDArray[np.str_],
    layout: Layout,
    settings: Ensemble,
    n_variants: int,
) -> None:
    """Choose ridge and temperature by leaving actors out, and fit the weights.

    Args:
        fitted: gets ``weights`` and ``temperature``; its supports, all rows so far, are thinned where there
            are too many.
        targets: (n, n_emotions) one-hot, of the clips as recorded.
        speakers: (n,) speaker ids.
        layout: which views there are.
        settings: the ensemble's.
        n_variants: how many times the clips were read.
    """
    n_emotions = targets.shape[1]
    centered = (targets - 1 / n_emotions).repeat(n_variants, 1)
    speaker_ids = np.tile(speakers, n_variants)
    groups = [torch.from_numpy(np.flatnonzero(speaker_ids == s)) for s in np.unique(speaker_ids)]
    if len(centered) <= MOST_ROWS:
        _fit_all(fitted, targets, centered, groups, layout, settings)
    else:
        _fit_landmarks(fitted, targets, centered, groups, layout, settings)


def _fit_all(
    fitted: Fitted,
    targets: Tensor,
    centered: Tensor,
    groups: Sequence[Tensor],
    layout: Layout,
    settings: Ensemble,
) -> None:
    gram = kernel(fitted.supports, fitted.supports, settings.gamma, layout.second).double()
    best: tuple[float, float, Tensor] | None = None
    for ridge in settings.ridges:
        factor = torch.linalg.cholesky(gram + ridge * torch.eye(len(gram), dtype=gram.dtype))
        inverse = torch.cholesky_inverse(factor)
        weights = inverse @ centered
        held_out = torch.empty_like(centered)
        for rows in groups:
            held_out[rows] = centered[rows] - torch.linalg.solve(inverse[rows][:, rows], weights[rows])
        best = _better(best, held_out, targets, weights)
    assert best is not None
    fitted.temperature, fitted.weights = best[1], best[2].float()


def _fit_landmarks(
    fitted: Fitted,
    targets: Tensor,
    centered: Tensor,
    groups: Sequence[Tensor],
    layout: Layout,
    settings: Ensemble,
) -> None:
    """Ridge regression on features whose products are the kernel, as far as the landmarks tell.

    With K the landmarks' kernel matrix, a row's features are its kernel with the landmarks, times K^(-1/2).
    """
    n = len(centered)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: min(N_LANDMARKS, n)]
    landmarks = [support[drawn.sort().values] for support in fitted.supports]
    among = kernel(landmarks, landmarks, settings.gamma, layout.second).double()
    values, axes = torch.linalg.eigh(among)
    used = values > _LEAST_EIGENVALUE * values[-1]
    root = axes[:, used] / values[used].sqrt()
    features = torch.empty(n, root.shape[1], dtype=torch.float64)
    for first in range(0, n, _ROWS_AT_ONCE):
        some = [support[first : first + _ROWS_AT_ONCE] for support in fitted.supports]
        near = kernel(some, landmarks, settings.gamma, layout.second).double()
        features[first : first + _ROWS_AT_ONCE] = near @ root
    strengths, turn = torch.linalg.eigh(features.T @ features)
    for first in range(0, n, _ROWS_AT_ONCE):  # in place: along the axes of their products
        features[first : first + _ROWS_AT_ONCE] = features[first : first + _ROWS_AT_ONCE] @ turn
    products = features.T @ centered
    best: tuple[float, float, Tensor] | None = None
    for ridge in settings.ridges:
        coefficients = products / (strengths + ridge)[:, None]
        held_out = torch.empty_like(centered)
        for rows in groups:
            own = features[rows]
            hat = (own / (strengths + ridge)) @ own.T
            residuals = centered[rows] - own @ coefficients
            held_out[rows] = centered[rows] - torch.linalg.solve(
                torch.eye(len(rows), dtype=hat.dtype) - hat, residuals
            )
        best = _better(best, held_out, targets, coefficients)
    assert best is not None
    fitted.supports = landmarks
    fitted.temperature, fitted.weights = best[1], (root @ (turn @ best[2])).float()


def _better(
    best: tuple[float, float, Tensor] | None, held_out: Tensor, targets: Tensor, weights: Tensor
) -> tuple[float, float, Tensor]:
    """The best loss, temperature and weights, of those so far and these at any temperature."""
    for temperature in TEMPERATURES:
        loss = float(functional.cross_entropy(held_out[: len(targets)] / temperature, targets))
        if best is None or loss < best[0]:
            best = (loss, temperature, weights)
    assert best is not None
    return best
