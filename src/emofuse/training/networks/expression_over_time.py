"""The expression CNN on every frame, pooled over time: a face branch that is not trained on a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor, nn

from emofuse.core.errors import ExperimentError, WeightsError
from emofuse.core.labels import EMOTIONS, FER_PLUS, FER_PLUS_TO_EMOTION
from emofuse.training.networks.expression_cnn import WIDTHS, CompactExpressionCnn, load_expression_weights

Pooling = Literal["mean", "peaks"]
"""How the frames of a clip become one reading: a value of the recipe's ``face.network.pooling``."""

PEAK_POWER: Final = 2.0
"""Of ``peaks``, the power of the mean: 1 is the mean of the frames' probabilities, infinity their maximum.

This and the next were chosen on pseudo-clips made of FER2013's public_test.
"""
LEAST_FRAME_WEIGHT: Final = 0.05
"""Of ``peaks``, the weight of a frame that is certainly neutral, beside 1 of one that certainly is not."""

N_FRAME_OUTPUTS: Final = WIDTHS[-1] + len(FER_PLUS)
"""Of a frame: its features and log-probabilities of FER+."""

_NEUTRAL: Final = FER_PLUS.index("neutral")
_LEAST_PROBABILITY: Final = 1e-9


class ExpressionOverTime(nn.Module):
    """Log-probabilities of FER+ pooled over the frames of a clip, then mapped to emotions of ours.

    ``temperature`` divides the logits of each frame. ``offsets`` are added to the log-probabilities of FER+:
    logarithms of the ratio of an emotion's expected frequency to that in FER+. ``pooling``: see
    :func:`features_and_emotions`. ``emotions``: what is answered, in order: all eight, or some of them.
    """

    def __init__(
        self,
        cnn: CompactExpressionCnn,
        *,
        temperature: float = 1.0,
        offsets: Sequence[float] | None = None,
        pooling: Pooling = "mean",
        emotions: Sequence[str] = EMOTIONS,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.pooling: Pooling = pooling
        self.temperature: Tensor
        self.offsets: Tensor
        self.mapping: Tensor
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.register_buffer("offsets", torch.tensor(offsets or [0.0] * len(FER_PLUS), dtype=torch.float32))
        self.register_buffer("mapping", fer_plus_mapping(emotions), persistent=False)

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
        return features_and_emotions(frames, self.offsets, self.mapping, self.pooling)


class ExpressionOfFrames(nn.Module):
    """The first half of :class:`ExpressionOverTime`, per frame, so that no frame is read twice."""

    def __init__(self, network: ExpressionOverTime) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        """(n, 48, 48) uint8 → (n, 256 + 8)."""
        return self.network.frames(faces)


class ExpressionOfClip(nn.Module):
    """The second half of :class:`ExpressionOverTime`, from the frames of a clip to one output.

    It needs no CNN, so that a face that was exported before can be pooled in another way.
    """

    def __init__(self, offsets: Sequence[float], pooling: Pooling = "mean") -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.offsets: Tensor
        self.mapping: Tensor
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.float32))
        self.register_buffer("mapping", fer_plus_mapping())

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 256 + 8) → features (n, 256) and log-probabilities (n, n_emotions)."""
        return features_and_emotions(frames, self.offsets, self.mapping, self.pooling)


def features_and_emotions(
    frames: Tensor, offsets: Tensor, mapping: Tensor, pooling: Pooling
) -> tuple[Tensor, Tensor]:
    """The frames of clips as one feature layer and one reading each.

    Args:
        frames: (n, n_frames, 256 + 8) float32, of :meth:`ExpressionOverTime.frames`.
        offsets: (8,) float32, added to log-probabilities of FER+.
        mapping: (8, n_emotions) float32, of :func:`fer_plus_mapping`.
        pooling: ``mean`` of the log-probabilities before the offsets, or ``peaks``, see :func:`pool_peaks`.

    Returns:
        Features (n, 256), their mean whatever the pooling, and log-probabilities (n, n_emotions).
    """
    mean = frames.mean(1)
    features, logs = mean[:, : -len(FER_PLUS)], mean[:, -len(FER_PLUS) :]
    if pooling == "peaks":
        scores = pool_peaks((frames[..., -len(FER_PLUS) :] + offsets).log_softmax(2))
    else:
        scores = logs + offsets
    shares = scores.softmax(1) @ mapping
    return features, shares.clamp(min=_LEAST_PROBABILITY).log().log_softmax(1)


def pool_peaks(logs: Tensor) -> Tensor:
    """The frames of clips as one score per emotion of FER+, whose softmax are probabilities.

    A power mean of the frames' probabilities, in which a frame weighs by how little it is neutral. Speech
    hides an expression in most frames of a clip, and a frame that shows none says little about the clip. Of
    equal frames, as of a still, it is the frame itself.

    Args:
        logs: (n, n_frames, 8) float32 log-probabilities, for emotions that are equally common.

    Returns:
        (n, 8) float32.
    """
    weights = 1 - logs[..., _NEUTRAL : _NEUTRAL + 1].exp() + LEAST_FRAME_WEIGHT
    shares = weights / weights.sum(1, keepdim=True)
    return (PEAK_POWER * logs + shares.log()).logsumexp(1) / PEAK_POWER


def fer_plus_mapping(emotions: Sequence[str] = EMOTIONS) -> Tensor:
    """(8, n_emotions) float32: one row per emotion of FER+ with its shares of ours; zeros for one dropped.

    Args:
        emotions: what is answered, in order: all eight, or some of them. Without calm, all of neutral is
            neutral.

    Raises:
        ExperimentError: FER+ says nothing about one of them.
    """
    if others := [emotion for emotion in emotions if emotion not in EMOTIONS]:
        raise ExperimentError(f"a face network that was trained on FER+ has no answer for {others[0]!r}")
    rows = []
    for name in FER_PLUS:
        shares = [FER_PLUS_TO_EMOTION[name].get(emotion, 0.0) for emotion in emotions]
        if name == "neutral" and "neutral" in emotions:
            shares = [share / sum(shares) for share in shares]
        rows.append(shares)
    return torch.tensor(rows)


def load_expression_over_time(
    path: str | Path | None, pooling: Pooling = "mean", emotions: Sequence[str] = EMOTIONS
) -> ExpressionOverTime:
    """The branch with weights that `emofuse faces train --architecture compact` wrote.

    Args:
        path: of the weights.
        pooling: see :func:`features_and_emotions`.
        emotions: what is answered, in order.

    Raises:
        ExperimentError: FER+ says nothing about one of them.
        WeightsError: no path is given, or the file is absent, damaged, or of another network.
    """
    if path is None:
        raise WeightsError(
            "a recipe with face.network.kind = 'expression' needs the weights.safetensors of `emofuse faces "
            "train --architecture compact`: give its path as face.network.expression_weights"
        )
    cnn = CompactExpressionCnn()
    load_expression_weights(cnn, Path(path))
    return ExpressionOverTime(cnn, pooling=pooling, emotions=emotions).eval()
