"""Protocol × recipe → out-of-fold predictions and figures. The only place where folds are walked."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.progress import OnProgress, ignore_progress
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.evaluation.enrollment_curve import EnrolledOutputs, System, query_enrolled
from emofuse.evaluation.fold_audit import audit_folds
from emofuse.evaluation.system_metrics import Row, fold_name, more_figures, system_figures
from emofuse.features.store import FeatureStore
from emofuse.recognition.bundle import licence_text
from emofuse.system.atomic_write import write_atomically
from emofuse.system.process_pool import in_processes
from emofuse.training.dataset import MODALITIES, Dataset, Inputs, read_dataset
from emofuse.training.fusion import FittedFusion, fit_fusion
from emofuse.training.jobs import load_outputs, pretrained_sha256, run_network_jobs
from emofuse.training.plan import Plan, make_plan, network_jobs
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software, write_json


def evaluate(
    corpus: Corpus,
    recipe: Recipe,
    protocol: str,
    run: Path,
    *,
    jobs: int = 1,
    store: FeatureStore | None = None,
    on_progress: OnProgress = ignore_progress,
) -> dict[str, Any]:
    """Measure a recipe on a corpus: every fold is held out from everything that is fitted.

    Args:
        corpus: the takes.
        recipe: what is fitted, and how.
        protocol: name of the folds (see :mod:`emofuse.corpus.folds`).
        run: folder of the results; a run that was broken off there goes on where it was.
        jobs: processes. The figures do not depend on it.
        store: where features are kept; None computes them anew.
        on_progress: told of every step.

    Returns:
        What ``run``/results.json holds.

    Raises:
        ExperimentError: ``run`` holds another run, or the corpus is too small for the protocol.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    pretrained = pretrained_sha256(recipe)
    chosen = get_protocol(protocol)
    marks: RunMarks = {"recipe": recipe.hash(), "pretrained_sha256": pretrained, "protocol": chosen.hash()}
    check_run(run, marks)
    dataset = read_dataset(corpus, recipe, run / "work", jobs=jobs, store=store, on_progress=on_progress)
    plan = chosen.plan(dataset.takes)
    claim_run(run, {**marks, "corpus": dataset.fingerprint})
    licence = licence_text(corpus.licence, corpus.name)
    write_atomically(run / "work" / "LICENSE.txt", licence.encode())
    warned = audit_folds(
        plan.folds, dataset.takes, dataset.inputs, speaker_independent=chosen.speaker_independent
    )
    for fold in plan.folds:
        for modality in MODALITIES:
            if not dataset.inputs.has[modality][list(fold.test)].any():
                raise ExperimentError(f"{fold.name}: no test take has a {modality}, so nothing is measured")
    plans = [
        make_plan(f"fold-{fold.index + 1}", dataset.inputs, fold.train, fold.test, recipe)
        for fold in plan.folds
    ]
    networks = [job for one in plans for job in network_jobs(one, dataset.inputs, recipe)]
    run_network_jobs(networks, dataset.inputs, recipe, run / "work", jobs, on_progress)
    arguments = [(one, dataset.inputs, recipe, run / "work") for one in plans]
    fused = list(in_processes(_fuse_fold, arguments, jobs, lambda n: on_progress("fusions", n, len(plans))))
    enrolled: list[EnrolledOutputs] = []
    if recipe.enrolment is not None:
        more = [(*one, said) for one, said in zip(arguments, fused, strict=True)]
        enrolled = list(
            in_processes(_enrol_fold, more, jobs, lambda n: on_progress("enrolment", n, len(plans)))
        )

    table = [row for fold, one, said in zip(plan.folds, plans, fused, strict=True)
             for row in fold_predictions(fold, one, dataset, recipe, run / "work", said)]  # fmt: skip
    results = {
        "schema": 1,
        "protocol": protocol,
        "protocol_hash": chosen.hash(),
        "speaker_independent": chosen.speaker_independent,
        "recipe": {"name": recipe.name, "hash": recipe.hash(), "settings": recipe.model_dump(mode="json")},
        "pretrained_sha256": pretrained,
        "seed": recipe.seed,
        "corpus": {
            "name": corpus.name,
            "clips": len(dataset.takes),
            "actors": len(set(dataset.inputs.speakers.tolist())),
            "synthetic": corpus.synthetic,
            "licence": corpus.licence,
        },
        "notes": [*plan.notes, *warned, *dataset.notes],
        "systems": system_figures(table, plan.folds, recipe),
        **more_figures(table, dataset, recipe, enrolled),
        "fused_choice": {fold_name(f): said["chosen"] for f, said in zip(plan.folds, fused, strict=True)},
        "software": software(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 1),
    }
    write_predictions(run / "predictions.csv", table)
    write_json(run / "details.json", _details(dataset, plans, plan.folds, fused, recipe, run / "work"))
    _write_map(run, plan.folds[0], plans[0], dataset)
    _write_examples(run, table, dataset, recipe)
    write_json(run / "results.json", results)
    dataset.forget()
    return results


def _fuse_fold(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path) -> dict[str, Any]:
    """Tune, fit and ask every fusion of a fold; plain data, kept in ``work`` for a run that goes on."""
    path = work / plan.name / "fusion.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    fusion: FittedFusion = fit_fusion(plan, inputs, recipe, work)
    rows = inputs.having("both", plan.test)
    answers = [load_outputs(plan, modality, rows, plan.answering, work) for modality in MODALITIES]
    said = {
        "rows": rows.tolist(),
        "chosen": fusion.chosen,
        "probabilities": {
            name: fusion.predict(name, recipe, answers).tolist() for name in recipe.fusion.classifiers
        },
        "tuning": [
            {"classifier": t.classifier, "best": dict(t.parameters), "score": t.score, "trials": t.trials}
            for t in fusion.tuned
        ],
    }
    write_json(path, said)
    return said


def _strangers(plan: Plan, work: Path, fused: dict[str, Any]) -> dict[System, dict[int, NDArray[np.float64]]]:
    """What is said of a fold's test takes that have voice and face, without enrolment."""
    rows = np.array(fused["rows"], dtype=np.int64)
    said: dict[System, dict[int, NDArray[np.float64]]] = {}
    for modality in MODALITIES:
        answers = load_outputs(plan, modality, rows, plan.answering, work)
        said[modality] = dict(zip(rows.tolist(), np.exp(answers.log_probabilities), strict=True))
    both = np.array(fused["probabilities"][fused["chosen"]])
    said["fused"] = dict(zip(rows.tolist(), both, strict=True))
    return said


def _enrol_fold(
    plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, fused: dict[str, Any]
) -> EnrolledOutputs:
    return query_enrolled(plan, inputs, recipe, work, _strangers(plan, work, fused))


def fold_predictions(
    fold: Fold, plan: Plan, dataset: Dataset, recipe: Recipe, work: Path, fused: dict[str, Any]
) -> Iterator[Row]:
    """What every system says of a fold's test takes."""
    inputs = dataset.inputs
    said: dict[str, dict[int, NDArray[np.float64]]] = {}
    for modality in MODALITIES:
        rows = plan.test[inputs.has[modality][plan.test]]
        answers = load_outputs(plan, modality, rows, plan.answering, work)
        said[modality] = dict(zip(rows.tolist(), np.exp(answers.log_probabilities), strict=True))
    # a take that lacks a modality is judged by the other alone, whatever the fusion
    alone = {row: p for modality in MODALITIES for row, p in said[modality].items()}
    for name in recipe.fusion.classifiers:
        both = dict(zip(fused["rows"], map(np.asarray, fused["probabilities"][name]), strict=True))
        said[f"fused:{name}"] = {**alone, **both}
    said["fused"] = said[f"fused:{fused['chosen']}"]
    for system, by_row in said.items():
        for row in sorted(by_row):
            take = dataset.takes[row]
            yield Row(
                row=row,
                take=take.take,
                clip=take.clip_id,
                actor=take.speaker,
                emotion=int(inputs.labels[row]),
                fold=fold_name(fold),
                system=system,
                probabilities=by_row[row],
            )


def write_predictions(path: Path, table: Iterable[Row]) -> None:
    """Write predictions.csv: one line a take and system, probabilities in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["take", "clip", "actor", "emotion", "fold", "system", *EMOTIONS])
    for row in table:
        writer.writerow([row.take, row.clip, row.actor, EMOTIONS[row.emotion], row.fold, row.system,
                         *(repr(float(p)) for p in row.probabilities)])  # fmt: skip
    write_atomically(path, text.getvalue().encode())


def _details(
    dataset: Dataset,
    plans: Sequence[Plan],
    folds: Sequence[Fold],
    fused: Sequence[dict[str, Any]],
    recipe: Recipe,
    work: Path,
) -> dict[str, Any]:
    curves = []
    for fold, plan in zip(folds, plans, strict=True):
        for job in network_jobs(plan, dataset.inputs, recipe):
            epochs = json.loads((work / job.name / "curve.json").read_text())
            curves.append(
                {"fold": fold_name(fold), "member": job.member, "modality": job.modality, "epochs": epochs}
            )
    tuning = [
        {"fold": fold_name(fold), **t}
        for fold, said in zip(folds, fused, strict=True)
        for t in said["tuning"]
    ]
    return {
        "curves": curves,
        "tuning": tuning,
        "sources": dataset.sources,
        "features_notes": dataset.feature_notes,
        "failed": dataset.failed,
        "command": sys.argv[1:],
    }


def _write_map(run: Path, fold: Fold, plan: Plan, dataset: Dataset) -> None:
    """The joined feature layers of the first fold's test clips, for the report to draw."""
    inputs = dataset.inputs
    rows = inputs.having("both", plan.test)
    if len(rows) < 2:
        return
    first = plan.answering[:1]
    answers = [load_outputs(plan, modality, rows, first, run / "work") for modality in MODALITIES]
    joined = np.concatenate([said.features[0] for said in answers], axis=1)
    with write_atomically(run / "maps" / f"fused-fold-{fold_name(fold)}.npz") as file:
        np.savez(
            file,
            features=joined,
            takes=np.array([dataset.takes[row].take for row in rows]),
            emotion=inputs.labels[rows],
        )


def _write_examples(run: Path, table: Sequence[Row], dataset: Dataset, recipe: Recipe, most: int = 8) -> None:
    """The mistakes of the fusion that it was surest of, with what it saw and heard."""
    wrong = [row for row in table if row.system == "fused" and row.probabilities.argmax() != row.emotion]
    wrong.sort(key=lambda row: (-row.probabilities.max(), row.take))
    inputs = dataset.inputs
    for number, row in enumerate(wrong[:most], 1):
        arrays: dict[str, Any] = {
            "take": row.take,
            "emotion": EMOTIONS[row.emotion],
            "predicted": EMOTIONS[int(row.probabilities.argmax())],
            "probabilities": row.probabilities,
        }
        if inputs.has["voice"][row.row]:
            heard = inputs.load("voice")[row.row]
            if recipe.voice.features.kind == "log-mel":
                arrays["log_mel"] = heard[: recipe.voice.features.n_mels]
            elif recipe.voice.features.kind == "rosred-image":
                arrays["log_mel"] = heard[::-1].mean(2, dtype=np.float32)
        if inputs.has["face"][row.row] and recipe.face.features.kind == "stack":
            stack = inputs.load("face")[row.row]
            arrays["strip"] = stack[:: max(1, len(stack) // 8)][:8]
        with write_atomically(run / "examples" / f"{number:02d}-{row.take}.npz") as file:
            np.savez(file, **arrays)
