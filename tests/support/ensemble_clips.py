"""Clips of several speakers as rows of random features."""

from __future__ import annotations

import numpy as np


def clips(
    n_actors: int = 5,
    per_actor: int = 16,
    d: int = 20,
    n_emotions: int = 8,
    noise: float = 1.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of several speakers' clips, their emotions, and their speakers."""
    emotions = np.random.default_rng(50).standard_normal((n_emotions, d)) * 1.5
    rng = np.random.default_rng(seed)
    n = n_actors * per_actor
    labels = np.arange(n) % n_emotions
    who = np.arange(n) // per_actor
    rows = emotions[labels] + rng.standard_normal((n_actors, d))[who] + noise * rng.standard_normal((n, d))
    return rows.astype(np.float32), labels, np.array([f"{k:02d}" for k in who])
