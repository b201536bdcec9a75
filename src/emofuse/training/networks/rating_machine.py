"""Networks that output ratings: one number per dimension, on the scale of the ratings.

They are fitted by :mod:`emofuse.training.rating_machine` or trained like any network; this module only runs
them. They map raw features to (n, n_dimensions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from emofuse.training.networks.descriptor_ensemble import DescriptorEnsemble


class RatingMachine(nn.Module):
    """The mean of kernel machines that read the same values, or some of them."""

    def __init__(self, machines: Sequence[DescriptorEnsemble], offset: Tensor) -> None:
        """``offset``: (n_dimensions,) float32, what is predicted where no training clip is near."""
        super().__init__()
        self.machines = nn.ModuleList(machines)
        self.offset: Tensor
        self.register_buffer("offset", offset)

    def forward(self, values: Tensor) -> Tensor:
        """(n, n_values) float32 → (n, n_dimensions) ratings."""
        machines = cast("list[DescriptorEnsemble]", self.machines)
        scores = [machine.scores(machine.components(values)) for machine in machines]
        return torch.stack(scores).mean(0) + self.offset


class RatedNetwork(nn.Module):
    """A network whose outputs are standardized ratings."""

    def __init__(self, network: nn.Module, mean: Tensor, spread: Tensor) -> None:
        """``mean``, ``spread``: (n_dimensions,) float32, of the training clips' ratings."""
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, …) raw features → (n, n_dimensions) ratings."""
        outputs: Tensor = self.network(inputs)[1]
        return outputs * self.spread + self.mean
