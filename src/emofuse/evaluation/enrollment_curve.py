"""What knowing some unlabelled recordings of a person is worth: a curve over their number.

Clips that are enrolled are never scored, but at the point «all», which is transductive: there every clip of a
person, the scored ones too, was used (without its label) to standardise that person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.recipes.recipe import Recipe
from emofuse.evaluation.results import MAIN_SYSTEMS, EnrollmentFigures, EnrollmentPoint, System
from emofuse.features.speaker_normalization import blend, unenrolled_weight
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import MODALITIES, Inputs, Rows
from emofuse.training.fusion import FittedFusion, fit_fusion, join_logs
from emofuse.training.jobs import load_outputs
from emofuse.training.plan import Plan, branches, job_name

ALL = 0
"""Stands for «all of the person's clips» among the numbers of clips."""


@dataclass(frozen=True, slots=True)
class EnrolledOutputs:
    """What is said of test clips of known people. Row i is one answer about one take.

    ``clips``: how many of the person's clips were enrolled, :data:`ALL` for all; ``probabilities``: per
    system (n, n_emotions).
    """

    rows: Rows
    clips: NDArray[np.int64]
    draws: NDArray[np.int64]
    probabilities: Mapping[System, NDArray[np.float64]]


def query_enrolled(
    plan: Plan,
    inputs: Inputs,
    recipe: Recipe,
    work: Path,
    strangers: Mapping[System, Mapping[int, NDArray[np.float64]]],
) -> EnrolledOutputs:
    """Fit the fusion for known people and ask it about a plan's test clips, after every draw.

    Args:
        plan: who is test.
        inputs: features and labels.
        recipe: with an enrolment.
        work: where the networks have written what they say.
        strangers: what is said of every test take without enrolment.
    """
    path = work / plan.name / "enrolled.npz"
    if not path.is_file():
        fusion = fit_fusion(plan, inputs, recipe, work, enrolled=True)
        _write(path, _answers(plan, inputs, recipe, work, fusion, strangers))
    with np.load(path, allow_pickle=False) as file:
        return EnrolledOutputs(
            file["rows"], file["clips"], file["draws"], {name: file[name] for name in MAIN_SYSTEMS}
        )


def _write(path: Path, answers: EnrolledOutputs) -> None:
    with write_atomically(path) as file:
        said: dict[str, Any] = {str(name): values for name, values in answers.probabilities.items()}
        np.savez(file, rows=answers.rows, clips=answers.clips, draws=answers.draws, **said)


def _answers(
    plan: Plan,
    inputs: Inputs,
    recipe: Recipe,
    work: Path,
    fusion: FittedFusion,
    strangers: Mapping[System, Mapping[int, NDArray[np.float64]]],
) -> EnrolledOutputs:
    assert recipe.enrolment is not None
    prior = recipe.enrolment.prior_clips
    names = branches(recipe, True)
    test = inputs.having("both", plan.test)
    said = {b: load_outputs(plan, b, test, plan.scoring, work, enrolled=True) for b in names}
    own = {s: int((inputs.speakers[test] == s).sum()) for s in set(inputs.speakers[test].tolist())}
    blocks = [(test, np.full(len(test), ALL), np.zeros(len(test), np.int64),
               {b: answers.log_probabilities for b, answers in said.items()})]  # fmt: skip
    draws = [work / plan.name / job_name(plan.scoring[0], b, True) / "draws.npz" for b in names]
    if all(path.is_file() for path in draws):
        logs = {}
        for branch, path in zip(names, draws, strict=True):
            with np.load(path, allow_pickle=False) as file:
                place = (file["rows"], file["clips"], file["draws"])
                logs[branch] = file["log_probabilities"].astype(np.float64)
        blocks.append((*place, logs))
    rows, clips, number = (np.concatenate([block[i] for block in blocks]) for i in range(3))
    parts: dict[System, list[NDArray[np.float64]]] = {name: [] for name in MAIN_SYSTEMS}
    for _, _, _, logs in blocks:
        for modality in MODALITIES:
            parts[modality].append(np.exp(logs[modality]))
        model = fusion.classifiers[fusion.chosen][0]
        parts["fused"].append(model.predict_proba(join_logs([logs[b] for b in names])))
    known = np.array([own[str(s)] for s in inputs.speakers[rows]])
    share = np.array([unenrolled_weight(n, prior) for n in np.where(clips == ALL, known, clips)])
    return EnrolledOutputs(
        rows,
        clips,
        number,
        {name: _blended(np.concatenate(parts[name]), strangers[name], rows, share) for name in MAIN_SYSTEMS},
    )


def _blended(
    enrolled: NDArray[np.float64],
    strangers: Mapping[int, NDArray[np.float64]],
    rows: Rows,
    share: NDArray[np.float64],
) -> NDArray[np.float64]:
    without = np.stack([strangers[int(row)] for row in rows])
    return blend(without, enrolled, share[:, None])


def curve_over_clips(
    answers: Sequence[EnrolledOutputs],
    strangers: Mapping[System, Mapping[int, NDArray[np.float64]]],
    inputs: Inputs,
    seed: int,
) -> EnrollmentFigures:
    """Accuracy of every system over the number of enrolled clips, with 95 % intervals over actors."""
    systems: dict[str, list[EnrollmentPoint]] = {}
    for name in MAIN_SYSTEMS:
        rows = np.array(sorted(strangers[name]))
        points = [_point(0, 1, rows, np.stack([strangers[name][int(r)] for r in rows]), inputs, seed)]
        numbers = sorted({int(n) for one in answers for n in one.clips if n != ALL})
        for n_clips in (*numbers, ALL):
            chosen = [one.clips == n_clips for one in answers]
            rows = np.concatenate([one.rows[mask] for one, mask in zip(answers, chosen, strict=True)])
            said = np.concatenate(
                [one.probabilities[name][mask] for one, mask in zip(answers, chosen, strict=True)]
            )
            draws = {int(d) for one, mask in zip(answers, chosen, strict=True) for d in one.draws[mask]}
            points.append(_point("all" if n_clips == ALL else n_clips, len(draws), rows, said, inputs, seed))
        systems[name] = points
    return {"systems": systems}


def _point(
    clips: int | str, draws: int, rows: Rows, said: NDArray[np.float64], inputs: Inputs, seed: int
) -> EnrollmentPoint:
    truth, predicted, actors = inputs.labels[rows], said.argmax(1), inputs.speakers[rows]
    return {
        "clips": clips,
        "accuracy": metrics.accuracy(truth, predicted),
        "ci95": list(metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=seed)),
        "log_loss": metrics.log_loss(truth, said),
        "ece": metrics.expected_calibration_error(truth, said),
        "draws": draws,
        "n": len(rows),
    }
