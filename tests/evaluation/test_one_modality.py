"""A corpus of audio alone: evaluated, trained, read, reported; nothing is invented for the face."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from emofuse import EmotionClassifier, Recognizer
from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.evaluation.report.write import write_report
from emofuse.training.train_bundle import train
from tests.support import small_corpora

RECIPE = 'extends = "default"\nname = "small-voice"\nseed = 5\n' + small_corpora.VOICE
FUSION = "\n[fusion]\ninner_folds = 2\n"
SPOKEN = ("neutral", "happy", "sad", "angry")
NOTE = "no take has a face (the take has no video): nothing is fused, fused is the voice alone"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "small-voice.toml"
    path.write_text(RECIPE + FUSION)
    return load_recipe(path)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of WAV files by four people, as EMO-DB, TESS and CREMA-D's audio are."""
    root = tmp_path_factory.mktemp("recordings")
    rows = []
    for speaker in range(1, 5):
        for emotion in SPOKEN:
            for number in range(2):
                name = f"{speaker}-{emotion}-{number}.wav"
                index = EMOTIONS.index(emotion)
                small_corpora.write_wav(root / name, small_corpora.speech(index, number, speaker))
                rows.append([name, emotion, f"s{speaker}"])
    with (root / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recordings: Path, recipe: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    evaluate(load_corpus(recordings / "clips.csv"), recipe, "actors-2", folder)
    return folder


def test_an_evaluation_has_the_voice_and_nothing_of_a_face(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert list(results["systems"]) == ["voice", "fused"]
    assert results["systems"]["voice"] == results["systems"]["fused"]
    assert list(results["groups"]) == ["voice", "fused"]
    assert results["fused_choice"] == {}
    assert NOTE in results["notes"]
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted({row["system"] for row in rows}) == ["fused", "voice"]
    assert len(rows) == 2 * 32


def test_the_figures_are_those_of_the_predictions(run: Path) -> None:
    """Compared with accuracy counted from the table."""
    with (run / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "fused"]
    right = [max(EMOTIONS, key=lambda name: float(row[name])) == row["emotion"] for row in rows]
    results = json.loads((run / "results.json").read_text())
    assert results["systems"]["fused"]["accuracy"] == pytest.approx(np.mean(right))


def test_the_report_says_so(run: Path) -> None:
    page = write_report(run).read_text()
    assert NOTE in page
    assert "Face alone" not in page
    assert NOTE in (run / "model-card.md").read_text()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, recordings: Path, recipe: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "voice"
    train(load_corpus(recordings / "clips.csv"), recipe, folder)
    return folder


def test_a_bundle_of_one_modality_predicts(bundle: Path, recordings: Path) -> None:
    recognizer = Recognizer.load(bundle)
    assert recognizer.bundle.modalities == ("voice",)
    assert NOTE in recognizer.bundle.provenance["notes"]
    assert recognizer.bundle.provenance["fusion"] is None
    prediction = recognizer.predict(recordings / "1-happy-0.wav")
    assert prediction.used == ("voice",)
    assert prediction.face is None
    assert prediction.probabilities is not None
    assert prediction.probabilities.sum() == pytest.approx(1)
    np.testing.assert_array_equal(prediction.probabilities, prediction.voice)


def test_a_bundle_of_one_modality_reads_the_voice_of_a_video(bundle: Path, tmp_path: Path) -> None:
    clip = small_corpora.write_clip(tmp_path / "clip.mp4", emotion=2)
    recognizer = Recognizer.load(bundle)
    prediction = recognizer.predict(clip)
    assert prediction.used == ("voice",)
    assert prediction.face_missing == "the recognizer was trained on recordings without a face"
    timeline = recognizer.timeline(clip)
    assert all(window.face is None for window in timeline.windows)


def test_a_classifier_fits_recordings_without_a_face(recordings: Path, recipe: Recipe) -> None:
    paths = sorted(recordings.glob("*.wav"))
    speakers, emotions = zip(*(path.stem.split("-")[:2] for path in paths), strict=True)
    classifier = EmotionClassifier(recipe).fit(paths, emotions, groups=speakers)
    assert classifier.predict_proba(paths[:3]).shape == (3, 4)


def test_a_corpus_of_silence_has_neither(tmp_path: Path, recipe: Recipe) -> None:
    lines = ["path,emotion,speaker"]
    for speaker in "abc":
        small_corpora.write_wav(tmp_path / f"{speaker}.wav", np.zeros(16000))
        lines.append(f"{speaker}.wav,happy,{speaker}")
    (tmp_path / "clips.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ExperimentError, match="no take could be read: no voice"):
        train(load_corpus(tmp_path / "clips.csv"), recipe, tmp_path / "bundle")
