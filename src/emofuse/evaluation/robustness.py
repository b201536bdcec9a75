"""How robust a measured recognizer is to degraded audio: the same networks, the same clips, worse recordings.

Nothing is fitted again. Each fold's networks and fusion, as the evaluation left them, read the fold's test
recordings once more under every degradation of :mod:`emofuse.features.voice.degradations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features
from emofuse.corpus.common_labels import join_to_test
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import TEST_ON, get_protocol
from emofuse.corpus.joined import join_corpora
from emofuse.evaluation.fold_outputs import fold_plans
from emofuse.evaluation.results import (
    MAIN_SYSTEMS,
    RESULTS_FILE,
    Results,
    RobustnessFigures,
    System,
    read_results,
    recipe_of,
    write_results,
)
from emofuse.features.extraction import extract_takes
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.system.file_lock import locked_folder
from emofuse.training.dataset import Dataset, Rows, need_labels, read_dataset
from emofuse.training.fusion import fit_fusion
from emofuse.training.jobs import NetworkOutputs, load_network, load_outputs
from emofuse.training.plan import Plan, network_jobs
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import read_marks

CLEAN: Final = "clean"


def corpus_of_run(run: Path, corpora: Sequence[Corpus], weights: Mapping[str, float] | None = None) -> Corpus:
    """The corpora of a run, joined as they were for it, whatever their order.

    Of a run that tested one corpus and trained on the others, with the labels that both sides have.

    Args:
        run: folder that :func:`emofuse.evaluation.cross_validation.evaluate` has written.
        corpora: all of the run.
        weights: how much a clip of each counts in training, by its name in small letters, where it is not to
            be as in the run.

    Raises:
        ExperimentError: there is no such run, or it was made on other corpora.
        CorpusError: two corpora have the same name.
    """
    results, _ = _read(run)
    parts = {part["name"]: part for part in results.get("corpus", {}).get("parts", ())}
    given = {corpus.name: corpus for corpus in corpora}
    if len(given) < len(corpora) or not parts:
        return join_corpora(corpora)
    if given.keys() != parts.keys():
        raise ExperimentError(
            f"{run} was made on {', '.join(parts)}: give these corpora, all of them, not {', '.join(given)}"
        )
    counts = [(weights or {}).get(name.lower(), part.get("weight", 1.0)) for name, part in parts.items()]
    ordered = [given[name] for name in parts]
    if results["protocol"].startswith(TEST_ON):
        return join_to_test(ordered[:-1], ordered[-1], counts)[0]
    return join_corpora(ordered, counts)


def measure_robustness(
    run: Path,
    corpus: Corpus,
    resources: Resources = ONE_PROCESS,
) -> list[RobustnessFigures]:
    """Measure a run's networks on degraded recordings; the figures join ``run``/results.json.

    Args:
        run: folder that :func:`emofuse.evaluation.cross_validation.evaluate` has written.
        corpus: the one it was evaluated on; of several, see :func:`corpus_of_run`.
        resources: executor, device, stored features, progress.

    Raises:
        ExperimentError: there is no such run, it is in use, its networks are gone, or the corpus is another.
    """
    need_labels(corpus, "robustness")
    results, recipe = _read(run)
    with locked_folder(run), resources.computing():
        return _measure(run, corpus, results, recipe, resources)


def _measure(
    run: Path, corpus: Corpus, results: Results, recipe: Recipe, resources: Resources
) -> list[RobustnessFigures]:
    dataset = read_dataset(corpus, recipe, run / "work", resources)
    if (read_marks(run) or {}).get("corpus") != dataset.fingerprint:
        raise ExperimentError(
            f"{run} was made on another corpus than {corpus.root}, or with other labels: give the corpus "
            "with the options of the run (--corpus, --labels, --dimensions)"
        )
    modalities = dataset.inputs.modalities
    if "voice" not in modalities:
        raise ExperimentError(f"{corpus.root}: no take has a voice to degrade")
    folds = get_protocol(results["protocol"]).plan(dataset.takes).folds
    readers = [
        _FoldReader(plan, dataset, recipe, run / "work") for plan in fold_plans(folds, dataset.inputs, recipe)
    ]
    clean = np.asarray(dataset.inputs.load("voice"))
    rows = np.concatenate([reader.rows for reader in readers])

    def figures(degradation: str, system: System, scores: NDArray[np.float64]) -> RobustnessFigures:
        return _figures(degradation, system, rows, scores, dataset, recipe.seed)

    scores = _scores(readers, clean)
    found = [figures(CLEAN, system, scores[system]) for system in MAIN_SYSTEMS if system in scores]
    if "face" in modalities:  # a take that lacks a modality is judged by the other one alone
        found += [figures("no voice", "fused", scores["face"]), figures("no face", "fused", scores["voice"])]
    for name in DEGRADATIONS:
        voices = _degraded(dataset, recipe, name, clean, np.sort(rows), resources)
        scores = _scores(readers, voices)
        found += [figures(name, "voice", scores["voice"]), figures(name, "fused", scores["fused"])]
    del clean  # a mapped file, which Windows cannot delete
    dataset.forget()
    results["robustness"] = found
    write_results(run, results)
    return found


def _read(run: Path) -> tuple[Results, Recipe]:
    try:
        results = read_results(run / RESULTS_FILE)
        return results, recipe_of(results, run / RESULTS_FILE)
    except ExperimentError as error:
        raise ExperimentError(f"{run} holds no finished run: {error}") from None


def _degraded(
    dataset: Dataset,
    recipe: Recipe,
    degradation: str,
    clean: NDArray[Any],
    rows: Rows,
    resources: Resources,
) -> NDArray[Any]:
    """(n_takes, …) voices under one degradation: those of ``rows``, and zeros elsewhere."""
    features = recipe.voice.features.model_copy(update={"condition": degradation})
    other = recipe.with_voice_features(features)
    takes = [replace(dataset.takes[i], face=None) for i in rows]
    extracted = extract_takes(
        takes,
        other,
        store=resources.store,
        executor=resources.executor,
        on_done=resources.on_done(degradation),
    )
    voices = np.zeros_like(clean)
    for i, result in zip(rows, extracted, strict=True):
        if not isinstance(result, Features) or result.voice is None:
            raise ExperimentError(f"{dataset.takes[i].clip_id} cannot be read under {degradation}: {result}")
        voices[i] = result.voice
    return voices


class _FoldReader:
    """What one fold's networks and fusion output for its test takes with other voices."""

    def __init__(self, plan: Plan, dataset: Dataset, recipe: Recipe, work: Path) -> None:
        self.plan, self.inputs, self.recipe, self.work = plan, dataset.inputs, recipe, work
        self.rows: Rows = self.inputs.having("both", plan.test)
        jobs = [
            job
            for job in network_jobs(plan, self.inputs, recipe)
            if job.modality == "voice" and not job.enrolled and job.member in plan.scoring
        ]
        if not all((work / job.name / "weights.safetensors").is_file() for job in jobs):
            raise ExperimentError(f"the networks of {plan.name} are gone from {work}: evaluate again")
        self.networks = [load_network(job, self.inputs, recipe, work) for job in jobs]
        self.fusion = self.face = None
        if "face" in self.inputs.modalities:
            self.fusion = fit_fusion(plan, self.inputs, recipe, work)
            self.face = load_outputs(plan, "face", self.rows, plan.scoring, work)

    def outputs(self, voices: NDArray[Any]) -> NetworkOutputs:
        """Of the voice networks."""
        from emofuse.training.loop import infer

        outputs = [infer(network, voices[self.rows], batch_size=256) for network in self.networks]
        return NetworkOutputs(
            np.stack([features for features, _ in outputs]), np.stack([logs for _, logs in outputs])
        )

    def probabilities(self, voices: NDArray[Any]) -> dict[System, NDArray[np.float64]]:
        """Of voice, face and both; without faces, of the voice, which is then the fused system."""
        voice = self.outputs(voices)
        if self.fusion is None or self.face is None:
            alone = np.exp(voice.log_probabilities)
            return {"voice": alone, "fused": alone}
        return {
            "voice": np.exp(voice.log_probabilities),
            "face": np.exp(self.face.log_probabilities),
            "fused": self.fusion.predict(self.fusion.chosen, self.recipe, [voice, self.face]),
        }


def _scores(readers: list[_FoldReader], voices: NDArray[Any]) -> dict[System, NDArray[np.float64]]:
    """Every system's probabilities for the test takes of all folds."""
    folds = [reader.probabilities(voices) for reader in readers]
    return {system: np.concatenate([of_fold[system] for of_fold in folds]) for system in folds[0]}


def _figures(
    degradation: str, system: System, rows: Rows, scores: NDArray[np.float64], dataset: Dataset, seed: int
) -> RobustnessFigures:
    truth, actors = dataset.inputs.labels[rows], dataset.inputs.speakers[rows]
    predicted = scores.argmax(1)
    return {
        "condition": degradation,
        "system": system,
        "accuracy": metrics.accuracy(truth, predicted),
        "ci95": list(metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=seed)),
        "ece": metrics.expected_calibration_error(truth, scores),
        "n": len(rows),
    }
