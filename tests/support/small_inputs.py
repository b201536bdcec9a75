"""Small recipes, and random features to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.training.dataset import Inputs

N_MELS, N_FRAMES, N_UNITS = 26, 20, 5


def small_recipe(inputs: str = "probabilities", **fusion: Any) -> Recipe:
    training = {"epochs": 1, "batch_size": 8}
    return parse_recipe(
        {
            "name": "x",
            "seed": 5,
            "voice": {
                "features": {"n_mels": N_MELS},
                "network": {"channels": [], "hidden": 6, "n_features": 7},
                "training": training,
            },
            "face": {
                "features": {"kind": "au-table", "table": "t.csv"},
                "network": {"kind": "au-mlp", "hidden": 4},
                "training": training,
            },
            "fusion": {
                "inputs": inputs,
                "inner_folds": 2,
                "trials": 2,
                "selection_folds": 2,
                "nn": {"hidden": [5], "epochs": 1, "trials": 1},
                **fusion,
            },
        }
    )


def with_patience(recipe: Recipe) -> Recipe:
    data = recipe.model_dump(mode="json")
    for part in ("voice", "face"):
        data[part]["training"] |= {"epochs": 3, "patience": 1}
    return parse_recipe(data)


def make_inputs(folder: Path, n_actors: int = 6, takes: int = 3, seed: int = 0) -> Inputs:
    """Random features that depend slightly on the emotion."""
    n = n_actors * 8 * takes
    labels = np.arange(n) % 8
    speakers = np.array([f"{1 + i // (8 * takes):02d}" for i in range(n)])
    rng = np.random.default_rng(seed)
    voice = (
        rng.standard_normal((n, N_MELS, N_FRAMES))
        + labels[:, None, None] * np.linspace(-0.3, 0.3, N_MELS)[None, :, None]
    )
    face = np.abs(rng.standard_normal((n, N_UNITS)) + labels[:, None] % np.arange(1, N_UNITS + 1))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "voice.npy", voice.astype(np.float32))
    np.save(folder / "face.npy", face.astype(np.float32))
    there = np.ones(n, dtype=bool)
    return Inputs(folder, labels, speakers, {"voice": there, "face": there.copy()})


def corrupted(inputs: Inputs, rows: np.ndarray, folder: Path) -> Inputs:
    """The same, except that ``rows`` have other emotions, and noise as features."""
    rng = np.random.default_rng(99)
    labels = inputs.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, 8, len(rows))) % 8
    folder.mkdir(parents=True)
    for path in sorted(inputs.folder.glob("*.npy")):
        array = np.load(path)
        array[rows] = rng.uniform(0, 50, array[rows].shape)
        np.save(folder / path.name, array)
    return Inputs(folder, labels, inputs.speakers, inputs.has, inputs.n_voice_variants)


def keras_weights(path: Path) -> Path:
    """A weight file of the Emotion CNN in the published layout, with small random weights."""
    import h5py

    shapes = {
        "conv2d_1": (5, 5, 1, 64), "conv2d_2": (3, 3, 64, 64), "conv2d_3": (3, 3, 64, 64),
        "conv2d_4": (3, 3, 64, 128), "conv2d_5": (3, 3, 128, 128), "dense_1": (128, 1024),
        "dense_2": (1024, 1024), "dense_3": (1024, 7),
    }  # fmt: skip
    rng = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for layer, shape in shapes.items():
            group = file.create_group(layer)
            names = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            scale = np.sqrt(2 / np.prod(shape[:-1]))
            group[names[0]] = (rng.standard_normal(shape) * scale).astype(np.float32)
            group[names[1]] = np.zeros(shape[-1], dtype=np.float32)
    return path


def rosred(tmp_path: Path, weights: str) -> Recipe:
    from emofuse.core.recipes.load import load_recipe

    path = tmp_path / "small-rosred.toml"
    path.write_text(
        'extends = "rosred-2022"\n'
        'name = "small-rosred"\n'
        "[voice.training]\nepochs = 1\n"
        "[face.features]\nn_frames = 2\n"
        "[face.training]\nepochs = 1\n"
        f"[face.network.emotion_cnn]\n{weights}\n"
        "[fusion]\ntrials = 1\nselection_folds = 2\n"
        "nn = { hidden = [16], epochs = 1, trials = 1 }\n"
    )
    return load_recipe(path)


def make_images(folder: Path, n_actors: int, takes: int) -> Inputs:
    """Random voice images and face crops that get brighter with the emotion's index."""
    inputs = make_inputs(folder, n_actors, takes)
    rng = np.random.default_rng(0)
    n = len(inputs.labels)
    brightness = 20 * inputs.labels.astype(np.uint8)
    images = rng.integers(0, 60, (n, 224, 224, 3), np.uint8) + brightness[:, None, None, None]
    np.save(inputs.folder / "voice.npy", images)
    stacks = rng.integers(0, 60, (n, 2, 48, 48), np.uint8) + brightness[:, None, None, None]
    np.save(inputs.folder / "face.npy", stacks)
    return inputs
