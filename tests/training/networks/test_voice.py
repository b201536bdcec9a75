from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.voice import VoiceNetwork, VoicePart
from emofuse.training.networks.voice import LOG_MEL_FLOOR, AlexNet, CompactVoiceNetwork, DenseVoiceNetwork


def part(**network: Any) -> VoicePart:
    settings = {"channels": [4, 6], "hidden": 8, "n_features": 10, **network}
    return VoicePart.model_validate({"features": {"n_mels": 32}, "network": settings})


def compact(voice: VoicePart, n_rows: int = 32) -> CompactVoiceNetwork:
    return CompactVoiceNetwork(n_rows, 8, voice.network, pitch=voice.features.pitch)


def log_mel(n: int = 4, n_frames: int = 40) -> Tensor:
    x = torch.randn(n, 32, n_frames, generator=torch.Generator().manual_seed(0)) * 2 - 6
    x[:, :, n_frames - 10 :] = LOG_MEL_FLOOR
    return x


def say(network: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        features, logits = network.eval()(x)
    return features, logits


@pytest.mark.parametrize(
    "network",
    [{}, {"channels": []}, {"functionals": False}, {"keep_level": True}, {"channels": [4]}],
    ids=["both", "functionals", "convolutions", "level", "one-block"],
)
def test_compact_network(network: dict[str, Any]) -> None:
    torch.manual_seed(0)
    built = compact(part(**network))
    x = log_mel()
    built.train()(x)[1].sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in built.parameters())
    features, logits = say(built, x)
    assert features.shape == (4, 10)
    assert logits.shape == (4, 8)
    assert features.min() >= 0
    np.testing.assert_allclose(say(built, x[2:3])[1], logits[2:3], atol=1e-5)


@pytest.mark.parametrize("keep_level", [False, True])
def test_level(keep_level: bool) -> None:
    torch.manual_seed(0)
    built = compact(part(keep_level=keep_level, functionals=False))
    quiet = log_mel().clamp(min=-11)
    quiet[:, :, -10:] = LOG_MEL_FLOOR
    loud = quiet.clone()
    loud[:, :, :-10] += 2
    change = (say(built, quiet)[0] - say(built, loud)[0]).abs().max()
    assert (change > 1e-3) == keep_level


@pytest.mark.parametrize("functionals", [False, True])
def test_silence_is_finite(functionals: bool) -> None:
    built = compact(part(functionals=functionals))
    for level in (LOG_MEL_FLOOR, -3.0):
        features, logits = say(built, torch.full((2, 32, 40), level))
        assert torch.isfinite(features).all()
        assert torch.isfinite(logits).all()


def test_pitch_rows_are_not_bands() -> None:
    voice = VoicePart.model_validate(
        {
            "features": {"n_mels": 32, "pitch": True},
            "network": {"channels": [4], "hidden": 8, "n_features": 10},
        }
    )
    built = compact(voice, n_rows=34)
    assert built.n_mels == 32
    rows = torch.cat([log_mel(), torch.rand(4, 2, 40) + 1], 1)
    _, logits = say(built, rows)
    other = rows.clone()
    other[:, 32] += 1
    assert not torch.allclose(say(built, other)[1], logits)


def test_a_network_needs_channels_or_functionals() -> None:
    with pytest.raises(ValueError, match="channels, functionals or both"):
        compact(part(channels=[], functionals=False))
    with pytest.raises(ValueError, match="bands are too few"):
        compact(part(channels=[2] * 6))


def test_alexnet_has_1000_features_and_trains() -> None:
    torch.manual_seed(0)
    network = load_recipe("rosred-2022").voice.network
    built = AlexNet(8, network.n_features, network.dropout)
    image = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    features, logits = say(built, image)
    assert features.shape == (2, 1000)
    assert logits.shape == (2, 8)
    kernels = [tuple(m.weight.shape) for m in built.modules() if isinstance(m, torch.nn.Conv2d)]
    assert kernels == [(96, 3, 11, 11), (256, 96, 5, 5), (384, 256, 3, 3), (384, 384, 3, 3), (256, 384, 3, 3)]


def test_dense_network_standardizes_with_statistics_of_training_clips() -> None:
    torch.manual_seed(0)
    network = VoiceNetwork(kind="mlp")
    built = DenseVoiceNetwork(12, 8, network.n_features, network.dropout)
    x = torch.randn(16, 12) * 100 + 500
    for _ in range(80):
        built.train()(x)
    features, _ = say(built, x)
    assert features.shape == (16, 1000)
    z = built.standardise(x)
    np.testing.assert_allclose(z.mean(0).detach(), 0, atol=0.05)
