"""Fitting kernel machines to ratings: ridge regression on the same components as for emotions.

The ridge of each dimension is chosen by the concordance (CCC) of what the machine says of training speakers
who were left out, in closed form (:mod:`emofuse.training.kernel_machine`). A dimension is fitted on the clips
that were rated on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emofuse.core.errors import ExperimentError
from emofuse.core.rating_metrics import concordance
from emofuse.core.recipes.part import Ensemble
from emofuse.training.ensemble import standard_components
from emofuse.training.kernel_machine import MOST_ROWS, RidgeSystem, landmark_features, solve
from emofuse.training.networks.descriptor_ensemble import DescriptorEnsemble, Fitted, Layout, kernel
from emofuse.training.networks.rating_machine import RatingMachine
from emofuse.training.torch_settings import reproducible

Floats = NDArray[np.float64]

_STRONGER: Final = (4.0, 16.0)
"""Ratings are noisier than labels: ridges this many times the recipe's largest are tried as well."""


def fit_rating_machine(
    variants: Sequence[NDArray[np.float32]],
    ratings: Floats,
    speakers: NDArray[np.str_],
    experts: Sequence[tuple[Layout, Ensemble]],
    names: Sequence[str],
    *,
    seed: int,
) -> RatingMachine:
    """Fit the kernel machines of some clips' ratings.

    Args:
        variants: (n, n_values) features of the clips, then of the same clips at other speeds or degraded.
        ratings: (n, n_dimensions); NaN where a clip was not rated.
        speakers: (n,) speaker ids.
        experts: which columns of a row each machine reads, and its settings; their mean counts.
        names: the dimensions, for messages.
        seed: random seed of the principal axes.

    Raises:
        ExperimentError: the clips rated on a dimension are of one speaker, or have all the same rating.
    """
    for name, own in zip(names, ratings.T, strict=True):
        rated = ~np.isnan(own)
        if len(set(speakers[rated].tolist())) < 2 or len(np.unique(own[rated])) < 2:
            raise ExperimentError(
                f"{name}: training needs different ratings, of clips of at least two speakers"
            )
    means = np.nanmean(ratings, axis=0)
    machines = []
    with reproducible(seed) as device:
        for layout, settings in experts:
            values = [torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for v in variants]
            if layout.root:
                values = [v.clamp(min=0).sqrt() for v in values]
            fitted, _ = standard_components(values, speakers, layout, settings)
            fitted.supports = [support.to(device) for support in fitted.supports]
            _fit(fitted, ratings - means, speakers, layout, settings, len(values))
            machines.append(DescriptorEnsemble(layout, fitted))
        offset = torch.from_numpy(means).float()
        return RatingMachine(machines, offset).to("cpu").eval()


def _fit(
    fitted: Fitted,
    centered: Floats,
    speakers: NDArray[np.str_],
    layout: Layout,
    settings: Ensemble,
    n_variants: int,
) -> None:
    """Give ``fitted`` its weights, and landmarks in place of its supports where there are too many."""
    device = fitted.supports[0].device
    n = len(centered) * n_variants
    near, root, landmarks = None, None, fitted.supports
    if n <= MOST_ROWS:
        near = kernel(fitted.supports, fitted.supports, settings.gamma, layout.second).double()
        features = near
    else:
        landmarks, root, features = landmark_features(fitted, layout, settings)
    weights = torch.zeros(len(landmarks[0]), centered.shape[1], dtype=torch.float64, device=device)
    for index, own in enumerate(centered.T):
        rated = np.flatnonzero(~np.isnan(own))
        rows = np.concatenate([rated + k * len(centered) for k in range(n_variants)])
        ids = np.tile(speakers[rated], n_variants)
        groups = [torch.from_numpy(np.flatnonzero(ids == s)) for s in np.unique(ids)]
        targets = torch.from_numpy(np.tile(own[rated], n_variants))[:, None].to(device)
        if near is not None:
            weights[rows, index] = _chosen(near[rows][:, rows], targets, groups, settings, len(rated))
        else:
            assert root is not None
            system = RidgeSystem(features[rows].clone(), targets, groups)
            weights[:, index] = root @ _chosen_of_landmarks(system, settings, len(rated))
    fitted.supports, fitted.weights = landmarks, weights.float()


def _chosen(
    gram: Tensor, targets: Tensor, groups: Sequence[Tensor], settings: Ensemble, n_clips: int
) -> Tensor:
    """The weights, (n,), of the ridge of the highest concordance with left-out speakers' ratings."""
    found: list[tuple[float, Tensor]] = []
    for ridge in _ridges(settings):
        penalty = ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weights, held_out = solve(gram + penalty, targets, groups)
        found.append((_score(held_out, targets, n_clips), weights[:, 0]))
    return max(found, key=lambda one: one[0])[1]


def _chosen_of_landmarks(system: RidgeSystem, settings: Ensemble, n_clips: int) -> Tensor:
    """The same: coefficients of the landmarks' features."""
    found: list[tuple[float, Tensor]] = []
    for ridge in _ridges(settings):
        coefficients, held_out = system.solved(ridge)
        found.append((_score(held_out, system.centered, n_clips), (system.turn @ coefficients)[:, 0]))
    return max(found, key=lambda one: one[0])[1]


def _ridges(settings: Ensemble) -> Iterator[float]:
    yield from settings.ridges
    yield from (factor * max(settings.ridges) for factor in _STRONGER)


def _score(held_out: Tensor, targets: Tensor, n_clips: int) -> float:
    """The concordance on the clips as recorded."""
    return concordance(targets[:n_clips, 0].cpu().numpy(), held_out[:n_clips, 0].cpu().numpy())
