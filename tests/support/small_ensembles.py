"""Small inputs and recipes for ensembles and enrollment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.voice.descriptors import descriptor_size
from emofuse.training.dataset import Inputs

N_MELS, N_UNITS = 26, 6

RECIPE = """
extends = "ravdess-ensemble"
name = "small-ensemble"
seed = 6

[voice]
speeds = [1.1]

[voice.features]
sample_rate_hz = 16000
duration_s = 1.0
n_fft = 512
win_length = 400
hop_length = 400
n_mels = 26
fmax_hz = 8000.0

[voice.network.ensemble]
components = 12
networks = 1
hidden = 8

[voice.training]
epochs = 2
batch_size = 16

[face.network.ensemble]
networks = 1
hidden = 6

[face.training]
epochs = 2
batch_size = 16

[fusion]
classifiers = ["pool"]
inner_folds = 2
trials = 1
selection_folds = 2

[enrolment]
clips = [1, 4]
draws = 2

[enrolment.both]
components = 12
"""


def recipe(*, both: bool = True, enrolment: bool = True, **fusion: Any) -> Recipe:
    """A recipe with ensembles for :func:`make_inputs`."""
    small = {"components": 6, "networks": 1, "hidden": 5, "person_damping": 2.0}
    training = {"epochs": 2, "batch_size": 16}
    data: dict[str, Any] = {
        "name": "x",
        "seed": 5,
        "voice": {
            "features": {"kind": "descriptors", "n_mels": N_MELS, "pitch": True},
            "network": {"kind": "ensemble", "ensemble": small},
            "training": training,
            "speeds": [1.1],
        },
        "face": {
            "features": {"kind": "au-table", "table": "t.csv"},
            "network": {"kind": "ensemble", "ensemble": {**small, "linear": 0.15}},
            "training": training,
        },
        "fusion": {
            "classifiers": ["pool"], "inner_folds": 2, "trials": 1, "selection_folds": 2, "refit": True,
            **fusion,
        },
    }  # fmt: skip
    if enrolment:
        data["enrolment"] = {"clips": [1, 4], "draws": 2}
        if both:
            data["enrolment"]["both"] = {"components": 6, "networks": 0}
    return parse_recipe(data)


def make_inputs(folder: Path, n_actors: int = 6, takes: int = 2, seed: int = 0) -> Inputs:
    """Features that depend on the emotion, and more on the speaker; the voice at two speeds."""
    n = n_actors * 8 * takes
    labels = np.arange(n) % 8
    speakers = np.array([f"{1 + i // (8 * takes):02d}" for i in range(n)])
    speaker_ids = np.unique(speakers, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    size = descriptor_size(N_MELS)
    voice = rng.standard_normal((8, size))[labels] + 1.5 * rng.standard_normal((n_actors, size))[speaker_ids]
    voice += rng.standard_normal((n, size))
    face = rng.standard_normal((8, N_UNITS))[labels] + rng.standard_normal((n_actors, N_UNITS))[speaker_ids]
    face += 0.5 * rng.standard_normal((n, N_UNITS))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "voice.npy", voice.astype(np.float32))
    np.save(folder / "voice-1.npy", (voice + 0.3 * rng.standard_normal((n, size))).astype(np.float32))
    np.save(folder / "face.npy", np.square(face).astype(np.float32))
    present = np.ones(n, dtype=bool)
    return Inputs(folder, labels, speakers, {"voice": present, "face": present.copy()}, 2)
