"""The audit finds each kind of leak, and reports none where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.records import Clip, Take
from emofuse.corpus.folds import Fold
from emofuse.evaluation.fold_audit import audit_folds
from emofuse.features.extraction import Modality
from emofuse.training.dataset import Inputs


def _take(name: str, speaker: str) -> Take:
    clip = Clip(Path(f"{name}.wav"), name, name, speaker, "sad", "audio")
    return Take(name, speaker, "sad", clip, None)


@pytest.fixture
def takes() -> list[Take]:
    return [_take("a", "01"), _take("b", "01"), _take("c", "02"), _take("d", "03")]


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    rng = np.random.default_rng(0)
    voice = rng.normal(size=(4, 3)).astype(np.float32)
    np.save(tmp_path / "voice.npy", voice)
    np.save(tmp_path / "face.npy", np.zeros((4, 2), np.float32))
    has: dict[Modality, Any] = {"voice": np.ones(4, bool), "face": np.zeros(4, bool)}
    return Inputs(tmp_path, np.zeros(4, np.int64), np.array(["01", "01", "02", "03"]), has)


def _fold(train: tuple[int, ...], test: tuple[int, ...]) -> Fold:
    return Fold(0, "fold 1", train, test, ())


def test_clean_folds_pass(takes: list[Take], inputs: Inputs) -> None:
    folds = [_fold((2, 3), (0, 1)), _fold((0, 1), (2, 3))]
    assert audit_folds(folds, takes, inputs, speaker_independent=True) == ()


def test_an_actor_in_both_parts(takes: list[Take], inputs: Inputs) -> None:
    with pytest.raises(ExperimentError, match="fold 1 leaks: actor 01 in both parts"):
        audit_folds([_fold((1, 2), (0, 3))], takes, inputs, speaker_independent=True)


def test_a_take_in_both_parts(takes: list[Take], inputs: Inputs) -> None:
    takes[3] = _take("a", "03")
    with pytest.raises(ExperimentError, match="take a in both parts"):
        audit_folds([_fold((2, 3), (0, 1))], takes, inputs, speaker_independent=True)


def test_a_position_in_both_parts_of_a_speaker_dependent_protocol(takes: list[Take], inputs: Inputs) -> None:
    with pytest.raises(ExperimentError, match="leaks"):
        audit_folds([_fold((0, 2), (0, 3))], takes, inputs, speaker_independent=False)


def test_an_identical_recording_in_both_parts(takes: list[Take], inputs: Inputs) -> None:
    voice = np.load(inputs.folder / "voice.npy")
    voice[3] = voice[0]
    np.save(inputs.folder / "voice.npy", voice)
    folds = [_fold((2, 3), (0, 1))]
    with pytest.raises(ExperimentError, match="identical recording a in both parts"):
        audit_folds(folds, takes, inputs, speaker_independent=True)
    assert audit_folds(folds, takes, inputs, speaker_independent=False) == (
        "1 test takes have an identical recording in the training part",
    )


def test_missing_modalities_are_not_twins(takes: list[Take], inputs: Inputs) -> None:
    # all face rows are zeros, because they are missing
    assert audit_folds([_fold((2, 3), (0, 1))], takes, inputs, speaker_independent=True) == ()
