"""Features standardized by the group that a take belongs to: its corpus, or its speaker.

Studios and speakers differ more than emotions do. The mean and the spread of a group's own takes, whatever
they express, are taken out. No label is used; but a group's mean is that of all its takes, those that are
tested among them: figures under these conditions are transductive, as of somebody who has all recordings of
a study before the first is judged.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import Inputs

Normalization = Literal["none", "corpus", "speaker"]

NORMALIZATIONS: Final[dict[Normalization, str]] = {
    "none": "features as they are: a test recording is read alone",
    "corpus": "each corpus by the mean and spread of all its takes, without labels (transductive: needs the "
    "whole test corpus)",
    "speaker": "each speaker by the mean and spread of all their takes, without labels (transductive: needs "
    "all recordings of a test speaker)",
}
"""The conditions, and what they mean."""
_NO_ROWS: Final = frozenset({"rosred-image", "stack", "log-mel", "blendshapes", "au-table"})
"""Features that are pictures or sequences; and action units, whose roots are taken, so not below zero."""
_MOST: Final = 10.0
"""Standard deviations: what lies further out is put here, so that no value explodes."""


def check_normalization(condition: str, recipe: Recipe) -> Normalization:
    """The condition of this name.

    Raises:
        ExperimentError: there is none, or the recipe's features are not rows of numbers that it could shift.
    """
    known = next((one for one in NORMALIZATIONS if one == condition), None)
    if known is None:
        names = ", ".join(NORMALIZATIONS)
        raise ExperimentError(f"no normalization is called {condition!r}: use one of {names}")
    kinds = {getattr(recipe, modality).features.kind for modality in recipe.modalities}
    if known != "none" and (unfit := sorted(kinds & _NO_ROWS)):
        raise ExperimentError(
            f"--normalize {known}: recipe {recipe.name} reads {unfit[0]}, of which no mean can be taken out: "
            "give --normalize none, or a recipe that reads descriptors or an encoder"
        )
    return known


def normalized(inputs: Inputs, condition: Normalization, folder: Path) -> Inputs:
    """The same takes with standardized features, which are written to ``folder``.

    Args:
        inputs: of joined corpora, or of a single one.
        condition: by what.
        folder: for the arrays; what is there is kept.

    Raises:
        OSError: they cannot be written.
    """
    if condition == "none":
        return inputs
    groups = inputs.speakers
    if condition == "corpus":
        groups = np.array([inputs.corpora.get(speaker, "") for speaker in inputs.speakers.tolist()])
    for modality in inputs.modalities:
        recorded, has = inputs.load(modality), inputs.has[modality]
        for variant in range(inputs.n_voice_variants if modality == "voice" else 1):
            path = folder / (f"{modality}-{variant}.npy" if variant else f"{modality}.npy")
            if not path.is_file():
                _write(path, inputs.load(modality, variant), recorded, groups, has)
    return replace(inputs, folder=folder)


def _write(
    path: Path, rows: NDArray[Any], recorded: NDArray[Any], groups: NDArray[np.str_], has: NDArray[np.bool_]
) -> None:
    """Standardize takes by what their group's have as recorded, at any speed and under any damage."""
    out = np.zeros(rows.shape, dtype=np.float32)
    for group in np.unique(groups):
        own = np.flatnonzero((groups == group) & has)
        if len(own):
            values = np.asarray(recorded[own], dtype=np.float64)
            mean, spread = values.mean(0), values.std(0)
            spread[spread < 1e-6 * (1 + np.abs(mean))] = 1  # constant values stay at zero
            out[own] = np.clip((rows[own] - mean) / spread, -_MOST, _MOST)
    with write_atomically(path) as file:
        np.save(file, out)
