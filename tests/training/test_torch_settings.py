"""Settings of the whole process are the caller's again afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from emofuse.core.errors import DeviceError
from emofuse.training import torch_settings
from emofuse.training.torch_settings import exact_float32, placed, reproducible


def gpu_settings() -> list[Any]:
    return [setting._read() for setting, _ in torch_settings._GPU_SETTINGS]


def test_float32_on_a_gpu_is_exact_for_a_while() -> None:
    before = gpu_settings()
    with exact_float32():
        assert gpu_settings() == [value for _, value in torch_settings._GPU_SETTINGS]
        assert "tf32" not in gpu_settings()
        assert torch.backends.cudnn.deterministic
        with exact_float32():
            pass
        assert torch.backends.cudnn.deterministic
    assert gpu_settings() == before
    assert "tf32" in before or True in before  # cuDNN's convolutions, by default


def test_they_are_restored_after_an_error() -> None:
    before, threads = gpu_settings(), torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), exact_float32(), reproducible(1):
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert (gpu_settings(), torch.get_num_threads()) == (before, threads)


def test_a_seed_gives_the_draws_that_it_always_gave_and_the_callers_follow() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with reproducible(7) as device:
        assert device == torch.device("cpu")
        assert torch.equal(torch.rand(3), expected)
    with reproducible():
        pass
    assert torch.equal(torch.rand(3), expected)


def test_a_full_gpu_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match=r"memory of the GPU is full: .*--jobs"), reproducible():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_network_is_where_it_was_afterwards() -> None:
    network = nn.Linear(2, 2)
    before = network.weight
    with placed(network, torch.device("cpu")):
        assert network.weight is before
    assert network.weight is before
    with placed(nn.Identity(), torch.device("cpu")):
        pass
