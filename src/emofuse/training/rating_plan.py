"""Which networks that output ratings are trained on whom.

Plans are those of the emotions: who trains, and on whose clips the fusion is fitted. A network is trained on
the clips that were rated on any dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.training.dataset import Inputs, ModalityName, Rows
from emofuse.training.plan import Plan


@dataclass(frozen=True, slots=True)
class RatingJob:
    """One network, and the rows that it trains on, stops on and scores."""

    plan: str
    """Name of the plan that the job belongs to."""
    member: int
    """Index of the plan's member."""
    modality: ModalityName
    """What the network reads."""
    train: tuple[int, ...]
    """Rows that everything is fitted on; each is rated on a dimension at least."""
    held_out: tuple[int, ...]
    """Rated rows of training speakers that decide when to stop; none unless the recipe has patience."""
    score: tuple[int, ...]
    """Rows that the trained network is run on."""

    @property
    def name(self) -> str:
        """Folder of this job's results."""
        return f"{self.plan}/{rating_job_name(self.member, self.modality)}"


def rating_job_name(member: int, modality: ModalityName) -> str:
    """Folder of one network's results within its plan."""
    return f"member-{member}-{modality}-ratings"


def rating_jobs(plan: Plan, inputs: Inputs, recipe: Recipe) -> list[RatingJob]:
    """The networks that a plan needs for ratings: of every member, whose left-out speakers set the intervals.

    None where takes have no ratings.

    Raises:
        ExperimentError: a modality has too few rated clips to train on.
    """
    if not inputs.dimensions:
        return []
    rated: NDArray[np.bool_] = np.asarray(~np.isnan(inputs.ratings).all(axis=1))
    jobs = []
    for member in plan.members if plan.refitted is None else (*plan.members, plan.refitted):
        for modality in inputs.modalities:
            patience = getattr(recipe, modality).training.patience is not None
            rows, held_out = member.network_rows, member.stopping_rows
            if not patience:
                rows, held_out = np.sort(np.concatenate([rows, held_out])), held_out[:0]
            rows, held_out = (one[rated[one]] for one in (rows, held_out))
            train = inputs.having(modality, rows)
            if len(train) < 2:
                raise ExperimentError(f"{plan.name}: too few rated clips with a {modality} to train on")
            test = plan.test if member.index in plan.scoring else plan.test[:0]
            score = inputs.having(modality, np.concatenate([member.fusion_rows, test]))
            jobs.append(
                RatingJob(
                    plan.name, member.index, modality, _plain(train),
                    _plain(inputs.having(modality, held_out)), _plain(score),
                )
            )  # fmt: skip
    return jobs


def _plain(rows: Rows) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)
