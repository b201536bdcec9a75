"""Networks that weigh the parts of an utterance: attentive statistics pooling (Okabe et al. 2018).

Each reads the same values of equal parts, in order of time; what counts is the mean of their
log-probabilities. Fitted by :mod:`emofuse.training.attention`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.recipes.part import AttentionPooling
from emofuse.training.draws import dropout

CLIP: Final = 5.0
"""Standardized values are clipped to ± this."""
_WIDTH: Final = 128
_LEAST_VARIANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class PartsView:
    """Which columns of a row are the values of an utterance's parts, one part after the other."""

    columns: slice
    n_parts: int


class _Member(nn.Module):
    def __init__(self, n_values: int, n_emotions: int, settings: AttentionPooling) -> None:
        super().__init__()
        self.input_dropout = settings.input_dropout
        self.project = nn.Linear(n_values, settings.hidden)
        self.norm = nn.LayerNorm(settings.hidden)
        self.attend = nn.Linear(settings.hidden, settings.heads)
        self.hidden = nn.Linear(2 * settings.hidden * settings.heads, _WIDTH)
        self.dropout = settings.dropout
        self.out = nn.Linear(_WIDTH, n_emotions)

    def forward(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_parts, n_values) → (n, 128), (n, n_emotions)."""
        if self.training:  # the same values are dropped from all parts
            kept = torch.ones(len(parts), 1, parts.shape[2], device=parts.device)
            parts = parts * dropout(kept, self.input_dropout)
        x = functional.gelu(self.norm(self.project(parts)))
        weights = self.attend(x).softmax(1).transpose(1, 2)
        mean = weights @ x
        spread = (weights @ x.square() - mean.square()).clamp(min=_LEAST_VARIANCE).sqrt()
        pooled = dropout(torch.cat([mean, spread], 2).flatten(1), self.dropout, self.training)
        hidden = functional.relu(self.hidden(pooled))
        return hidden, self.out(dropout(hidden, self.dropout, self.training))


class AttentionNetworks(nn.Module):
    """Several of them, which differ in their initial weights and the order of their clips."""

    def __init__(self, view: PartsView, n_emotions: int, settings: AttentionPooling) -> None:
        super().__init__()
        self.view = view
        n_values = view.columns.stop - view.columns.start
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(n_values))
        self.register_buffer("spread", torch.ones(n_values))
        width = n_values // view.n_parts
        self.members = nn.ModuleList(_Member(width, n_emotions, settings) for _ in range(settings.networks))

    def parts(self, values: Tensor) -> Tensor:
        """(n, n_all) float32 → (n, n_parts, n_values), standardized."""
        own = values[:, self.view.columns.start : self.view.columns.stop]
        standard = ((own - self.mean) / self.spread).clamp(-CLIP, CLIP)
        return standard.reshape(-1, self.view.n_parts, standard.shape[1] // self.view.n_parts)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_all) float32 → features, log-probabilities."""
        parts = self.parts(values)
        outputs = [member(parts) for member in self.members]
        logs = torch.stack([logits.log_softmax(1) for _, logits in outputs]).mean(0)
        return torch.cat([hidden for hidden, _ in outputs], 1), logs
