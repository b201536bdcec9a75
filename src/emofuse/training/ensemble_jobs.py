"""Jobs whose network is an ensemble: for unenrolled speakers, or for enrolled ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.part import AttentionPooling, Ensemble, Training
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.embeddings.pooled import PARTS, embedding_views
from emofuse.features.face.functionals import functional_views
from emofuse.features.speaker_normalization import (
    Moments,
    SpeakerPrior,
    draw_clips,
    speaker_scaler,
    standardize_speakers,
)
from emofuse.features.voice.inputs import voice_shape, voice_views
from emofuse.features.voice.speech_encoder import encoder_views
from emofuse.system.atomic_write import write_atomically
from emofuse.training.dataset import Branch, Inputs, ModalityName, Rows
from emofuse.training.networks.attention_pooling import AttentionNetworks, PartsView
from emofuse.training.networks.descriptor_ensemble import (
    DescriptorEnsemble,
    Layout,
    MeanOfExperts,
)
from emofuse.training.networks.rating_machine import RatingMachine
from emofuse.training.plan import NetworkJob, derive_seed
from emofuse.training.run_folder import read_run_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from emofuse.training.loop import Epoch, TrainedNetwork
    from emofuse.training.rating_plan import RatingJob
    from emofuse.training.supervision import Supervision

LEVEL: Final = "level"
"""The view that only the networks for enrolled speakers read: loudness is little use for an unenrolled one,
whose distance and gain are unknown."""


class EnrollmentDraw(NamedTuple):
    """Some of a speaker's clips, enrolled, and the others, which are then scored."""

    speaker_id: str
    n_clips: int
    draw: int
    enrolled: Rows
    scored: Rows


class Expert(NamedTuple):
    """One of the networks whose log-probabilities a branch averages: what it reads, how it is fitted."""

    view: Layout | PartsView
    settings: Ensemble | AttentionPooling


def experts_of(branch: Branch, recipe: Recipe, n_values: int, *, enrolled: bool) -> list[Expert]:
    """Which networks a branch has, and which columns of its input each reads.

    Args:
        branch: voice, face or both.
        recipe: names the features.
        n_values: length of a row.
        enrolled: whether the values are those of enrolled speakers, whose square roots are taken before
            they are standardized.
    """
    if branch == "face":
        layout = Layout(
            tuple(_face_views(recipe.face.features, 0, n_values)),
            root=recipe.face.features.takes_roots and not enrolled,
        )
        return [Expert(layout, recipe.face.network.ensemble)]
    columns = voice_views(recipe.voice.features)
    parts = columns.pop(PARTS, None)
    views = {name: (v.start, v.stop) for name, v in columns.items() if enrolled or name != LEVEL}
    if branch == "both":
        assert recipe.enrolment is not None and recipe.enrolment.both is not None
        faces = _face_views(recipe.face.features, voice_shape(recipe.voice.features)[0], n_values)
        return [Expert(Layout((*views.values(), *faces), second=len(faces)), recipe.enrolment.both)]
    network = recipe.voice.network
    apart = {name: views.pop(name) for name in encoder_views()} if network.encoder is not None else {}
    experts = [Expert(Layout(tuple(views.values())), network.ensemble)]
    if network.encoder is not None:
        experts.append(Expert(Layout(tuple(apart.values())), network.encoder))
    if network.attention is not None:
        assert parts is not None
        experts.append(Expert(PartsView(parts, recipe.voice.features.encoder_parts), network.attention))
    return experts


def _face_views(features: FaceFeatures, start: int, stop: int) -> list[tuple[int, int]]:
    """The views of the columns from ``start`` to ``stop``, which are those of a face."""
    if features.embedding is not None:
        views = embedding_views(features.embedding)
    elif features.kind == "functionals":
        views = functional_views(features)
    else:
        return [(start, stop)]
    return [(start + view.start, start + view.stop) for view in views.values()]


def values_of(branch: Branch, inputs: Inputs, recipe: Recipe, *, enrolled: bool) -> list[NDArray[np.float32]]:
    """(n_takes, n_values) float32 for every voice variant, before they are standardized."""
    takes_roots = enrolled and recipe.face.features.takes_roots

    def of(modality: ModalityName, variant: int) -> NDArray[np.float32]:
        rows = np.asarray(inputs.load(modality, variant), dtype=np.float32)
        return np.sqrt(np.maximum(rows, 0)) if takes_roots and modality == "face" else rows

    if branch == "face":
        return [of("face", 0)]
    voices = [of("voice", variant) for variant in range(inputs.n_voice_variants)]
    if branch == "voice":
        return voices
    return [np.concatenate([voice, of("face", 0)], axis=1) for voice in voices]


def train_ensemble_job(job: NetworkJob, inputs: Inputs, recipe: Recipe, folder: Path) -> TrainedNetwork:
    """Fit the ensemble of one job.

    For enrolled speakers, ``population.npz`` (the speaker prior) and ``draws.npz`` (outputs for test clips
    after a few of the speaker's other clips are enrolled) are written into ``folder``.
    """
    from emofuse.training.loop import TrainedNetwork

    values = values_of(job.modality, inputs, recipe, enrolled=job.enrolled)
    train, speaker_ids = list(job.train), inputs.speakers
    prior: SpeakerPrior | None = None
    variants = [rows[train] for rows in values]
    if job.enrolled:
        prior = SpeakerPrior.of(variants[0], speaker_ids[train])
        n_prior = _prior_clips(recipe)
        variants = [standardize_speakers(rows, speaker_ids[train], prior, n_prior) for rows in variants]
    experts = experts_of(job.modality, recipe, variants[0].shape[1], enrolled=job.enrolled)
    name = (job.plan, job.member, job.modality, "enrolled" if job.enrolled else "")
    fitted, curves = [], []
    for k, expert in enumerate(experts):
        one, curve = _fit(
            expert,
            variants,
            inputs.labels[train],
            speaker_ids[train],
            (recipe.face if job.modality == "face" else recipe.voice).training,
            n_emotions=inputs.n_emotions,
            seed=derive_seed(recipe.seed, *name, *((k,) if k else ())),
            supervision=inputs.supervised(train),
        )
        fitted.append(one)
        curves.append(curve)
    network = fitted[0] if len(fitted) == 1 else MeanOfExperts(fitted).eval()
    score = np.asarray(job.score, dtype=np.int64)
    queries = values[0][score]
    if prior is not None:
        # apart, so that where a speaker has clips in both parts, nothing of the test reaches the fusion
        queries = np.concatenate(
            [
                standardize_speakers(values[0][rows], speaker_ids[rows], prior, _prior_clips(recipe))
                for rows in np.split(score, [len(score) - len(job.test)])
            ]
        )
        folder.mkdir(parents=True, exist_ok=True)
        _write_prior(folder / "population.npz", prior)
        test = inputs.having("both", np.asarray(job.test, dtype=np.int64))
        _write_draws(
            folder / "draws.npz", enrollment_draws(test, inputs, recipe), values[0], recipe, prior, network
        )
    return TrainedNetwork.with_outputs(
        network, max(curves, key=len), queries, n_emotions=inputs.n_emotions, batch_size=256
    )


def _fit(
    expert: Expert,
    variants: list[NDArray[np.float32]],
    labels: Rows,
    speaker_ids: NDArray[np.str_],
    training: Training,
    *,
    n_emotions: int,
    seed: int,
    supervision: Supervision | None,
) -> tuple[nn.Module, list[Epoch]]:
    from emofuse.training.attention import train_attention
    from emofuse.training.ensemble import train_ensemble

    view, settings = expert
    if isinstance(view, PartsView):
        assert isinstance(settings, AttentionPooling)
        return train_attention(
            variants, labels, view, settings, n_emotions=n_emotions, seed=seed, supervision=supervision
        )
    assert isinstance(settings, Ensemble)
    return train_ensemble(
        variants, labels, speaker_ids, view, settings, training,
        n_emotions=n_emotions, seed=seed, supervision=supervision,
    )  # fmt: skip


def _prior_clips(recipe: Recipe) -> float:
    assert recipe.enrolment is not None
    return recipe.enrolment.prior_clips


def _write_prior(path: Path, prior: SpeakerPrior) -> None:
    with write_atomically(path) as file:
        np.savez(file, mean=prior.mean, spread=prior.spread, within=prior.within)


def enrollment_draws(rows: Rows, inputs: Inputs, recipe: Recipe) -> list[EnrollmentDraw]:
    """Every draw of enrolled clips among ``rows``, for every speaker and number of clips.

    Draws depend on the speaker and the recipe's seed alone, so that every branch and fold draws the same.
    """
    assert recipe.enrolment is not None
    out = []
    for speaker in sorted(set(inputs.speakers[rows].tolist())):
        own = np.sort(rows[inputs.speakers[rows] == speaker])
        for n_clips in recipe.enrolment.clips:
            if n_clips >= len(own):
                continue
            for draw in range(recipe.enrolment.draws):
                seed = derive_seed(recipe.seed, "enrolment", speaker, n_clips, draw)
                chosen = draw_clips(len(own), n_clips, [seed])
                out.append(EnrollmentDraw(speaker, n_clips, draw, own[chosen], own[~chosen]))
    return out


def _write_draws(
    path: Path,
    draws: Sequence[EnrollmentDraw],
    values: NDArray[np.float32],
    recipe: Recipe,
    prior: SpeakerPrior,
    network: nn.Module,
) -> None:
    """Write the network's outputs for the scored clips: rows, clips, draws, log_probabilities."""
    from emofuse.training.loop import infer

    if not draws:
        return
    queries = []
    for one in draws:
        scaler = speaker_scaler(Moments.of(values[one.enrolled]), prior, _prior_clips(recipe))
        queries.append(scaler.apply(values[one.scored]))
    _, logs = infer(network, np.concatenate(queries), batch_size=512)
    with write_atomically(path) as file:
        np.savez(
            file,
            rows=np.concatenate([one.scored for one in draws]),
            clips=np.concatenate([np.full(len(one.scored), one.n_clips) for one in draws]),
            draws=np.concatenate([np.full(len(one.scored), one.draw) for one in draws]),
            log_probabilities=logs.astype(np.float32),
        )


def load_ensemble(
    job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path
) -> DescriptorEnsemble | MeanOfExperts:
    """What :func:`train_ensemble_job` has fitted."""
    state = read_run_weights(work / job.name / "weights.safetensors")
    n_values = len(state["mean"] if "mean" in state else state["experts.0.mean"])
    experts = experts_of(job.modality, recipe, n_values, enrolled=job.enrolled)
    if len(experts) == 1:
        assert isinstance(experts[0].view, Layout)
        return DescriptorEnsemble.of_state(experts[0].view, state)
    parts = []
    for k, expert in enumerate(experts):
        prefix = f"experts.{k}."
        own = {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}
        parts.append(_load(expert, own, inputs.n_emotions))
    return MeanOfExperts(parts).eval()


def _load(expert: Expert, state: dict[str, Tensor], n_emotions: int) -> nn.Module:
    view, settings = expert
    if isinstance(view, Layout):
        return DescriptorEnsemble.of_state(view, state)
    assert isinstance(settings, AttentionPooling)
    network = AttentionNetworks(view, n_emotions, settings)
    network.load_state_dict(state)
    return network.eval()


def rate_ensemble(job: RatingJob, inputs: Inputs, recipe: Recipe) -> RatingMachine:
    """Fit the kernel machines of a job's ratings, on the values that the emotions' ensembles read."""
    from emofuse.training.rating_machine import fit_rating_machine

    train = list(job.train)
    variants = [rows[train] for rows in values_of(job.modality, inputs, recipe, enrolled=False)]
    return fit_rating_machine(
        variants,
        inputs.ratings[train],
        inputs.speakers[train],
        _rating_experts(job, recipe, variants[0].shape[1]),
        inputs.dimensions,
        seed=derive_seed(recipe.seed, job.plan, job.member, job.modality, "ratings"),
    )


def _rating_experts(job: RatingJob, recipe: Recipe, n_values: int) -> list[tuple[Layout, Ensemble]]:
    """The experts with a kernel machine: all but those that read an utterance part by part."""
    experts = experts_of(job.modality, recipe, n_values, enrolled=False)
    return [
        (view, settings)
        for view, settings in experts
        if isinstance(view, Layout) and isinstance(settings, Ensemble)
    ]


def load_rating_ensemble(job: RatingJob, inputs: Inputs, recipe: Recipe, work: Path) -> RatingMachine:
    """What :func:`rate_ensemble` has fitted."""
    state = read_run_weights(work / job.name / "weights.safetensors")
    experts = _rating_experts(job, recipe, inputs.load(job.modality).shape[1])
    machines = []
    for k, (layout, _) in enumerate(experts):
        prefix = f"machines.{k}."
        own = {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}
        machines.append(DescriptorEnsemble.of_state(layout, own))
    return RatingMachine(machines, state["offset"]).eval()
