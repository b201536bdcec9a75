"""Training the networks of a plan, one job each, and reading what they output.

Jobs can run in any order and in any process. A finished job is skipped, so an interrupted run resumes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import Branch, Inputs, Rows
from emofuse.training.plan import NetworkJob, Plan, job_name
from emofuse.training.registry import network_kind
from emofuse.training.resources import Resources
from emofuse.training.run_folder import read_run_arrays


def pretrained_sha256(recipe: Recipe, corpus: Corpus) -> str | None:
    """The sha256 of the pre-trained weights that a recipe's face needs; None where it needs none.

    None too where the recipe reads no face, or no take of the corpus has a video.

    Raises:
        WeightsError: they are missing or altered. Training would find out after hours of work.
    """
    if "face" not in recipe.modalities:
        return None
    if recipe.face.features.table is None and all(take.face is None for take in corpus.takes()):
        return None
    return network_kind("face", recipe).pretrained_sha256(recipe)


def run_network_job(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> None:
    """Train one network and write its outputs; a finished job is left alone.

    Writes ``weights.safetensors``, ``outputs.npz`` (rows, features, log_probabilities) and, last,
    ``curve.json`` into ``work``/job.name.
    """
    folder = work / job.name
    if (folder / "curve.json").is_file():
        return
    from safetensors.torch import save

    trained = network_kind(job.modality, recipe).train(job, inputs, recipe, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "weights.safetensors", save(trained.network.state_dict()))
    with write_atomically(folder / "outputs.npz") as file:
        np.savez(
            file,
            rows=np.asarray(job.score, dtype=np.int64),
            features=trained.features,
            log_probabilities=trained.log_probabilities,
        )
    curve = [epoch.as_dict() for epoch in trained.curve]
    write_atomically(folder / "curve.json", json.dumps(curve).encode())


def run_network_jobs(
    jobs: Sequence[NetworkJob],
    inputs: Inputs,
    recipe: Recipe,
    work: Path,
    resources: Resources,
    *,
    stage: str = "networks",
) -> None:
    """Train the networks that are not yet there.

    Args:
        jobs: which networks.
        inputs: the features.
        recipe: how they are trained.
        work: folder that holds a folder per job.
        resources: how many jobs run side by side, and who is told how many are done.
        stage: what progress calls them.
    """
    resources.map(stage, run_network_job, [(job, inputs, recipe, work) for job in jobs])


def load_network(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> Any:
    """A network that :func:`run_network_job` has trained, in evaluation mode."""
    return network_kind(job.modality, recipe).load(job, inputs, recipe, work)


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """Outputs of several members' networks for some takes.

    ``features``: (n_members, n_takes, n_features) float32; ``logs``: (n_members, n_takes, n_emotions).
    """

    features: NDArray[np.float32]
    logs: NDArray[np.float64]

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(n_takes, n_emotions): the members' mean log-probabilities, normalized."""
        mean = self.logs.mean(0)
        return np.asarray(mean - np.logaddexp.reduce(mean, axis=1, keepdims=True), dtype=np.float64)


def load_outputs(
    plan: Plan, branch: Branch, rows: Rows, members: Sequence[int], work: Path, *, enrolled: bool = False
) -> NetworkOutputs:
    """The outputs of some of a plan's networks for ``rows``."""
    features, logs = [], []
    for member in members:
        path = work / plan.name / job_name(member, branch, enrolled) / "outputs.npz"
        outputs = read_run_arrays(path)
        index_of = {int(row): i for i, row in enumerate(outputs["rows"])}
        indices = [index_of[int(row)] for row in rows]
        features.append(outputs["features"][indices])
        logs.append(outputs["log_probabilities"][indices])
    return NetworkOutputs(np.stack(features), np.stack(logs))
