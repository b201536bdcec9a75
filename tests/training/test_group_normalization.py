from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.training.dataset import Inputs
from emofuse.training.group_normalization import NORMALIZATIONS, check_normalization, normalized


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Six takes of three speakers of two corpora; the fifth has no voice."""
    rng = np.random.default_rng(0)
    voice = rng.normal(3, 2, (6, 4)).astype(np.float32)
    voice[:, 3] = 7  # the same in all takes
    voice[4] = 0
    np.save(tmp_path / "voice.npy", voice)
    np.save(tmp_path / "voice-1.npy", voice + np.float32(0.5))
    has = np.array([True, True, True, True, False, True])
    return Inputs(
        tmp_path, np.zeros(6, np.int64), np.array(["A:1", "A:1", "A:2", "A:2", "B:1", "B:1"]),
        {"voice": has, "face": np.zeros(6, bool)}, n_voice_variants=2,
        corpora={"A:1": "A", "A:2": "A", "B:1": "B"},
    )  # fmt: skip


def test_none_is_what_there_was(inputs: Inputs, tmp_path: Path) -> None:
    assert normalized(inputs, "none", tmp_path / "new") is inputs
    assert not (tmp_path / "new").exists()


def test_each_speaker_has_a_mean_of_zero_and_a_spread_of_one(inputs: Inputs, tmp_path: Path) -> None:
    found = normalized(inputs, "speaker", tmp_path / "new").load("voice")
    for rows in ([0, 1], [2, 3]):
        np.testing.assert_allclose(found[rows].mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(found[rows].std(0)[:3], 1, rtol=1e-5)
    assert (found[:, 3] == 0).all()  # constant values stay finite
    assert (found[4] == 0).all()  # and takes without a voice stay empty
    assert (found[5] == 0).all()  # one take is its own mean


def test_each_corpus_too_and_other_speeds_by_what_was_recorded(inputs: Inputs, tmp_path: Path) -> None:
    recorded = inputs.load("voice")
    new = normalized(inputs, "corpus", tmp_path / "new")
    found, faster = new.load("voice"), new.load("voice", 1)
    np.testing.assert_allclose(found[:4].mean(0), 0, atol=1e-6)
    spread = recorded[:4].std(0)
    np.testing.assert_allclose((faster - found)[:4, :3], np.tile(0.5 / spread[:3], (4, 1)), rtol=1e-4)
    assert new.speakers is inputs.speakers


def test_it_needs_no_label_and_nobody_else(inputs: Inputs, tmp_path: Path) -> None:
    """A speaker's values are the same whoever else is there, and whatever is expressed."""
    found = normalized(inputs, "speaker", tmp_path / "new").load("voice")
    values = np.load(inputs.folder / "voice.npy")
    values[2:] *= 50
    np.save(inputs.folder / "voice.npy", values)
    np.testing.assert_array_equal(normalized(inputs, "speaker", tmp_path / "x").load("voice")[:2], found[:2])


def test_conditions_are_checked_by_name_and_recipe() -> None:
    recipe = load_recipe("whisper-only")
    assert [check_normalization(name, recipe) for name in NORMALIZATIONS] == list(NORMALIZATIONS)
    with pytest.raises(ExperimentError, match="called 'actor': use one of none, corpus, speaker"):
        check_normalization("actor", recipe)
    with pytest.raises(ExperimentError, match="recipe default reads log-mel, of which no mean"):
        check_normalization("speaker", load_recipe("default"))
    assert check_normalization("none", load_recipe("default")) == "none"
