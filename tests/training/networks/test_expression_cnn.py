from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emofuse.core.errors import WeightsError
from emofuse.training.expression import load_expression
from emofuse.training.networks.emotion_cnn import EmotionCnn
from emofuse.training.networks.expression_cnn import (
    CompactExpressionCnn,
    NormalizedEmotionCnn,
    check_architecture,
    load_expression_weights,
    read_architecture,
)

Network = TypeVar("Network", bound=torch.nn.Module)


def n_parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def smooth_faces(n: int) -> torch.Tensor:
    """Blobs of light, so that images differ in more than noise."""
    return torch.nn.functional.interpolate(torch.rand(n, 1, 5, 5), (48, 48), mode="bilinear")


def used(network: Network) -> Network:
    """As after some training: no normalization layer is the identity."""
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.uniform_(-0.3, 0.3)
                norm.momentum = 0.7
        for _ in range(3):
            network.train()(smooth_faces(16))
    return network.eval()


def test_parameter_counts() -> None:
    assert n_parameters(CompactExpressionCnn()) < 3_000_000
    assert n_parameters(NormalizedEmotionCnn().fold()) == 1_485_831


def test_both_have_outputs_for_both_label_sets() -> None:
    faces = torch.rand(5, 1, 48, 48)
    for network, width in ((CompactExpressionCnn(), 256), (NormalizedEmotionCnn(), 1024)):
        fer, plus = network(faces)
        assert fer.shape == (5, 7)
        assert plus.shape == (5, 8)
        assert network.features(faces).shape == (5, width)


def test_folding_gives_the_published_network_with_the_same_outputs() -> None:
    torch.manual_seed(0)
    network = used(NormalizedEmotionCnn())
    folded = network.fold()
    assert type(folded) is EmotionCnn
    assert not folded.training
    faces = smooth_faces(16)
    with torch.no_grad():
        expected, _ = network(faces)
        np.testing.assert_allclose(folded(faces), expected, atol=1e-4)
        np.testing.assert_allclose(folded.features(faces), network.features(faces), atol=1e-4)
        assert expected.std(0).max() > 1e-2  # outputs differ between faces
        # the normalization matters: without it the outputs differ
        assert (network.cnn(faces) - expected).abs().max() > 1e-2


def test_folding_does_not_change_the_network() -> None:
    network = used(NormalizedEmotionCnn())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.fold()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_light_and_contrast_do_not_matter_to_the_compact_network() -> None:
    torch.manual_seed(0)
    network = used(CompactExpressionCnn())
    faces = smooth_faces(4)
    with torch.no_grad():
        first, other = network(faces)[1], network(faces * 0.5 + 0.3)[1]
        turned = network(faces.flip(2))[1]
    np.testing.assert_allclose(first, other, atol=1e-2)
    assert (first - turned).abs().max() > 5e-2


def saved(path: Path, network: torch.nn.Module, architecture: str | None, **changes: Any) -> Path:
    arrays = {name: value.contiguous() for name, value in network.state_dict().items()} | changes
    arrays = {name: value for name, value in arrays.items() if value is not None}
    save_file(arrays, path, {} if architecture is None else {"architecture": architecture})
    return path


@pytest.mark.parametrize(("kind", "name"), [(EmotionCnn, "emotion"), (CompactExpressionCnn, "compact")])
def test_weights_survive_a_round_trip(tmp_path: Path, kind: Any, name: str) -> None:
    torch.manual_seed(1)
    network = kind()
    path = saved(tmp_path / "weights.safetensors", network, name)
    assert read_architecture(path) == name
    check_architecture(path, name)
    loaded = load_expression(path)
    assert type(loaded) is kind
    assert not loaded.training
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"conv3.bias": None}, r"missing arrays: conv3\.bias; arrays too many: none"),
        ({"conv9.bias": torch.zeros(3)}, r"missing arrays: none; arrays too many: conv9\.bias"),
        ({"conv3.bias": torch.zeros(63)}, r"conv3\.bias has shape \(63,\), wanted \(64,\)"),
        ({"conv3.bias": torch.zeros(64).half()}, r"conv3\.bias is torch\.float16, wanted torch\.float32"),
        ({"output.bias": torch.full((7,), torch.nan)}, r"output\.bias has values that are not finite"),
    ],
)
def test_another_layout_is_rejected_and_loads_nothing(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = saved(tmp_path / "weights.safetensors", EmotionCnn(), "emotion", **changes)
    network = EmotionCnn()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=says) as caught:
        load_expression_weights(network, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_files_that_are_not_our_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsError, match="there is no such file"):
        load_expression(path)
    for junk in (b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"\xff" * 64):
        path.write_bytes(junk)
        with pytest.raises(WeightsError, match="not a safetensors file, or damaged"):
            load_expression(path)
    whole = saved(path, EmotionCnn(), "emotion").read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(WeightsError, match="damaged"):
        load_expression(path)
    with pytest.raises(WeightsError, match="names no architecture, wanted emotion or compact"):
        load_expression(saved(path, EmotionCnn(), None))
    with pytest.raises(WeightsError, match="names the architecture 'vgg13'"):
        load_expression(saved(path, EmotionCnn(), "vgg13"))


def test_the_other_architecture_is_rejected(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.safetensors", CompactExpressionCnn(), "compact")
    with pytest.raises(
        WeightsError, match=r"weights of the compact network, wanted the emotion .*--architecture emotion"
    ):
        load_expression_weights(EmotionCnn(), path)
    path = saved(path, EmotionCnn(), "emotion")
    with pytest.raises(WeightsError, match="wanted the compact"):
        load_expression_weights(CompactExpressionCnn(), path)
    # a wrong architecture in the metadata is detected by the arrays
    with pytest.raises(WeightsError, match="missing arrays: fer2013"):
        load_expression(saved(path, EmotionCnn(), "compact"))
