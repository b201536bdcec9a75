from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emofuse.core.errors import WeightsError
from emofuse.core.recipes.face import EmotionCnnWeights, FaceNetwork
from emofuse.training.networks.emotion_cnn import EmotionCnn
from emofuse.training.networks.expression_cnn import CompactExpressionCnn
from emofuse.training.networks.face import (
    ActionUnitNetwork,
    SpatialTransformer,
    build_lrcn,
    find_emotion_cnn_weights,
)


def lrcn(**settings: object) -> FaceNetwork:
    scratch = EmotionCnnWeights(source="scratch", frozen=False)
    return FaceNetwork.model_validate({"emotion_cnn": scratch, "lstm_units": 5, **settings})


@pytest.mark.parametrize(("bidirectional", "width"), [(True, 10), (False, 5)])
def test_lrcn(bidirectional: bool, width: int) -> None:
    torch.manual_seed(0)
    settings = lrcn(bidirectional=bidirectional)
    network = build_lrcn(settings, 8).eval()
    stack = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        features, logits = network(stack)
        alone = network(stack[1:])[0]
        turned = network(stack.flip(1))[0]
    assert features.shape == (2, width)
    assert settings.n_features == width
    assert logits.shape == (2, 8)
    np.testing.assert_allclose(alone[0], features[1], atol=1e-6)
    assert (turned - features).abs().max() > 1e-6  # the order of the frames matters


def test_features_of_the_lstm_are_its_last_outputs_in_both_directions() -> None:
    torch.manual_seed(0)
    network = build_lrcn(lrcn(spatial_transformer=False), 8).eval()
    stack = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        features, _ = network(stack)
        faces = stack.float() / 255
        # without pre-trained weights each image has mean 0 and standard deviation 1
        spread = (faces.var((2, 3), correction=0, keepdim=True) + 1e-4).sqrt()
        faces = (faces - faces.mean((2, 3), keepdim=True)) / spread
        seen = torch.stack([network.cnn.features(faces[:, i : i + 1]) for i in range(3)], 1)
        outputs, _ = network.lstm(seen)
    np.testing.assert_allclose(features[:, :5], outputs[:, -1, :5], atol=1e-5)
    np.testing.assert_allclose(features[:, 5:], outputs[:, 0, 5:], atol=1e-5)


def test_spatial_transformer_starts_as_the_identity_and_agrees_with_torchs_sampling() -> None:
    torch.manual_seed(0)
    module = SpatialTransformer()
    faces = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        np.testing.assert_allclose(module(faces), faces, atol=1e-4)
        last = module.localise[-1]
        assert isinstance(last, torch.nn.Linear)
        last.bias.add_(torch.tensor([0.1, 0.2, 0.05, -0.2, -0.1, 0.1]))
        theta = last.bias.reshape(1, 2, 3).expand(3, -1, -1)
        grid = torch.nn.functional.affine_grid(theta, [3, 1, 48, 48], align_corners=False)
        expected = torch.nn.functional.grid_sample(faces, grid, align_corners=False, padding_mode="border")
        got = module(faces)
    # inside; at the border conventions differ
    inside = (grid.abs() < 0.9).all(-1)[:, None]
    assert inside.float().mean() > 0.5
    np.testing.assert_allclose(got[inside], expected[inside], atol=1e-4)


def test_members_of_the_ensemble_are_trained_separately_and_averaged() -> None:
    torch.manual_seed(0)
    network = ActionUnitNetwork(5, 8, FaceNetwork(kind="au-mlp", hidden=6, members=3, dropout=0.0))
    units = torch.rand(7, 5) * 5
    network.train()
    each = network(units)[1]
    assert each.shape == (7, 3, 8)
    each[:, 0].sum().backward()
    assert network.first.grad is not None
    assert network.first.grad[0].abs().sum() > 0
    assert network.first.grad[1:].abs().sum() == 0
    network.eval()
    with torch.no_grad():
        features, together = network(units)
    assert features.shape == (7, 18)
    assert together.shape == (7, 8)


def test_noise_is_added_in_training_only() -> None:
    settings = FaceNetwork(kind="au-mlp", hidden=4, members=2, dropout=0.0)
    network = ActionUnitNetwork(5, 8, settings, noise=0.5)
    units = torch.rand(7, 5)
    with torch.no_grad():
        network.train()(units)
        torch.manual_seed(0)
        first = network(units)[1]
        assert not torch.equal(first, network(units)[1])
        network.eval()
        assert torch.equal(network(units)[1], network(units)[1])
        assert torch.isfinite(network(-units)[1]).all()


def test_missing_weights_are_not_replaced_by_random_ones(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="emofuse weights fetch"):
        build_lrcn(FaceNetwork(), 8)
    missing = FaceNetwork(emotion_cnn=EmotionCnnWeights(source="file", path=f"{tmp_path}/none.h5"))
    with pytest.raises(WeightsError, match=r"none\.h5"):
        build_lrcn(missing, 8)


def test_weights_of_our_own_training(tmp_path: Path) -> None:
    torch.manual_seed(3)
    trained = EmotionCnn().eval()
    path = tmp_path / "weights.safetensors"
    save_file(trained.state_dict(), path, {"architecture": "emotion"})
    settings = lrcn(emotion_cnn=EmotionCnnWeights(source="file", path=str(path)), spatial_transformer=False)
    torch.manual_seed(4)
    network = build_lrcn(settings, 8).eval()
    stack = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        # it was trained on faces as they are, from 0 to 1
        expected = trained.features(stack.reshape(6, 1, 48, 48).float() / 255).reshape(2, 3, 1024)
        np.testing.assert_allclose(network.encode(stack), expected, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in network.cnn.parameters())


def test_weights_of_another_network_are_rejected_before_anything_is_built(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    settings = EmotionCnnWeights(source="file", path=str(path))
    with pytest.raises(WeightsError, match=r"no weight file .*weights\.safetensors"):
        find_emotion_cnn_weights(settings)
    save_file(CompactExpressionCnn().state_dict(), path, {"architecture": "compact"})
    with pytest.raises(WeightsError, match=r"compact network.*emofuse faces train --architecture emotion"):
        find_emotion_cnn_weights(settings)
    save_file(EmotionCnn().state_dict(), path)
    with pytest.raises(WeightsError, match="names no architecture"):
        find_emotion_cnn_weights(settings)
    path.write_bytes(b"\x89HDF")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        find_emotion_cnn_weights(settings)
    save_file({"conv1.bias": torch.zeros(64)}, path, {"architecture": "emotion"})
    with pytest.raises(WeightsError, match=r"missing arrays: conv1\.weight"):
        build_lrcn(lrcn(emotion_cnn=settings), 8)
