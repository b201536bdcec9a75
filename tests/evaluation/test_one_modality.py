"""Corpora of audio alone and of faces alone: everything works, or says why not.

Nothing is invented for the modality that is missing.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emofuse import EmotionClassifier, Profile, Recognizer
from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.evaluation.leakage.audit import leak
from emofuse.evaluation.report.write import write_report
from emofuse.evaluation.robustness import CLEAN, measure_robustness
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.quantization import quantize
from emofuse.training.dataset import find_action_units
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support import small_corpora, small_ensembles

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
    right = [max(SPOKEN, key=lambda name: float(row[name])) == row["emotion"] for row in rows]
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
        lines.append(f"{speaker}.wav,{'happy' if speaker == 'a' else 'sad'},{speaker}")
    (tmp_path / "clips.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ExperimentError, match="no take could be read: no voice"):
        train(load_corpus(tmp_path / "clips.csv"), recipe, tmp_path / "bundle")


def test_audio_alone_is_degraded(run: Path, recordings: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(run, tmp_path / "run")
    records = measure_robustness(copied, load_corpus(recordings / "clips.csv"))
    assert {one["condition"] for one in records} == {CLEAN, *DEGRADATIONS}
    assert {one["system"] for one in records} == {"voice", "fused"}
    (clean,) = [one for one in records if (one["condition"], one["system"]) == (CLEAN, "fused")]
    results = json.loads((copied / "results.json").read_text())
    assert clean["accuracy"] == results["systems"]["voice"]["accuracy"]
    assert results["robustness"] == records
    assert "telephone" in write_report(copied).read_text()


def test_a_bundle_of_one_modality_is_quantized(bundle: Path, recordings: Path, tmp_path: Path) -> None:
    files = sorted(recordings.glob("*.wav"))[:12]
    result = quantize(load_bundle(bundle), files, tmp_path / "int8")
    assert [one.name for one in result.networks] == ["voice.onnx"]
    assert result.compared == 6
    assert Recognizer.load(tmp_path / "int8").predict(files[0]).used == ("voice",)


def test_a_leakage_audit_says_what_it_needs(recordings: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no take has a face: a leakage audit needs voice and face"):
        leak(load_corpus(recordings / "clips.csv"), recipe, "actors-2", tmp_path / "leak")


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="file names are Unicode there")
def test_folders_may_have_names_that_are_not_utf_8(recordings: Path, recipe: Recipe, tmp_path: Path) -> None:
    """From the corpus to the report and the bundle; as text such a name is escaped."""
    root = shutil.copytree(recordings, tmp_path / os.fsdecode(b"caf\xe9"))
    table = (root / "clips.csv").rename(root / os.fsdecode(b"clips\xff.csv"))
    corpus, run = load_corpus(table), tmp_path / os.fsdecode(b"run\xff")
    evaluate(corpus, recipe, "actors-2", run)
    page = write_report(run).read_text(encoding="utf-8")
    assert "clips\\xff" in page
    for name in ("model-card.md", "data-card.md", "predictions.csv", "results.json", "work/LICENSE.txt"):
        (run / name).read_text(encoding="utf-8")
    bundle = train(corpus, recipe, tmp_path / os.fsdecode(b"bundle\xff"))
    assert "clips\\xff" in (bundle.folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert Recognizer.load(bundle.folder).predict(next(root.glob("*.wav"))).used == ("voice",)


@pytest.fixture(scope="module")
def silent_videos(tmp_path_factory: pytest.TempPathFactory, video_clips: dict[str, Path]) -> Path:
    """A table of videos without audio by four people, who share a few films."""
    root = tmp_path_factory.mktemp("silent")
    films = sorted(video_clips.values())
    rows = []
    for speaker in range(4):
        for index, emotion in enumerate(SPOKEN):
            name = f"{speaker}-{emotion}.mp4"
            _without_audio(films[(speaker + index) % len(films)], root / name)
            rows.append([name, emotion, f"s{speaker}"])
    with (root / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return root


def _without_audio(source: Path, target: Path) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


def test_videos_without_audio_are_trained_read_and_quantized(
    silent_videos: Path, video_toml: Path, store: Any, tmp_path: Path
) -> None:
    corpus = load_corpus(silent_videos / "clips.csv")
    bundle = train(corpus, load_recipe(video_toml), tmp_path / "bundle", Resources(store=store))
    assert bundle.modalities == ("face",)
    assert any(note.startswith("no take has a voice") for note in bundle.provenance["notes"])
    files = sorted(silent_videos.glob("*.mp4"))
    prediction = Recognizer.load(bundle.folder).predict(files[0])
    assert (prediction.used, prediction.voice) == (("face",), None)
    np.testing.assert_array_equal(prediction.probabilities, prediction.face)
    result = quantize(bundle, files[:6], tmp_path / "int8")
    assert result.compared == 3
    assert all("face" in one.name for one in result.networks)


@pytest.fixture(scope="module", params=["voice", "face"])
def enrollable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A corpus of one modality for the recipe that enrolls people: audio alone, or action units alone."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "face":
        small_corpora.write_au_corpus(root, actors=8, takes=1)
        for path in root.rglob("*.wav"):
            small_corpora.write_wav(path, np.zeros(8000))
        return "face", root
    rows = []
    for speaker in range(8):
        for emotion in SPOKEN:
            name = f"{speaker}-{emotion}.wav"
            small_corpora.write_wav(root / name, small_corpora.speech(EMOTIONS.index(emotion), 0, speaker))
            rows.append([name, emotion, f"s{speaker}"])
    with (root / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return "voice", root / "clips.csv"


@pytest.fixture(scope="module")
def enrolling(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "enrolling.toml"
    path.write_text(small_ensembles.RECIPE)
    return load_recipe(path)


def test_people_are_enrolled_with_one_modality(
    enrollable: tuple[str, Path], enrolling: Recipe, tmp_path: Path
) -> None:
    modality, path = enrollable
    corpus = load_corpus(path)
    bundle = train(corpus, enrolling, tmp_path / "bundle")
    assert bundle.modalities == (modality,)
    units = path / small_corpora.TABLE if modality == "face" else None
    recognizer = Recognizer.load(bundle.folder, action_units=units)
    files = [clip.path for clip in corpus.clips[:4]]
    profile = recognizer.enroll(files)
    assert (profile.clips, profile.skipped, list(profile.moments)) == (4, (), [modality])
    profile.save(tmp_path / "anna.profile")
    known = recognizer.predict(files[0], profile=Profile.load(tmp_path / "anna.profile"))
    unknown = recognizer.predict(files[0])
    assert known.used == unknown.used == (modality,)
    assert known != unknown
    np.testing.assert_array_equal(known.probabilities, getattr(known, modality))


def test_enrollment_is_evaluated_with_one_modality(
    enrollable: tuple[str, Path], enrolling: Recipe, tmp_path: Path
) -> None:
    """And degradations afterwards: only a voice can be degraded."""
    modality, path = enrollable
    run = tmp_path / "run"
    results = evaluate(load_corpus(path), enrolling, "actors-2", run)
    assert list(results["systems"]) == [modality, "fused"]
    curves = results["enrolment"]["systems"]
    assert set(curves) == {modality, "fused"}
    counts = [point["clips"] for point in curves["fused"]]
    assert counts in ([0, 1, "all"], [0, 1, 4, "all"])  # never more than a person has besides the scored clip
    assert [p["accuracy"] for p in curves["fused"]] == [p["accuracy"] for p in curves[modality]]
    write_report(run)
    if modality == "voice":
        found = measure_robustness(run, load_corpus(path))
        assert {one["condition"] for one in found} == {CLEAN, *DEGRADATIONS}
    else:
        with pytest.raises(ExperimentError, match="no take has a voice to degrade"):
            measure_robustness(run, load_corpus(path))


def test_a_missing_table_is_an_error_where_faces_may_be(
    enrolling: Recipe, tmp_path: Path, recordings: Path
) -> None:
    small_corpora.write_au_corpus(tmp_path / "ravdess", actors=2, takes=1)
    (tmp_path / "ravdess" / small_corpora.TABLE).unlink()
    with pytest.raises(ExperimentError, match="which does not exist"):
        train(load_corpus(tmp_path / "ravdess"), enrolling, tmp_path / "bundle")
    assert find_action_units(load_corpus(recordings / "clips.csv"), enrolling) is None
