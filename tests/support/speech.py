"""Sound with the pitch, the harmonics and the syllables of speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def speech_like(rate: int, seconds: float = 3.0, seed: int = 0) -> NDArray[np.float32]:
    """(n_samples,) float32: a voice between 100 and 180 Hz that swells and falls, with a little noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(rate * seconds)) / rate
    pitch = np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.3 * times)) / rate
    voice = np.sum([np.sin(2 * np.pi * k * pitch) / k for k in range(1, 20)], axis=0)
    loud = np.clip(np.sin(2 * np.pi * 0.9 * times), 0, 1) ** 2
    return np.asarray(0.1 * loud * voice + 1e-4 * rng.normal(size=len(times)), np.float32)
