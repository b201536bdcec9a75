"""Training the networks of a plan that output ratings, one job each, and reading what they output.

A finished job is skipped, so an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.recipe import Recipe
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import Inputs, ModalityName, Rows
from emofuse.training.plan import Plan
from emofuse.training.rating_plan import RatingJob, rating_job_name
from emofuse.training.registry import network_kind
from emofuse.training.resources import Resources
from emofuse.training.run_folder import read_run_arrays


def run_rating_job(job: RatingJob, inputs: Inputs, recipe: Recipe, work: Path) -> None:
    """Train one network and write its outputs; a finished job is left alone.

    Writes ``weights.safetensors`` and, last, ``outputs.npz`` (rows, ratings) into ``work``/job.name.
    """
    folder = work / job.name
    if (folder / "outputs.npz").is_file():
        return
    from safetensors.torch import save

    from emofuse.training.loop import raw_outputs

    network = network_kind(job.modality, recipe).rate(job, inputs, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "weights.safetensors", save(network.state_dict()))
    score = list(job.score)
    ratings = np.zeros((0, len(inputs.dimensions)))
    if score:
        features = np.ascontiguousarray(inputs.load(job.modality)[score])
        ratings = raw_outputs(network, features)
    with write_atomically(folder / "outputs.npz") as file:
        np.savez(file, rows=np.asarray(score, dtype=np.int64), ratings=ratings)


def run_rating_jobs(
    jobs: Sequence[RatingJob], inputs: Inputs, recipe: Recipe, work: Path, resources: Resources
) -> None:
    """Train the networks that are not yet there, as :func:`emofuse.training.jobs.run_network_jobs` does."""
    if jobs:
        resources.map("ratings", run_rating_job, [(job, inputs, recipe, work) for job in jobs])


def load_rating_network(job: RatingJob, inputs: Inputs, recipe: Recipe, work: Path) -> Any:
    """A network that :func:`run_rating_job` has trained, in evaluation mode."""
    return network_kind(job.modality, recipe).load_rating(job, inputs, recipe, work)


def load_rating_outputs(
    plan: Plan, modality: ModalityName, rows: Rows, members: Sequence[int], work: Path
) -> NDArray[np.float64]:
    """(n_rows, n_dimensions): the mean of what some of a plan's networks output for ``rows``."""
    outputs = []
    for member in members:
        found = read_run_arrays(work / plan.name / rating_job_name(member, modality) / "outputs.npz")
        index_of = {int(row): i for i, row in enumerate(found["rows"])}
        outputs.append(found["ratings"][[index_of[int(row)] for row in rows]])
    return np.asarray(np.mean(outputs, axis=0), dtype=np.float64)
