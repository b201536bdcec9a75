"""The voice of the shipped recognizer: trained on a corpus, and its weight in the fusion."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import EmofuseError, ExperimentError
from emofuse.core.labels import EMOTIONS, emotion_index
from emofuse.core.metrics import accuracy, bootstrap_interval, expected_calibration_error
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features, Take
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import corpora_of
from emofuse.features.extraction import extract_takes
from emofuse.features.own_baseline import information_nats
from emofuse.recognition.baseline_model import INFORMATION
from emofuse.recognition.bundle import load_bundle
from emofuse.system.atomic_write import write_atomically
from emofuse.training.corpus_figures import CorpusFigures, figures_by_corpus
from emofuse.training.dataset import Inputs
from emofuse.training.fusion_classifiers import LogLinearPool
from emofuse.training.jobs import load_network, load_outputs, run_network_jobs
from emofuse.training.label_space import supervision_of
from emofuse.training.loop import infer
from emofuse.training.networks.float16 import store_as_float16
from emofuse.training.networks.onnx_export import export_ensemble
from emofuse.training.plan import NetworkJob, Plan
from emofuse.training.resources import Resources
from emofuse.training.ship.fusion import NO_OFFSETS
from emofuse.training.ship.rounding import differences


class DamagedFigures(TypedDict):
    """The voice on degraded recordings of speakers that the networks had not heard, as fractions."""

    condition: str
    """A name in :data:`emofuse.features.voice.degradations.DEGRADATIONS`."""
    accuracy: float
    accuracy_ci95: list[float]
    """Over speakers."""
    corpora: list[CorpusFigures]
    """Of each corpus apart, where several were joined."""


@dataclass(frozen=True, slots=True)
class FittedVoice:
    """A voice network trained on some speakers.

    ``weight``, ``accuracy``, ``calibration_error``, ``damaged`` and the intervals (95 %, over speakers) were
    measured on ``n_takes`` takes with networks that had not seen their speakers. The (expected) calibration
    error is that of the voice's own probabilities, which are the answer where there is no face.
    """

    network: Any
    weight: float
    n_takes: int
    accuracy: float
    interval: tuple[float, float]
    calibration_error: float
    calibration_interval: tuple[float, float]
    information_nats: float
    """What a clip of these takes tells on average: see :mod:`emofuse.features.own_baseline`."""
    corpora: tuple[CorpusFigures, ...] = ()
    """Of each corpus apart, where several were joined."""
    damaged: tuple[DamagedFigures, ...] = ()
    """Under each degradation that training recordings were heard with."""

    def as_dict(self) -> dict[str, Any]:
        """What the bundle says of the voice."""
        facts: dict[str, Any] = {
            "weight": self.weight,
            "takes": self.n_takes,
            "accuracy_on_held_out_speakers": self.accuracy,
            "interval_over_speakers": list(self.interval),
            "calibration_error": self.calibration_error,
            "calibration_interval_over_speakers": list(self.calibration_interval),
            INFORMATION: self.information_nats,
        }
        if self.corpora:
            facts["corpora"] = list(self.corpora)
        if self.damaged:
            facts["damaged"] = list(self.damaged)
        return facts


@dataclass(frozen=True, slots=True)
class ShippedVoice:
    """The voice branch of a bundle, whatever face it goes with.

    ``file``: its network as ONNX; ``weight``: in the fusion; ``facts``: what a bundle says of it, see
    :meth:`FittedVoice.as_dict`; ``rounding``: by how much float16 changes its probabilities; ``n_changed``:
    of how many of ``n`` answers.
    """

    file: bytes
    weight: float
    facts: Mapping[str, Any]
    rounding: float
    n: int
    n_changed: int


def export_voice(voice: FittedVoice, inputs: Inputs) -> ShippedVoice:
    """The network with its weights in float16, and what this changes on the takes it was trained on."""
    rows = np.asarray(inputs.load("voice"))
    full = export_ensemble([voice.network], rows[0].copy())
    small = store_as_float16(full)
    rounding, n_changed = differences(full, small, rows)
    return ShippedVoice(small, voice.weight, voice.as_dict(), rounding, len(rows), n_changed)


def voice_from_bundle(folder: Path, recipe: Recipe, inputs: Inputs) -> ShippedVoice:
    """The voice of a bundle that was shipped before, byte for byte, with what was measured of it then.

    Args:
        folder: the bundle; its checksums are compared.
        recipe: that the voice is wanted for.
        inputs: the voices that it must have been trained on.

    Raises:
        BundleError: there is no such bundle, or it is altered.
        ExperimentError: its voice is another than the recipe's, or was trained on other recordings.
    """
    bundle = load_bundle(folder)
    facts = bundle.provenance
    if bundle.recipe.voice != recipe.voice or "float16_changed_answers" not in facts:
        raise ExperimentError(
            f"{folder}: its voice is another than the recipe's: name a bundle of emofuse ship"
        )
    speakers = sorted(set(inputs.speakers.tolist()))
    if facts["takes"] != len(inputs.labels) or facts["speakers"] != speakers:
        raise ExperimentError(
            f"{folder}: its voice was trained on {facts['takes']} recordings of {len(facts['speakers'])} "
            f"speakers, the corpus has {len(inputs.labels)} of {len(speakers)}: name the corpus it is from"
        )
    changed = facts["float16_changed_answers"]["voice"]
    return ShippedVoice(
        bundle.read("voice.onnx"), facts["voice"]["weight"], facts["voice"],
        facts["float16_largest_difference"]["voice"], changed["n"], changed["changed"],
    )  # fmt: skip


def read_voices(corpus: Corpus, recipe: Recipe, folder: Path, resources: Resources) -> Inputs:
    """The voices of every take in every variant, written into ``folder``. Video is not read.

    Raises:
        ExperimentError: a voice cannot be read; a shipped recognizer is not trained on part of a corpus.
    """
    takes = voiced_takes(corpus)
    if not takes:
        raise ExperimentError(f"{corpus.root}: no recordings with a known emotion")
    for variant, features in enumerate(recipe.voice.variants):
        rows = _voices_at(takes, recipe.with_voice_features(features), resources)
        name = f"voice-{variant}.npy" if variant else "voice.npy"
        with write_atomically(folder / name) as file:
            np.save(file, rows)
    return Inputs(
        folder,
        np.array([emotion_index(str(take.emotion)) for take in takes], dtype=np.int64),
        np.array([take.speaker for take in takes]),
        {"voice": np.ones(len(takes), dtype=bool), "face": np.zeros(len(takes), dtype=bool)},
        len(recipe.voice.variants),
        supervision_of(takes, corpus, EMOTIONS),
        corpora_of(takes),
        {part.name: part.emotions for part in corpus.parts},
    )


def voiced_takes(corpus: Corpus) -> list[Take]:
    """The takes that a voice can learn from."""
    return [take for take in corpus.takes() if take.emotion is not None and take.voice is not None]


def _voices_at(takes: list[Take], recipe: Recipe, resources: Resources) -> NDArray[np.float32]:
    results = extract_takes(
        [replace(take, face=None) for take in takes],
        recipe,
        store=resources.store,
        executor=resources.executor,
        on_done=resources.on_done(f"voices at speed {recipe.voice.features.speed:g}"),
    )
    rows = []
    for take, result in zip(takes, results, strict=True):
        if isinstance(result, EmofuseError):
            raise ExperimentError(f"{take.take}: {result}")
        assert isinstance(result, Features)
        if result.voice is None:
            raise ExperimentError(f"{take.take}: no voice: {result.voice_missing}")
        rows.append(result.voice)
    return np.stack(rows)


def voices_fingerprint(inputs: Inputs) -> str:
    """Changes when a speaker, a label or a voice changes."""
    digest = hashlib.sha256("\n".join(inputs.speakers.tolist()).encode())
    digest.update(inputs.labels.tobytes())
    if inputs.supervision is not None:
        digest.update(inputs.supervision.mark())
    for variant in range(inputs.n_voice_variants):
        digest.update(inputs.load("voice", variant).tobytes())
    return digest.hexdigest()[:16]


def held_out_readings(plan: Plan, work: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What each network of a plan that :func:`fit_voice` has fitted says of the speakers it had not seen.

    Returns:
        (n,) rows of the inputs, and (n, n_emotions) log-probabilities.
    """
    outputs = [
        load_outputs(plan, "voice", member.fusion_rows, [member.index], work) for member in plan.members
    ]
    rows = np.concatenate([member.fusion_rows for member in plan.members])
    return rows, np.concatenate([of_member.log_probabilities for of_member in outputs])


def fit_voice(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, resources: Resources) -> FittedVoice:
    """Train networks that leave speakers out, to measure the weight, and one on all speakers of the plan."""
    assert plan.refitted is not None
    jobs = []
    for member in (*plan.members, plan.refitted):
        # no network is stopped early here: train on the stopping rows as well
        train = np.sort(np.concatenate([member.network_rows, member.stopping_rows]))
        score = tuple(member.fusion_rows.tolist())
        jobs.append(NetworkJob(plan.name, member.index, "voice", tuple(train.tolist()), score, score))
    run_network_jobs(jobs, inputs, recipe, work, resources, stage=f"voices: {plan.name}")
    damaged = damaged_figures(plan, jobs[:-1], inputs, recipe, work)
    rows, logs = held_out_readings(plan, work)
    truth = inputs.labels[rows]
    pool = LogLinearPool(NO_OFFSETS, n_emotions=len(EMOTIONS)).fit(
        logs.astype(np.float32), truth, inputs.supervised(rows)
    )
    predicted = logs.argmax(1)
    speakers, probabilities = inputs.speakers[rows], np.exp(logs)
    return FittedVoice(
        network=load_network(jobs[-1], inputs, recipe, work),
        weight=float(pool.weights[0]),
        n_takes=len(rows),
        accuracy=accuracy(truth, predicted),
        interval=bootstrap_interval(accuracy, truth, predicted, speakers, seed=recipe.seed),
        calibration_error=expected_calibration_error(truth, probabilities),
        calibration_interval=bootstrap_interval(
            expected_calibration_error, truth, probabilities, speakers, seed=recipe.seed
        ),
        information_nats=information_nats(probabilities),
        corpora=tuple(
            figures_by_corpus(
                truth, probabilities, speakers, inputs.corpora, inputs.distinguished, recipe.seed
            )
        ),
        damaged=tuple(damaged),
    )


def damaged_figures(
    plan: Plan, jobs: Sequence[NetworkJob], inputs: Inputs, recipe: Recipe, work: Path
) -> list[DamagedFigures]:
    """How the networks of a plan read degraded recordings of the speakers they had not seen.

    Args:
        plan: whose networks have been trained.
        jobs: of its members, in their order.
        inputs: the voices in every variant.
        recipe: its conditions are the degradations.
        work: the folder of the networks.
    """
    networks = [load_network(job, inputs, recipe, work) for job in jobs]
    rows = np.concatenate([member.fusion_rows for member in plan.members])
    truth, speakers = inputs.labels[rows], inputs.speakers[rows]
    figures: list[DamagedFigures] = []
    for variant, features in enumerate(recipe.voice.variants):
        if features.condition is None:
            continue
        values = inputs.load("voice", variant)
        pairs = zip(networks, plan.members, strict=True)
        logs = np.concatenate([infer(network, values[member.fusion_rows])[1] for network, member in pairs])
        predicted = logs.argmax(1)
        figures.append({
            "condition": features.condition,
            "accuracy": accuracy(truth, predicted),
            "accuracy_ci95": list(
                bootstrap_interval(accuracy, truth, predicted, speakers, seed=recipe.seed)
            ),
            "corpora": figures_by_corpus(
                truth, np.exp(logs), speakers, inputs.corpora, inputs.distinguished, recipe.seed
            ),
        })  # fmt: skip
    return figures
