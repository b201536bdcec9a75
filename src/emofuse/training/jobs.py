"""Training the networks of a plan, one job each, and reading what they output.

Jobs can run in any order and in any process. A finished job is skipped, so an interrupted run resumes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS
from emofuse.core.pretrained import known_weights
from emofuse.core.recipes.recipe import Recipe
from emofuse.system.atomic_write import write_atomically
from emofuse.system.download import file_digest
from emofuse.training.dataset import Branch, Inputs, ModalityName, Rows
from emofuse.training.plan import NetworkJob, Plan, derive_seed, is_ensemble, job_name


def pretrained_sha256(recipe: Recipe) -> str | None:
    """The sha256 of the pre-trained weights that a recipe's face needs; None where it needs none.

    Those behind blendshapes are looked for when features are extracted, unless the store has them all.

    Raises:
        WeightsError: they are missing or altered; better said before hours of work than after.
    """
    if recipe.face.network.kind == "expression":
        from emofuse.training.networks.expression_over_time import load_expression_over_time

        load_expression_over_time(recipe.face.network.expression_weights)
        return file_digest(Path(str(recipe.face.network.expression_weights)), "sha256")
    if recipe.face.features.kind == "blendshapes":
        return known_weights("face-landmarker").sha256
    if recipe.face.network.kind != "lrcn":
        return None
    from emofuse.training.networks.face import find_emotion_cnn_weights

    path = find_emotion_cnn_weights(recipe.face.network.emotion_cnn)
    return None if path is None else file_digest(path, "sha256")


def run_network_job(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> None:
    """Train one network and write what it says; nothing is done where that is already written.

    Writes ``outputs.npz`` (rows, features, log_probabilities), ``weights.safetensors`` and, last,
    ``curve.json`` into ``work``/job.name.
    """
    folder = work / job.name
    if (folder / "curve.json").is_file():
        return
    if is_ensemble(job.modality, recipe):
        from emofuse.training.ensemble_jobs import run_ensemble_job

        run_ensemble_job(job, inputs, recipe, folder)
        return
    from safetensors.torch import save

    from emofuse.training.loop import Epoch, Examples, augmentation_for, infer, train_network

    assert job.modality != "both"
    part = getattr(recipe, job.modality)
    features = inputs.load(job.modality)

    def examples(rows: Sequence[int]) -> Examples:
        return Examples(np.ascontiguousarray(features[list(rows)]), inputs.labels[list(rows)])

    def build() -> Any:
        assert job.modality != "both"
        return build_network(recipe, job.modality, features.shape[1:])

    seed = derive_seed(recipe.seed, job.plan, job.member, job.modality)
    held_out = examples(job.held_out) if job.held_out else None
    n_emotions = len(EMOTIONS)
    if part.network.kind == "expression":
        # trained elsewhere, on other faces
        network, curve = build(), list[Epoch]()
    elif part.network.kind == "lrcn":
        from emofuse.training.lrcn import train_lrcn

        network, curve = train_lrcn(
            build, examples(job.train), part, n_emotions=n_emotions, seed=seed, held_out=held_out
        )
    else:
        network, curve = train_network(
            build,
            examples(job.train),
            part.training,
            n_emotions=n_emotions,
            seed=seed,
            augment=augmentation_for(part.features, part.training),
            held_out=held_out,
        )
    # a network that was refitted for a bundle is asked about nobody
    layer, logs = np.zeros((0, 1), np.float32), np.zeros((0, n_emotions))
    if job.score:
        layer, logs = infer(network, np.ascontiguousarray(features[list(job.score)]))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "weights.safetensors", save(network.state_dict()))
    with write_atomically(folder / "outputs.npz") as file:
        np.savez(file, rows=np.asarray(job.score), features=layer, log_probabilities=logs)
    write_atomically(folder / "curve.json", json.dumps([epoch.as_dict() for epoch in curve]).encode())


def build_network(recipe: Recipe, modality: ModalityName, input_shape: Sequence[int]) -> Any:
    """The recipe's network for a modality, untrained."""
    if modality == "voice":
        from emofuse.training.networks.voice import build_voice_network

        return build_voice_network(recipe.voice, input_shape, len(EMOTIONS))
    if recipe.face.network.kind == "expression":
        from emofuse.training.networks.expression_over_time import load_expression_over_time

        return load_expression_over_time(recipe.face.network.expression_weights)
    from emofuse.training.networks.face import build_face_network

    return build_face_network(
        recipe.face.network, input_shape, len(EMOTIONS), noise=recipe.face.training.augmentation.noise
    )


def load_network(job: NetworkJob, inputs: Inputs, recipe: Recipe, work: Path) -> Any:
    """A network that :func:`run_network_job` has trained."""
    from safetensors.torch import load

    if is_ensemble(job.modality, recipe):
        from emofuse.training.ensemble_jobs import load_ensemble

        return load_ensemble(job, recipe, work)
    assert job.modality != "both"
    network = build_network(recipe, job.modality, inputs.load(job.modality).shape[1:])
    network.load_state_dict(load((work / job.name / "weights.safetensors").read_bytes()))
    return network.eval()


@dataclass(frozen=True, slots=True)
class Answers:
    """What the pairs of networks say of some takes.

    ``features``: (n_members, n_takes, n_features) float32; ``logs``: (n_members, n_takes, n_emotions).
    """

    features: NDArray[np.float32]
    logs: NDArray[np.float64]

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(n_takes, n_emotions): the members' mean log-probabilities, made to sum to 1 again."""
        mean = self.logs.mean(0)
        return np.asarray(mean - np.logaddexp.reduce(mean, axis=1, keepdims=True), dtype=np.float64)


def read_answers(
    plan: Plan, branch: Branch, rows: Rows, members: Sequence[int], work: Path, *, enrolled: bool = False
) -> Answers:
    """What some of a plan's networks have said of ``rows``."""
    features, logs = [], []
    for member in members:
        path = work / plan.name / job_name(member, branch, enrolled) / "outputs.npz"
        with np.load(path, allow_pickle=False) as said:
            place = {int(row): i for i, row in enumerate(said["rows"])}
            where = [place[int(row)] for row in rows]
            features.append(said["features"][where])
            logs.append(said["log_probabilities"][where])
    return Answers(np.stack(features), np.stack(logs))
