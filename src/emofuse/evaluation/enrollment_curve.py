"""What a few unlabeled recordings of a speaker are worth: accuracy over the number of enrolled clips.

Enrolled clips are never scored, except at the point "all", which is transductive: there all clips of a
speaker, including those that are scored, were used (without labels) to standardize that speaker.
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
from emofuse.training.dataset import Inputs, Rows
from emofuse.training.fusion import FittedFusion, fit_fusion, join_logs
from emofuse.training.jobs import load_outputs
from emofuse.training.plan import Plan, branches, job_name
from emofuse.training.run_folder import read_run_arrays

ALL = 0
"""Stands for all of a speaker's clips among the numbers of clips."""


@dataclass(frozen=True, slots=True)
class EnrolledOutputs:
    """Outputs for test clips of enrolled speakers; row i is one take after one draw of enrolled clips.

    ``clips``: how many of the speaker's clips were enrolled, :data:`ALL` for all; ``probabilities``: per
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
    unenrolled: Mapping[System, Mapping[int, NDArray[np.float64]]],
) -> EnrolledOutputs:
    """Fit the fusion for enrolled speakers and run it on a plan's test clips, after every draw.

    Args:
        plan: names the test clips.
        inputs: features and labels.
        recipe: one with an enrollment.
        work: holds the networks' outputs.
        unenrolled: row → probabilities of each system for every test take, without enrollment.
    """
    path = work / plan.name / "enrolled.npz"
    if not path.is_file():
        fuses = len(inputs.modalities) > 1
        fusion = fit_fusion(plan, inputs, recipe, work, enrolled=True) if fuses else None
        _write(path, _outputs(plan, inputs, recipe, work, fusion, unenrolled))
    arrays = read_run_arrays(path)
    return EnrolledOutputs(
        arrays["rows"],
        arrays["clips"],
        arrays["draws"],
        {name: arrays[name] for name in MAIN_SYSTEMS if name in arrays},
    )


def _write(path: Path, outputs: EnrolledOutputs) -> None:
    with write_atomically(path) as file:
        systems: dict[str, Any] = {str(name): values for name, values in outputs.probabilities.items()}
        np.savez(file, rows=outputs.rows, clips=outputs.clips, draws=outputs.draws, **systems)


def _outputs(
    plan: Plan,
    inputs: Inputs,
    recipe: Recipe,
    work: Path,
    fusion: FittedFusion | None,
    unenrolled: Mapping[System, Mapping[int, NDArray[np.float64]]],
) -> EnrolledOutputs:
    assert recipe.enrolment is not None
    prior = recipe.enrolment.prior_clips
    names = branches(inputs, recipe, True)
    test = inputs.having("both", plan.test)
    outputs = {b: load_outputs(plan, b, test, plan.scoring, work, enrolled=True) for b in names}
    n_own = {s: int((inputs.speakers[test] == s).sum()) for s in set(inputs.speakers[test].tolist())}
    blocks = [(test, np.full(len(test), ALL), np.zeros(len(test), np.int64),
               {b: of_branch.log_probabilities for b, of_branch in outputs.items()})]  # fmt: skip
    draws = [work / plan.name / job_name(plan.scoring[0], b, True) / "draws.npz" for b in names]
    if all(path.is_file() for path in draws):
        logs = {}
        for branch, path in zip(names, draws, strict=True):
            arrays = read_run_arrays(path)
            labels = (arrays["rows"], arrays["clips"], arrays["draws"])
            logs[branch] = arrays["log_probabilities"].astype(np.float64)
        blocks.append((*labels, logs))
    rows, clips, draw_numbers = (np.concatenate([block[i] for block in blocks]) for i in range(3))
    systems: tuple[System, ...] = (*inputs.modalities, "fused")
    parts: dict[System, list[NDArray[np.float64]]] = {name: [] for name in systems}
    for _, _, _, logs in blocks:
        for modality in inputs.modalities:
            parts[modality].append(np.exp(logs[modality]))
        if fusion is None:
            parts["fused"].append(parts[inputs.modalities[0]][-1])
        else:
            model = fusion.classifiers[fusion.chosen][0]
            parts["fused"].append(model.predict_proba(join_logs([logs[b] for b in names])))
    all_clips = np.array([n_own[str(s)] for s in inputs.speakers[rows]])
    n_enrolled = np.where(clips == ALL, all_clips, clips)
    weights = np.array([unenrolled_weight(n, prior) for n in n_enrolled])
    return EnrolledOutputs(
        rows,
        clips,
        draw_numbers,
        {name: _blended(np.concatenate(parts[name]), unenrolled[name], rows, weights) for name in parts},
    )


def _blended(
    enrolled: NDArray[np.float64],
    unenrolled: Mapping[int, NDArray[np.float64]],
    rows: Rows,
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    without = np.stack([unenrolled[int(row)] for row in rows])
    return blend(without, enrolled, weights[:, None])


def curve_over_clips(
    enrolled: Sequence[EnrolledOutputs],
    unenrolled: Mapping[System, Mapping[int, NDArray[np.float64]]],
    inputs: Inputs,
    seed: int,
) -> EnrollmentFigures:
    """Accuracy of every system over the number of enrolled clips, with 95 % intervals over actors."""
    systems: dict[str, list[EnrollmentPoint]] = {}
    for name in unenrolled:
        rows = np.array(sorted(unenrolled[name]))
        points = [_point(0, 1, rows, np.stack([unenrolled[name][int(r)] for r in rows]), inputs, seed)]
        numbers = sorted({int(n) for one in enrolled for n in one.clips if n != ALL})
        for n_clips in (*numbers, ALL):
            chosen = [one.clips == n_clips for one in enrolled]
            rows = np.concatenate([one.rows[mask] for one, mask in zip(enrolled, chosen, strict=True)])
            scores = np.concatenate(
                [one.probabilities[name][mask] for one, mask in zip(enrolled, chosen, strict=True)]
            )
            draws = {int(d) for one, mask in zip(enrolled, chosen, strict=True) for d in one.draws[mask]}
            points.append(
                _point("all" if n_clips == ALL else n_clips, len(draws), rows, scores, inputs, seed)
            )
        systems[name] = points
    return {"systems": systems}


def _point(
    clips: int | str, draws: int, rows: Rows, scores: NDArray[np.float64], inputs: Inputs, seed: int
) -> EnrollmentPoint:
    truth, predicted, actors = inputs.labels[rows], scores.argmax(1), inputs.speakers[rows]
    return {
        "clips": clips,
        "accuracy": metrics.accuracy(truth, predicted),
        "ci95": list(metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=seed)),
        "log_loss": metrics.log_loss(truth, scores),
        "ece": metrics.expected_calibration_error(truth, scores),
        "draws": draws,
        "n": len(rows),
    }
