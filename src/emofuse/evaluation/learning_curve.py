"""How many coded minutes are worth it: accuracy over how much of the training part is used.

For each share of the training takes, networks and fusion are trained anew in every fold, and tested on the
same test takes, of speakers who are in no training. Larger shares contain the smaller ones; of every training
speaker and label a share is kept, at the least one take. Minutes are those of the takes that were trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError, MediaError
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Take
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.evaluation.cross_validation import predictions
from emofuse.evaluation.fold_audit import check_folds
from emofuse.evaluation.fold_outputs import fold_plans, fuse_fold
from emofuse.media.container import open_media
from emofuse.system.file_lock import locked_folder
from emofuse.training.dataset import Dataset, read_dataset
from emofuse.training.jobs import pretrained_sha256, run_network_jobs
from emofuse.training.plan import network_jobs
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import claim_run, write_json

SHARES: Final = (0.125, 0.25, 0.5, 1.0)
RESULTS: Final = "learning-curve.json"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What one share of the training takes is worth."""

    share: float
    takes: float
    """Training takes, as the mean over folds."""
    minutes: float | None
    """Of these takes, as the mean over folds; None where the length of one is unknown."""
    n_tested: int
    uar: float
    """Unweighted average recall of voice and face together, over the test takes of all folds."""
    uar_ci95: tuple[float, float]
    """Over test speakers."""
    accuracy: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """All points, from the fewest takes to all of them."""

    recipe: str
    protocol: str
    corpus: str
    emotions: tuple[str, ...]
    n_speakers: int
    points: tuple[CurvePoint, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema": _SCHEMA, **asdict(self)}


def learning_curve(
    corpus: Corpus,
    recipe: Recipe,
    protocol: str,
    run: Path,
    resources: Resources = ONE_PROCESS,
    *,
    shares: Sequence[float] = SHARES,
) -> LearningCurve:
    """Measure a recipe with parts of the training takes.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how; networks for enrolled speakers are left out.
        protocol: name of speaker-independent folds (see :mod:`emofuse.corpus.folds`).
        run: folder of the results; an interrupted run in it resumes.
        resources: executor, device, stored features, progress.
        shares: of the training takes, above 0 and at most 1.

    Returns:
        What ``run``/learning-curve.json holds.

    Raises:
        ExperimentError: speakers are in both parts of the protocol's folds, ``run`` holds another run or is
            in use, or the corpus is too small.
        ValueError: a share is not above 0 and at most 1.
    """
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"shares must be above 0 and at most 1, got {', '.join(map(str, shares)) or 'none'}")
    with locked_folder(run), resources.computing():
        return _curve(corpus, recipe, protocol, run, resources, sorted(set(shares)))


def _curve(
    corpus: Corpus, recipe: Recipe, protocol: str, run: Path, resources: Resources, shares: Sequence[float]
) -> LearningCurve:
    recipe = recipe.model_copy(update={"enrolment": None})
    chosen = get_protocol(protocol)
    if not chosen.speaker_independent:
        raise ExperimentError(
            f"protocol {protocol} has the same people in both parts: a learning curve needs held-out speakers"
        )
    pretrained = pretrained_sha256(recipe, corpus)
    dataset = read_dataset(corpus, recipe, run / "work", resources)
    if not dataset.inputs.emotions:
        raise ExperimentError("a learning curve is about labels, and this corpus has none")
    claim_run(run, {
        "recipe": recipe.hash(), "pretrained_sha256": pretrained,
        "protocol": f"learning-curve {chosen.hash()}", "corpus": dataset.fingerprint,
        **resources.marks(recipe),
    })  # fmt: skip
    split = chosen.plan(dataset.takes)
    warnings = check_folds(split.folds, dataset, speaker_independent=True)
    minutes = _minutes(dataset.takes)
    points = []
    for share in shares:
        folds = [
            replace(fold, train=kept_rows(fold.train, dataset, share, recipe.seed)) for fold in split.folds
        ]
        points.append(_point(share, folds, dataset, recipe, run, resources, minutes))
    found = LearningCurve(
        recipe.name, protocol, corpus.name, dataset.inputs.emotions, dataset.n_speakers, tuple(points),
        (*split.notes, *warnings, *dataset.notes),
    )  # fmt: skip
    write_json(run / RESULTS, found.to_dict())
    dataset.forget()
    return found


def kept_rows(train: Sequence[int], dataset: Dataset, share: float, seed: int) -> tuple[int, ...]:
    """The training rows of a share: of every speaker and label, that share of the takes, rounded up.

    A larger share keeps those of a smaller one, and the same seed the same rows.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for row in train:
        key = str(dataset.inputs.speakers[row]), int(dataset.inputs.labels[row])
        groups.setdefault(key, []).append(row)
    kept: list[int] = []
    for number, (_, rows) in enumerate(sorted(groups.items())):
        # the order does not depend on the share, nor on the rows of other speakers
        order = np.random.default_rng([seed, number]).permutation(len(rows))
        n_kept = max(1, math.ceil(share * len(rows) - 1e-9))
        kept += (sorted(rows)[n] for n in order[:n_kept])
    return tuple(sorted(kept))


def _point(
    share: float,
    folds: Sequence[Fold],
    dataset: Dataset,
    recipe: Recipe,
    run: Path,
    resources: Resources,
    minutes: Sequence[float | None],
) -> CurvePoint:
    inputs, work = dataset.inputs, run / "work" / f"share-{share:g}"
    plans = fold_plans(folds, inputs, recipe)
    jobs = [job for plan in plans for job in network_jobs(plan, inputs, recipe, thresholds=True)]
    run_network_jobs(jobs, inputs, recipe, work, resources)
    fused = resources.map("fusions", fuse_fold, [(plan, inputs, recipe, work) for plan in plans])
    rows = [row for row in predictions(folds, plans, dataset, recipe, work, fused) if row.system == "fused"]
    truth = np.array([row.emotion for row in rows])
    said = np.array([int(row.probabilities.argmax()) for row in rows])
    speakers = np.array([row.actor for row in rows])
    trained = [[minutes[row] for row in fold.train] for fold in folds]
    known = [sum(one for one in own if one is not None) for own in trained if None not in own]
    return CurvePoint(
        share=share,
        takes=float(np.mean([len(fold.train) for fold in folds])),
        minutes=float(np.mean(known)) if len(known) == len(folds) else None,
        n_tested=len(rows),
        uar=metrics.uar(truth, said),
        uar_ci95=metrics.bootstrap_interval(metrics.uar, truth, said, speakers, seed=recipe.seed),
        accuracy=metrics.accuracy(truth, said),
        accuracy_ci95=metrics.bootstrap_interval(metrics.accuracy, truth, said, speakers, seed=recipe.seed),
    )


def _minutes(takes: Sequence[Take]) -> list[float | None]:
    """How long each take is: by its start and end in the table, or by its file."""
    files: dict[Path, float | None] = {}
    return [_length(take, files) for take in takes]


def _length(take: Take, files: dict[Path, float | None]) -> float | None:
    clip = take.voice or take.face
    assert clip is not None
    end_s = clip.end_s
    if end_s is None:
        if clip.path not in files:
            try:
                with open_media(clip.path) as recording:
                    files[clip.path] = recording.duration_s
            except MediaError:
                files[clip.path] = None
        end_s = files[clip.path]
    return None if end_s is None else (end_s - (clip.start_s or 0.0)) / 60
