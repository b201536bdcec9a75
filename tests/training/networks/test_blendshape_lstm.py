from __future__ import annotations

import numpy as np
import torch

from emofuse.core.recipes.face import FaceNetwork
from emofuse.core.recipes.load import load_recipe
from emofuse.training.loop import Examples, infer, train_network
from emofuse.training.networks.blendshape_lstm import BlendshapeNetwork

N_FRAMES, N_VALUES = 6, 58


def sequences(n: int, seed: int) -> Examples:
    """Mouths that open or close: their means over time are equal, only the order in time differs."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    ramp = np.linspace(0, 0.4, N_FRAMES)
    inputs = rng.normal(0, 0.05, (n, N_FRAMES, N_VALUES))
    inputs[:, :, 25] += np.where(labels[:, None] == 1, ramp, ramp[::-1])
    inputs[:, :, 57] -= 29  # the head is far away
    return Examples(inputs.astype(np.float32), labels)


def test_shapes_and_the_recipe() -> None:
    network = BlendshapeNetwork(N_VALUES, 8, load_recipe("ravdess-blendshapes").face.network).eval()
    features, logits = network(torch.randn(3, N_FRAMES, N_VALUES))
    assert features.shape == (3, 96) and logits.shape == (3, 8)
    one_way = BlendshapeNetwork(58, 8, FaceNetwork(kind="lstm", lstm_units=5, bidirectional=False)).eval()
    assert one_way(torch.randn(2, 4, 58))[0].shape == (2, 5)


def test_noise_is_added_in_training_only() -> None:
    torch.manual_seed(0)
    network = BlendshapeNetwork(58, 8, FaceNetwork(kind="lstm", lstm_units=5, dropout=0.0), noise=0.5)
    assert network.noise == 0.5
    x = torch.randn(4, 4, 58)
    network.eval()
    assert torch.equal(network(x)[1], network(x)[1])
    network.train()
    assert not torch.equal(network(x)[1], network(x)[1])


def test_it_learns_what_only_the_order_in_time_tells() -> None:
    part = load_recipe("ravdess-blendshapes").face
    settings = part.training.model_copy(update={"epochs": 25, "learning_rate": 1e-2})

    def build() -> torch.nn.Module:
        network = part.network.model_copy(update={"lstm_units": 8})
        return BlendshapeNetwork(N_VALUES, 2, network, noise=0.3)

    network, curve = train_network(build, sequences(96, 0), settings, n_emotions=2, seed=1)
    again, _ = train_network(build, sequences(96, 0), settings, n_emotions=2, seed=1)
    test = sequences(60, 1)
    _, logs = infer(network, test.inputs)
    assert (logs.argmax(1) == test.labels).mean() > 0.9
    np.testing.assert_array_equal(logs, infer(again, test.inputs)[1])
    assert curve[-1].train_loss < curve[0].train_loss
