from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import BundleError, EmofuseError, WeightsError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.features.own_baseline import Kind, OwnBaseline, Reading
from emofuse.recognition.baseline_model import BaselineModel
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.dataset import read_dataset
from emofuse.training.jobs import load_outputs, run_network_jobs
from emofuse.training.plan import make_plan, network_jobs
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support import small_corpora


def test_a_bundle_holds_every_member(au_bundle: Path, video_bundle: Path) -> None:
    for folder, speakers in ((au_bundle, 6), (video_bundle, 4)):
        bundle = load_bundle(folder)
        assert sorted(bundle.files) == ["LICENSE.txt", "face.onnx", "fusion-0.onnx", "voice.onnx"]
        assert bundle.emotions == EMOTIONS
        assert len(bundle.provenance["speakers"]) == speakers
        assert bundle.provenance["software"]["torch"] != "absent"
        assert not folder.with_name(folder.name + ".work").exists()


def test_nothing_is_overwritten(tmp_path: Path, au_folder: Path, au_toml: Path, store: Any) -> None:
    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("mine")
    for name, why in (("file", "is a file"), ("b", "is not empty")):
        with pytest.raises(BundleError, match=why):
            train(corpus, recipe, tmp_path / name, Resources(store=store))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "file"]


def test_another_recipe_does_not_resume_from_this_ones_work(
    tmp_path: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    from emofuse.training.run_folder import claim_run

    claim_run(tmp_path / "b.work", {"recipe": "another"})
    with pytest.raises(EmofuseError, match=r"b\.work holds another run"):
        train(load_corpus(au_folder), load_recipe(au_toml), tmp_path / "b", Resources(store=store))
    assert not (tmp_path / "b").exists()


def test_missing_weights_are_reported_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_folder: Path
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "none"))
    stages: list[str] = []
    with pytest.raises(WeightsError, match=r"emofuse weights fetch deepface-emotion.*emotion_cnn\.path"):
        train(
            load_corpus(video_folder),
            load_recipe("rosred-2022"),
            tmp_path / "b",
            Resources(on_progress=lambda stage, *_: stages.append(stage)),
        )
    assert stages == []
    assert list(tmp_path.iterdir()) == []


def test_the_current_folder_as_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, au_toml: Path) -> None:
    """The corpus is too small: the error must be one of the package's own."""
    corpus = small_corpora.write_au_corpus(tmp_path / "corpus", actors=1, takes=1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(EmofuseError):
        train(load_corpus(corpus), load_recipe(au_toml), Path())
    shutil.rmtree(tmp_path / "here", ignore_errors=True)


def test_a_recipe_of_the_voice_alone_reads_no_face(tmp_path: Path, au_folder: Path, store: Any) -> None:
    """Though the corpus has action units, and a film a face."""
    corpus = load_corpus(au_folder)
    bundle = train(corpus, load_recipe("whisper-only"), tmp_path / "b", Resources(store=store))
    assert bundle.modalities == ("voice",)
    assert sorted(bundle.files) == ["LICENSE.txt", "voice.onnx"]
    assert any("the recipe reads the voice alone" in note for note in bundle.provenance["notes"])
    recognizer = Recognizer.load(tmp_path / "b")
    take = next(take for take in corpus.takes() if take.voice is not None)
    assert take.voice is not None
    prediction = recognizer.predict(take.voice.path)
    assert prediction.used == ("voice",)
    assert prediction.face_missing is not None


def test_a_bundle_says_what_a_clip_tells_its_networks(
    tmp_path: Path, au_bundle: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    """The mean over clips of ln 8 less the entropy, by networks that had not seen the speaker."""
    told = {name: load_bundle(au_bundle).provenance[name]["information_nats"] for name in ("voice", "face")}
    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    work = tmp_path / "work"
    inputs = read_dataset(corpus, recipe, work, Resources(store=store)).inputs
    plan = make_plan("all", inputs, range(len(inputs.labels)), (), recipe)
    run_network_jobs(network_jobs(plan, inputs, recipe), inputs, recipe, work, Resources(store=store))
    for modality in inputs.modalities:
        entropies = []
        for member in plan.members:
            outputs = load_outputs(plan, modality, member.fusion_rows, [member.index], work)
            p = np.exp(outputs.log_probabilities)
            entropies += (-(p * np.log(p)).sum(axis=1)).tolist()
        assert told[modality] == pytest.approx(np.log(8) - np.mean(entropies), abs=1e-6)
        assert 0 < told[modality] < np.log(8)


def test_limits_of_own_baselines_rise_with_what_a_clip_tells(au_bundle: Path) -> None:
    bundle = load_bundle(au_bundle)
    surer = replace(bundle, provenance={**bundle.provenance, "voice": {"information_nats": 1.5}})
    own: dict[Kind, OwnBaseline] = {"voice": OwnBaseline(8.0, np.zeros(8), 0.6)}
    strengths = [
        BaselineModel(one, lambda _: Reading(), None).strengths(own)["voice"] for one in (bundle, surer)
    ]
    assert strengths == [pytest.approx(0.8), 0.0]
