"""The definition of the pooled random convolutions, one number after the other."""

from __future__ import annotations

import math

import numpy as np

from emofuse.features.voice.rocket import _kernels


def slow_convolutions(channels: np.ndarray, seed: int = 0) -> np.ndarray:
    n_channels, n_frames = channels.shape
    out: list[float] = []
    for dilation, kernels in zip((1, 2, 4, 8, 16), _kernels(n_channels, seed), strict=True):
        outputs = np.repeat(kernels.biases.astype(float), n_frames, axis=1)
        weights = kernels.weights.reshape(-1, n_channels, 7).astype(float)
        for t in range(n_frames):
            for tap in range(7):
                index = t + (tap - 3) * dilation
                if 0 <= index < n_frames:
                    outputs[:, t] += weights[:, :, tap] @ channels[:, index]
        out += [float(np.mean([1 / (1 + math.exp(-3 * value)) for value in output])) for output in outputs]
        out += [math.sqrt(np.mean([max(value, 0) ** 2 for value in output])) for output in outputs]
        out += [float(np.mean(sorted(output)[-5:])) for output in outputs]
    return np.array(out)
