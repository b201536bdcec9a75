"""Face networks: the notebooks' LRCN on face crops, and dense networks on action units.

The LRCN's LSTM on blendshapes, without its CNN, is in :mod:`emofuse.training.networks.blendshape_lstm`.

Every network here maps a batch of raw face features to ``(features, logits)``: features are
(n, n_features) float32, logits (n, n_emotions) float32.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from emofuse.core.errors import WeightsError
from emofuse.core.recipes.face import EmotionCnnWeights, FaceNetwork
from emofuse.system import model_files as weights
from emofuse.training.draws import Dropout, normal_like
from emofuse.training.networks.emotion_cnn import (
    N_FEATURES,
    EmotionCnn,
    load_keras_weights,
    standardize_images,
)
from emofuse.training.networks.expression_cnn import check_architecture, load_expression_weights


class SpatialTransformer(nn.Module):
    """Rotates, shifts and scales each face before it is read (Jaderberg et al. 2015), as in the notebooks.

    Max-pool, convolution 20 5×5, max-pool, convolution 20 5×5, dense 20, dense 6 that is initialized to the
    identity; bilinear sampling back to 48×48.
    """

    def __init__(self, size: int = 48) -> None:
        super().__init__()
        self.size = size
        side = ((size // 2 - 4) // 2) - 4
        self.localise = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 20, 5), nn.Flatten(),
            nn.Linear(20 * side * side, 20), nn.ReLU(), nn.Linear(20, 6),
        )  # fmt: skip
        last = self.localise[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))
        ticks = (torch.arange(size) * 2 + 1) / size - 1
        ys, xs = torch.meshgrid(ticks, ticks, indexing="ij")
        grid = torch.stack([xs, ys, torch.ones_like(xs)], -1).reshape(-1, 3)
        self.grid: Tensor
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """(n, 1, size, size) float32 → the same shape."""
        theta = self.localise(faces).reshape(-1, 2, 3)
        # affine_grid, spelled out so that the graph exports to every ONNX opset with GridSample
        grid = (self.grid @ theta.transpose(1, 2)).reshape(-1, self.size, self.size, 2)
        return functional.grid_sample(faces, grid, mode="bilinear", align_corners=False)


class Lrcn(nn.Module):
    """The Emotion CNN on each frame, a (bidirectional) LSTM over the frames (Donahue et al. 2015).

    The feature layer is the LSTM's last output, forward and backward joined: 400 values in the notebooks.
    """

    def __init__(self, n_emotions: int, settings: FaceNetwork) -> None:
        """Random weights from torch's current seed, those of the CNN too."""
        super().__init__()
        # published weights expect faces as they are
        self.standardise = settings.emotion_cnn.source == "scratch"
        self.transformer = SpatialTransformer() if settings.spatial_transformer else nn.Identity()
        self.cnn = EmotionCnn()
        self.frozen = settings.emotion_cnn.frozen
        if self.frozen:
            self.cnn.requires_grad_(False)
        self.lstm = nn.LSTM(
            N_FEATURES, settings.lstm_units, batch_first=True, bidirectional=settings.bidirectional
        )
        self.dropout = Dropout(settings.dropout)
        self.output = nn.Linear(settings.n_features, n_emotions)

    def train(self, mode: bool = True) -> Lrcn:
        """A frozen CNN stays in evaluation mode: its dropout is off in training as well."""
        super().train(mode)
        if self.frozen:
            self.cnn.eval()
        return self

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 48, 48) uint8 → features, logits."""
        return self.classify(self.encode(stack))

    def encode(self, stack: Tensor) -> Tensor:
        """The CNN's features of every frame: (n, n_frames, 48, 48) uint8 → (n, n_frames, 1024)."""
        n, n_frames = stack.shape[:2]
        faces = stack.to(torch.float32).reshape(n * n_frames, 1, *stack.shape[2:]) / 255
        if self.standardise:
            faces = standardize_images(faces)
        encoded: Tensor = self.cnn.features(self.transformer(faces))
        return encoded.reshape(n, n_frames, -1)

    def classify(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 1024) → features, logits."""
        _, (last, _) = self.lstm(self.dropout(encoded))
        features = last.transpose(0, 1).flatten(1)
        return features, self.output(self.dropout(features))


class ActionUnitNetwork(nn.Module):
    """An ensemble of small dense networks on a row of action units; the logits are their mean.

    Intensities crowd near zero, so their square roots are taken, and then standardized with statistics of the
    training clips. The members share nothing but the data; the feature layer is theirs, side by side.
    """

    def __init__(self, n_units: int, n_emotions: int, settings: FaceNetwork, *, noise: float = 0.0) -> None:
        """Random weights from torch's current seed.

        Args:
            n_units: action units per clip.
            n_emotions: width of the output.
            settings: the recipe's.
            noise: standard deviation of the noise on standardized values in training.
        """
        super().__init__()
        members, hidden = settings.members, settings.hidden
        self.standardise = nn.BatchNorm1d(n_units, affine=False)
        self.noise = noise
        self.dropout = Dropout(settings.dropout)

        def weight(n_in: int, n_out: int) -> nn.Parameter:
            bound = math.sqrt(3.0 / n_in)
            return nn.Parameter(torch.empty(members, n_in, n_out).uniform_(-bound, bound))

        self.first, self.first_bias = weight(n_units, hidden), nn.Parameter(torch.zeros(members, 1, hidden))
        self.second, self.second_bias = weight(hidden, hidden), nn.Parameter(torch.zeros(members, 1, hidden))
        self.output = weight(hidden, n_emotions)
        self.output_bias = nn.Parameter(torch.zeros(members, 1, n_emotions))

    def forward(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_units) float32 → features, logits.

        In training, the logits are those of every member, (n, members, n_emotions).
        """
        x = self.standardise(units.clamp(min=0).sqrt())[None].expand(self.first.shape[0], -1, -1)
        if self.training and self.noise > 0:
            x = x + self.noise * normal_like(x)
        x = functional.relu(self.dropout(x) @ self.first + self.first_bias)
        x = functional.relu(self.dropout(x) @ self.second + self.second_bias)
        logits = self.dropout(x) @ self.output + self.output_bias
        features = x.transpose(0, 1).flatten(1)
        return features, logits.transpose(0, 1) if self.training else logits.mean(0)


def build_lrcn(settings: FaceNetwork, n_emotions: int) -> Lrcn:
    """The LRCN that a recipe asks for; its CNN has the weights that the recipe names.

    Raises:
        WeightsError: the recipe asks for weights of the Emotion CNN that are missing, altered or of another
            layout. They are never replaced by random ones.
    """
    lrcn = Lrcn(n_emotions, settings)
    load_emotion_cnn(lrcn.cnn, settings.emotion_cnn)
    return lrcn


def load_emotion_cnn(cnn: EmotionCnn, settings: EmotionCnnWeights) -> None:
    """Load the weights that the recipe names into the Emotion CNN; ``scratch`` leaves it as it is."""
    path = find_emotion_cnn_weights(settings)
    if path is None:
        return
    if path.suffix == ".safetensors":
        load_expression_weights(cnn, path)
    else:
        load_keras_weights(cnn, path, sha256=None)


def find_emotion_cnn_weights(settings: EmotionCnnWeights) -> Path | None:
    """The weight file that the recipe names, after checks; None for ``scratch``.

    Raises:
        WeightsError: the file is absent (the text gives the two ways to get it) or altered, or a
            .safetensors file is not one of `emofuse faces train --architecture emotion`.
    """
    if settings.source == "scratch":
        return None
    path = Path(settings.path) if settings.path else None
    if settings.source == "deepface":
        return weights.find_weights("deepface-emotion", path)
    if path is None or not path.is_file():
        raise WeightsError(f"no weight file {path}: face.network.emotion_cnn.path must name one")
    if path.suffix == ".safetensors":
        check_architecture(path, "emotion")
    return path
