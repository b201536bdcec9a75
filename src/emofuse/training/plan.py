"""Which networks are trained on whom: training actors are split into groups, and each network is one job."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import inner_folds
from emofuse.training.dataset import Branch, Inputs, Rows


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """One network, and the rows that it trains on, stops on and scores."""

    plan: str
    """Name of the plan that the job belongs to."""
    member: int
    """Index of the plan's member."""
    modality: Branch
    """What the network reads."""
    train: tuple[int, ...]
    """Rows that everything is fitted on."""
    held_out: tuple[int, ...]
    """Rows of training actors that decide when to stop, or show how training goes."""
    score: tuple[int, ...]
    """Rows that the trained network is run on."""
    enrolled: bool = False
    """Reads features that are standardized by each speaker's own recordings."""
    test: tuple[int, ...] = ()
    """Those of ``score`` that are also scored after few enrolled clips; none unless ``enrolled``."""

    @property
    def name(self) -> str:
        """Folder of this job's results."""
        return f"{self.plan}/{job_name(self.member, self.modality, self.enrolled)}"


def job_name(member: int, branch: Branch, enrolled: bool) -> str:
    """Folder of one network's results within its plan."""
    return f"member-{member}-{branch}" + ("-enrolled" if enrolled else "")


@dataclass(frozen=True, slots=True)
class Member:
    """One pair of networks: who trains it, who stops it, and on whose clips the fusion is fitted."""

    index: int
    network_rows: Rows
    stopping_rows: Rows
    fusion_rows: Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything is fitted on ``train``; ``test`` is only scored."""

    name: str
    train: Rows
    test: Rows
    members: tuple[Member, ...]
    refitted: Member | None = None
    """Trained on all of ``train``, to score ``test``; None: the members score it, and their mean counts."""

    @property
    def scoring(self) -> list[int]:
        """Indices of the members that score ``test``."""
        return [m.index for m in self.members] if self.refitted is None else [self.refitted.index]


def make_plan(name: str, inputs: Inputs, train: Sequence[int], test: Sequence[int], recipe: Recipe) -> Plan:
    """Split the training actors as the recipe's fusion requires.

    Raises:
        ExperimentError: there are too few training actors.
    """
    train_rows = np.asarray(train, dtype=np.int64)
    speaker_ids = inputs.speakers[train_rows]
    speakers = sorted(set(speaker_ids.tolist()))
    patience = any(part.training.patience for part in (recipe.voice, recipe.face))
    least = 3 if patience else 2
    if len(speakers) < least:
        raise ExperimentError(f"{name}: {len(speakers)} training actors are too few, {least} are needed")
    sizes = Counter(inputs.corpora.get(speaker, "") for speaker in speakers)
    for corpus, n in sizes.items():
        if corpus and n < 2:
            raise ExperimentError(f"{name}: {n} training actor of {corpus} is too few, 2 are needed")
    n_groups = min(recipe.fusion.inner_folds, *sizes.values())
    groups = inner_folds(speakers, n_groups, corpora=inputs.corpora)
    if patience and len(groups) < 3:
        raise ExperimentError("patience needs fusion.inner_folds of 3 or more: one fold stops the networks")
    n_members = recipe.fusion.members if recipe.fusion.inputs == "features" else None
    fuses = len(inputs.modalities) > 1
    if fuses and recipe.fusion.inputs == "features" and min(len(group) for group in groups) < 2:
        raise ExperimentError(
            f"{name}: {len(speakers)} training actors in {len(groups)} inner folds leave a fusion one actor, "
            "and its settings are chosen on actors it has not seen: lower fusion.inner_folds"
        )
    members = []
    for k in range(n_members or len(groups)):
        fusion = np.isin(speaker_ids, groups[k])
        stopping = np.isin(speaker_ids, groups[(k + 1) % len(groups)]) & patience
        rest = ~fusion & ~stopping
        members.append(Member(k, train_rows[rest], train_rows[stopping], train_rows[fusion]))
    no_rows = np.zeros(0, dtype=np.int64)
    refitted = Member(len(members), train_rows, no_rows, no_rows) if recipe.fusion.refit else None
    return Plan(name, train_rows, np.asarray(test, dtype=np.int64), tuple(members), refitted)


def branches(inputs: Inputs, recipe: Recipe, enrolled: bool) -> tuple[Branch, ...]:
    """The networks of one member, in the order in which the fusion reads them."""
    fuses = len(inputs.modalities) > 1
    if fuses and enrolled and recipe.enrolment is not None and recipe.enrolment.both is not None:
        return (*inputs.modalities, "both")
    return inputs.modalities


def network_jobs(plan: Plan, inputs: Inputs, recipe: Recipe, *, thresholds: bool = False) -> list[NetworkJob]:
    """The networks that a plan needs, those for enrolled speakers last.

    Args:
        plan: who trains on whom.
        inputs: what there is of each take.
        recipe: the networks.
        thresholds: whether abstention thresholds are chosen, for which networks that had not seen the
            training actors are needed even where nothing is fused.

    Returns:
        None where takes have ratings alone, and no labels.

    Raises:
        ExperimentError: a modality has too few clips to train on.
    """
    if not inputs.emotions:
        return []
    jobs = _network_jobs(plan, inputs, recipe, enrolled=False, thresholds=thresholds)
    if recipe.enrolment is not None:
        jobs += _network_jobs(plan, inputs, recipe, enrolled=True, thresholds=False)
    return jobs


def _network_jobs(
    plan: Plan, inputs: Inputs, recipe: Recipe, *, enrolled: bool, thresholds: bool
) -> list[NetworkJob]:
    jobs = []
    members = plan.members if plan.refitted is None else (*plan.members, plan.refitted)
    if len(inputs.modalities) == 1 and plan.refitted is not None and not thresholds:
        members = (plan.refitted,)  # the others are for the fusion
    for member in members:
        scores_test = member.index in plan.scoring
        for branch in branches(inputs, recipe, enrolled):

            def having(rows: Rows, branch: Branch = branch) -> tuple[int, ...]:
                return tuple(int(i) for i in inputs.having(branch, rows))

            patience = branch != "both" and getattr(recipe, branch).training.patience is not None
            # without patience nothing is learned from the stopping actors: train on them as well
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
                    f"fusion is fitted on: there are too few actors with a {branch}"
                )
            test = having(plan.test) if scores_test else ()
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
