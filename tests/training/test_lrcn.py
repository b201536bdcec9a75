"""Training an LRCN in stages: on frames first for a CNN from scratch, on encodings where it is frozen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emofuse.core.recipes.face import FacePart
from emofuse.training.loop import Epoch, Examples, infer, train_network
from emofuse.training.lrcn import encode, train_lrcn
from emofuse.training.networks.emotion_cnn import EmotionCnn, standardize_images
from emofuse.training.networks.face import Lrcn, build_lrcn
from tests.support import small_inputs

N_EMOTIONS = 8
N_FRAMES = 3
State = dict[str, Tensor]


def part(
    source: str, *, path: Path | None = None, frozen: bool = True, dropout: float = 0.3, **training: Any
) -> FacePart:
    weights: dict[str, Any] = {"source": source, "frozen": frozen, "frames_per_clip": 2, "frame_epochs": 1}
    if path is not None:
        weights["path"] = str(path)
    return FacePart.model_validate(
        {
            "features": {"n_frames": N_FRAMES},
            "network": {
                "lstm_units": 4,
                "spatial_transformer": False,
                "dropout": dropout,
                "emotion_cnn": weights,
            },
            "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, **training},
        }
    )


def clips(n: int = 8, seed: int = 0) -> Examples:
    """Noise whose brightness depends on the emotion."""
    labels = np.arange(n) % N_EMOTIONS
    noise = np.random.default_rng(seed).integers(0, 100, (n, N_FRAMES, 48, 48))
    return Examples((noise + 15 * labels[:, None, None, None]).astype(np.uint8), labels)


def state(network: nn.Module) -> State:
    return copy.deepcopy(network.state_dict())


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def builder(settings: FacePart, made: list[State] | None = None) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        network = build_lrcn(settings.network, N_EMOTIONS)
        if made is not None:
            made.append(state(network))
        return network

    return build


def train(settings: FacePart, *, seed: int = 1, made: list[State] | None = None) -> tuple[Lrcn, list[Epoch]]:
    network, curve = train_lrcn(
        builder(settings, made), clips(), settings, n_emotions=N_EMOTIONS, seed=seed, held_out=clips(4, 9)
    )
    assert isinstance(network, Lrcn)
    assert not network.training
    return network, curve


@pytest.fixture(scope="module")
def weight_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of DeepFace's layout with other weights."""
    return small_inputs.keras_weights(tmp_path_factory.mktemp("weights") / "cnn.h5")


def test_a_cnn_from_scratch_learns_from_frames_and_is_then_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    from emofuse.training import lrcn as lrcn_training

    after_frames: list[State] = []
    real = lrcn_training._train_on_frames

    def watched(*args: Any, **kwargs: Any) -> EmotionCnn:
        cnn = real(*args, **kwargs)
        after_frames.append(state(cnn))
        return cnn

    monkeypatch.setattr(lrcn_training, "_train_on_frames", watched)
    made: list[State] = []
    network, curve = train(part("scratch"), made=made)
    cnn = state(network.cnn)
    trained = [name for name in cnn if not name.startswith(("dense_3", "output"))]
    assert not any(torch.equal(cnn[name], made[0]["cnn." + name]) for name in trained if "weight" in name)
    assert len(after_frames) == 1
    assert same(cnn, after_frames[0])  # training the LSTM did not change it
    assert not torch.equal(network.lstm.state_dict()["weight_ih_l0"], made[0]["lstm.weight_ih_l0"])
    assert [epoch.epoch for epoch in curve] == [1, 2]
    assert all(epoch.held_out_loss is not None for epoch in curve)
    # it learns something else from other frames
    frames = clips()
    other = Examples(frames.inputs[::-1].copy(), frames.labels)
    elsewhere = real(other, part("scratch"), n_emotions=N_EMOTIONS, seed=1)
    assert not same(cnn, state(elsewhere))


def test_an_unfrozen_cnn_from_scratch_continues_to_learn() -> None:
    fixed, _ = train(part("scratch"))
    free, _ = train(part("scratch", frozen=False))
    assert not torch.equal(fixed.cnn.state_dict()["conv1.weight"], free.cnn.state_dict()["conv1.weight"])


def test_frozen_weights_from_a_file_do_not_change(weight_file: Path) -> None:
    settings = part("file", path=weight_file)
    before = weight_file.read_bytes()
    made: list[State] = []
    network, _ = train(settings, made=made)
    start = {name.removeprefix("cnn."): value for name, value in made[0].items() if name.startswith("cnn.")}
    assert same(state(network.cnn), start)
    with h5py.File(weight_file) as file:
        kernel = np.asarray(file["conv2d_1/conv2d_1/kernel:0"])
    np.testing.assert_array_equal(start["conv1.weight"].numpy(), kernel.transpose(3, 2, 0, 1))
    assert not torch.equal(network.output.weight, made[0]["output.weight"])
    assert weight_file.read_bytes() == before


def test_training_on_encodings_equals_training_the_whole_network(weight_file: Path) -> None:
    """Training on stored encodings gives what training the whole LRCN gives, except for dropout."""
    settings = part("file", path=weight_file, dropout=0.0)
    quick, curve = train(settings)
    whole, long_curve = train_network(
        builder(settings), clips(), settings.training, n_emotions=N_EMOTIONS, seed=1, held_out=clips(4, 9)
    )
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(quick.state_dict()[name], value, atol=1e-4, rtol=1e-3)
    for one, other in zip(curve, long_curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=1e-4)
        assert one.held_out_loss == pytest.approx(other.held_out_loss, abs=1e-4)


@pytest.mark.parametrize("source", ["scratch", "file"])
def test_encoding_then_classifying_is_the_forward_pass(source: str, weight_file: Path) -> None:
    network, _ = train(part(source, path=weight_file if source == "file" else None))
    examples = clips(5, 3)
    encoded = encode(network, examples, batch_size=2)
    assert encoded.inputs.shape == (5, N_FRAMES, 1024)
    assert encoded.inputs.dtype == np.float32
    np.testing.assert_array_equal(encoded.labels, examples.labels)
    with torch.inference_mode():
        features, logits = network.classify(torch.from_numpy(encoded.inputs))
    whole, logs = infer(network, examples.inputs)
    np.testing.assert_allclose(features.numpy(), whole, atol=1e-5)
    np.testing.assert_allclose(logits.log_softmax(1).numpy(), logs, atol=1e-5)
    assert np.ptp(encoded.inputs, axis=0).max() > 1e-3  # clips differ


def test_the_seed_determines_the_result() -> None:
    torch.manual_seed(5)
    one, curve = train(part("scratch"))
    torch.manual_seed(6)  # what was drawn elsewhere does not matter
    again, same_curve = train(part("scratch"))
    assert same(state(one), state(again))
    assert curve == same_curve
    other, _ = train(part("scratch"), seed=2)
    assert not torch.equal(one.cnn.state_dict()["conv1.weight"], other.cnn.state_dict()["conv1.weight"])
    assert not torch.equal(one.lstm.state_dict()["weight_ih_l0"], other.lstm.state_dict()["weight_ih_l0"])


def test_faces_are_standardized_for_a_cnn_from_scratch_only(weight_file: Path) -> None:
    """Contrast and brightness of an image then do not matter; published weights expect images as they are."""
    stack = torch.from_numpy(clips(2).inputs // 4 * 2)
    with torch.inference_mode():
        for source, path in (("scratch", None), ("file", weight_file)):
            network = builder(part(source, path=path))().eval()
            assert isinstance(network, Lrcn)
            plain, brighter = network.encode(stack), network.encode(stack + 100)
            close = torch.allclose(plain, brighter, atol=1e-3 * float(plain.abs().max()))
            assert close == (source == "scratch")
        faces = standardize_images(stack[:, :1].float() / 255)
    torch.testing.assert_close(faces.mean((2, 3)), torch.zeros(2, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(faces.std((2, 3)), torch.ones(2, 1), atol=0.02, rtol=0)
