"""Attentive pooling against its arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from emofuse.core.recipes.part import AttentionPooling
from emofuse.system.onnx_session import create_session
from emofuse.training.networks.attention_pooling import AttentionNetworks, PartsView
from emofuse.training.networks.onnx_export import export_ensemble

N_PARTS, WIDTH, BEFORE, N_EMOTIONS = 4, 6, 3, 5
SETTINGS = AttentionPooling(networks=2, hidden=7, heads=3)


def made() -> AttentionNetworks:
    torch.manual_seed(0)
    view = PartsView(slice(BEFORE, BEFORE + N_PARTS * WIDTH), N_PARTS)
    networks = AttentionNetworks(view, N_EMOTIONS, SETTINGS)
    networks.mean.copy_(torch.randn(N_PARTS * WIDTH))
    networks.spread.copy_(torch.rand(N_PARTS * WIDTH) + 0.5)
    return networks.eval()


def rows(n: int = 8) -> NDArray[np.float32]:
    values = np.random.default_rng(0).standard_normal((n, BEFORE + N_PARTS * WIDTH + 2))
    return (4 * values).astype(np.float32)


def oracle(networks: AttentionNetworks, values: NDArray[np.float32]) -> NDArray[np.float64]:
    own = values[:, BEFORE : BEFORE + N_PARTS * WIDTH]
    state = {name: one.numpy().astype(np.float64) for name, one in networks.state_dict().items()}
    parts = np.clip((own - state["mean"]) / state["spread"], -5, 5).reshape(len(own), N_PARTS, WIDTH)
    logs = []
    for k in range(SETTINGS.networks):
        w = {
            name.removeprefix(f"members.{k}."): one
            for name, one in state.items()
            if name.startswith(f"members.{k}.")
        }
        x = parts @ w["project.weight"].T + w["project.bias"]
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        x = x * w["norm.weight"] + w["norm.bias"]
        x = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
        scores = x @ w["attend.weight"].T + w["attend.bias"]
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        pooled = []
        for head in range(SETTINGS.heads):
            one = weights[:, :, head, None]
            mean = (one * x).sum(1)
            pooled.append((mean, np.sqrt(np.maximum((one * (x - mean[:, None]) ** 2).sum(1), 1e-4))))
        # heads are the outer axis, mean and spread of each side by side
        joined = np.concatenate([np.concatenate(pair, axis=1) for pair in pooled], axis=1)
        hidden = np.maximum(joined @ w["hidden.weight"].T + w["hidden.bias"], 0)
        logits = hidden @ w["out.weight"].T + w["out.bias"]
        logs.append(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return np.asarray(np.mean(logs, axis=0))


def test_networks_are_their_arithmetic() -> None:
    networks, values = made(), rows()
    with torch.no_grad():
        hidden, logs = networks(torch.from_numpy(values))
    assert hidden.shape == (8, 2 * 128)
    np.testing.assert_allclose(logs.numpy(), oracle(networks, values), atol=1e-4)


def test_only_the_parts_are_read() -> None:
    networks, values = made(), rows()
    others = values.copy()
    others[:, :BEFORE] += 9
    others[:, BEFORE + N_PARTS * WIDTH :] -= 9
    with torch.no_grad():
        first, second = (networks(torch.from_numpy(one))[1] for one in (values, others))
    assert torch.equal(first, second)


def test_the_graph_agrees() -> None:
    networks, values = made(), rows()
    (logs,) = create_session(export_ensemble([networks], values[0])).run(
        ["log_probabilities"], {"inputs": values}
    )
    expected = oracle(networks, values)
    expected = expected - np.logaddexp.reduce(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(logs, expected, atol=1e-4)
