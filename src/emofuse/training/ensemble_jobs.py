"""Jobs whose network is an ensemble: for strangers, or for people of whom some recordings are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.part import Ensemble, Training
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.speaker_normalization import (
    Moments,
    SpeakerPrior,
    draw_clips,
    speaker_scaler,
    standardize_speakers,
)
from emofuse.features.voice.descriptors import descriptor_views
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import Branch, Inputs, ModalityName, Rows
from emofuse.training.networks.descriptor_ensemble import DescriptorEnsemble, Layout
from emofuse.training.plan import NetworkJob, derive_seed

if TYPE_CHECKING:
    from emofuse.training.loop import TrainedNetwork

STRANGER_VIEWS = ("functionals", "percentiles", "correlations", "contours", "convolutions")
"""Loudness says little of a stranger, whose distance and gain are unknown, and much of a known person."""


def layout_of(branch: Branch, recipe: Recipe, n_values: int, *, enrolled: bool) -> Layout:
    """What is in a row of a branch's input.

    Args:
        branch: voice, face or both.
        recipe: names the features.
        n_values: length of the row.
        enrolled: whether values are those of known people: then roots are taken before standardising.
    """
    views: list[tuple[int, int]] = []
    if branch != "face":
        places = descriptor_views(recipe.voice.features.n_mels)
        views = [(v.start, v.stop) for name, v in places.items() if enrolled or name in STRANGER_VIEWS]
        if branch == "voice":
            return Layout(tuple(views))
        return Layout((*views, (max(v.stop for v in places.values()), n_values)), second=1)
    return Layout(((0, n_values),), root=not enrolled)


def values_of(branch: Branch, inputs: Inputs, *, enrolled: bool) -> list[NDArray[np.float32]]:
    """(n_takes, n_values) float32 of every version, as they enter the network or its standardising."""

    def of(modality: ModalityName, version: int) -> NDArray[np.float32]:
        rows = np.asarray(inputs.load(modality, version), dtype=np.float32)
        return np.sqrt(np.maximum(rows, 0)) if enrolled and modality == "face" else rows

    if branch == "face":
        return [of("face", 0)]
    voices = [of("voice", version) for version in range(inputs.n_voice_versions)]
    if branch == "voice":
        return voices
    return [np.concatenate([voice, of("face", 0)], axis=1) for voice in voices]


def train_ensemble_job(job: NetworkJob, inputs: Inputs, recipe: Recipe, folder: Path) -> TrainedNetwork:
    """Fit the ensemble of one job.

    For enrolled speakers, ``population.npz`` (the speaker prior) and ``draws.npz`` (outputs for test clips
    after a few of the speaker's other clips are known) are written into ``folder``.
    """
    from emofuse.training.ensemble import train_ensemble
    from emofuse.training.loop import TrainedNetwork

    values = values_of(job.modality, inputs, enrolled=job.enrolled)
    train, speakers = list(job.train), inputs.speakers
    population: SpeakerPrior | None = None
    versions = [rows[train] for rows in values]
    if job.enrolled:
        prior = _prior(recipe)
        population = SpeakerPrior.of(versions[0], speakers[train])
        versions = [standardize_speakers(rows, speakers[train], population, prior) for rows in versions]
    network, curve = train_ensemble(
        versions,
        inputs.labels[train],
        speakers[train],
        layout_of(job.modality, recipe, versions[0].shape[1], enrolled=job.enrolled),
        *_settings(job.modality, recipe),
        n_emotions=len(EMOTIONS),
        seed=derive_seed(recipe.seed, job.plan, job.member, job.modality, "enrolled" if job.enrolled else ""),
    )
    score = np.asarray(job.score, dtype=np.int64)
    queried = values[0][score]
    if population is not None:
        # apart, so that where a speaker has clips in both parts, nothing of the test reaches the fusion
        queried = np.concatenate(
            [
                standardize_speakers(values[0][rows], speakers[rows], population, _prior(recipe))
                for rows in np.split(score, [len(score) - len(job.test)])
            ]
        )
        folder.mkdir(parents=True, exist_ok=True)
        _write_population(folder / "population.npz", population)
        _write_draws(folder / "draws.npz", job, values[0], inputs, recipe, population, network)
    return TrainedNetwork.with_outputs(network, curve, queried, batch_size=256)


def _prior(recipe: Recipe) -> float:
    assert recipe.enrolment is not None
    return recipe.enrolment.prior_clips


def _settings(branch: Branch, recipe: Recipe) -> tuple[Ensemble, Training]:
    if branch == "both":
        assert recipe.enrolment is not None and recipe.enrolment.both is not None
        return recipe.enrolment.both, recipe.voice.training
    part = getattr(recipe, branch)
    return part.network.ensemble, part.training


def _write_population(path: Path, population: SpeakerPrior) -> None:
    with write_atomically(path) as file:
        np.savez(file, mean=population.mean, spread=population.spread, within=population.within)


def enrollment_draws(rows: Rows, inputs: Inputs, recipe: Recipe) -> list[tuple[str, int, int, Rows, Rows]]:
    """Who, how many clips, which draw, the enrolled rows and those that are then scored.

    The draws follow from the person and the recipe's seed: every branch and fold draws the same.
    """
    assert recipe.enrolment is not None
    out = []
    for person in sorted(set(inputs.speakers[rows].tolist())):
        own = np.sort(rows[inputs.speakers[rows] == person])
        for n_clips in recipe.enrolment.clips:
            if n_clips >= len(own):
                continue
            for draw in range(recipe.enrolment.draws):
                seed = derive_seed(recipe.seed, "enrolment", person, n_clips, draw)
                chosen = draw_clips(len(own), n_clips, [seed])
                out.append((person, n_clips, draw, own[chosen], own[~chosen]))
    return out


def _write_draws(
    path: Path,
    job: NetworkJob,
    values: NDArray[np.float32],
    inputs: Inputs,
    recipe: Recipe,
    population: SpeakerPrior,
    network: DescriptorEnsemble,
) -> None:
    """What the network says of test clips after each draw: row, clips, draw, log_probabilities."""
    from emofuse.training.loop import infer

    test = inputs.having("both", np.asarray(job.test, dtype=np.int64)) if job.test else np.zeros(0, np.int64)
    rows, clips, draws, asked = [], [], [], []
    for _, n_clips, draw, enrolled, scored in enrollment_draws(test, inputs, recipe):
        standard = speaker_scaler(Moments.of(values[enrolled]), population, _prior(recipe))
        asked.append(standard.apply(values[scored]))
        rows.append(scored)
        clips.append(np.full(len(scored), n_clips))
        draws.append(np.full(len(scored), draw))
    if not rows:
        return
    _, logs = infer(network, np.concatenate(asked), batch_size=512)
    with write_atomically(path) as file:
        np.savez(
            file,
            rows=np.concatenate(rows),
            clips=np.concatenate(clips),
            draws=np.concatenate(draws),
            log_probabilities=logs.astype(np.float32),
        )


def load_ensemble(job: NetworkJob, recipe: Recipe, work: Path) -> DescriptorEnsemble:
    """An ensemble that :func:`train_ensemble_job` has fitted."""
    from safetensors.torch import load

    state: dict[str, Any] = load((work / job.name / "weights.safetensors").read_bytes())
    layout = layout_of(job.modality, recipe, len(state["mean"]), enrolled=job.enrolled)
    return DescriptorEnsemble.of_state(layout, state)
