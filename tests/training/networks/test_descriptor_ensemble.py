"""The ensemble against plain NumPy, after a round trip through its state, and through ONNX."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from emofuse.training.networks.descriptor_ensemble import DescriptorEnsemble, Fitted, Layout, dense, kernel
from emofuse.training.networks.onnx_export import export_ensemble

LAYOUTS = [
    Layout(((0, 5), (5, 9))),
    Layout(((0, 4), (4, 7), (7, 9)), second=1),
    Layout(((2, 9),), root=True),
]


def ensemble(layout: Layout, *, networks: int = 2, linear: bool = True, seed: int = 0) -> DescriptorEnsemble:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    widths = [last - first for first, last in layout.views]
    c = 3
    joined = c * len(widths)
    fitted = Fitted(
        mean=normal(9),
        spread=normal(9).abs() + 0.5,
        centres=[normal(d) * 0.1 for d in widths],
        bases=[normal(d, c) * 0.4 for d in widths],
        supports=[normal(7, c) for _ in widths],
        weights=normal(7, 8),
        gamma=0.3,
        temperature=0.4,
        dense=[
            normal(networks, joined, 5), normal(networks, 1, 5), normal(networks, 5, 5),
            normal(networks, 1, 5), normal(networks, 5, 8), normal(networks, 1, 8),
        ] if networks else [],
        linear=[normal(joined, 8), normal(8)] if linear else [],
    )  # fmt: skip
    return DescriptorEnsemble(layout, fitted).eval()


def log_softmax(x: np.ndarray) -> np.ndarray:
    out: np.ndarray = x - np.logaddexp.reduce(x, axis=-1, keepdims=True)
    return out


def plain_kernel(left: list[np.ndarray], right: list[np.ndarray], gamma: float, second: int) -> np.ndarray:
    each = []
    for a, b in zip(left, right, strict=True):
        squares = np.array([[np.sum((x - y) ** 2) for y in b] for x in a])
        each.append(np.exp(-gamma * squares))
    if not second:
        mean: np.ndarray = np.mean(each, axis=0)
        return mean
    one, other = np.mean(each[:-second], axis=0), np.mean(each[-second:], axis=0)
    both: np.ndarray = (one + 0.5 * other + one * other) / 2.5
    return both


def plain(network: DescriptorEnsemble, values: np.ndarray) -> np.ndarray:
    """Log-probabilities, implemented independently in float64."""
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    layout = network.layout
    x = values.astype(np.float64)
    if layout.root:
        x = np.sqrt(np.maximum(x, 0))
    z = np.clip((x - state["mean"]) / state["spread"], -5, 5)
    parts = [
        (z[:, a:b] - state[f"centre_{i}"]) @ state[f"basis_{i}"] for i, (a, b) in enumerate(layout.views)
    ]
    supports = [state[f"support_{i}"] for i in range(len(parts))]
    gamma, temperature = state["scalars"]
    scores = plain_kernel(parts, supports, gamma, layout.second) @ state["weights"]
    logs = [log_softmax(scores / temperature)]
    joined = np.concatenate(parts, axis=1)
    if "dense_0" in state:
        members = []
        for k in range(len(state["dense_0"])):
            h = joined
            for layer in (0, 2):
                h = np.maximum(h @ state[f"dense_{layer}"][k] + state[f"dense_{layer + 1}"][k], 0)
            members.append(log_softmax(h @ state["dense_4"][k] + state["dense_5"][k]))
        logs.append(log_softmax(np.mean(members, axis=0)))
    if "linear_0" in state:
        logs.append(log_softmax(joined @ state["linear_0"] + state["linear_1"]))
    mean: np.ndarray = np.mean(logs, axis=0)
    return mean


def inputs(n: int = 11) -> np.ndarray:
    return (2 * np.random.default_rng(1).standard_normal((n, 9))).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("networks", "linear"), [(2, True), (0, False), (1, False), (0, True)])
def test_agrees_with_plain_numpy(layout: Layout, networks: int, linear: bool) -> None:
    network = ensemble(layout, networks=networks, linear=linear)
    with torch.inference_mode():
        features, logs = network(torch.from_numpy(inputs()))
    np.testing.assert_allclose(logs.numpy(), plain(network, inputs()), atol=2e-5)
    assert features.shape == (11, 5 * networks if networks else 8)


@pytest.mark.parametrize("second", [0, 1, 2])
def test_kernel_is_the_plain_one(second: int) -> None:
    rng = np.random.default_rng(0)
    left = [rng.standard_normal((6, d)) for d in (2, 3, 4)]
    right = [rng.standard_normal((5, d)) for d in (2, 3, 4)]
    found = kernel([torch.from_numpy(x) for x in left], [torch.from_numpy(x) for x in right], 0.7, second)
    np.testing.assert_allclose(found.numpy(), plain_kernel(left, right, 0.7, second), atol=1e-12)
    own = kernel([torch.from_numpy(x) for x in left], [torch.from_numpy(x) for x in left], 0.7, second)
    np.testing.assert_allclose(own.diagonal().numpy(), 1, atol=1e-12)
    assert np.linalg.eigvalsh(own.numpy()).min() > 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("networks", "linear"), [(3, True), (0, False)])
def test_is_restored_from_its_state(layout: Layout, networks: int, linear: bool) -> None:
    network = ensemble(layout, networks=networks, linear=linear)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    again = DescriptorEnsemble.of_state(layout, state)
    assert not again.training
    with torch.inference_mode():
        for one, two in zip(
            network(torch.from_numpy(inputs())), again(torch.from_numpy(inputs())), strict=True
        ):
            assert torch.equal(one, two)
    assert again.state_dict().keys() == state.keys()


def test_more_than_ten_views_keep_their_order() -> None:
    """Names are numbered, and as text 10 comes before 2."""
    layout = Layout(tuple((i % 8, i % 8 + 2) for i in range(12)))
    network = ensemble(layout)
    again = DescriptorEnsemble.of_state(layout, dict(reversed(network.state_dict().items())))
    x = torch.from_numpy(inputs())
    with torch.inference_mode():
        assert torch.equal(network(x)[1], again(x)[1])


@pytest.mark.parametrize(("layout", "networks"), [(LAYOUTS[1], 2), (LAYOUTS[2], 0)])
def test_agrees_with_its_onnx_export(layout: Layout, networks: int) -> None:
    members = [ensemble(layout, networks=networks, seed=seed) for seed in (0, 1)]
    session = onnxruntime.InferenceSession(
        export_ensemble(members, inputs()[0]), providers=["CPUExecutionProvider"]
    )
    for n in (1, 11):
        x = inputs()[:n]
        features, logs, together = session.run(None, {"inputs": x})
        for k, network in enumerate(members):
            with torch.inference_mode():
                layer, logits = network(torch.from_numpy(x))
            np.testing.assert_allclose(features[:, k], layer.numpy(), rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(logs[:, k], log_softmax(logits.double().numpy()), atol=1e-4)
        np.testing.assert_allclose(together, log_softmax(logs.mean(1)), atol=1e-4)


def test_outputs_do_not_depend_on_the_batch() -> None:
    network = ensemble(LAYOUTS[0])
    x = torch.from_numpy(inputs())
    with torch.inference_mode():
        alone = torch.cat([network(row[None])[1] for row in x])
        np.testing.assert_allclose(alone.numpy(), network(x)[1].numpy(), atol=1e-5)


def test_dense_members_stand_side_by_side() -> None:
    """Each sees its own clips in training; dropout only where it is requested."""
    network = ensemble(LAYOUTS[0], networks=2)
    layers = [network.get_buffer(f"dense_{i}") for i in range(6)]
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    together = dense(x, layers)[1]
    np.testing.assert_array_equal(together, dense(torch.stack([x, x]), layers)[1])
    for k in range(2):
        np.testing.assert_allclose(
            dense(x, [layer[k : k + 1] for layer in layers])[1][0], together[k], rtol=1e-5
        )
    assert not torch.equal(dense(x, layers, dropout=0.5)[1], together)
