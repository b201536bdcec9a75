"""Voice networks: the notebooks' AlexNet, the compact default, and a dense one.

Every network here maps a batch of raw voice features to ``(features, logits)``: features are
(n, n_features) float32, logits (n, n_emotions) float32. Normalization is part of the network, so that
an exported network reads exactly what :func:`emofuse.features.extraction.extract` returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from emofuse.core.recipes.voice import VoiceNetwork
from emofuse.training.draws import Dropout, Dropout2d
from emofuse.training.networks.functionals import Functionals

LOG_MEL_FLOOR = math.log(1e-10)
"""The value in every band of a log-mel spectrogram where it is zero-padded."""


class AlexNet(nn.Module):
    """The notebooks' network on their 224×224×3 image, reduced so that it can be trained.

    Convolutions 96 11×11 stride 4, 256 5×5, 384, 384, 256 3×3, each with batch normalization and ReLU;
    max-pool after the 1st, 2nd and 5th; dense 4096 and 1000. The notebooks' pools have stride 1, which
    leaves 256×50×50 values and a first dense layer of 2.6 billion weights. Here they have stride 2 as in
    AlexNet (Krizhevsky et al. 2012), and the last map is averaged to 3×3 before the dense layers.
    """

    def __init__(self, n_emotions: int, n_features: int = 1000, dropout: float = 0.4) -> None:
        super().__init__()

        def block(n_in: int, n_out: int, kernel: int, stride: int, pool: bool) -> list[nn.Module]:
            layers: list[nn.Module] = [
                nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
            return [*layers, nn.MaxPool2d(2, 2)] if pool else layers

        self.convolutions = nn.Sequential(
            *block(3, 96, 11, 4, pool=True),
            *block(96, 256, 5, 1, pool=True),
            *block(256, 384, 3, 1, pool=False),
            *block(384, 384, 3, 1, pool=False),
            *block(384, 256, 3, 1, pool=True),
            # 7×7 → 3×3 with fixed windows: adaptive pooling cannot be exported
            nn.AvgPool2d(3, 2),
            nn.Flatten(),
        )
        self.dense = nn.Sequential(
            nn.Linear(256 * 9, 4096), nn.BatchNorm1d(4096), nn.ReLU(), Dropout(dropout),
            nn.Linear(4096, n_features), nn.BatchNorm1d(n_features), nn.ReLU(),
        )  # fmt: skip
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(n_features, n_emotions)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 224, 224, 3) uint8 → features, logits."""
        x = image.to(torch.float32).permute(0, 3, 1, 2) / 255
        features = self.dense(self.convolutions(x))
        return features, self.output(self.dropout(features))


class ConvolutionBranch(nn.Module):
    """Convolutions over a normalized log-mel spectrogram, then attention, maximum and spread over time.

    Each block halves bands and time. The bands of a frame are then one vector; four attention heads, the
    maximum and the standard deviation over time give one vector per clip of any length.
    """

    n_heads = 4

    def __init__(self, n_mels: int, channels: Sequence[int], n_reduced: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in, bands = 1, n_mels
        for i, n_out in enumerate(channels):
            last = i == len(channels) - 1
            if i == 0:
                layers += [nn.Conv2d(1, n_out, 5, 2, padding=2, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
                bands = (bands + 1) // 2
            else:
                layers += [
                    nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
                    nn.Conv2d(n_out, n_out, 3, padding=1, groups=n_out, bias=False),
                    nn.Conv2d(n_out, n_out, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
                ]  # fmt: skip
            layers += [nn.MaxPool2d((2, 1) if last else 2), Dropout2d(0.1)]
            n_in, bands = n_out, bands // 2
        if bands < 1:
            raise ValueError(f"{n_mels} bands are too few for {len(channels)} blocks")
        self.convolutions = nn.Sequential(*layers)
        self.reduce = nn.Sequential(
            nn.Conv1d(n_in * bands, n_reduced, 1, bias=False), nn.BatchNorm1d(n_reduced), nn.ReLU()
        )
        self.attention = nn.Conv1d(n_reduced, self.n_heads, 1)
        self.size = n_reduced * (self.n_heads + 2)

    def forward(self, normalized: Tensor) -> Tensor:
        """(n, n_mels, n_frames) → (n, size)."""
        x = normalized[:, None]
        if self.training:
            # twice as fast on a CPU; exported graphs have no memory formats
            x = x.contiguous(memory_format=torch.channels_last)
        frames = self.reduce(self.convolutions(x).flatten(1, 2))
        weights = self.attention(frames).softmax(2)
        pooled = torch.einsum("ndt,nht->nhd", frames, weights).flatten(1)
        mean = frames.mean(2, keepdim=True)
        spread = ((frames - mean).square().mean(2) + 1e-5).sqrt()
        return torch.cat([pooled, frames.amax(2), spread], 1)


class CompactVoiceNetwork(nn.Module):
    """Two views of a log-mel spectrogram: learned convolutions, and functionals of known descriptors.

    With RAVDESS' few speakers the functionals contribute most, and the convolutions what they miss.
    """

    def __init__(self, n_rows: int, n_emotions: int, settings: VoiceNetwork, *, pitch: bool) -> None:
        super().__init__()
        self.n_mels = n_rows - 2 * pitch
        self.keep_level = settings.keep_level
        self.branch = (
            ConvolutionBranch(self.n_mels, settings.channels, settings.hidden // 2)
            if settings.channels
            else None
        )
        self.functionals = Functionals(self.n_mels, pitch=pitch) if settings.functionals else None
        if self.branch is None and self.functionals is None:
            raise ValueError("the default voice network needs channels, functionals or both")
        width = 0
        if self.branch is not None:
            self.read_branch = _dense(self.branch.size, settings.hidden, settings.dropout)
            width += settings.hidden
        if self.functionals is not None:
            self.standardise = nn.BatchNorm1d(self.functionals.size, affine=False)
            self.read_functionals = _dense(self.functionals.size, settings.hidden, settings.dropout)
            width += settings.hidden
        self.dense = _dense(width, settings.n_features, settings.dropout)
        self.dropout = Dropout(settings.dropout)
        self.output = nn.Linear(settings.n_features, n_emotions)

    def normalize(self, log_mel: Tensor, valid: Tensor) -> Tensor:
        """Scale to about ±1; padding gets the quietest value of the clip.

        With ``keep_level`` the scale is fixed and the recording's loudness is kept; otherwise each clip has
        mean 0 and standard deviation 1 where it is not padding.
        """
        quiet = -14.0
        x = log_mel.clamp(min=quiet)
        if self.keep_level:
            return (x * valid + quiet * (1 - valid) + 6) / 4
        n = valid.sum((1, 2), keepdim=True).clamp(min=1) * x.shape[1]
        mean = (x * valid).sum((1, 2), keepdim=True) / n
        spread = (((x - mean) * valid).square().sum((1, 2), keepdim=True) / n).sqrt().clamp(min=0.1)
        z = (x - mean) / spread
        lowest = (z * valid).amin((1, 2), keepdim=True)
        return z * valid + lowest * (1 - valid)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_rows, n_frames) float32 → features, logits."""
        log_mel = rows[:, : self.n_mels]
        valid = (log_mel.amax(1, keepdim=True) > LOG_MEL_FLOOR + 0.5).to(rows.dtype)
        views = []
        if self.branch is not None:
            views.append(self.read_branch(self.branch(self.normalize(log_mel, valid))))
        if self.functionals is not None:
            standard = self.standardise(self.functionals(rows, valid)).clamp(-6, 6)
            views.append(self.read_functionals(standard))
        features = self.dense(torch.cat(views, 1))
        return features, self.output(self.dropout(features))


def _dense(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(Dropout(dropout), nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU())


class DenseVoiceNetwork(nn.Module):
    """Two dense layers on the notebooks' 1-D features, standardized with statistics of training clips."""

    def __init__(self, n_values: int, n_emotions: int, n_features: int = 1000, dropout: float = 0.4) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm1d(n_values, affine=False)
        self.dense = nn.Sequential(
            nn.Linear(n_values, 512), nn.BatchNorm1d(512), nn.ReLU(), Dropout(dropout),
            nn.Linear(512, n_features), nn.BatchNorm1d(n_features), nn.ReLU(),
        )  # fmt: skip
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(n_features, n_emotions)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_values) float32 → features, logits."""
        features = self.dense(self.standardise(values))
        return features, self.output(self.dropout(features))
