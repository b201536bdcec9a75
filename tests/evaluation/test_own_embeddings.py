"""Embeddings of one's own, from an ONNX file and from tables: evaluate, train, predict and timeline."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from emofuse.core.errors import EmofuseError, FeatureError, WeightsError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_validation import evaluate
from emofuse.evaluation.report.write import write_report
from emofuse.features.voice.speech_encoder import SHIPPED_SHA256
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.checksums import file_digest
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support import embedding_graphs as graphs
from tests.support.typed import not_none

SMALL = """
name = "small-embedding"
seed = 7

[fusion]
classifiers = ["pool"]
inner_folds = 2
trials = 1
selection_folds = 2
refit = true
"""
NETWORK = """
[{0}.network]
kind = "ensemble"
ensemble = {{ components = 8, networks = 1, hidden = 8 }}

[{0}.training]
epochs = 2
batch_size = 16
"""
BUILT_IN = f"""
[voice.features]
kind = "encoder"
duration_s = 10.0
encoder_sha256 = "{SHIPPED_SHA256}"
encoder_parts = 4
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_EMBEDDINGS", str(tmp_path / "tried"))
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "weights"))


def written(path: Path, text: str, modalities: tuple[str, ...] = ("voice",)) -> Recipe:
    networks = "".join(map(NETWORK.format, modalities))
    path.write_text(f"modalities = {list(modalities)}\n" + SMALL + networks + text)
    return load_recipe(path)


def embedding(part: str, kind: str, file: Path, size: int, more: str = "", features: str = "") -> str:
    return f"""
[{part}.features]
kind = "{kind}"
{features}
[{part}.features.embedding]
file = "{file.name}"
sha256 = "{file_digest(file)}"
size = {size}
trained_on = "sines, by its author"
licence = "CC0-1.0"
{more}
"""


def probabilities(run: Path) -> NDArray[np.float64]:
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    columns = [rows[0].index(emotion) for emotion in EMOTIONS]
    return np.array([[float(row[k]) for k in columns] for row in rows[1:]])


def test_the_built_in_encoder_as_an_onnx_file_gives_the_same_answers(
    tmp_path: Path, few_folder: Path, conversation: Path, store: Any
) -> None:
    """The file has samples as its input: its spectrum is in the graph."""
    file = tmp_path / "whisper.onnx"
    graphs.saved(graphs.whisper_from_samples(), file)
    own = embedding("voice", "onnx", file, 1536, "views = 3", "duration_s = 10.0\nencoder_parts = 4")
    attention = "[voice.network.attention]\nnetworks = 1\nhidden = 8\ntraining = { epochs = 2 }\n"
    recipes = {
        "built-in": written(tmp_path / "built-in.toml", BUILT_IN + attention),
        "own": written(tmp_path / "own.toml", own + attention),
    }
    corpus, found = load_corpus(few_folder), {}
    for name, recipe in recipes.items():
        run, bundle = tmp_path / f"{name}-run", tmp_path / f"{name}-bundle"
        evaluate(corpus, recipe, "actors-3", run, Resources(store=store))
        train(corpus, recipe, bundle, Resources(store=store))
        found[name] = probabilities(run)
    np.testing.assert_allclose(found["own"], found["built-in"], atol=1e-3)
    assert np.abs(found["own"] - found["own"][0]).max() > 0.01

    file.unlink()  # the bundle has a copy
    moved = tmp_path / "elsewhere" / "bundle"
    moved.parent.mkdir()
    shutil.move(tmp_path / "own-bundle", moved)
    theirs, mine = Recognizer.load(tmp_path / "built-in-bundle"), Recognizer.load(moved)
    clip = next(take.voice for take in corpus.takes() if take.voice is not None)
    np.testing.assert_allclose(
        not_none(mine.predict(clip.path).probabilities),
        not_none(theirs.predict(clip.path).probabilities),
        atol=1e-3,
    )
    windows = [one.timeline(conversation).windows for one in (mine, theirs)]
    assert len(windows[0]) == len(windows[1]) > 5
    voiced = [(a.voice, b.voice) for a, b in zip(*windows, strict=True) if b.voice is not None]
    assert len(voiced) > 2
    for a, b in voiced:
        assert a is not None
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_bundle_holds_the_onnx_file_and_names_its_license(
    tmp_path: Path, few_folder: Path, store: Any
) -> None:
    graphs.saved(graphs.voice_bands(), tmp_path / "bands.onnx")
    recipe = written(tmp_path / "r.toml", embedding("voice", "onnx", tmp_path / "bands.onnx", 12))
    train(load_corpus(few_folder), recipe, tmp_path / "b", Resources(store=store))
    bundle = load_bundle(tmp_path / "b")
    assert set(bundle.files) == {"LICENSE.txt", "voice.onnx", "voice-embedding.onnx"}
    text = bundle.read("LICENSE.txt").decode()
    assert "Its licence: CC0-1.0." in text and "trained on: sines, by its author." in text
    assert str(tmp_path) not in (tmp_path / "b" / "bundle.json").read_text()
    copy = tmp_path / "b" / "voice-embedding.onnx"
    copy.write_bytes(copy.read_bytes()[:-1] + b"\1")
    clip = next(few_folder.rglob("*.wav"))
    with pytest.raises(WeightsError, match="wrong sha256"):
        Recognizer.load(tmp_path / "b").predict(clip)
    evaluate(load_corpus(few_folder), recipe, "actors-3", tmp_path / "run", Resources(store=store))
    write_report(tmp_path / "run")
    assert "sines, by its author" in (tmp_path / "run" / "model-card.md").read_text()


def write_frames(path: Path, files: list[Path], root: Path, size: int = 5) -> None:
    """A Parquet table with four rows a second of what the files are, to which emotions give values."""
    rows: dict[str, list[Any]] = {"file": [], "time": []}
    values: list[Any] = []
    for file in files:
        emotion = int(file.stem.split("-")[2]) if file.stem.count("-") == 6 else 3
        rng = np.random.default_rng(len(values))
        for step in range(8 if file.stem.count("-") == 6 else 60):
            rows["file"].append(str(file.relative_to(root)))
            rows["time"].append(step / 4)
            values.append(np.cos(np.arange(size) * emotion) + 0.3 * rng.standard_normal(size))
    columns = {f"value {k}": np.array(values)[:, k].astype(np.float32) for k in range(size)}
    pq.write_table(pa.table(rows | columns), path)


def write_rows(path: Path, files: list[Path], root: Path, size: int = 4) -> None:
    """An array with a row for each file, and the CSV table beside it."""
    rng = np.random.default_rng(1)
    emotions = np.array([int(file.stem.split("-")[2]) for file in files])
    values = np.cos(np.outer(emotions, np.arange(size))) + 0.5 * rng.standard_normal((len(files), size))
    np.save(path, values.astype(np.float32))
    with path.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file"], *([str(one.relative_to(root))] for one in files)])


def test_tables_of_times_and_of_recordings(
    tmp_path: Path, few_folder: Path, conversation: Path, store: Any
) -> None:
    """The voice from Parquet, the face from an array: neither needs a video."""
    files = sorted(few_folder.rglob("03-*.wav"))
    write_frames(tmp_path / "voice.parquet", files, few_folder)
    write_rows(tmp_path / "face.npy", files, few_folder)
    recipe = written(
        tmp_path / "tables.toml",
        embedding("voice", "table", tmp_path / "voice.parquet", 5, 'pooling = ["mean", "std", "p90"]')
        + embedding("face", "table", tmp_path / "face.npy", 4, "pooling = []"),
        ("voice", "face"),
    )
    corpus = load_corpus(few_folder)
    results = evaluate(corpus, recipe, "actors-3", tmp_path / "run", Resources(store=store))
    assert results["systems"]["fused"]["uar"] > 0.5
    train(corpus, recipe, tmp_path / "b", Resources(store=store))
    assert not [name for name in load_bundle(tmp_path / "b").files if "embedding" in name]

    without = Recognizer.load(tmp_path / "b").predict(files[0])
    assert without.probabilities is None
    assert "none was given: --embeddings voice=TABLE" in str(without.voice_missing)
    tables = {"voice": tmp_path / "voice.parquet", "face": tmp_path / "face.npy"}
    recognizer = Recognizer.load(tmp_path / "b", embeddings=tables)  # type: ignore[arg-type]
    prediction = recognizer.predict(files[3])
    assert prediction.used == ("voice", "face")
    assert prediction.emotion == corpus.emotions[int(files[3].stem.split("-")[2]) - 1]
    assert "no row for unknown.wav in voice.parquet" in str(recognizer.predict("unknown.wav").error)
    with pytest.raises(FeatureError, match=r"no row for conversation\.mp4 in voice\.parquet"):
        recognizer.timeline(conversation)


def test_the_windows_of_a_timeline_read_their_rows(
    tmp_path: Path, few_folder: Path, conversation: Path, store: Any
) -> None:
    files = sorted(few_folder.rglob("03-*.wav"))
    write_frames(tmp_path / "train.parquet", files, few_folder)
    write_frames(tmp_path / "film.parquet", [conversation], conversation.parent)
    recipe = written(
        tmp_path / "tables.toml",
        embedding("voice", "table", tmp_path / "train.parquet", 5)
        + embedding("face", "table", tmp_path / "train.parquet", 5, 'pooling = ["max"]'),
        ("voice", "face"),
    )
    train(load_corpus(few_folder), recipe, tmp_path / "b", Resources(store=store))
    film: Any = {"voice": tmp_path / "film.parquet", "face": tmp_path / "film.parquet"}
    recognizer = Recognizer.load(tmp_path / "b", embeddings=film)
    windows = recognizer.timeline(conversation, own_baseline=False).windows
    read = [window for window in windows if window.fused is not None]
    assert len(read) > 5
    assert all(window.person is None for window in windows)
    one = next(window for window in read if window.voice is not None)
    table = pq.read_table(tmp_path / "film.parquet").to_pandas()
    inside = table[(table.time >= one.start_s) & (table.time < one.end_s)]
    values = inside[[name for name in table if name.startswith("value")]].to_numpy()
    expected = recognizer.predict(conversation, start_s=one.start_s, end_s=one.end_s)
    np.testing.assert_allclose(not_none(one.voice), not_none(expected.voice), atol=1e-6)
    assert expected.meta["voice_rows"] == len(values) > 5
    write_rows(tmp_path / "one.npy", files, few_folder, 5)
    with pytest.raises(EmofuseError, match="no row for conversation"):
        Recognizer.load(tmp_path / "b", embeddings={**film, "face": tmp_path / "one.npy"}).timeline(
            conversation
        )


def test_two_recordings_never_read_one_row(tmp_path: Path, few_folder: Path, store: Any) -> None:
    folder = tmp_path / "corpus"
    rows = []
    for speaker in ("anna", "bert"):
        for emotion in ("happy", "sad"):
            clip = next(few_folder.rglob(f"03-01-0{3 if emotion == 'happy' else 4}-*.wav"))
            (folder / speaker).mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, folder / speaker / f"{emotion}.wav")
            rows.append([f"{speaker}/{emotion}.wav", emotion, speaker])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    np.save(tmp_path / "voice.npy", np.eye(2, 3, dtype=np.float32))
    (tmp_path / "voice.csv").write_text("file\nhappy.wav\nsad.wav\n")
    recipe = written(
        tmp_path / "r.toml", embedding("voice", "table", tmp_path / "voice.npy", 3, "pooling = []")
    )
    with pytest.raises(FeatureError, match=r"happy\.wav can be .*anna.* and .*bert.*: name their folders"):
        evaluate(load_corpus(folder), recipe, "actors-3", tmp_path / "run", Resources(store=store))


def test_faces_by_an_onnx_file(tmp_path: Path, video_folder: Path, conversation: Path, store: Any) -> None:
    graphs.saved(graphs.face_means(), tmp_path / "faces.onnx")
    recipe = written(
        tmp_path / "r.toml",
        embedding("face", "onnx", tmp_path / "faces.onnx", 8, features="n_frames = 4"),
        ("face",),
    )
    train(load_corpus(video_folder), recipe, tmp_path / "b", Resources(store=store))
    recognizer = Recognizer.load(tmp_path / "b")
    prediction = recognizer.predict(next(video_folder.rglob("01-*.mp4")))
    assert prediction.used == ("face",)
    windows = recognizer.timeline(conversation).windows
    assert {window.person for window in windows if window.face is not None} >= {"person 1", "person 2"}
