"""The kernel machine of an ensemble: ridge regression onto the emotions, in closed form.

Its predictions for an actor who is left out follow from one matrix inverse (leave-one-group-out, Cook &
Weisberg 1982); ridge and temperature are chosen by them. With n rows (clips, times the speeds at which they
are read) it needs five n × n matrices: 2.6 GB for 8,000 rows, 20 GB for three speeds of 7,000 clips. Where
there are more, the machine rests on landmarks (Nyström approximation, Williams & Seeger 2001): on some of the
rows, drawn once, with which it needs two n × :data:`N_LANDMARKS` matrices.

Where corpora were joined, each emotion is fitted on the rows whose corpus distinguishes it: emotions that the
same rows are evidence about are solved for together, so there are few systems, and leaving a speaker out
stays exact. A row's weight divides its ridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emofuse.core.recipes.part import Ensemble
from emofuse.training.networks.descriptor_ensemble import Fitted, Layout, kernel
from emofuse.training.supervision import LEFT_OUT, Supervision

TEMPERATURES: Final = tuple(0.03 * 1.12**i for i in range(30))
MOST_ROWS: Final = 8000
"""Up to this many rows, all of them are the machine's supports."""
N_LANDMARKS: Final = 3000
"""Supports of a machine with more rows."""
_ROWS_AT_ONCE: Final = 1000
_LEAST_EIGENVALUE: Final = 1e-6
"""Of the landmarks' kernel matrix, relative to the largest: smaller ones are rounding."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Emotions that the same rows are evidence about."""

    emotions: Tensor
    """(k,) int64."""
    rows: Tensor
    """(m,) int64, of all variants."""
    weights: Tensor
    """(m,) float64."""
    groups: Sequence[Tensor]
    """For each speaker, the places of his rows in ``rows``."""


@dataclass(frozen=True, slots=True)
class _Targets:
    """What a kernel machine is fitted to, and judged by.

    ``one_hot``: (n, n_emotions) of the clips as recorded; ``centered``: (rows, n_emotions), of all variants,
    zero on average over each clip's own emotions; ``parts``: None where every row is evidence about every
    emotion.
    """

    one_hot: Tensor
    centered: Tensor
    groups: Sequence[Tensor]
    supervision: Supervision | None
    parts: Sequence[_Part] | None


def fit_kernel(
    fitted: Fitted,
    targets: Tensor,
    speakers: NDArray[np.str_],
    layout: Layout,
    settings: Ensemble,
    n_variants: int,
    supervision: Supervision | None = None,
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
        supervision: of the clips; None: each is evidence about every emotion.
    """
    speaker_ids = np.tile(speakers, n_variants)
    groups = [torch.from_numpy(np.flatnonzero(speaker_ids == s)) for s in np.unique(speaker_ids)]
    parts = None
    if supervision is None:
        centered = targets - 1 / targets.shape[1]
    else:
        known = torch.from_numpy(supervision.known).to(targets.device)
        centered = torch.where(known, targets - 1 / known.sum(1, keepdim=True), 0)
        parts = _parts(supervision, speaker_ids, n_variants, targets.device)
    wanted = _Targets(targets, centered.repeat(n_variants, 1), groups, supervision, parts)
    if len(wanted.centered) <= MOST_ROWS:
        _fit_all(fitted, wanted, layout, settings)
    else:
        _fit_landmarks(fitted, wanted, layout, settings)


def _parts(
    supervision: Supervision, speaker_ids: NDArray[np.str_], n_variants: int, device: torch.device
) -> list[_Part]:
    known = np.tile(supervision.known, (n_variants, 1))
    weights = np.tile(supervision.weights, n_variants)
    patterns = {tuple(column.tolist()): None for column in known.T}
    parts = []
    for pattern in patterns:
        rows = np.flatnonzero(pattern)
        emotions = np.flatnonzero((np.array(pattern) == known.T).all(axis=1))
        own = speaker_ids[rows]
        groups = [torch.from_numpy(np.flatnonzero(own == s)) for s in np.unique(own)]
        own_weights = torch.from_numpy(weights[rows]).to(device)
        parts.append(_Part(torch.from_numpy(emotions), torch.from_numpy(rows), own_weights, groups))
    return parts


def _fit_all(fitted: Fitted, targets: _Targets, layout: Layout, settings: Ensemble) -> None:
    gram = kernel(fitted.supports, fitted.supports, settings.gamma, layout.second).double()
    centered = targets.centered
    best: tuple[float, float, Tensor] | None = None
    for ridge in settings.ridges:
        if targets.parts is None:
            penalty = ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            weights, held_out = solve(gram + penalty, centered, targets.groups)
        else:
            weights, held_out = torch.zeros_like(centered), torch.zeros_like(centered)
            for part in targets.parts:
                place = (part.rows[:, None], part.emotions)
                system = gram[part.rows][:, part.rows] + torch.diag(ridge / part.weights)
                weights[place], held_out[place] = solve(system, centered[place], part.groups)
        best = _better(best, held_out, targets, weights)
    assert best is not None
    fitted.temperature, fitted.weights = best[1], best[2].float()


def solve(system: Tensor, centered: Tensor, groups: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The weights of the rows, and the outputs for each group's rows when it is left out."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(system))
    weights = inverse @ centered
    held_out = torch.empty_like(centered)
    for rows in groups:
        held_out[rows] = centered[rows] - torch.linalg.solve(inverse[rows][:, rows], weights[rows])
    return weights, held_out


def _fit_landmarks(fitted: Fitted, targets: _Targets, layout: Layout, settings: Ensemble) -> None:
    """Ridge regression on features whose products are the kernel, as far as the landmarks tell.

    With K the landmarks' kernel matrix, a row's features are its kernel with the landmarks, times K^(-1/2).
    """
    landmarks, root, features = landmark_features(fitted, layout, settings)
    chosen = _chosen_ridge(features, targets, settings)
    fitted.supports = landmarks
    fitted.temperature, fitted.weights = chosen[0], (root @ chosen[1]).float()


def landmark_features(
    fitted: Fitted, layout: Layout, settings: Ensemble
) -> tuple[list[Tensor], Tensor, Tensor]:
    """The landmarks, drawn among the supports; K^(-1/2); and the features of all supports, float64.

    Coefficients (n_features, …) of these features are weights of the landmarks after ``root @``.
    """
    n = len(fitted.supports[0])
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: min(N_LANDMARKS, n)]
    landmarks = [support[drawn.sort().values] for support in fitted.supports]
    among = kernel(landmarks, landmarks, settings.gamma, layout.second).double()
    values, axes = torch.linalg.eigh(among)
    used = values > _LEAST_EIGENVALUE * values[-1]
    root = axes[:, used] / values[used].sqrt()
    features = torch.empty(n, root.shape[1], dtype=torch.float64, device=root.device)
    for first in range(0, n, _ROWS_AT_ONCE):
        some = [support[first : first + _ROWS_AT_ONCE] for support in fitted.supports]
        near = kernel(some, landmarks, settings.gamma, layout.second).double()
        features[first : first + _ROWS_AT_ONCE] = near @ root
    return landmarks, root, features


def _chosen_ridge(features: Tensor, targets: _Targets, settings: Ensemble) -> tuple[float, Tensor]:
    """Temperature and coefficients, (n_features, n_emotions), of the best ridge; ``features`` are lost."""
    centered = targets.centered
    if targets.parts is None:
        systems = [RidgeSystem(features, centered, targets.groups)]
    else:
        systems = []
        for part in targets.parts:
            scale = part.weights.sqrt()[:, None]
            own = centered[part.rows][:, part.emotions]
            systems.append(RidgeSystem(features[part.rows] * scale, own * scale, part.groups))
    best: tuple[float, float, Tensor] | None = None
    for ridge in settings.ridges:
        if targets.parts is None:
            coefficients, held_out = systems[0].solved(ridge)
        else:
            coefficients = features.new_zeros(features.shape[1], centered.shape[1])
            held_out = torch.zeros_like(centered)
            for part, system in zip(targets.parts, systems, strict=True):
                of_part, outputs = system.solved(ridge)
                coefficients[:, part.emotions] = system.turn @ of_part
                held_out[part.rows[:, None], part.emotions] = outputs / part.weights.sqrt()[:, None]
        best = _better(best, held_out, targets, coefficients)
    assert best is not None
    return best[1], systems[0].turn @ best[2] if targets.parts is None else best[2]


class RidgeSystem:
    """Ridge regression along the axes of the features' products, for any ridge.

    ``features``, (n, n_features), are turned in place; ``turn`` brings coefficients back.
    """

    def __init__(self, features: Tensor, centered: Tensor, groups: Sequence[Tensor]) -> None:
        self.strengths, self.turn = torch.linalg.eigh(features.T @ features)
        for first in range(0, len(features), _ROWS_AT_ONCE):
            features[first : first + _ROWS_AT_ONCE] = features[first : first + _ROWS_AT_ONCE] @ self.turn
        self.features, self.centered, self.groups = features, centered, groups
        self.products = features.T @ centered

    def solved(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Coefficients along the axes, and the outputs for each group's rows when it is left out."""
        coefficients = self.products / (self.strengths + ridge)[:, None]
        held_out = torch.empty_like(self.centered)
        for rows in self.groups:
            own = self.features[rows]
            hat = (own / (self.strengths + ridge)) @ own.T
            residuals = self.centered[rows] - own @ coefficients
            held_out[rows] = self.centered[rows] - torch.linalg.solve(
                torch.eye(len(rows), dtype=hat.dtype, device=hat.device) - hat, residuals
            )
        return coefficients, held_out


def _better(
    best: tuple[float, float, Tensor] | None, held_out: Tensor, targets: _Targets, weights: Tensor
) -> tuple[float, float, Tensor]:
    """The best loss, temperature and weights, of those so far and these at any temperature."""
    outputs = held_out[: len(targets.one_hot)]
    for temperature in TEMPERATURES:
        loss = float(_loss(outputs / temperature, targets))
        if best is None or loss < best[0]:
            best = (loss, temperature, weights)
    assert best is not None
    return best


def _loss(scores: Tensor, targets: _Targets) -> Tensor:
    """The mean cross-entropy, each clip's over its own emotions."""
    supervision = targets.supervision
    if supervision is None:
        return functional.cross_entropy(scores, targets.one_hot)
    known = torch.from_numpy(supervision.known).to(scores.device)
    losses = functional.cross_entropy(scores.masked_fill(~known, LEFT_OUT), targets.one_hot, reduction="none")
    return (losses * torch.from_numpy(supervision.weights).to(scores.device)).mean()
