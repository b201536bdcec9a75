"""Exported networks against themselves in torch. The default one is exported in the tests of bundles."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from emofuse.core.recipes.face import FaceNetwork
from emofuse.training.loop import infer
from emofuse.training.networks.blendshape_lstm import BlendshapeNetwork
from emofuse.training.networks.face import ActionUnitNetwork, build_lrcn
from emofuse.training.networks.fusion_mlp import FusionNetwork
from emofuse.training.networks.onnx_export import export_ensemble, export_probabilities
from emofuse.training.networks.voice import AlexNet, DenseVoiceNetwork


def session(model: bytes) -> Any:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def pair(kind: str) -> tuple[list[torch.nn.Module], np.ndarray]:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    networks: list[torch.nn.Module]
    if kind == "au":
        face = FaceNetwork(kind="au-mlp", hidden=4, members=2)
        networks = [ActionUnitNetwork(5, 8, face) for _ in range(2)]
        return networks, (rng.random((3, 5)) * 5).astype(np.float32)
    if kind == "lstm":
        face = FaceNetwork(kind="lstm", lstm_units=4)
        return [BlendshapeNetwork(58, 8, face)], rng.standard_normal((3, 6, 58)).astype(np.float32)
    if kind == "lrcn":
        face = FaceNetwork.model_validate(
            {"emotion_cnn": {"source": "scratch", "frozen": False}, "lstm_units": 4}
        )
        return [build_lrcn(face, 8)], rng.integers(0, 256, (3, 2, 48, 48), np.uint8)
    if kind == "mlp":
        return [DenseVoiceNetwork(12, 8)], rng.standard_normal((3, 12)).astype(np.float32)
    return [AlexNet(8)], rng.integers(0, 256, (3, 224, 224, 3), np.uint8)


@pytest.mark.parametrize("kind", ["au", "lstm", "lrcn", "mlp", "alexnet"])
def test_onnx_agrees_with_torch(kind: str) -> None:
    networks, inputs = pair(kind)
    for network in networks:
        network.train()  # exporting must not depend on it
    run = session(export_ensemble(networks, inputs[0]))
    names = [one.name for one in run.get_outputs()]
    assert names == ["features", "member_log_probabilities", "log_probabilities"]
    for count in (1, 3):
        features, logs, together = run.run(None, {"inputs": inputs[:count]})
        for k, network in enumerate(networks):
            wanted_features, wanted_logs = infer(network, inputs[:count])
            np.testing.assert_allclose(features[:, k], wanted_features, atol=1e-4)
            np.testing.assert_allclose(logs[:, k], wanted_logs, atol=1e-4)
        mean = logs.mean(1)
        np.testing.assert_allclose(
            together, mean - np.logaddexp.reduce(mean, axis=1, keepdims=True), atol=1e-5
        )


def test_fusion_network() -> None:
    torch.manual_seed(0)
    network = FusionNetwork(np.full(6, 3, np.float32), np.full(6, 2, np.float32), 8, hidden=(5,)).eval()
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    outputs = session(export_probabilities(network, 6)).run(["probabilities"], {"inputs": x})[0]
    np.testing.assert_allclose(outputs, np.exp(infer(network, x)[1]), atol=1e-5)
    np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-6)
