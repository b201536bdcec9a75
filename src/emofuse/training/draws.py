"""Random numbers of training, which are drawn on the CPU whatever the device.

The same seed then means the same numbers on a CPU and on a GPU, whose figures differ by rounding alone. On a
CPU these functions are PyTorch's own.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional


@lru_cache(maxsize=1)
def _can_pin() -> bool:
    return torch.cuda.is_available()


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU, on a device; on the CPU itself, the same tensor.

    The GPU is not waited for: what was queued before goes on meanwhile.
    """
    if device.type == "cpu":
        return tensor
    return (tensor.pin_memory() if _can_pin() else tensor).to(device, non_blocking=True)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """:func:`torch.nn.functional.dropout`."""
    if x.device.type == "cpu" or not training or p == 0:
        return functional.dropout(x, p, training)
    return _masked(x, torch.empty_like(x, device="cpu", dtype=torch.float32), p)


def _masked(x: Tensor, mask: Tensor, p: float) -> Tensor:
    """``x`` with a share ``p`` of zeros, drawn into ``mask`` in the order in which the CPU draws."""
    return x * sent(mask.bernoulli_(1 - p).div_(1 - p), x.device).to(x.dtype)


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """(…) → (…)."""
        return dropout(x, self.p, self.training)


class Dropout2d(nn.Dropout2d):
    """:class:`torch.nn.Dropout2d`: whole channels are dropped."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) → the same shape."""
        if x.device.type == "cpu" or not self.training or self.p == 0:
            return functional.dropout2d(x, self.p, self.training)
        return _masked(x, torch.empty(*x.shape[:2], 1, 1), self.p)


def normal_like(x: Tensor) -> Tensor:
    """:func:`torch.randn_like`: standard normal numbers of the shape, type and device of ``x``."""
    return sent(torch.randn_like(x, device="cpu"), x.device)
