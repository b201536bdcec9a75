from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from emofuse.core.errors import CorpusError, ExperimentError, WeightsError
from emofuse.core.labels import FER2013, FER_PLUS
from emofuse.corpus.fer2013 import Faces
from emofuse.training.augmentation import augment_still_faces
from emofuse.training.expression import (
    ExpressionFigures,
    ExpressionSettings,
    assess,
    load_expression,
    measure,
    train_expression,
)
from tests.support import small_faces

SETTINGS = {
    "compact": ExpressionSettings("compact", epochs=2, batch_size=8, learning_rate=0.02, bfloat16=False),
    "emotion": ExpressionSettings("emotion", epochs=2, batch_size=8, learning_rate=0.02, bfloat16=False),
}
ARCHITECTURES = ("compact", "emotion")


@pytest.fixture(scope="module")
def training() -> Faces:
    """160 different faces, and another one twice."""
    faces: Faces = small_faces.wave_images(161, 0)
    rows = [*range(161), 160]
    return Faces(faces.images[rows], faces.emotion[rows], faces.votes[rows])


@pytest.fixture(scope="module")
def held_out() -> Faces:
    faces: Faces = small_faces.wave_images(64, 1)
    return faces


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, training: Faces, held_out: Faces
) -> dict[str, tuple[Path, ExpressionFigures]]:
    """A run of each network in one go."""
    out = {}
    for name in ARCHITECTURES:
        folder = tmp_path_factory.mktemp(name)
        out[name] = folder, train_expression(training, held_out, SETTINGS[name], folder)
    return out


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_easy_set_is_learned(name: str, runs: dict[str, Any], held_out: Faces) -> None:
    _, figures = runs[name]
    chance = np.bincount(held_out.emotion).max() / len(held_out)
    assert chance < 0.3
    assert figures.fer2013_accuracy > chance + 0.2
    assert figures.fer_plus_majority_accuracy > chance + 0.2
    assert figures.fer2013_n == figures.fer_plus_majority_n == figures.fer_plus_most_voted_n == 64


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_run_writes_weights_and_results(name: str, runs: dict[str, Any], held_out: Faces) -> None:
    folder, figures = runs[name]
    assert {path.name for path in folder.iterdir()} == {"run.json", "results.json", "weights.safetensors"}
    results = json.loads((folder / "results.json").read_text())
    assert results["training_faces"] == 161
    assert results["left_out"] == {"blank": 0, "in_other_split": 0, "contradictory": 0, "repeated": 1}
    assert ExpressionFigures(**results["figures"]) == figures
    assert [row["epoch"] for row in results["curve"]] == [1, 2]
    # the last epoch's weights are kept, not the best epoch's
    assert results["curve"][-1]["fer2013_accuracy"] == figures.fer2013_accuracy
    network = load_expression(folder / "weights.safetensors")
    assert results["parameters"] == sum(p.numel() for p in network.parameters())
    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        assert file.metadata() == {
            "architecture": name, "trained_on": "FER2013 and FER+, research use",
        }  # fmt: skip
    # folded or not, the file has the outputs of the trained network
    first, *more = assess(network, held_out)
    assert first.accuracy == figures.fer2013_accuracy
    assert [one.labels for one in more] == (["FER+ majority", "FER+ most voted"] if name == "compact" else [])
    if more:
        assert more[0].accuracy == figures.fer_plus_majority_accuracy


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_interrupted_run_resumes_to_the_same_weights(
    name: str, runs: dict[str, Any], training: Faces, held_out: Faces, tmp_path: Path
) -> None:
    def kill(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_expression(training, held_out, SETTINGS[name], tmp_path, on_epoch=kill)
    assert (tmp_path / "checkpoint.safetensors").is_file()
    assert not (tmp_path / "weights.safetensors").exists()
    torch.manual_seed(99)  # random numbers drawn before do not matter
    provenance: list[tuple[int, int]] = []
    figures = train_expression(
        training,
        held_out,
        SETTINGS[name],
        tmp_path,
        on_epoch=lambda done, total: provenance.append((done, total)),
    )
    assert provenance == [(1, 2), (2, 2)]
    folder, uninterrupted = runs[name]
    assert figures == uninterrupted
    for file in ("weights.safetensors", "results.json"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_nothing_is_chosen_by_the_held_out_labels(
    runs: dict[str, Any], training: Faces, held_out: Faces, tmp_path: Path
) -> None:
    order = np.random.default_rng(0).permutation(len(held_out))
    shuffled = Faces(held_out.images, held_out.emotion[order], held_out.votes[order])
    folder, figures = runs["compact"]
    other = train_expression(training, shuffled, SETTINGS["compact"], tmp_path)
    assert other.fer2013_accuracy < figures.fer2013_accuracy
    assert (tmp_path / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_a_finished_run_is_not_trained_again(runs: dict[str, Any], training: Faces, held_out: Faces) -> None:
    folder, figures = runs["compact"]
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    provenance: list[tuple[int, int]] = []
    again = train_expression(
        training, held_out, SETTINGS["compact"], folder, on_epoch=lambda *epochs: provenance.append(epochs)
    )
    assert again == figures
    assert provenance == [(2, 2)]
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 3}, {"bfloat16": True}])
def test_another_run_in_the_folder_is_rejected(
    changes: dict[str, Any], runs: dict[str, Any], training: Faces, held_out: Faces
) -> None:
    folder, _ = runs["compact"]
    with pytest.raises(ExperimentError, match="holds another run"):
        train_expression(training, held_out, replace(SETTINGS["compact"], **changes), folder)
    with pytest.raises(ExperimentError, match="holds another run"):
        train_expression(training.take(np.arange(len(training)) < 100), held_out, SETTINGS["compact"], folder)


def test_another_seed_and_bfloat16_give_other_weights(
    training: Faces, held_out: Faces, tmp_path: Path
) -> None:
    few = training.take(np.arange(len(training)) < 32)
    weights = set()
    for i, changes in enumerate(({}, {"seed": 1}, {"bfloat16": True})):
        settings = replace(SETTINGS["compact"], epochs=1, **changes)  # type: ignore[arg-type]
        train_expression(few, held_out, settings, tmp_path / str(i))
        weights.add((tmp_path / str(i) / "weights.safetensors").read_bytes())
    assert len(weights) == 3


def test_a_network_can_learn_from_its_teacher_alone(
    runs: dict[str, Any], training: Faces, held_out: Faces, tmp_path: Path
) -> None:
    teacher = runs["compact"][0] / "weights.safetensors"
    wrong = np.zeros_like(training.emotion)
    misled = Faces(training.images, wrong, np.roll(training.votes, 3, axis=1))
    settings = replace(SETTINGS["emotion"], teacher_share=1.0, epochs=3)
    figures = train_expression(misled, held_out, settings, tmp_path / "taught", teacher=teacher)
    untaught = train_expression(misled, held_out, settings, tmp_path / "untaught")
    assert figures.fer2013_accuracy > untaught.fer2013_accuracy + 0.2
    provenance = json.loads((tmp_path / "taught" / "results.json").read_text())
    assert provenance["teacher_sha256"] == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert json.loads((tmp_path / "untaught" / "results.json").read_text())["teacher_sha256"] is None
    with pytest.raises(ExperimentError, match="holds another run"):
        train_expression(misled, held_out, settings, tmp_path / "taught")


def test_a_teacher_must_be_a_compact_network(
    runs: dict[str, Any], training: Faces, held_out: Faces, tmp_path: Path
) -> None:
    for teacher in (runs["emotion"][0] / "weights.safetensors", tmp_path / "absent"):
        with pytest.raises(WeightsError):
            train_expression(training, held_out, SETTINGS["emotion"], tmp_path / "run", teacher=teacher)
    assert not (tmp_path / "run").exists()


def test_too_few_faces(training: Faces, held_out: Faces, tmp_path: Path) -> None:
    few = training.take(np.arange(len(training)) < 7)
    with pytest.raises(ExperimentError, match="7 faces are fewer than one batch of 8"):
        train_expression(few, held_out, SETTINGS["compact"], tmp_path / "run")
    assert not (tmp_path / "run").exists()  # it stays free for another run
    # faces that are also held out do not count
    with pytest.raises(ExperimentError, match="0 faces"):
        train_expression(few, few, SETTINGS["compact"], tmp_path / "run")


def test_the_number_of_threads_is_restored(training: Faces, held_out: Faces, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    def stop(_done: int, _total: int) -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settings = replace(SETTINGS["compact"], threads=before + 1)
        train_expression(training, held_out, settings, tmp_path, on_epoch=stop)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_augmentation_keeps_shape_and_range_and_depends_on_the_generator() -> None:
    images = torch.randint(
        0, 256, (64, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    before = images.clone()

    def augmented(seed: int) -> Tensor:
        return augment_still_faces(images, torch.Generator().manual_seed(seed))

    torch.manual_seed(1)
    first = augmented(5)
    torch.manual_seed(2)
    assert torch.equal(augmented(5), first)
    assert first.shape == (64, 1, 48, 48)
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(augmented(6), first)
    assert torch.equal(images, before)


def test_augmentation_changes_each_face_differently() -> None:
    image = torch.arange(48, dtype=torch.uint8)[:, None] + torch.arange(0, 192, 4, dtype=torch.uint8)
    faces = augment_still_faces(image.expand(200, -1, -1), torch.Generator().manual_seed(0))[:, 0]
    assert len({face.numpy().tobytes() for face in faces}) == 200
    # brightness increases to the right: half of them are mirrored
    mirrored = int((faces[:, :, 32:].mean((1, 2)) < faces[:, :, :16].mean((1, 2))).sum())
    assert 70 < mirrored < 130
    # none is upside down or lost: brightness still increases from top to bottom in most
    assert (faces[:, 36:].mean((1, 2)) > faces[:, :12].mean((1, 2))).float().mean() > 0.6
    assert faces.std((1, 2)).min() > 0.02


class Pixels(nn.Module):
    """Outputs the class that the first pixel names for FER2013, and the second for FER+."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, faces: Tensor) -> Any:
        first, second = ((faces[:, 0, 0, i] * 255).round().long() for i in (0, 1))
        fer, plus = nn.functional.one_hot(first, 7).float(), nn.functional.one_hot(second, 8).float()
        return (fer, plus) if self.heads == 2 else fer


def answers(*rows: tuple[int, int, int, list[int]]) -> Faces:
    """Faces by (predicted FER2013, predicted FER+, FER2013's label, votes)."""
    images = np.zeros((len(rows), 48, 48), np.uint8)
    for i, (first, second, _, _) in enumerate(rows):
        images[i, 0, :2] = first, second
        images[i, -1, -1] = i
    return Faces(images, np.array([row[2] for row in rows]), np.array([row[3] for row in rows]))


HAND = (
    (0, 1, 0, [0, 8, 0, 0, 2, 0, 0, 0, 0, 0]),  # both right
    (1, 1, 0, [0, 9, 0, 0, 1, 0, 0, 0, 0, 0]),  # FER2013 wrong
    (6, 0, 6, [4, 0, 0, 5, 0, 0, 1, 0, 0, 0]),  # FER+ wrong: sadness has the majority
    (3, 3, 3, [3, 0, 0, 4, 3, 0, 0, 0, 0, 0]),  # no majority, but most voted: right
    (2, 2, 2, [0, 0, 3, 0, 0, 0, 0, 0, 7, 0]),  # no label in FER+
)


def test_figures_against_manual_ones() -> None:
    faces = answers(*HAND)
    assert measure(Pixels(), faces) == ExpressionFigures(4 / 5, 5, 2 / 3, 3, 3 / 4, 4)
    fer, majority, most_voted = assess(Pixels(), faces)
    assert (fer.labels, fer.classes, fer.n, fer.accuracy) == ("FER2013", FER2013, 5, 4 / 5)
    assert (majority.labels, majority.classes, majority.n) == ("FER+ majority", FER_PLUS, 3)
    assert majority.accuracy == pytest.approx(2 / 3)
    assert (most_voted.labels, most_voted.n, most_voted.accuracy) == ("FER+ most voted", 4, 3 / 4)
    assert fer.confusion.shape == (7, 7)
    assert {(int(i), int(j)): int(fer.confusion[i, j]) for i, j in np.argwhere(fer.confusion)} == {
        (0, 0): 1, (0, 1): 1, (6, 6): 1, (3, 3): 1, (2, 2): 1,
    }  # fmt: skip
    assert majority.confusion.shape == (8, 8)
    assert majority.confusion[1, 1] == 2
    assert majority.confusion[3, 0] == 1  # rows are true classes
    assert majority.confusion.sum() == 3


def test_a_network_with_one_output_is_measured_on_fer2013() -> None:
    (fer,) = assess(Pixels(heads=1), answers(*HAND))
    assert fer.accuracy == 4 / 5


def test_intervals_are_over_images() -> None:
    rows = [(i % 4 == 0, 1, 0, [0, 9, 0, 0, 0, 0, 0, 0, 0, 0]) for i in range(200)]
    faces = answers(*((int(a), b, c, d) for a, b, c, d in rows))
    fer, *_ = assess(Pixels(), faces)
    low, high = fer.interval
    half = 1.96 * (0.75 * 0.25 / 200) ** 0.5  # of the binomial
    assert fer.accuracy == 0.75
    assert low == pytest.approx(0.75 - half, abs=0.015)
    assert high == pytest.approx(0.75 + half, abs=0.015)
    assert assess(Pixels(), faces)[0].interval == fer.interval
    # duplicates are resampled together: two images, 3 to 1
    twins = Faces(faces.images[[0] + [1] * 3], faces.emotion[:4], faces.votes[:4])
    assert assess(Pixels(), twins)[0].interval == (0.0, 1.0)


def test_faces_without_labels_are_an_error() -> None:
    faces = answers((0, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0, 9, 0]))
    assert np.isnan(measure(Pixels(), faces).fer_plus_majority_accuracy)
    with pytest.raises(CorpusError, match=r"none of the 1 faces has a label of FER\+ majority"):
        assess(Pixels(), faces)
