"""Building the recognizer that comes with emofuse, from small corpora and random weights; and using none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import emofuse
from emofuse import Recognizer
from emofuse.cli.app import app
from emofuse.core.errors import BundleError, ExperimentError, WeightsError
from emofuse.core.labels import EMOTIONS, LABEL_SETS
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.corpus.load import load_corpus
from emofuse.features.extraction import extract
from emofuse.features.store import FeatureStore
from emofuse.recognition import bundle
from emofuse.recognition.bundle import load_bundle
from emofuse.training.resources import Resources
from tests.support import small_corpora, small_faces
from tests.support.typed import not_none

RECIPE = """
extends = "out-of-the-box"
name = "small-box"
[voice]
speeds = [1.1]
[voice.features]
sample_rate_hz = 16000
n_fft = 512
win_length = 400
hop_length = 200
n_mels = 26
fmax_hz = 8000.0
duration_s = 1.0
highpass_hz = "none"
start_at_speech = false
[voice.network.ensemble]
components = 6
networks = 1
hidden = 8
[voice.training]
epochs = 2
batch_size = 8
[face.features]
n_frames = 2
[fusion]
inner_folds = 3
face_likelihood = false
"""


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small-box.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def fer2013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("fer")
    for split, n, seed in (("train", 120, 1), ("public_test", 60, 2)):
        small_faces.write_split(folder, split, small_faces.wave_images(n, seed))
    return folder


@pytest.fixture(scope="module")
def faces_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("faces") / "faces.npz"
    codes = [f"01-{small_corpora.take_code(emotion, 0, 1)}" for emotion in range(8)]
    codes.append(f"02-{small_corpora.take_code(0, 0, 1)}")  # the first take again, as a video without audio
    frames = np.random.default_rng(3).integers(0, 256, (9, 5, 96, 96)).astype(np.uint8)
    np.savez(path, codes=np.array(codes), frames=frames)
    return path


@pytest.fixture(scope="module")
def shipped(
    video_folder: Path, toml: Path, weights: Path, fer2013: Path, faces_npz: Path, home: Path
) -> tuple[Path, str]:
    """A bundle, and the output of its build."""
    out = home / "shipped"
    command = ["ship", video_folder, "--expression", weights, "--fer2013", fer2013, "--out", out, "-r", toml,
               "--check-faces", faces_npz, "--jobs", 1, "--cache", home / "store"]  # fmt: skip
    result = CliRunner().invoke(app, [*map(str, command)])
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_the_bundle_states_its_origins(shipped: tuple[Path, str], weights: Path) -> None:
    folder, printed = shipped
    loaded = load_bundle(folder)
    assert loaded.recipe.face.network.kind == "expression"
    for path in folder.iterdir():  # nothing about the machine it was built on
        data = path.read_bytes()
        assert str(weights.parent).encode() not in data
        assert str(Path(emofuse.__file__).parent).encode() not in data
    facts = loaded.provenance
    assert facts["weights"]["face"] == 0.5
    assert facts["weights"]["voice"] > 0
    assert facts["fer_plus_to_emotion"]["version"] == 1
    assert len(facts["speakers"]) == 4
    heard = list(loaded.recipe.voice.conditions)
    assert len(heard) == 4
    for voice in (facts["voice"], facts["check"]["voice"]):
        assert [one["condition"] for one in voice["damaged"]] == heard
    assert "Under damage" in (folder / "MODEL-CARD.md").read_text()
    text = (folder / "LICENSE.txt").read_text()
    assert "FER2013" in text
    assert "EMOFUSE_NO_SHIPPED" in (folder / "README.md").read_text()
    assert "float16 changes no probability of the face" in printed
    assert not folder.with_name("shipped.work").exists()


def test_the_check_uses_a_voice_that_had_not_seen_the_speaker(shipped: tuple[Path, str]) -> None:
    facts = load_bundle(shipped[0]).provenance
    check = facts["check"]
    assert check["speaker"] == "01"
    assert check["films"]["n"] == len(check["films"]["each"]) == 8
    sequences = check["face_sequences"]
    # a take that is there with audio and without has two faces, and one voice that counts once
    own = (
        "face with own baseline",
        "fused with own baseline of the face",
        "fused with own baselines of both",
    )
    counts = {"face": 9, "voice": 8, "fused": 9, "voice with own baseline": 8, **dict.fromkeys(own, 9)}
    assert {name: row["n"] for name, row in sequences.items()} == counts
    assert sequences["voice"]["expressed"] == dict.fromkeys(EMOTIONS, 1)
    assert sequences["face"]["expressed"] == {**dict.fromkeys(EMOTIONS, 1), EMOTIONS[0]: 2}
    for row in sequences.values():
        assert row["takes"] == 8
        assert sum(row["said"].values()) == row["n"]
    assert check["voice"]["takes"] == facts["takes"] * 3 // 4
    assert check["voice"]["weight"] != facts["weights"]["voice"]
    assert 0 < check["voice"]["information_nats"] < np.log(8)
    assert "without this speaker" in check["note"]


def test_other_corpora_join_the_voice_and_others_only_measure_it(
    shipped: tuple[Path, str], video_folder: Path, toml: Path, faces_npz: Path, home: Path, tmp_path: Path
) -> None:
    for folder, names in (
        ("nemo", {f"{who}_{label}_1": emotion for who in ("EB0", "IC0", "KS0")
                  for label, emotion in LABEL_SETS["nemo-6"].items()}),
        ("emodb", {f"{who}a01{letter}a": emotion for who in ("03", "08")
                   for letter, emotion in (("W", "angry"), ("F", "happy"), ("T", "sad"), ("N", "neutral"))}),
    ):  # fmt: skip
        for number, (name, emotion) in enumerate(names.items()):
            samples = small_corpora.speech(EMOTIONS.index(emotion), 0, 40 + number)
            small_corpora.write_wav(tmp_path / folder / f"{name}.wav", samples)
    out = tmp_path / "joined"
    command = ["ship", video_folder, tmp_path / "nemo", "--weight", "nemo=2", "--measure", tmp_path / "emodb",
               "--face-from", shipped[0], "--check-faces", faces_npz, "--out", out, "-r", toml,
               "--jobs", 1, "--cache", home / "store"]  # fmt: skip
    result = CliRunner().invoke(app, [*map(str, command)])
    assert result.exit_code == 0, result.output
    facts = load_bundle(out).provenance
    assert facts["corpus"].startswith("RAVDESS + nEMO (voice)")
    assert [(one["name"], one["clips"], one["weight"]) for one in facts["corpora"]] == [
        ("RAVDESS", 32, 1.0), ("nEMO", 18, 2.0)
    ]  # fmt: skip
    assert facts["check"]["speaker"] == "RAVDESS:01"
    assert facts["check"]["films"]["n"] == 8
    assert facts["check"]["face_sequences"]["fused"]["n"] == 9
    assert [one["name"] for one in facts["voice"]["corpora"]] == ["RAVDESS", "nEMO"]
    (measured,) = facts["measured"]
    assert (measured["name"], measured["n"], measured["unread"]) == ("EMO-DB", 8, 0)
    assert measured["emotions"] == ["neutral", "happy", "sad", "angry"]
    card = (out / "MODEL-CARD.md").read_text()
    assert "| EMO-DB, never trained on | 4 | 8 | 2 |" in card
    assert (
        "| nEMO | 18 | 3 | neutral, happy, sad, angry, fearful, surprised | 2.00 | CC BY-NC-SA 4.0 |" in card
    )
    assert "nEMO (Christop" in (out / "LICENSE.txt").read_text()
    assert "EMO-DB, 4 emotions: UAR" in result.stdout


def test_the_face_of_an_earlier_bundle_is_taken_as_it_is(
    shipped: tuple[Path, str], video_folder: Path, toml: Path, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{toml}"\nname = "small-box"\n[voice.features]\nhighpass_hz = 120.0\n')
    out, earlier = tmp_path / "again", shipped[0]
    command = ["ship", video_folder, "--face-from", earlier, "--out", out, "-r", other, "--jobs", 1,
               "--cache", home / "store"]  # fmt: skip
    result = CliRunner().invoke(app, [*map(str, command)])
    assert result.exit_code == 0, result.output
    before, after = load_bundle(earlier), load_bundle(out)
    for name in ("face.onnx", "face-frame.onnx"):
        assert after.read(name) == before.read(name)
    for fact in ("face", "pretrained_sha256"):
        assert after.provenance[fact] == before.provenance[fact]
    rounding = [one.provenance["float16_largest_difference"]["face"] for one in (before, after)]
    assert rounding[0] == rounding[1]
    assert after.read("voice.onnx") != before.read("voice.onnx")
    assert after.recipe.voice.features.highpass_hz == 120.0


def test_face_and_fusion_change_while_the_voice_stays(
    shipped: tuple[Path, str], video_folder: Path, toml: Path, fer2013: Path, home: Path, tmp_path: Path,
    video_clips: dict[str, Path],
) -> None:  # fmt: skip
    """Byte for byte what it was, and measured then; only the voice of the check is trained."""
    other = tmp_path / "other.toml"
    other.write_text(
        f'extends = "{toml}"\nname = "small-box"\n[face.network]\npooling = "peaks"\n'
        "[fusion]\nface_likelihood = true\n"
    )
    out, earlier = tmp_path / "again", shipped[0]
    command = ["ship", video_folder, "--face-from", earlier, "--voice-from", earlier, "--fer2013", fer2013,
               "--out", out, "-r", other, "--jobs", 1, "--cache", home / "store"]  # fmt: skip
    result = CliRunner().invoke(app, [*map(str, command)])
    assert result.exit_code == 0, result.output
    before, after = load_bundle(earlier), load_bundle(out)
    for name in ("voice.onnx", "face-frame.onnx"):
        assert after.read(name) == before.read(name)
    assert after.read("face.onnx") != before.read("face.onnx")
    for fact in ("voice", "face"):  # the likelihood, measured again on the same faces, too
        assert after.provenance[fact] == before.provenance[fact]
    assert after.provenance["check"]["voice"] == before.provenance["check"]["voice"]
    assert (after.fusions, after.baseline_fusions) == (("fusion-0.onnx",), ("baseline-fusion-0.onnx",))
    assert after.read("baseline-fusion-0.onnx") == before.read("fusion-0.onnx")
    weights = {"voice": before.provenance["weights"]["voice"], "face": 1.0, "face_against_baseline": 0.5}
    assert after.provenance["weights"] == weights
    predicted = Recognizer.load(out).predict(video_clips["happy"])
    voice, face = not_none(predicted.voice), np.maximum(not_none(predicted.face), np.exp(-10))
    likelihood = np.array(after.provenance["face"]["likelihood"]) @ face
    product = np.maximum(voice, np.exp(-10)) ** weights["voice"] * likelihood
    np.testing.assert_allclose(not_none(predicted.probabilities), product / product.sum(), atol=1e-5)


def test_the_voice_of_an_earlier_bundle_fits_its_corpus_and_recipe(
    shipped: tuple[Path, str], video_folder: Path, toml: Path, home: Path, tmp_path: Path
) -> None:
    from emofuse.training.ship.voice import read_voices, voice_from_bundle

    corpus, recipe = load_corpus(video_folder), load_recipe(toml)
    (tmp_path / "work").mkdir()
    inputs = read_voices(corpus, recipe, tmp_path / "work", Resources(store=FeatureStore(home / "store")))
    voice = voice_from_bundle(shipped[0], recipe, inputs)
    assert voice.file == load_bundle(shipped[0]).read("voice.onnx")
    features = recipe.voice.features.model_copy(update={"highpass_hz": 120.0})
    with pytest.raises(ExperimentError, match="its voice is another than the recipe's"):
        voice_from_bundle(shipped[0], recipe.with_voice_features(features), inputs)
    fewer = replace(inputs, labels=inputs.labels[1:], speakers=inputs.speakers[1:])
    with pytest.raises(ExperimentError, match=r"trained on 32 recordings of 4 speakers, the corpus has 31"):
        voice_from_bundle(shipped[0], recipe, fewer)


def test_the_face_has_one_source(
    shipped: tuple[Path, str], video_folder: Path, toml: Path, weights: Path, fer2013: Path, tmp_path: Path
) -> None:
    face, bundle_face = ["--expression", weights, "--fer2013", fer2013], ["--face-from", shipped[0]]
    for given in ([], face[:2], [*face, *bundle_face], [*face[:2], *bundle_face]):
        command = ["ship", video_folder, *given, "--out", tmp_path / "b", "-r", toml]
        result = CliRunner().invoke(app, [*map(str, command)])
        assert result.exit_code == 2
        assert "--face-from without --expression" in " ".join(result.output.replace("│", " ").split())
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{toml}"\nname = "small-box"\n[face.features]\nn_frames = 3\n')
    command = ["ship", video_folder, *bundle_face, "--out", tmp_path / "b", "-r", other]
    result = CliRunner().invoke(app, [*map(str, command)])
    assert result.exit_code == 1
    assert "its face is another than the recipe's" in str(result.exception or result.output)


def test_rounding_is_small_and_measured(shipped: tuple[Path, str]) -> None:
    import onnx

    rounding = load_bundle(shipped[0]).provenance["float16_largest_difference"]
    assert 0 < rounding["face"] < 5e-3
    assert 0 <= rounding["voice"] < 5e-3
    model = onnx.load(shipped[0] / "face-frame.onnx")
    kinds = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1024}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert (shipped[0] / "face-frame.onnx").stat().st_size < 3.5e6


def test_prediction_is_the_weighted_product(shipped: tuple[Path, str], video_clips: dict[str, Path]) -> None:
    predicted = Recognizer.load(shipped[0]).predict(video_clips["happy"])
    assert predicted.used == ("voice", "face")
    assert predicted.voice is not None
    assert predicted.face is not None
    weight = load_bundle(shipped[0]).provenance["weights"]
    logs = [np.maximum(np.log(p), -10) for p in (predicted.voice, predicted.face)]
    product = np.exp(weight["voice"] * logs[0] + weight["face"] * logs[1])
    assert predicted.probabilities is not None
    np.testing.assert_allclose(predicted.probabilities, product / product.sum(), atol=1e-5)


def test_a_bundle_that_is_too_large_is_rejected(
    video_folder: Path, toml: Path, weights: Path, fer2013: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Here because of its face alone, before a voice is read."""
    from emofuse.training.ship import build as shipping

    monkeypatch.setattr(shipping, "LARGEST_BYTES", 1_000_000)
    with pytest.raises(BundleError, match=r"bytes, at most 1,000,000 may come with emofuse"):
        shipping.ship(load_corpus(video_folder), load_recipe(toml), (weights, fer2013), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_other_recipes_and_missing_files_are_rejected(
    video_folder: Path, video_toml: Path, toml: Path, weights: Path, fer2013: Path, tmp_path: Path
) -> None:
    from emofuse.training.ship.build import ship

    corpus = load_corpus(video_folder)
    with pytest.raises(ExperimentError, match=r"face\.network\.kind = 'expression'"):
        ship(corpus, load_recipe(video_toml), (weights, fer2013), tmp_path / "b")
    with pytest.raises(WeightsError, match="there is no such file"):
        ship(corpus, load_recipe(toml), (tmp_path / "none", fer2013), tmp_path / "b")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").touch()
    with pytest.raises(BundleError, match="is not empty"):
        ship(corpus, load_recipe(toml), (weights, fer2013), tmp_path / "b")


def run(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, args)], capture_output=True, text=True, check=False, env={**os.environ, **env}
    )


@pytest.fixture(scope="module")
def installed(shipped: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with the small bundle in place of the real one."""
    site: Path = tmp_path_factory.mktemp("site")
    source = Path(emofuse.__file__).parent
    shutil.copytree(source, site / "emofuse", ignore=shutil.ignore_patterns("shipped", "__pycache__"))
    shutil.copytree(shipped[0], site / "emofuse" / "recognition" / "shipped" / "out-of-the-box")
    return site


def test_predict_without_a_bundle(installed: Path, video_clips: dict[str, Path]) -> None:
    command = (sys.executable, "-m", "emofuse", "predict", video_clips["happy"], "-f", "csv")
    done = run(*command, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert "happy.mp4" in done.stdout
    assert "bundle: the one that comes with emofuse, license:" in done.stderr
    off = run(*command, PYTHONPATH=str(installed), EMOFUSE_NO_SHIPPED="1")
    assert off.returncode == 1
    assert off.stdout == ""
    assert "switched off by EMOFUSE_NO_SHIPPED" in off.stderr
    for way in ("emofuse train", "--bundle"):
        assert way in off.stderr


def test_the_shipped_recognizer_needs_no_training_framework(
    installed: Path, video_clips: dict[str, Path]
) -> None:
    code = (
        "import sys, emofuse\n"
        f"print(emofuse.Recognizer.load().predict({str(video_clips['happy'])!r}).used)\n"
        "print(emofuse.__file__)\n"
        "heavy = {'torch', 'sklearn', 'librosa', 'pandas', 'safetensors', 'scipy', 'h5py', 'onnx'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = run(sys.executable, "-c", code, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    used, where, heavy = done.stdout.split("\n")[:3]
    assert used == "('voice', 'face')"
    assert where.startswith(str(installed))
    assert heavy == ""


def test_no_recognizer_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(bundle.NO_SHIPPED, raising=False)
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path / "none")
    with pytest.raises(BundleError, match=r"comes without a recognizer: train one .*--bundle BUNDLE"):
        Recognizer.load()
    monkeypatch.setenv(bundle.NO_SHIPPED, "0")
    with pytest.raises(BundleError, match="comes without"):
        Recognizer.load()
    monkeypatch.setenv(bundle.NO_SHIPPED, "1")
    with pytest.raises(BundleError, match="switched off"):
        Recognizer.load()


def test_the_shipped_bundle_matches_its_recipe() -> None:
    """A change of the recipe requires a new bundle."""
    real = bundle.SHIPPED
    if not real.is_dir():
        pytest.skip("this checkout is without it")
    loaded = load_bundle(real)
    for name in loaded.files:
        loaded.read(name)
    recipe = load_recipe("out-of-the-box")  # only its parts are used, not its fusion
    assert (loaded.recipe.voice, loaded.recipe.face) == (recipe.voice, recipe.face)
    assert loaded.recipe == parse_recipe(loaded.recipe.model_dump(mode="json"))
    assert loaded.licence == "CC BY-NC-SA 4.0"
    assert loaded.provenance["synthetic"] is False
    assert sum(f.stat().st_size for f in real.iterdir()) < 12_000_000
    assert not any(b".py" in f.read_bytes() for f in real.glob("*.onnx"))
    assert loaded.provenance["check"]["films"]["n"] == 9
    damaged = [one["condition"] for one in loaded.provenance["voice"]["damaged"]]
    assert damaged == list(recipe.voice.conditions)


def test_frames_may_be_processed_one_by_one(shipped: tuple[Path, str], video_clips: dict[str, Path]) -> None:
    recognizer = Recognizer.load(shipped[0])
    features = extract(video_clips["happy"], recognizer.bundle.recipe)
    assert features.face is not None
    one_by_one = np.concatenate([recognizer.face_frames(features.face[i : i + 1]) for i in range(20)])
    whole = recognizer.predict_features(features)
    parts = recognizer.predict_features(replace(features, face=one_by_one))
    assert whole.face is not None and parts.face is not None
    np.testing.assert_allclose(parts.face, whole.face, atol=1e-5)
    np.testing.assert_allclose(not_none(parts.probabilities), not_none(whole.probabilities), atol=1e-5)
