"""Which networks are trained on whom: training actors are parted, and each network becomes one job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import inner_folds
from emofuse.training.dataset import MODALITIES, Branch, Inputs, Rows


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """One network: the rows it trains on, those it stops on, and those it is asked about."""

    plan: str
    member: int
    modality: Branch
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    score: tuple[int, ...]
    enrolled: bool = False
    """Reads features that are standardised by each person's own recordings."""
    test: tuple[int, ...] = ()
    """Those of ``score`` that are asked about after few clips as well; none but where ``enrolled``."""

    @property
    def name(self) -> str:
        """Folder of this job's results."""
        return f"{self.plan}/{job_name(self.member, self.modality, self.enrolled)}"


def job_name(member: int, branch: Branch, enrolled: bool) -> str:
    """Folder of one network's results within its plan."""
    return f"member-{member}-{branch}" + ("-enrolled" if enrolled else "")


@dataclass(frozen=True, slots=True)
class Member:
    """One pair of networks: who trains it, who stops it, and on whose answers the fusion is fitted."""

    index: int
    network_rows: Rows
    stopping_rows: Rows
    fusion_rows: Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is fitted on ``train``; ``test`` is only asked about."""

    name: str
    train: Rows
    test: Rows
    members: tuple[Member, ...]
    refitted: Member | None = None
    """Trained on all of ``train``, to answer about ``test``; None: the members' mean answers."""

    @property
    def answering(self) -> list[int]:
        """The members whose answers about ``test`` count."""
        return [m.index for m in self.members] if self.refitted is None else [self.refitted.index]


def make_plan(name: str, inputs: Inputs, train: Sequence[int], test: Sequence[int], recipe: Recipe) -> Plan:
    """Part the training actors as the recipe's fusion asks.

    Raises:
        ExperimentError: there are too few training actors.
    """
    train_rows = np.asarray(train, dtype=np.int64)
    whose = inputs.speakers[train_rows]
    speakers = sorted(set(whose.tolist()))
    patience = any(part.training.patience for part in (recipe.voice, recipe.face))
    least = 3 if patience else 2
    if len(speakers) < least:
        raise ExperimentError(f"{name}: {len(speakers)} training actors are too few, {least} are needed")
    groups = inner_folds(speakers, min(recipe.fusion.inner_folds, len(speakers)))
    if patience and len(groups) < 3:
        raise ExperimentError("patience needs fusion.inner_folds of 3 or more: one part stops the networks")
    wanted = recipe.fusion.members if recipe.fusion.inputs == "features" else None
    if recipe.fusion.inputs == "features" and min(len(group) for group in groups) < 2:
        raise ExperimentError(
            f"{name}: {len(speakers)} training actors in {len(groups)} inner folds leave a fusion one actor, "
            "and its settings are chosen on actors it has not seen: lower fusion.inner_folds"
        )
    members = []
    for k in range(wanted or len(groups)):
        fusion = np.isin(whose, groups[k])
        stopping = np.isin(whose, groups[(k + 1) % len(groups)]) & patience
        rest = ~fusion & ~stopping
        members.append(Member(k, train_rows[rest], train_rows[stopping], train_rows[fusion]))
    nobody = np.zeros(0, dtype=np.int64)
    refitted = Member(len(members), train_rows, nobody, nobody) if recipe.fusion.refit else None
    return Plan(name, train_rows, np.asarray(test, dtype=np.int64), tuple(members), refitted)


def branches(recipe: Recipe, enrolled: bool) -> tuple[Branch, ...]:
    """The networks that stand side by side, and in whose order the fusion reads them."""
    if enrolled and recipe.enrolment is not None and recipe.enrolment.both is not None:
        return (*MODALITIES, "both")
    return MODALITIES


def network_jobs(plan: Plan, inputs: Inputs, recipe: Recipe) -> list[NetworkJob]:
    """The networks that a plan needs, those for enrolled people last.

    Raises:
        ExperimentError: a modality has too few clips to train on.
    """
    jobs = _network_jobs(plan, inputs, recipe, enrolled=False)
    if recipe.enrolment is not None:
        jobs += _network_jobs(plan, inputs, recipe, enrolled=True)
    return jobs


def _network_jobs(plan: Plan, inputs: Inputs, recipe: Recipe, *, enrolled: bool) -> list[NetworkJob]:
    jobs = []
    everybody = plan.members if plan.refitted is None else (*plan.members, plan.refitted)
    for member in everybody:
        answers = member.index in plan.answering
        for branch in branches(recipe, enrolled):

            def having(rows: Rows, branch: Branch = branch) -> tuple[int, ...]:
                return tuple(int(i) for i in inputs.having(branch, rows))

            patience = branch != "both" and getattr(recipe, branch).training.patience is not None
            # without patience nothing is learnt from the stopping actors: they train as well
            rows = member.network_rows
            if not patience:
                rows = np.sort(np.concatenate([rows, member.stopping_rows]))
            train = having(rows)
            held_out = having(member.stopping_rows if patience else member.fusion_rows)
            if len(train) < 2 or (patience and not held_out):
                raise ExperimentError(f"{plan.name}: too few clips with a {branch} to train on")
            if is_ensemble(branch, recipe) and len(set(inputs.speakers[list(train)].tolist())) < 2:
                raise ExperimentError(
                    f"{plan.name}: an ensemble trains on clips of at least two actors beside those that the "
                    f"fusion learns from: there are too few actors with a {branch}"
                )
            test = having(plan.test) if answers else ()
            score = (*having(member.fusion_rows), *test)
            jobs.append(
                NetworkJob(
                    plan.name, member.index, branch, train, held_out, score,
                    enrolled=enrolled, test=test if enrolled else (),
                )
            )  # fmt: skip
    return jobs


def derive_seed(seed: int, *names: object) -> int:
    """A seed for one part of a run, from the run's seed and the part's names."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def is_ensemble(branch: Branch, recipe: Recipe) -> bool:
    """Whether a branch is one of :mod:`emofuse.training.networks.descriptor_ensemble`."""
    return branch == "both" or getattr(recipe, branch).network.kind == "ensemble"
