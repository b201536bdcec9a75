from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.face import EmotionCnnWeights, FaceFeatures, FaceNetwork
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.part import Augmentation, Training
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.training.loop import Epoch, Examples, augmentation_for, infer, one_cycle, train_network
from emofuse.training.networks.face import Lrcn


class Small(nn.Module):
    def __init__(self, n_in: int = 6) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(n_in, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Dropout(0.3))
        self.output = nn.Linear(10, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.dense(x)
        return features, self.output(features)


def examples(n: int = 64, seed: int = 0, shift: float = 1.0) -> Examples:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 8
    centres = np.random.default_rng(42).standard_normal((8, 6)) * 2 * shift
    return Examples((centres[labels] + rng.standard_normal((n, 6))).astype(np.float32), labels)


def train(settings: Training, **given: Any) -> tuple[nn.Module, list[Epoch]]:
    build: Callable[[], nn.Module] = given.pop("build", Small)
    data = given.pop("data", examples())
    return train_network(build, data, settings, n_emotions=8, seed=given.pop("seed", 1), **given)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_learns_what_can_be_learned() -> None:
    network, curve = train(Training(epochs=20, batch_size=16, learning_rate=1e-2))
    other = examples(seed=1)
    _, logs = infer(network, other.inputs)
    assert (logs.argmax(1) == other.labels).mean() > 0.7
    assert curve[-1].train_loss < 0.7 * curve[0].train_loss
    assert [epoch.epoch for epoch in curve] == list(range(1, 21))
    assert not network.training


def test_labels_are_in_the_order_of_emotions() -> None:
    network, _ = train(Training(epochs=20, batch_size=16, learning_rate=1e-2))
    angry = np.tile(examples().inputs[examples().labels == EMOTIONS.index("angry")].mean(0), (1, 1))
    assert EMOTIONS[infer(network, angry)[1].argmax()] == "angry"


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    settings = Training(epochs=2, batch_size=16, augmentation=Augmentation(mixup=0.4, label_smoothing=0.1))
    first = state(train(settings)[0])
    torch.rand(7)
    np.random.default_rng().random(3)
    threads = torch.get_num_threads()
    assert same(first, state(train(settings)[0]))
    assert torch.get_num_threads() == threads
    assert not same(first, state(train(settings, seed=2)[0]))


def test_torchs_generator_is_restored() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(Training(epochs=1, batch_size=16))
    assert torch.equal(torch.rand(3), expected)


def test_held_out_clips_change_nothing_without_patience() -> None:
    settings = Training(epochs=3, batch_size=16)
    alone, curve = train(settings)
    watched, watched_curve = train(settings, held_out=examples(seed=9))
    assert same(state(alone), state(watched))
    assert [epoch.train_loss for epoch in curve] == [epoch.train_loss for epoch in watched_curve]
    assert all(epoch.held_out_loss is None for epoch in curve)
    assert all(epoch.held_out_loss is not None for epoch in watched_curve)


def test_patience_keeps_the_best_epoch() -> None:
    """Held-out labels are wrong: the better it learns, the worse it does on them."""
    held_out = Examples(examples(seed=3).inputs, (examples().labels + 1) % 8)
    settings = Training(epochs=30, batch_size=16, learning_rate=1e-2, patience=4, schedule="constant")
    seen: list[Epoch] = []
    network, curve = train(settings, held_out=held_out, on_epoch=seen.append)
    assert seen == curve
    losses = [epoch.held_out_loss for epoch in curve if epoch.held_out_loss is not None]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 4 < 30
    _, logs = infer(network, held_out.inputs)
    assert -logs[np.arange(64), held_out.labels].mean() == pytest.approx(losses[best], abs=1e-9)
    # the weights are those of a run that ended there
    short, _ = train(
        Training(epochs=best + 1, batch_size=16, learning_rate=1e-2, schedule="constant"), data=examples()
    )
    assert same(state(network), state(short))


def test_a_loss_that_is_not_a_number_ends_training() -> None:
    class Bad(Small):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            features, logits = super().forward(x)
            return features, logits * torch.tensor(float("nan"))

    with pytest.raises(ExperimentError, match="epoch 1: the loss is not a number: lower learning_rate"):
        train(Training(epochs=2, batch_size=16), build=Bad)


def test_weights_that_are_not_numbers_end_training() -> None:
    """sqrt has no slope at 0: the loss is a number, its gradient is not, and the last step corrupts all."""

    class Cliff(Small):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            features, logits = super().forward(x)
            return features, logits + (self.output.weight.sum() * 0).abs().sqrt()

    with pytest.raises(ExperimentError):
        train(Training(epochs=1, batch_size=64), build=Cliff)


def test_too_few_clips() -> None:
    with pytest.raises(ExperimentError, match="1 clips are too few"):
        train(Training(epochs=1), data=examples(1))
    train(Training(epochs=1), data=examples(2))
    train(Training(epochs=1, batch_size=16), data=examples(17))  # the seventeenth waits
    with pytest.raises(ValueError, match="patience needs held-out"):
        train(Training(epochs=1, patience=1))
    with pytest.raises(ValueError, match="3 inputs but 2 labels"):
        Examples(np.zeros((3, 2)), np.zeros(2, np.int64))


def lrcn_settings(*, frozen: bool, spatial_transformer: bool) -> FaceNetwork:
    return FaceNetwork(
        lstm_units=3, spatial_transformer=spatial_transformer, emotion_cnn=EmotionCnnWeights(frozen=frozen)
    )


@pytest.mark.parametrize("spatial_transformer", [False, True])
def test_a_frozen_cnn_stays_while_the_lstm_learns(spatial_transformer: bool) -> None:
    rng = np.random.default_rng(0)
    data = Examples(rng.integers(0, 256, (4, 2, 48, 48), np.uint8), np.arange(4))
    made: list[dict[str, Tensor]] = []

    def build() -> nn.Module:
        network = Lrcn(8, lrcn_settings(frozen=True, spatial_transformer=spatial_transformer))
        made.append(state(network))
        return network

    settings = Training(epochs=2, batch_size=4, learning_rate=1e-2, weight_decay=0.1)
    network, _ = train(settings, build=build, data=data)
    moved = {name for name, value in state(network).items() if not torch.equal(value, made[0][name])}
    assert not {name for name in moved if name.startswith("cnn.")}
    assert {name for name in made[0] if not name.startswith("cnn.")} == moved
    free, _ = train(
        settings, build=lambda: Lrcn(8, lrcn_settings(frozen=False, spatial_transformer=False)), data=data
    )
    before = made[0]
    if not spatial_transformer:  # the same seed drew the same weights
        assert not torch.equal(free.state_dict()["cnn.conv1.weight"], before["cnn.conv1.weight"])


def test_one_cycle_rises_and_falls() -> None:
    rates = [one_cycle(step, 100) for step in range(100)]
    assert max(rates) == 1
    assert int(np.argmax(rates)) in (19, 20)
    assert all(np.diff(rates[:20]) > 0)
    assert all(np.diff(rates[20:]) < 0)
    assert 0 < rates[-1] < 0.01
    assert all(0 <= one_cycle(step, n) <= 1 for n in (1, 2, 3, 5) for step in range(n))


def test_infer_does_not_depend_on_the_batch() -> None:
    network = Small().eval()
    inputs = examples(37).inputs
    features, logs = infer(network, inputs, batch_size=5)
    assert features.shape == (37, 10)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(infer(network, inputs, batch_size=100)[1], logs, atol=1e-6)


def test_augmentation_depends_on_the_features() -> None:
    strong = Training(augmentation=Augmentation(strength=1.0))
    generator = torch.Generator().manual_seed(0)
    mel = augmentation_for(VoiceFeatures(n_mels=26), strong)
    assert mel is not None
    assert mel(torch.randn(2, 26, 30), generator).shape == (2, 26, 30)
    faces = augmentation_for(FaceFeatures(), strong)
    assert faces is not None
    assert faces(torch.zeros(2, 3, 48, 48, dtype=torch.uint8), generator).dtype == torch.uint8
    assert augmentation_for(VoiceFeatures(n_mels=26), Training()) is None
    assert augmentation_for(load_recipe("ravdess-au").face.features, strong) is None
