"""The neural network among the fusion classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emofuse.core.recipes.fusion import MIN_STD
from emofuse.training.draws import Dropout


class FusionNetwork(nn.Module):
    """Dense layers with batch normalization, ReLU and dropout: 2096-1024-8 in the notebooks.

    Inputs are standardized with statistics of the training clips.
    """

    def __init__(
        self,
        mean: NDArray[np.float32],
        spread: NDArray[np.float32],
        n_emotions: int,
        *,
        hidden: Sequence[int] = (2096, 1024),
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.from_numpy(mean.copy()))
        self.register_buffer("spread", torch.from_numpy(np.where(spread > MIN_STD, spread, np.float32(1))))
        layers: list[nn.Module] = []
        n_in = len(mean)
        for n_out in hidden:
            layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU(), Dropout(dropout)]
            n_in = n_out
        self.dense = nn.Sequential(*layers)
        self.output = nn.Linear(n_in, n_emotions)

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_inputs) float32 → last hidden layer, logits."""
        features = self.dense((joined - self.mean) / self.spread)
        return features, self.output(features)
