"""Training the LRCN in stages, which depend on where its Emotion CNN comes from.

A CNN without pre-trained weights learns nothing through an LSTM from a hundred clips, but it does from single
frames, so it is trained on those first. Where the CNN is frozen, its outputs are computed once, and the LSTM
is trained on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.core.recipes.face import FacePart
from emofuse.core.recipes.part import Augmentation, Training
from emofuse.training.augmentation import augment_faces
from emofuse.training.loop import Epoch, Examples, augmentation_for, train_network
from emofuse.training.networks.emotion_cnn import N_FEATURES, EmotionCnn, standardize_images
from emofuse.training.networks.face import Lrcn
from emofuse.training.supervision import of_rows
from emofuse.training.torch_settings import placed, reproducible


class FrameNetwork(nn.Module):
    """The Emotion CNN with one dense layer for the eight emotions, on single frames."""

    def __init__(self, cnn: EmotionCnn, n_emotions: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.output = nn.Linear(N_FEATURES, n_emotions)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 48, 48) uint8 → features, logits."""
        features = self.cnn.features(standardize_images(frames[:, None].to(torch.float32) / 255))
        return features, self.output(features)


def train_lrcn(
    build: Callable[[], nn.Module],
    examples: Examples,
    part: FacePart,
    *,
    n_emotions: int,
    seed: int,
    held_out: Examples | None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train an LRCN; arguments and results as of :func:`emofuse.training.loop.train_network`."""
    weights = part.network.emotion_cnn
    if weights.source == "scratch":
        cnn = _train_on_frames(examples, part, n_emotions=n_emotions, seed=seed)

        def prepared() -> nn.Module:
            network = build()
            assert isinstance(network, Lrcn)
            network.cnn.load_state_dict(cnn.state_dict())
            return network

        build_network: Callable[[], nn.Module] = prepared
    else:
        build_network = build
    augment = augmentation_for(part.features, part.training)
    if weights.frozen and not part.network.spatial_transformer and augment is None:
        return _train_on_encodings(
            build_network, examples, part.training, n_emotions=n_emotions, seed=seed, held_out=held_out
        )
    return train_network(
        build_network,
        examples,
        part.training,
        n_emotions=n_emotions,
        seed=seed,
        augment=augment,
        held_out=held_out,
    )


def _train_on_frames(examples: Examples, part: FacePart, *, n_emotions: int, seed: int) -> EmotionCnn:
    """Train the Emotion CNN from scratch, on a few frames of every training clip."""
    weights = part.network.emotion_cnn
    n_frames = examples.inputs.shape[1]
    selected = np.unique(np.linspace(0, n_frames - 1, weights.frames_per_clip).round().astype(int))
    frames = Examples(
        examples.inputs[:, selected].reshape(-1, *examples.inputs.shape[2:]),
        np.repeat(examples.labels, len(selected)),
        of_rows(examples.supervision, np.repeat(np.arange(len(examples.labels)), len(selected))),
        None if examples.ratings is None else np.repeat(examples.ratings, len(selected), axis=0),
    )
    settings = Training(
        epochs=weights.frame_epochs,
        batch_size=16,
        learning_rate=weights.frame_learning_rate,
        weight_decay=0.1,
        augmentation=Augmentation(label_smoothing=0.1),
    )

    def build() -> nn.Module:
        cnn = EmotionCnn()
        for layer in cnn.modules():
            # PyTorch's default weights are too small for seven layers without normalization (He et al. 2015)
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        return FrameNetwork(cnn, n_emotions)

    trained, _ = train_network(
        build,
        frames,
        settings,
        n_emotions=n_emotions,
        seed=seed,
        augment=lambda x, generator: augment_faces(x[:, None], 1.0, generator)[:, 0],
    )
    assert isinstance(trained, FrameNetwork)
    return trained.cnn


class _AfterCnn(nn.Module):
    """The part of an LRCN that is trained where its CNN is frozen."""

    def __init__(self, lrcn: Lrcn) -> None:
        super().__init__()
        self.lrcn = lrcn

    def forward(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, 1024) float32 → features, logits."""
        return self.lrcn.classify(encoded)


def _train_on_encodings(
    build: Callable[[], nn.Module],
    examples: Examples,
    settings: Training,
    *,
    n_emotions: int,
    seed: int,
    held_out: Examples | None,
) -> tuple[nn.Module, list[Epoch]]:
    with reproducible(seed):
        lrcn = build().eval()
    assert isinstance(lrcn, Lrcn)
    after, curve = train_network(
        lambda: _AfterCnn(lrcn),
        encode(lrcn, examples),
        settings,
        n_emotions=n_emotions,
        seed=seed,
        held_out=None if held_out is None else encode(lrcn, held_out),
    )
    assert isinstance(after, _AfterCnn)
    return after.lrcn.eval(), curve


def encode(lrcn: Lrcn, examples: Examples, *, batch_size: int = 16) -> Examples:
    """The CNN's features of every frame: inputs (n, n_frames, 1024) float32."""
    parts = []
    with reproducible() as device, placed(lrcn, device), torch.inference_mode():
        for i in range(0, len(examples.inputs), batch_size):
            stack = torch.from_numpy(np.ascontiguousarray(examples.inputs[i : i + batch_size]))
            parts.append(lrcn.encode(stack.to(device)).cpu().numpy())
    return Examples(np.concatenate(parts), examples.labels, examples.supervision, examples.ratings)
