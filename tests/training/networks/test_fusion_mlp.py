from __future__ import annotations

import numpy as np
import torch

from emofuse.training.networks.fusion_mlp import FusionNetwork


def test_layers_are_those_of_the_notebooks() -> None:
    network = FusionNetwork(np.zeros(1400, np.float32), np.ones(1400, np.float32), 8, hidden=(2096, 1024))
    dense = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert dense == [(1400, 2096), (2096, 1024), (1024, 8)]


def test_inputs_are_standardized_with_the_given_statistics() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    mean, spread = rng.random(6, np.float32) * 50, rng.random(6, np.float32) + 1
    spread[2] = 0  # constant
    network = FusionNetwork(mean, spread, 8, hidden=(5,)).eval()
    torch.manual_seed(0)
    plain = FusionNetwork(np.zeros(6, np.float32), np.ones(6, np.float32), 8, hidden=(5,)).eval()
    z = rng.standard_normal((4, 6)).astype(np.float32)
    x = z * np.where(spread > 0, spread, 1) + mean
    with torch.no_grad():
        features, logits = network(torch.from_numpy(x.astype(np.float32)))
        expected = plain(torch.from_numpy(z))
    assert features.shape == (4, 5)
    np.testing.assert_allclose(features, expected[0], atol=1e-4)
    np.testing.assert_allclose(logits, expected[1], atol=1e-4)


def test_no_hidden_layer_is_logistic_regression() -> None:
    network = FusionNetwork(np.zeros(6, np.float32), np.ones(6, np.float32), 8, hidden=()).eval()
    assert network(torch.zeros(2, 6))[1].shape == (2, 8)
