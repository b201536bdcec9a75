"""Random convolutions: fixed kernels over a clip's channels, each pooled over time to a few values.

ROCKET (Dempster, Petitjean and Webb 2020) on several channels. Nothing here is learned: the kernels are drawn
once from a seed, and the model that reads their outputs decides which of them matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from emofuse.core.records import Float32

N_KERNELS: Final = 200
"""Kernels at each dilation."""
N_TAPS: Final = 7
DILATIONS: Final = (1, 2, 4, 8, 16)
"""Frames between two taps: at a hop of 16 ms a kernel spans 0.1 to 1.6 s."""
N_POOLED: Final = 3
N_HIGHEST: Final = 5
"""The mean of this many frames is taken as a kernel's maximum: a single frame is noise."""
N_VALUES: Final = len(DILATIONS) * N_POOLED * N_KERNELS
_MOST_CHANNELS: Final = 5
_BIAS_SPREAD: Final = 0.5
_STEEPNESS: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Kernels:
    weights: Float32
    """(N_KERNELS, n_channels · N_TAPS), each row of unit norm."""
    biases: Float32
    """(N_KERNELS, 1)."""


def random_convolutions(channels: Float32, seed: int = 0) -> Float32:
    """The pooled outputs of the kernels at each dilation.

    The channels are padded with 0 at both ends, so every kernel has an output at every frame.

    Args:
        channels: (n_channels, n_frames) float32, each of mean about 0 and spread about 1; at least one frame
            and five channels.
        seed: selects the kernels.

    Returns:
        (N_VALUES,) float32: for each dilation the mean of sigmoid(3 · output), a soft share of frames above
        0; then the root mean square of the positive outputs; then the mean of the five highest outputs.
    """
    n_channels, n_frames = channels.shape
    pooled = []
    for dilation, kernels in zip(DILATIONS, _kernels(n_channels, seed), strict=True):
        reach = (N_TAPS - 1) * dilation
        padded = np.pad(channels, ((0, 0), (reach // 2, reach // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach + 1, axis=1)[:, :, ::dilation]
        taps = windows.transpose(0, 2, 1).reshape(n_channels * N_TAPS, n_frames)
        pooled.append(_pool(kernels.weights @ taps + kernels.biases))
    return np.concatenate(pooled)


def _pool(outputs: Float32) -> Float32:
    """(N_KERNELS, n_frames) → (N_POOLED · N_KERNELS,) float32."""
    # the sigmoid, in a form that cannot overflow
    above = 0.5 + 0.5 * np.tanh(0.5 * _STEEPNESS * outputs).mean(axis=1)
    strength = np.sqrt(np.square(np.maximum(outputs, 0)).mean(axis=1))
    n_highest = min(N_HIGHEST, outputs.shape[1])
    highest = np.partition(outputs, -n_highest, axis=1)[:, -n_highest:].mean(axis=1)
    return np.concatenate([above, strength, highest], dtype=np.float32)


@lru_cache(maxsize=4)
def _kernels(n_channels: int, seed: int) -> tuple[_Kernels, ...]:
    """The kernels of each dilation.

    Each reads 1 to 5 channels; half of them have zero mean over their taps, and so respond to changes only.
    NumPy has frozen the stream of ``RandomState`` (NEP 19): every version draws the same kernels.
    """
    random = np.random.RandomState(seed)
    return tuple(_draw(random, n_channels) for _ in DILATIONS)


def _draw(random: np.random.RandomState, n_channels: int) -> _Kernels:
    weights = np.zeros((N_KERNELS, n_channels, N_TAPS))
    for kernel in weights:
        n_read = random.randint(1, _MOST_CHANNELS + 1)
        read = random.choice(n_channels, n_read, replace=False)
        taps = random.standard_normal((n_read, N_TAPS))
        if random.random_sample() < 0.5:
            taps -= taps.mean(axis=1, keepdims=True)
        kernel[read] = taps / np.linalg.norm(taps)
    biases = _BIAS_SPREAD * random.standard_normal((N_KERNELS, 1))
    flat = weights.reshape(N_KERNELS, -1).astype(np.float32)
    out = _Kernels(flat, biases.astype(np.float32))
    # the cache returns the same arrays to every caller
    out.weights.setflags(write=False)
    out.biases.setflags(write=False)
    return out
