"""Draws: on the CPU those of PyTorch to the bit, on another device the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from emofuse.training import draws
from emofuse.training.augmentation import augment_faces, augment_log_mel, augment_still_faces
from emofuse.training.draws import Dropout, Dropout2d, dropout, normal_like, sent
from tests.support.drawn_trainings import NETWORKS


def layouts() -> list[Tensor]:
    """Values in every order of memory that the networks have."""
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(4, 6, 10, 12, generator=generator)
    return [
        plain,
        plain.contiguous(memory_format=torch.channels_last),
        plain.transpose(1, 2),
        plain[:1].expand(3, -1, -1, -1),
        plain[:, ::2],
    ]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("x", layouts(), ids=["plain", "channels last", "transposed", "expanded", "sliced"])
def test_the_draws_of_a_gpu_are_those_of_the_cpu(x: Tensor, p: float) -> None:
    """What another device does, but on the CPU, beside PyTorch's own functions."""
    torch.manual_seed(3)
    expected = functional.dropout(x, p), functional.dropout2d(x, p), torch.randn_like(x), torch.rand(2)
    torch.manual_seed(3)
    found = (
        draws._masked(x, torch.empty_like(x, dtype=torch.float32), p) if p else x,
        draws._masked(x, torch.empty(*x.shape[:2], 1, 1), p) if p else x,
        torch.randn_like(x, device="cpu"),
        torch.rand(2),
    )
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_on_the_cpu_they_are_pytorchs_own() -> None:
    x = layouts()[1]
    torch.manual_seed(5)
    expected = functional.dropout(x, 0.3), functional.dropout2d(x, 0.2), torch.randn_like(x)
    torch.manual_seed(5)
    found = Dropout(0.3)(x), Dropout2d(0.2)(x), normal_like(x)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert Dropout(0.3).eval()(x) is x
    assert torch.equal(Dropout2d(0.3).eval()(x), x)
    assert dropout(x, 0.3, training=False) is x
    assert sent(x, torch.device("cpu")) is x


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_computes_where_its_inputs_are(name: str) -> None:
    """On the device ``meta``, of shapes alone, with which no tensor that is made on the CPU can be mixed."""
    build, batch = NETWORKS[name]
    network = build().to("meta").train()
    outputs = network(batch("meta"))
    assert all(one.device.type == "meta" for one in outputs)
    sum(one.sum() for one in outputs).backward()
    assert all(one.device.type == "meta" for one in network.eval()(batch("meta")))


def test_augmentation_computes_where_the_inputs_are() -> None:
    generator = torch.Generator().manual_seed(0)
    stack = torch.zeros(2, 20, 48, 48, dtype=torch.uint8, device="meta")
    for changed in (
        augment_log_mel(torch.zeros(4, 66, 188, device="meta"), 1.0, generator, n_mels=64),
        augment_faces(stack, 1.0, generator),
        augment_still_faces(stack[:, 0], generator),
    ):
        assert changed.device.type == "meta"
