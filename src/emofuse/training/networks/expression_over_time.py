"""The expression CNN on every frame, pooled over time: a face branch that is not trained on a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from emofuse.core.errors import WeightsError
from emofuse.core.labels import EMOTIONS, FER_PLUS, FER_PLUS_TO_EMOTION
from emofuse.training.networks.expression_cnn import CompactExpressionCnn, load_expression_weights

_LEAST_PROBABILITY = 1e-9


class ExpressionOverTime(nn.Module):
    """Log-probabilities of FER+ averaged over the frames of a clip, then mapped to the eight emotions.

    ``temperature`` divides the logits of each frame. ``offsets`` are added to the log-probabilities of FER+
    after averaging: logarithms of the ratio of an emotion's expected frequency to that in FER+.
    """

    def __init__(
        self, cnn: CompactExpressionCnn, *, temperature: float = 1.0, offsets: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.temperature: Tensor
        self.offsets: Tensor
        self.mapping: Tensor
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.register_buffer("offsets", torch.tensor(offsets or [0.0] * len(FER_PLUS), dtype=torch.float32))
        self.register_buffer("mapping", fer_plus_mapping(), persistent=False)

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 48, 48) uint8 → features (n, 256) and log-probabilities (n, n_emotions)."""
        n_frames, height, width = stack.shape[1:]
        frames: Tensor = self.frames(stack.reshape(-1, height, width))
        return self.over_time(frames.reshape(-1, n_frames, frames.shape[1]))

    def frames(self, faces: Tensor) -> Tensor:
        """(n, 48, 48) uint8 → (n, 256 + 8): features and log-probabilities of FER+, per frame."""
        pooled = self.cnn.features(faces[:, None].to(torch.float32) / 255)
        logs = (self.cnn.fer_plus(pooled) / self.temperature).log_softmax(1)
        return torch.cat([pooled, logs], 1)

    def over_time(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 256 + 8) → features (n, 256) and log-probabilities (n, n_emotions)."""
        mean = frames.mean(1)
        features, logs = mean[:, : -len(FER_PLUS)], mean[:, -len(FER_PLUS) :]
        shares = (logs + self.offsets).softmax(1) @ self.mapping
        return features, shares.clamp(min=_LEAST_PROBABILITY).log().log_softmax(1)


class ExpressionOfFrames(nn.Module):
    """The first half of :class:`ExpressionOverTime`, per frame, so that no frame is read twice."""

    def __init__(self, network: ExpressionOverTime) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        """(n, 48, 48) uint8 → (n, 256 + 8)."""
        return self.network.frames(faces)


class ExpressionOfClip(nn.Module):
    """The second half of :class:`ExpressionOverTime`, from the frames of a clip to one output."""

    def __init__(self, network: ExpressionOverTime) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 256 + 8) → features (n, 256) and log-probabilities (n, n_emotions)."""
        return self.network.over_time(frames)


def fer_plus_mapping() -> Tensor:
    """(8, 8) float32: one row per emotion of FER+ with its shares of ours; zeros for one that is dropped."""
    rows = [[FER_PLUS_TO_EMOTION[name].get(emotion, 0.0) for emotion in EMOTIONS] for name in FER_PLUS]
    return torch.tensor(rows)


def load_expression_over_time(path: str | Path | None) -> ExpressionOverTime:
    """The branch with weights that `emofuse faces train --architecture compact` wrote.

    Raises:
        WeightsError: no path is given, or the file is absent, damaged, or of another network.
    """
    if path is None:
        raise WeightsError(
            "a recipe with face.network.kind = 'expression' needs the weights.safetensors of `emofuse faces "
            "train --architecture compact`: give its path as face.network.expression_weights"
        )
    cnn = CompactExpressionCnn()
    load_expression_weights(cnn, Path(path))
    return ExpressionOverTime(cnn).eval()
