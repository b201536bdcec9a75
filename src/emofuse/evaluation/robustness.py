"""How a measured recogniser stands damage to the sound: the same networks, the same clips, worse recordings.

Nothing is fitted anew. Each fold's networks and fusion, as the evaluation left them, read the fold's test
recordings once more through every degradation of :mod:`emofuse.features.voice.degradations`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.progress import OnProgress, ignore_progress
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import get_protocol
from emofuse.features.extraction import extract_takes
from emofuse.features.store import FeatureStore
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.training.dataset import MODALITIES, Dataset, Rows, read_dataset
from emofuse.training.fusion import fit_fusion
from emofuse.training.jobs import NetworkOutputs, load_network, load_outputs
from emofuse.training.plan import Plan, make_plan, network_jobs
from emofuse.training.run_folder import read_marks, write_json

CLEAN = "clean"


def measure_robustness(
    run: Path,
    corpus: Corpus,
    *,
    jobs: int = 1,
    store: FeatureStore | None = None,
    on_progress: OnProgress = ignore_progress,
) -> list[dict[str, Any]]:
    """Measure a run's networks on degraded recordings; the figures join ``run``/results.json.

    Args:
        run: folder that :func:`emofuse.evaluation.cross_validation.evaluate` has written.
        corpus: the one it was evaluated on.
        jobs: processes that extract features.
        store: where features are kept.
        on_progress: told of every step.

    Raises:
        ExperimentError: there is no such run, its networks are gone, or the corpus is another.
    """
    results, recipe = _read(run)
    dataset = read_dataset(corpus, recipe, run / "work", jobs=jobs, store=store, on_progress=on_progress)
    if (read_marks(run) or {}).get("corpus") != dataset.fingerprint:
        raise ExperimentError(f"{run} was made on another corpus than {corpus.root}")
    plans = [
        make_plan(f"fold-{fold.index + 1}", dataset.inputs, fold.train, fold.test, recipe)
        for fold in get_protocol(results["protocol"]).plan(dataset.takes).folds
    ]
    fold_readers = [_FoldReader(plan, dataset, recipe, run / "work") for plan in plans]
    clean = np.asarray(dataset.inputs.load("voice"))
    rows = np.concatenate([reader.rows for reader in fold_readers])

    def record(condition: str, system: str, said: NDArray[np.float64]) -> dict[str, Any]:
        return _record(condition, system, rows, said, dataset, recipe.seed)

    said = _said(fold_readers, clean)
    records = [record(CLEAN, system, said[system]) for system in (*MODALITIES, "fused")]
    # a take that lacks a modality is judged by the other one alone
    records += [record("no voice", "fused", said["face"]), record("no face", "fused", said["voice"])]
    for name in DEGRADATIONS:
        voices = _degraded(dataset, recipe, name, clean, jobs, store, on_progress)
        said = _said(fold_readers, voices)
        records += [record(name, system, said[system]) for system in ("voice", "fused")]
    dataset.forget()
    results["robustness"] = records
    write_json(run / "results.json", results)
    return records


def _read(run: Path) -> tuple[dict[str, Any], Recipe]:
    try:
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        return results, parse_recipe(results["recipe"]["settings"], source=f"{run / 'results.json'}")
    except (OSError, ValueError, KeyError) as error:
        raise ExperimentError(f"{run} holds no finished run: {error}") from None


def _degraded(
    dataset: Dataset,
    recipe: Recipe,
    condition: str,
    clean: NDArray[Any],
    jobs: int,
    store: FeatureStore | None,
    on_progress: OnProgress,
) -> NDArray[Any]:
    """Every voice as it comes that way, in the order of the takes."""
    features = recipe.voice.features.model_copy(update={"condition": condition})
    other = recipe.hearing(features)
    there = np.flatnonzero(dataset.inputs.has["voice"])
    takes = [replace(dataset.takes[i], face=None) for i in there]
    found = extract_takes(
        takes, other, store=store, jobs=jobs, on_done=lambda done, total: on_progress(condition, done, total)
    )
    voices = np.zeros_like(clean)
    for i, result in zip(there, found, strict=True):
        if not isinstance(result, Features) or result.voice is None:
            raise ExperimentError(f"{dataset.takes[i].clip_id} cannot be read under {condition}: {result}")
        voices[i] = result.voice
    return voices


class _FoldReader:
    """What one fold's networks and fusion say of its test takes with other voices."""

    def __init__(self, plan: Plan, dataset: Dataset, recipe: Recipe, work: Path) -> None:
        self.plan, self.inputs, self.recipe, self.work = plan, dataset.inputs, recipe, work
        self.rows: Rows = self.inputs.having("both", plan.test)
        jobs = [
            job
            for job in network_jobs(plan, self.inputs, recipe)
            if job.modality == "voice" and not job.enrolled and job.member in plan.answering
        ]
        if not all((work / job.name / "weights.safetensors").is_file() for job in jobs):
            raise ExperimentError(f"the networks of {plan.name} are gone from {work}: evaluate anew")
        self.networks = [load_network(job, self.inputs, recipe, work) for job in jobs]
        self.fusion = fit_fusion(plan, self.inputs, recipe, work)
        self.face = load_outputs(plan, "face", self.rows, plan.answering, work)

    def answers(self, voices: NDArray[Any]) -> NetworkOutputs:
        """Of the voice networks."""
        from emofuse.training.loop import infer

        said = [infer(network, voices[self.rows], batch_size=256) for network in self.networks]
        return NetworkOutputs(np.stack([f for f, _ in said]), np.stack([logs for _, logs in said]))

    def probabilities(self, voices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """Of voice, face and both."""
        voice = self.answers(voices)
        return {
            "voice": np.exp(voice.log_probabilities),
            "face": np.exp(self.face.log_probabilities),
            "fused": self.fusion.predict(self.fusion.chosen, self.recipe, [voice, self.face]),
        }


def _said(readers: list[_FoldReader], voices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """What every system says of all folds' test takes."""
    folds = [reader.probabilities(voices) for reader in readers]
    return {system: np.concatenate([one[system] for one in folds]) for system in (*MODALITIES, "fused")}


def _record(
    condition: str, system: str, rows: Rows, said: NDArray[np.float64], dataset: Dataset, seed: int
) -> dict[str, Any]:
    truth, actors = dataset.inputs.labels[rows], dataset.inputs.speakers[rows]
    predicted = said.argmax(1)
    return {
        "condition": condition,
        "system": system,
        "accuracy": metrics.accuracy(truth, predicted),
        "ci95": list(metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=seed)),
        "ece": metrics.expected_calibration_error(truth, said),
        "n": len(rows),
    }
