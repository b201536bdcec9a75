"""Images of waves in place of faces: seven classes that a network learns from a few examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emofuse.corpus.fer2013 import Faces

FER_PLUS_INDEX = (4, 5, 6, 1, 3, 2, 0)
"""The index in FER+ of each class of FER2013."""


def wave_images(n: int, seed: int) -> Faces:
    """``n`` images, whose class is the direction and the length of the waves."""
    rng = np.random.default_rng(seed)
    emotion = rng.integers(0, 7, n)
    images = np.empty((n, 48, 48), np.uint8)
    positions = np.arange(48)
    for i, kind in enumerate(emotion):
        wave = np.sin(positions * 2 * np.pi / (5, 10, 24)[kind % 3] + rng.random() * 2 * np.pi)
        other = np.sin(positions * 2 * np.pi / 10) if kind == 6 else np.ones(48)
        field = np.outer(wave, other) if kind in (0, 1, 2, 6) else np.outer(other, wave)
        images[i] = np.clip(128 + 70 * field + rng.normal(0, 10, (48, 48)), 0, 255)
    votes = np.zeros((n, 10), np.int64)
    votes[np.arange(n), np.array(FER_PLUS_INDEX)[emotion]] = 9
    votes[:, 7] = 1
    return Faces(images, emotion, votes)


def write_split(folder: Path, split: str, faces: Faces) -> None:
    """Save images as FER2013 is stored."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{split}.npz", images=faces.images, emotion=faces.emotion, votes=faces.votes)
