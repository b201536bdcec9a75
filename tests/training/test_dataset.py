from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError, FeatureError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.features.extraction import extract
from emofuse.training.dataset import Dataset, read_dataset
from emofuse.training.resources import Resources
from tests.support import small_corpora
from tests.support.typed import not_none


def read(corpus: Path, toml: Path, folder: Path, store: Any = None) -> Dataset:
    return read_dataset(
        load_corpus(corpus),
        load_recipe(toml),
        folder,
        Resources(store=store),
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two actors, one take of each emotion."""
    folder: Path = small_corpora.write_au_corpus(tmp_path / "corpus", actors=2, takes=1)
    return folder


def test_rows_are_takes(corpus: Path, au_toml: Path, tmp_path: Path) -> None:
    dataset = read(corpus, au_toml, tmp_path / "work")
    assert len(dataset.takes) == 16
    assert [EMOTIONS[label] for label in dataset.inputs.labels] == [t.emotion for t in dataset.takes]
    assert dataset.inputs.speakers.tolist() == [t.speaker for t in dataset.takes]
    assert dataset.failed == []
    assert dataset.notes == ()
    voice, face = dataset.inputs.load("voice"), dataset.inputs.load("face")
    assert face.shape == (16, len(small_corpora.ACTION_UNITS))
    for row in (0, 15):
        take = dataset.takes[row]
        assert take.voice is not None
        alone = extract(take.voice.path, load_recipe(au_toml), face=False)
        np.testing.assert_array_equal(voice[row], alone.voice)
        assert dataset.sources[take.take] == {
            "voice": f"Actor_{take.speaker}/{take.voice.path.name}", "face": None,
        }  # fmt: skip
    dataset.forget()
    assert not list((tmp_path / "work").iterdir())


def test_fingerprint_depends_on_audio_labels_and_action_units(
    corpus: Path, au_toml: Path, tmp_path: Path
) -> None:
    first = read(corpus, au_toml, tmp_path / "a").fingerprint
    assert read(corpus, au_toml, tmp_path / "b").fingerprint == first
    moved = shutil.copytree(corpus, tmp_path / "elsewhere")
    assert read(moved, au_toml, tmp_path / "c").fingerprint == first
    seen = {first}
    path = corpus / "Actor_01" / f"03-{small_corpora.take_code(0, 0, 1)}.wav"
    small_corpora.write_wav(path, small_corpora.speech(5, 1, 1))
    seen.add(read(corpus, au_toml, tmp_path / "d").fingerprint)
    table = corpus / small_corpora.TABLE
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[-1][:-1] + "9"]))
    seen.add(read(corpus, au_toml, tmp_path / "e").fingerprint)
    path.rename(path.with_name(f"03-{small_corpora.take_code(1, 1, 1)}.wav"))
    seen.add(read(corpus, au_toml, tmp_path / "f").fingerprint)
    assert len(seen) == 4


def test_a_take_that_cannot_be_read_is_named_and_left_out(
    corpus: Path, au_toml: Path, tmp_path: Path
) -> None:
    code = small_corpora.take_code(2, 0, 1)
    (corpus / "Actor_01" / f"03-{code}.wav").write_bytes(b"no sound")
    table = corpus / small_corpora.TABLE
    table.write_text("\n".join(line for line in table.read_text().splitlines() if code not in line))
    silent = small_corpora.take_code(3, 0, 2)
    small_corpora.write_wav(corpus / "Actor_02" / f"03-{silent}.wav", np.zeros(16000))
    dataset = read(corpus, au_toml, tmp_path / "work")
    assert len(dataset.takes) == 15
    assert [failure["clip"] for failure in dataset.failed] == [f"03-{code}"]
    assert dataset.notes == ("1 of 16 takes could not be read", "1 of 15 takes have no voice")
    row = [take.take for take in dataset.takes].index(silent)
    assert dataset.inputs.has["voice"].tolist() == [i != row for i in range(15)]
    assert dataset.inputs.has["face"].all()
    assert not dataset.inputs.load("voice")[row].any()


def test_a_missing_table_is_an_error(corpus: Path, au_toml: Path, tmp_path: Path) -> None:
    (corpus / small_corpora.TABLE).write_text("")
    with pytest.raises(FeatureError, match="no rows"):
        read(corpus, au_toml, tmp_path / "work")
    (corpus / small_corpora.TABLE).unlink()
    with pytest.raises(
        ExperimentError, match=rf"reads action units from .*{small_corpora.TABLE}, which does not exist"
    ):
        read(corpus, au_toml, tmp_path / "work")


def test_a_corpus_without_a_modality(corpus: Path, au_toml: Path, tmp_path: Path) -> None:
    (corpus / small_corpora.TABLE).write_text("code,AU01_r\n01-someone-else,1\n")
    with pytest.raises(ExperimentError, match="no take has a face: no row for take"):
        read(corpus, au_toml, tmp_path / "work")


def test_voices_at_other_speeds_are_variants(corpus: Path, ensemble_toml: Path, tmp_path: Path) -> None:
    silent = small_corpora.take_code(3, 0, 2)
    small_corpora.write_wav(corpus / "Actor_02" / f"03-{silent}.wav", np.zeros(16000))
    dataset = read(corpus, ensemble_toml, tmp_path / "work")
    recipe = load_recipe(ensemble_toml)
    assert recipe.voice.speeds == (1.1,)
    assert dataset.inputs.n_voice_variants == 2
    voice, faster = dataset.inputs.load("voice"), dataset.inputs.load("voice", 1)
    assert voice.shape == faster.shape == (16, len(voice[0]))
    features = recipe.voice.features.model_copy(update={"speed": 1.1})
    other = recipe.model_copy(update={"voice": recipe.voice.model_copy(update={"features": features})})
    for row, take in enumerate(dataset.takes):
        assert take.voice is not None
        if row in (0, 15):
            np.testing.assert_array_equal(faster[row], extract(take.voice.path, other, face=False).voice)
        assert (take.take == silent) == (not voice[row].any()) == np.array_equal(faster[row], voice[row])
    dataset.forget()
    assert not list((tmp_path / "work").iterdir())


def test_fingerprint_depends_on_the_speeds(
    corpus: Path, ensemble_toml: Path, tmp_path: Path, store: Any
) -> None:
    seen = set()
    for i, speeds in enumerate(((), (1.1,), (0.9,), (1.1, 0.9), (0.9, 1.1), (1.1,))):
        recipe = load_recipe(ensemble_toml)
        recipe = recipe.model_copy(update={"voice": recipe.voice.model_copy(update={"speeds": speeds})})
        dataset = read_dataset(
            load_corpus(corpus),
            recipe,
            tmp_path / str(i),
            Resources(store=store),
        )
        seen.add(dataset.fingerprint)
        assert len(dataset.fingerprint) == 16
    assert len(seen) == 5


def test_degraded_voices_are_variants_after_the_speeds(
    corpus: Path, tmp_path: Path, ensemble_toml: Path, store: Any
) -> None:
    recipe = load_recipe(ensemble_toml)
    voice = recipe.voice.model_copy(update={"speeds": (1.1,), "conditions": ("telephone",)})
    recipe = recipe.model_copy(update={"voice": voice})
    data = read_dataset(
        load_corpus(corpus),
        recipe,
        tmp_path,
        Resources(store=store),
    )
    assert data.inputs.n_voice_variants == 3
    clean, faster, telephone = (np.asarray(data.inputs.load("voice", version)) for version in range(3))
    assert not np.allclose(clean, telephone) and not np.allclose(faster, telephone)
    take = data.takes[0]
    assert take.voice is not None
    features = recipe.voice.features.model_copy(update={"condition": "telephone"})
    alone = recipe.model_copy(update={"voice": recipe.voice.model_copy(update={"features": features})})
    assert np.array_equal(not_none(extract(take.voice.path, alone, face=False).voice), telephone[0])


def test_an_unknown_degradation_is_rejected_before_anything_is_read(
    corpus: Path, tmp_path: Path, ensemble_toml: Path
) -> None:
    recipe = load_recipe(ensemble_toml)
    voice = recipe.voice.model_copy(update={"conditions": ("underwater",)})
    with pytest.raises(ExperimentError, match=r"underwater.*choose from.*telephone"):
        read_dataset(
            load_corpus(corpus),
            recipe.model_copy(update={"voice": voice}),
            tmp_path / "work",
            Resources(),
        )
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("modality", ["voice", "face"])
def test_features_that_are_the_same_in_all_takes_are_an_error(
    modality: str, corpus: Path, au_toml: Path, tmp_path: Path
) -> None:
    if modality == "voice":
        one, *others = sorted(corpus.rglob("*.wav"))
        for other in others:
            shutil.copy(one, other)
    else:
        (table,) = corpus.glob("*.csv")
        header, first, *rest = table.read_text().splitlines()
        values = first.split(",")[1:]
        names = [line.split(",")[0] for line in (first, *rest)]
        table.write_text("\n".join([header, *(",".join([name, *values]) for name in names)]))
    with pytest.raises(ExperimentError, match=f"the {modality} features of all 16 takes are the same"):
        read(corpus, au_toml, tmp_path / "work")
