"""PyTorch's settings of the whole process, which training needs for a while, and restores.

A GPU multiplies float32 in TF32 (10 bits of mantissa) in cuDNN's convolutions unless it is told not to, and
may choose sums whose order changes from run to run. Neither happens here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import Any, Final, cast

import torch
from torch import nn

from emofuse.core.errors import DeviceError
from emofuse.system.shared_settings import SharedSetting
from emofuse.training.compute import current_compute

TORCH_THREADS: Final = SharedSetting(torch.get_num_threads, torch.set_num_threads)
"""On how many threads PyTorch computes, in the whole process."""


def _setting(owner: Any, name: str) -> SharedSetting[Any]:
    return SharedSetting(partial(getattr, owner, name), partial(setattr, owner, name))


def _gpu_settings() -> list[tuple[SharedSetting[Any], Any]]:
    """Settings of products on a GPU, each with the value that keeps float32 what it is on a CPU."""
    matmul, cudnn = torch.backends.cuda.matmul, cast(Any, torch.backends.cudnn)
    exact: list[tuple[SharedSetting[Any], Any]]
    if hasattr(matmul, "fp32_precision"):  # from PyTorch 2.9 on; it warns of the older name
        owners = (matmul, cudnn.conv, cudnn.rnn)
        exact = [(_setting(owner, "fp32_precision"), "ieee") for owner in owners]
    else:
        exact = [(_setting(owner, "allow_tf32"), False) for owner in (matmul, cudnn)]
    return [*exact, (_setting(cudnn, "deterministic"), True), (_setting(cudnn, "benchmark"), False)]


_GPU_SETTINGS: Final = _gpu_settings()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Products of float32 on a GPU are those of IEEE 754, by algorithms that repeat their result."""
    with ExitStack() as held:
        for setting, value in _GPU_SETTINGS:
            held.enter_context(setting.held(value))
        yield


@contextmanager
def reproducible(seed: int | None = None, *, threads: int = 1) -> Iterator[torch.device]:
    """Everything that is computed in here depends on nothing but the inputs, the seed and the device.

    Sums have a fixed order: work side by side goes over processes, not threads. Random numbers of the caller
    are as before.

    Args:
        seed: of PyTorch's generator on the CPU, from which all draws come; None: nothing is drawn.
        threads: that PyTorch may use on the CPU; more than one changes results by rounding.

    Yields:
        The device to compute on.

    Raises:
        DeviceError: the GPU's memory is full.
    """
    device = torch.device(current_compute().device)
    with ExitStack() as held:
        held.enter_context(TORCH_THREADS.held(threads))
        if device.type != "cpu":
            held.enter_context(exact_float32())
        if seed is not None:
            held.enter_context(torch.random.fork_rng(devices=[]))
            torch.default_generator.manual_seed(seed)  # the caller's generators of GPUs stay as they are
        try:
            yield device
        except torch.OutOfMemoryError:
            raise DeviceError(
                "the memory of the GPU is full: end what else uses it, use fewer processes (--jobs), or "
                "leave out --device"
            ) from None


def autocast() -> AbstractContextManager[Any]:
    """Products are in bfloat16 in here, where that was chosen."""
    compute = current_compute()
    if compute.precision == "bfloat16":
        return torch.autocast(compute.device, dtype=torch.bfloat16)
    return nullcontext()


def device_of(network: nn.Module) -> torch.device:
    """Where a network is: the CPU, if it has learned nothing."""
    values = chain(network.parameters(), network.buffers())
    return next((one.device for one in values), torch.device("cpu"))


@contextmanager
def placed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """A network is on a device for a while, and then where it was."""
    home = device_of(network)
    if home.type == device.type:
        yield
        return
    network.to(device)
    try:
        yield
    finally:
        network.to(home)
