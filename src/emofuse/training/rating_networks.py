"""Training the networks of any kind but ensembles on ratings: one output per dimension, the loss 1 - CCC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from emofuse.core.recipes.recipe import Recipe
from emofuse.training.dataset import Inputs
from emofuse.training.loop import Examples
from emofuse.training.networks.rating_machine import RatedNetwork
from emofuse.training.plan import derive_seed
from emofuse.training.run_folder import read_run_weights

if TYPE_CHECKING:
    from emofuse.training.rating_plan import RatingJob


def train_rated(
    job: RatingJob, inputs: Inputs, recipe: Recipe, build: Callable[..., nn.Module], fit: Callable[..., Any]
) -> RatedNetwork:
    """Train a network of the recipe's kind on ratings.

    Args:
        job: whose ratings.
        inputs: the features.
        recipe: how the network is trained.
        build: makes the network, as :data:`emofuse.training.registry.Build`.
        fit: trains it, as :data:`emofuse.training.registry.Fit`.
    """
    features = inputs.load(job.modality)
    own = inputs.ratings[list(job.train)]
    mean, spread = np.nanmean(own, axis=0), np.maximum(np.nanstd(own, axis=0), 1e-6)

    def examples(rows: Sequence[int]) -> Examples:
        chosen = list(rows)
        standard = ((inputs.ratings[chosen] - mean) / spread).astype(np.float32)
        return Examples(np.ascontiguousarray(features[chosen]), inputs.labels[chosen], None, standard)

    network, _ = fit(
        lambda: build(recipe, features.shape[1:], inputs.dimensions),
        examples(job.train),
        getattr(recipe, job.modality),
        n_emotions=len(inputs.dimensions),
        seed=derive_seed(recipe.seed, job.plan, job.member, job.modality, "ratings"),
        held_out=examples(job.held_out) if job.held_out else None,
    )
    return RatedNetwork(network, torch.from_numpy(mean).float(), torch.from_numpy(spread).float()).eval()


def load_rated(
    job: RatingJob, inputs: Inputs, recipe: Recipe, build: Callable[..., nn.Module], work: Path
) -> RatedNetwork:
    """What :func:`train_rated` has trained."""
    network = build(recipe, inputs.load(job.modality).shape[1:], inputs.dimensions)
    blank = torch.zeros(len(inputs.dimensions))
    rated = RatedNetwork(network, blank, blank.clone())
    rated.load_state_dict(read_run_weights(work / job.name / "weights.safetensors"))
    return rated.eval()
