"""Every kind of network in one table: how it is trained and loaded, and which weights it starts from.

:mod:`emofuse.training.jobs` alone imports this module. A kind is one row: to add one, name it in
:mod:`emofuse.core.recipes`, write its network below :mod:`emofuse.training.networks`, and add its row here.
Networks are imported where they are needed, because loading torch is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.pretrained import known_weights
from emofuse.core.recipes.recipe import Recipe
from emofuse.system.checksums import file_digest
from emofuse.training.dataset import Branch, Inputs
from emofuse.training.plan import NetworkJob, derive_seed
from emofuse.training.run_folder import read_run_weights

if TYPE_CHECKING:
    from torch import nn

    from emofuse.training.loop import Epoch, Examples, TrainedNetwork
    from emofuse.training.rating_plan import RatingJob

Build = Callable[[Recipe, Sequence[int], Sequence[str]], "nn.Module"]
"""Makes an untrained network for features of one clip's shape and the labels to tell apart, from torch's
current seed."""
Fit = Callable[..., "tuple[nn.Module, list[Epoch]]"]
"""Trains a network; called as :func:`_fit_in_epochs`."""
Weights = Callable[[Recipe], str | None]
"""The sha256 of the weights that a recipe starts from; None where it starts from none."""


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """What a run does with one kind of network.

    ``train`` fits the network of a job, and may leave more in the job's folder; ``load`` reads one back.
    ``rate`` and ``load_rating`` do the same for a network that outputs ratings.
    """

    train: Callable[[NetworkJob, Inputs, Recipe, Path], TrainedNetwork]
    load: Callable[[NetworkJob, Inputs, Recipe, Path], nn.Module]
    pretrained_sha256: Weights
    rate: Callable[[RatingJob, Inputs, Recipe], nn.Module]
    load_rating: Callable[[RatingJob, Inputs, Recipe, Path], nn.Module]


def network_kind(branch: Branch, recipe: Recipe) -> NetworkKind:
    """The row of the table for a branch of a recipe."""
    return KINDS["ensemble" if branch == "both" else getattr(recipe, branch).network.kind]


def _fit_in_epochs(
    build: Callable[[], nn.Module],
    examples: Examples,
    part: Any,
    *,
    n_emotions: int,
    seed: int,
    held_out: Examples | None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train from the weights that ``build`` gives the network.

    Args:
        build: makes the network.
        examples: the clips to train on.
        part: the recipe's part for the network's modality.
        n_emotions: how many labels the network tells apart.
        seed: random seed.
        held_out: clips that decide when to stop, for a recipe with patience.
    """
    from emofuse.training.loop import augmentation_for, train_network

    return train_network(
        build,
        examples,
        part.training,
        n_emotions=n_emotions,
        seed=seed,
        augment=augmentation_for(part.features, part.training),
        held_out=held_out,
    )


def _fit_lrcn(
    build: Callable[[], nn.Module],
    examples: Examples,
    part: Any,
    *,
    n_emotions: int,
    seed: int,
    held_out: Examples | None,
) -> tuple[nn.Module, list[Epoch]]:
    from emofuse.training.lrcn import train_lrcn

    return train_lrcn(build, examples, part, n_emotions=n_emotions, seed=seed, held_out=held_out)


def _fit_nothing(
    build: Callable[[], nn.Module], examples: Examples, *_: Any, **__: Any
) -> tuple[nn.Module, list[Epoch]]:
    """For networks that were trained beforehand, on other data."""
    if examples.ratings is not None:
        raise ExperimentError(
            "face.network.kind 'expression' is trained beforehand, and outputs no ratings: use another recipe"
        )
    return build(), []


def _no_weights(_: Recipe) -> None:
    return None


def _built(
    build: Build, *, fit: Fit = _fit_in_epochs, pretrained_sha256: Weights = _no_weights
) -> NetworkKind:
    """A kind whose network is built first, then trained on the features of one modality."""

    def train(job: NetworkJob, inputs: Inputs, recipe: Recipe, _: Path) -> TrainedNetwork:
        from emofuse.training.loop import Examples, TrainedNetwork

        assert job.modality != "both"
        features = inputs.load(job.modality)

        def examples(rows: Sequence[int]) -> Examples:
            chosen = list(rows)
            return Examples(
                np.ascontiguousarray(features[chosen]), inputs.labels[chosen], inputs.supervised(chosen)
            )

        network, curve = fit(
            lambda: build(recipe, features.shape[1:], inputs.emotions),
            examples(job.train),
            getattr(recipe, job.modality),
            n_emotions=inputs.n_emotions,
            seed=derive_seed(recipe.seed, job.plan, job.member, job.modality),
            held_out=examples(job.held_out) if job.held_out else None,
        )
        return TrainedNetwork.with_outputs(
            network, curve, features[list(job.score)], n_emotions=inputs.n_emotions
        )

    def load(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> nn.Module:
        assert job.modality != "both"
        network = build(recipe, inputs.load(job.modality).shape[1:], inputs.emotions)
        network.load_state_dict(read_run_weights(work / job.name / "weights.safetensors"))
        return network.eval()

    def rate(job: RatingJob, inputs: Inputs, recipe: Recipe) -> nn.Module:
        from emofuse.training.rating_networks import train_rated

        return train_rated(job, inputs, recipe, build, fit)

    def load_rating(job: RatingJob, inputs: Inputs, recipe: Recipe, work: Path) -> nn.Module:
        from emofuse.training.rating_networks import load_rated

        return load_rated(job, inputs, recipe, build, work)

    return NetworkKind(train, load, pretrained_sha256, rate, load_rating)


def _alexnet(recipe: Recipe, _: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.voice import AlexNet

    settings = recipe.voice.network
    return AlexNet(len(emotions), settings.n_features, settings.dropout)


def _compact_voice(recipe: Recipe, shape: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.voice import CompactVoiceNetwork

    return CompactVoiceNetwork(
        shape[0], len(emotions), recipe.voice.network, pitch=recipe.voice.features.pitch
    )


def _dense_voice(recipe: Recipe, shape: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.voice import DenseVoiceNetwork

    settings = recipe.voice.network
    return DenseVoiceNetwork(shape[0], len(emotions), settings.n_features, settings.dropout)


def _lrcn(recipe: Recipe, _: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.face import build_lrcn

    return build_lrcn(recipe.face.network, len(emotions))


def _lrcn_weights(recipe: Recipe) -> str | None:
    from emofuse.training.networks.face import find_emotion_cnn_weights

    path = find_emotion_cnn_weights(recipe.face.network.emotion_cnn)
    return None if path is None else file_digest(path, "sha256")


def _action_units(recipe: Recipe, shape: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.face import ActionUnitNetwork

    noise = recipe.face.training.augmentation.noise
    return ActionUnitNetwork(shape[0], len(emotions), recipe.face.network, noise=noise)


def _blendshapes(recipe: Recipe, shape: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.blendshape_lstm import BlendshapeNetwork

    noise = recipe.face.training.augmentation.noise
    return BlendshapeNetwork(shape[1], len(emotions), recipe.face.network, noise=noise)


def _blendshape_weights(_: Recipe) -> str | None:
    """The Face Landmarker's; the file itself is needed only to extract features that the store lacks."""
    return known_weights("face-landmarker").sha256


def _expression(recipe: Recipe, _: Sequence[int], emotions: Sequence[str]) -> nn.Module:
    from emofuse.training.networks.expression_over_time import load_expression_over_time

    settings = recipe.face.network
    return load_expression_over_time(settings.expression_weights, settings.pooling, emotions)


def _expression_weights(recipe: Recipe) -> str | None:
    _expression(recipe, (), EMOTIONS)
    return file_digest(Path(str(recipe.face.network.expression_weights)), "sha256")


def _train_ensemble(job: NetworkJob, inputs: Inputs, recipe: Recipe, folder: Path) -> TrainedNetwork:
    from emofuse.training.ensemble_jobs import train_ensemble_job

    return train_ensemble_job(job, inputs, recipe, folder)


def _ensemble_weights(recipe: Recipe) -> str | None:
    return _blendshape_weights(recipe) if recipe.face.features.reads_blendshapes else None


def _load_ensemble(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> nn.Module:
    from emofuse.training.ensemble_jobs import load_ensemble

    return load_ensemble(job, inputs, recipe, work)


def _rate_ensemble(job: RatingJob, inputs: Inputs, recipe: Recipe) -> nn.Module:
    from emofuse.training.ensemble_jobs import rate_ensemble

    return rate_ensemble(job, inputs, recipe)


def _load_rating_ensemble(job: RatingJob, inputs: Inputs, recipe: Recipe, work: Path) -> nn.Module:
    from emofuse.training.ensemble_jobs import load_rating_ensemble

    return load_rating_ensemble(job, inputs, recipe, work)


KINDS: Final[dict[str, NetworkKind]] = {
    # voice
    "default": _built(_compact_voice),
    "alexnet": _built(_alexnet),
    "mlp": _built(_dense_voice),
    # face
    "lrcn": _built(_lrcn, fit=_fit_lrcn, pretrained_sha256=_lrcn_weights),
    "au-mlp": _built(_action_units),
    "lstm": _built(_blendshapes, pretrained_sha256=_blendshape_weights),
    "expression": _built(_expression, fit=_fit_nothing, pretrained_sha256=_expression_weights),
    # voice, face, and both at once
    "ensemble": NetworkKind(
        _train_ensemble, _load_ensemble, _ensemble_weights, _rate_ensemble, _load_rating_ensemble
    ),
}
"""By the recipe's network.kind."""
