"""A kernel machine, dense networks and a linear model on principal components of several views.

All of it is fitted by :mod:`emofuse.training.ensemble`; this module only runs it. Like every network it maps
raw features to ``(features, logits)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from emofuse.training import draws

CLIP = 5.0
"""Standardized values are clipped to ± this."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of an ensemble's input are which view.

    ``views``: start and end column of each; ``second``: how many of the last views belong to a second
    modality, whose kernel is multiplied with the first one's; ``root``: take square roots first, for
    intensities that crowd near zero.
    """

    views: tuple[tuple[int, int], ...]
    second: int = 0
    root: bool = False


@dataclass(slots=True)
class Fitted:
    """Everything that is fitted; a list has one tensor per view."""

    mean: Tensor
    spread: Tensor
    centres: list[Tensor]
    """Of the standardized view, (d,)."""
    bases: list[Tensor]
    """(d, c): projections to principal components, scaled so that their mean squared length is 1."""
    supports: list[Tensor]
    """(m, c): the training clips."""
    weights: Tensor
    """(m, n_emotions)"""
    gamma: float
    temperature: float
    dense: list[Tensor] = field(default_factory=list)
    """Three layers of all members, (members, n_in, n_out), each with its offsets; or empty."""
    linear: list[Tensor] = field(default_factory=list)
    """Weights (c, n_emotions) and offsets; or empty."""


class DescriptorEnsemble(nn.Module):
    """Its log-probabilities are the mean of those of its parts."""

    def __init__(self, layout: Layout, fitted: Fitted) -> None:
        super().__init__()
        self.layout = layout
        self.n_views = len(fitted.bases)
        self.mean: Tensor
        self.spread: Tensor
        self.weights: Tensor
        self.scalars: Tensor
        self.register_buffer("mean", fitted.mean)
        self.register_buffer("spread", fitted.spread)
        self.register_buffer("weights", fitted.weights)
        self.register_buffer("scalars", torch.tensor([fitted.gamma, fitted.temperature]))
        for i, parts in enumerate(zip(fitted.centres, fitted.bases, fitted.supports, strict=True)):
            for name, value in zip(("centre", "basis", "support"), parts, strict=True):
                self.register_buffer(f"{name}_{i}", value)
        for i, value in enumerate(fitted.dense):
            self.register_buffer(f"dense_{i}", value)
        for i, value in enumerate(fitted.linear):
            self.register_buffer(f"linear_{i}", value)
        self.n_dense, self.n_linear = len(fitted.dense), len(fitted.linear)

    @classmethod
    def of_state(cls, layout: Layout, state: dict[str, Tensor]) -> DescriptorEnsemble:
        """The ensemble with this state dict."""

        def numbered(name: str) -> list[Tensor]:
            return [state[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in state))]

        gamma, temperature = state["scalars"].tolist()
        return cls(
            layout,
            Fitted(
                state["mean"], state["spread"], numbered("centre"), numbered("basis"), numbered("support"),
                state["weights"], gamma, temperature, numbered("dense"), numbered("linear"),
            ),
        ).eval()  # fmt: skip

    def components(self, values: Tensor) -> list[Tensor]:
        """(n, n_values) float32 → each view's components, (n, c)."""
        if self.layout.root:
            values = values.clamp(min=0).sqrt()
        z = ((values - self.mean) / self.spread).clamp(-CLIP, CLIP)
        return [
            (z[:, first:last] - self.get_buffer(f"centre_{i}")) @ self.get_buffer(f"basis_{i}")
            for i, (first, last) in enumerate(self.layout.views)
        ]

    def scores(self, parts: Sequence[Tensor]) -> Tensor:
        """What the kernel machine says of clips' components, (n, n_emotions)."""
        supports = [self.get_buffer(f"support_{i}") for i in range(self.n_views)]
        return kernel(parts, supports, self.scalars[0], self.layout.second) @ self.weights

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_values) float32 → features, log-probabilities."""
        parts = self.components(values)
        scores = self.scores(parts)
        logs = [(scores / self.scalars[1]).log_softmax(1)]
        features = scores
        joined = torch.cat(parts, 1)
        if self.n_dense:
            layers = [self.get_buffer(f"dense_{i}") for i in range(self.n_dense)]
            hidden, logits = dense(joined, layers)
            features = hidden.transpose(0, 1).flatten(1)
            logs.append(logits.log_softmax(2).mean(0).log_softmax(1))
        if self.n_linear:
            weights, offset = (self.get_buffer(f"linear_{i}") for i in range(2))
            logs.append((joined @ weights + offset).log_softmax(1))
        return features, torch.stack(logs).mean(0)


class MeanOfExperts(nn.Module):
    """Networks that read the same values, or some of them; its log-probabilities are the mean of theirs."""

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)

    @property
    def mean(self) -> Tensor:
        """(n_values,) mean of the values, as the first one has it, an ensemble."""
        return self.experts[0].get_buffer("mean")

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_values) float32 → features, log-probabilities."""
        outputs = [expert(values) for expert in self.experts]
        logs = torch.stack([logits.log_softmax(1) for _, logits in outputs]).mean(0)
        return torch.cat([features for features, _ in outputs], 1), logs


def kernel(left: Sequence[Tensor], right: Sequence[Tensor], gamma: Tensor | float, second: int) -> Tensor:
    """The mean of the views' Gaussian kernels, (n, m).

    With a ``second`` modality: the sum of the first one's mean, half the second one's and their product,
    divided by 2.5.
    """

    def mean(lefts: Sequence[Tensor], rights: Sequence[Tensor]) -> Tensor:
        return torch.stack([_gaussian(a, b, gamma) for a, b in zip(lefts, rights, strict=True)]).mean(0)

    if not second:
        return mean(left, right)
    one, other = mean(left[:-second], right[:-second]), mean(left[-second:], right[-second:])
    return (one + 0.5 * other + one * other) / 2.5


def _gaussian(a: Tensor, b: Tensor, gamma: Tensor | float) -> Tensor:
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1)[None] - 2 * (a @ b.T)
    return torch.exp(-gamma * squares.clamp(min=0))


def dense(joined: Tensor, layers: Sequence[Tensor], dropout: float = 0.0) -> tuple[Tensor, Tensor]:
    """The dense networks, all members at once.

    Args:
        joined: (n, c), or (members, n, c) where members see different clips.
        layers: three pairs of weights (members, n_in, n_out) and offsets (members, 1, n_out).
        dropout: 0 except in training.

    Returns:
        The second hidden layer (members, n, hidden), and logits (members, n, n_emotions).
    """
    x = joined if joined.dim() == 3 else joined[None].expand(layers[0].shape[0], -1, -1)
    for weight, offset in zip(layers[0:4:2], layers[1:4:2], strict=True):
        x = functional.relu(x @ weight + offset)
        x = draws.dropout(x, dropout, training=dropout > 0)
    return x, x @ layers[4] + layers[5]
