"""A training of every kind of network on drawn features of the real shapes, small enough for any machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.part import Augmentation
from emofuse.core.recipes.recipe import Recipe
from emofuse.training.attention import train_attention
from emofuse.training.ensemble import train_ensemble
from emofuse.training.loop import Epoch, Examples, TrainedNetwork, augmentation_for, train_network
from emofuse.training.lrcn import train_lrcn
from emofuse.training.networks.attention_pooling import AttentionNetworks, PartsView
from emofuse.training.networks.blendshape_lstm import BlendshapeNetwork
from emofuse.training.networks.descriptor_ensemble import Layout
from emofuse.training.networks.expression_cnn import CompactExpressionCnn, NormalizedEmotionCnn
from emofuse.training.networks.face import ActionUnitNetwork, build_lrcn
from emofuse.training.networks.fusion_mlp import FusionNetwork
from emofuse.training.networks.voice import AlexNet, CompactVoiceNetwork, DenseVoiceNetwork
from emofuse.training.supervision import Supervision

N: Final = 64
LABELS: Final[NDArray[np.int64]] = np.arange(N, dtype=np.int64) % 8
SPEAKERS: Final = np.array([f"{i // 16:02d}" for i in range(N)])
LAYOUT: Final = Layout(((0, 140), (140, 300)))
PARTS: Final = PartsView(slice(60, 300), 12)


class Trained(NamedTuple):
    """``losses``: of each epoch; ``logs``: (N, 8) log-probabilities."""

    network: nn.Module
    losses: list[float]
    logs: NDArray[np.float64]


def _values(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normal values that depend on the label."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(1).standard_normal((8, *shape))
    return (rng.standard_normal((N, *shape)) + 0.3 * means[LABELS]).astype(np.float32)


def _pixels(*shape: int) -> NDArray[np.uint8]:
    return np.clip(128 + 40 * _values(*shape), 0, 255).astype(np.uint8)


def _log_mel() -> NDArray[np.float32]:
    rows = _values(66, 188) * 2 - 6
    rows[::2, :64, 150:] = np.log(1e-10)  # padding
    rows[::2, 64:, 150:] = 0
    return rows


def _some_known() -> Supervision:
    """A third of the clips come from a corpus without calm."""
    known = np.ones((N, 8), bool)
    known[::3, 1] = False
    known[np.arange(N), LABELS] = True
    return Supervision(known, np.ones(N))


def _outcome(network: nn.Module, curve: list[Epoch], inputs: NDArray[Any]) -> Trained:
    logs = TrainedNetwork.with_outputs(network, curve, inputs, n_emotions=8).log_probabilities
    return Trained(network, [epoch.train_loss for epoch in curve], logs)


def _in_epochs(
    build: Callable[[], nn.Module],
    inputs: NDArray[Any],
    part: Any,
    *,
    epochs: int = 3,
    supervision: Supervision | None = None,
    **augmentation: float,
) -> Trained:
    examples = Examples(inputs, LABELS[: len(inputs)], supervision)
    training = part.training.model_copy(
        update={
            "epochs": epochs,
            "batch_size": min(16, len(inputs) // 2),
            "augmentation": part.training.augmentation.model_copy(update=augmentation),
        }
    )
    network, curve = train_network(
        build, examples, training, n_emotions=8, seed=3,
        augment=augmentation_for(part.features, training), held_out=examples,
    )  # fmt: skip
    return _outcome(network, curve, inputs)


def _with_convolutions() -> Recipe:
    recipe = load_recipe("default")
    network = recipe.voice.network.model_copy(update={"channels": [8, 8, 8]})
    return recipe.model_copy(update={"voice": recipe.voice.model_copy(update={"network": network})})


def _compact_network(recipe: Recipe) -> nn.Module:
    return CompactVoiceNetwork(66, 8, recipe.voice.network, pitch=True)


def _alexnet_network(recipe: Recipe) -> nn.Module:
    settings = recipe.voice.network
    return AlexNet(8, settings.n_features, settings.dropout)


def _action_unit_network(recipe: Recipe) -> nn.Module:
    noise = recipe.face.training.augmentation.noise
    return ActionUnitNetwork(35, 8, recipe.face.network, noise=noise)


def _blendshape_network(recipe: Recipe) -> nn.Module:
    noise = recipe.face.training.augmentation.noise
    return BlendshapeNetwork(58, 8, recipe.face.network, noise=noise)


def _compact() -> Trained:
    recipe = _with_convolutions()
    return _in_epochs(lambda: _compact_network(recipe), _log_mel(), recipe.voice)


def _mixed() -> Trained:
    recipe = load_recipe("default")
    return _in_epochs(
        lambda: _compact_network(recipe), _log_mel(), recipe.voice,
        supervision=_some_known(), mixup=0.3,
    )  # fmt: skip


def _alexnet() -> Trained:
    recipe = load_recipe("rosred-2022")
    images = _pixels(224, 224, 3)[:8]
    return _in_epochs(lambda: _alexnet_network(recipe), images, recipe.voice, epochs=1)


def _dense() -> Trained:
    recipe = load_recipe("default")
    return _in_epochs(lambda: DenseVoiceNetwork(200, 8), _values(200), recipe.voice, strength=0.0)


def _action_units() -> Trained:
    recipe = load_recipe("ravdess-au")
    units = np.abs(_values(35))
    return _in_epochs(lambda: _action_unit_network(recipe), units, recipe.face)


def _blendshapes() -> Trained:
    recipe = load_recipe("ravdess-blendshapes")
    return _in_epochs(lambda: _blendshape_network(recipe), _values(20, 58), recipe.face)


def _lrcn(*, transformer: bool) -> Trained:
    part = load_recipe("demo").face
    weights = part.network.emotion_cnn.model_copy(update={"frame_epochs": 1})
    network = part.network.model_copy(update={"spatial_transformer": transformer, "emotion_cnn": weights})
    augmentation = Augmentation(strength=float(transformer))
    training = part.training.model_copy(update={"epochs": 1, "augmentation": augmentation})
    part = part.model_copy(update={"network": network, "training": training})
    stacks = _pixels(20, 48, 48)[:16]
    trained, curve = train_lrcn(
        lambda: build_lrcn(network, 8), Examples(stacks, LABELS[:16]), part,
        n_emotions=8, seed=5, held_out=None,
    )  # fmt: skip
    return _outcome(trained, curve, stacks)


def _fusion() -> Trained:
    values = _values(16)

    def build() -> nn.Module:
        return FusionNetwork(values.mean(0), values.std(0), 8, hidden=(32, 16))

    return _in_epochs(build, values, load_recipe("default").voice, strength=0.0)


def _ensemble(supervision: Supervision | None = None) -> Trained:
    part = load_recipe("ravdess-ensemble").voice
    settings = part.network.ensemble.model_copy(update={"linear": 0.15, "components": 40})
    variants = [_values(300), _values(300, seed=2)]
    network, curve = train_ensemble(
        variants, LABELS, SPEAKERS, LAYOUT, settings, part.training.model_copy(update={"epochs": 3}),
        n_emotions=8, seed=4, supervision=supervision,
    )  # fmt: skip
    return _outcome(network, curve, variants[0])


def _attention() -> Trained:
    settings = load_recipe("ravdess-whisper").voice.network.attention
    assert settings is not None
    settings = settings.model_copy(
        update={"networks": 2, "training": settings.training.model_copy(update={"epochs": 3})}
    )
    values = _values(300)
    network, curve = train_attention([values], LABELS, PARTS, settings, n_emotions=8, seed=4)
    return _outcome(network, curve, values)


TRAININGS: Final[dict[str, Callable[[], Trained]]] = {
    "compact voice": _compact,
    "compact voice, mixed, two corpora": _mixed,
    "AlexNet": _alexnet,
    "dense voice": _dense,
    "action units": _action_units,
    "blendshapes": _blendshapes,
    "LRCN": lambda: _lrcn(transformer=False),
    "LRCN with a spatial transformer": lambda: _lrcn(transformer=True),
    "fusion": _fusion,
    "ensemble": _ensemble,
    "ensemble, two corpora": lambda: _ensemble(_some_known()),
    "attention": _attention,
}
"""Each of them draws the same features every time."""


def _attention_networks() -> AttentionNetworks:
    settings = load_recipe("ravdess-whisper").voice.network.attention
    assert settings is not None
    return AttentionNetworks(PARTS, 8, settings)


def _stack(device: str) -> Tensor:
    return torch.zeros(2, 20, 48, 48, dtype=torch.uint8, device=device)


_LRCN: Final = load_recipe("demo").face.network.model_copy(update={"spatial_transformer": True})
NETWORKS: Final[dict[str, tuple[Callable[[], nn.Module], Callable[[str], Tensor]]]] = {
    "compact voice": (
        lambda: _compact_network(_with_convolutions()),
        lambda device: torch.zeros(4, 66, 188, device=device),
    ),
    "AlexNet": (
        lambda: _alexnet_network(load_recipe("rosred-2022")),
        lambda device: torch.zeros(2, 224, 224, 3, dtype=torch.uint8, device=device),
    ),
    "dense voice": (
        lambda: DenseVoiceNetwork(200, 8),
        lambda device: torch.zeros(4, 200, device=device),
    ),
    "action units": (
        lambda: _action_unit_network(load_recipe("ravdess-au")),
        lambda device: torch.zeros(4, 35, device=device),
    ),
    "blendshapes": (
        lambda: _blendshape_network(load_recipe("ravdess-blendshapes")),
        lambda device: torch.zeros(4, 20, 58, device=device),
    ),
    "LRCN": (lambda: build_lrcn(_LRCN, 8), _stack),
    "fusion": (
        lambda: FusionNetwork(np.zeros(16, np.float32), np.ones(16, np.float32), 8),
        lambda device: torch.zeros(4, 16, device=device),
    ),
    "attention": (_attention_networks, lambda device: torch.zeros(4, 300, device=device)),
    "compact expression": (CompactExpressionCnn, lambda device: torch.zeros(4, 1, 48, 48, device=device)),
    "Emotion CNN": (NormalizedEmotionCnn, lambda device: torch.zeros(4, 1, 48, 48, device=device)),
}
"""Every network that is trained in batches, untrained, and a batch for it on some device."""


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Everything that a network has learned."""
    return {name: value.clone() for name, value in network.state_dict().items()}
