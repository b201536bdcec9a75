from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import MissingExtraError, WeightsError
from emofuse.core.pretrained import WEIGHTS
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features, TimedFrames
from emofuse.corpus.load import load_corpus
from emofuse.features.extraction import extract, extract_takes
from emofuse.features.face.blendshapes import (
    NAMES,
    BlendshapeTrack,
    FaceShape,
    _followed,
    head_pose,
    interpolate,
    landmarker,
    track_blendshapes,
)
from emofuse.features.face.inputs import face_shape
from emofuse.features.store import FeatureStore
from emofuse.media.decoding import decode
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train

RECIPE = load_recipe("ravdess-blendshapes")
SMALL = """
extends = "ravdess-blendshapes"
name = "small"
[voice.features]
duration_s = 1.0
[voice.network]
hidden = 8
n_features = 12
[voice.training]
epochs = 1
[face.features]
n_frames = 3
[face.network]
lstm_units = 5
[face.training]
epochs = 2
[fusion]
inputs = "features"
inner_folds = 2
members = 1
trials = 1
selection_folds = 2
classifiers = ["lr"]
"""


def rotated(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """A head rotated by these angles about axes that point right, up and out of the image."""
    a, b, c = np.deg2rad([yaw, -pitch, roll])
    y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(y @ x @ z)


def test_pose_of_a_matrix() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        angles = rng.uniform(-80, 80, 3)
        matrix = np.eye(4)
        matrix[:3, :3] = 1.3 * rotated(*angles)
        matrix[:3, 3] = (1, -2, -40)
        np.testing.assert_allclose(head_pose(matrix), [*angles, 1, -2, -40], atol=1e-9)


def test_frames_without_a_face_are_interpolated() -> None:
    found = np.array([False, True, False, False, True, False])
    times = np.array([0, 1, 2, 4, 5, 6.0])
    filled = interpolate(np.array([[1.0, 10], [5, 30]]), found, times)
    np.testing.assert_allclose(filled[:, 0], [1, 1, 2, 4, 5, 5])
    np.testing.assert_allclose(filled[:, 1], [10, 10, 15, 25, 30, 30])
    # one frame that is shown several times
    same = interpolate(np.array([[1.0], [1.0]]), np.array([True, False, True]), np.zeros(3))
    np.testing.assert_array_equal(same, [[1], [1], [1]])


def test_the_followed_face_stays_the_followed_face() -> None:
    def face(left: float, size: float) -> FaceShape:
        return FaceShape(np.zeros(58, np.float32), (left, 0, left + size, size))

    small, large, moved = face(0, 50), face(200, 80), face(5, 50)
    assert _followed([small, large], None) is large
    assert _followed([large, moved], small) is moved
    assert _followed([large], small) is large
    assert _followed([], small) is None


def test_a_track_checks_its_shape() -> None:
    n = 2
    good: dict[str, Any] = {
        "values": np.zeros((n, 58), np.float32), "times_s": np.zeros(n), "boxes": np.zeros((n, 4), np.int32),
        "found": np.ones(n, bool), "n_faces": np.ones(n, np.int32),
    }  # fmt: skip
    BlendshapeTrack(**good)
    with pytest.raises(ValueError, match=r"\(2, 58\) float32"):
        BlendshapeTrack(**{**good, "values": np.zeros((n, 52), np.float32)})
    with pytest.raises(ValueError, match="one row per frame"):
        BlendshapeTrack(**{**good, "found": np.ones(3, bool)})


def test_recipe() -> None:
    assert len(NAMES) == len(set(NAMES)) == 58
    assert face_shape(RECIPE.face.features) == (20, 58)
    assert RECIPE.face.network.n_features == 96


def test_weights_are_part_of_the_key_of_features(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RECIPE.face.features.hash()
    monkeypatch.setitem(WEIGHTS, "face-landmarker", replace(WEIGHTS["face-landmarker"], sha256="0" * 64))
    assert RECIPE.face.features.hash() != before


def test_missing_weights_name_the_ways_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_clips: dict[str, Path], video_folder: Path
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    message = r"emofuse weights fetch face-landmarker`.*--from PATH"
    with pytest.raises(WeightsError, match=message):
        extract(video_clips["happy"], RECIPE)
    # raised before anything is read, not once per take
    with pytest.raises(WeightsError, match=message):
        extract_takes(load_corpus(video_folder).takes(), RECIPE)
    assert extract(video_clips["happy"], RECIPE, face=False).voice is not None


def test_importing_needs_no_mediapipe() -> None:
    code = (
        "import sys, emofuse.recognition.recognizer, emofuse.features.face.blendshapes\n"
        "assert 'mediapipe' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = stand_in(tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emofuse\[blendshapes\]'"):
        landmarker()
    assert known.is_file()


def test_a_file_that_is_not_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mediapipe")
    stand_in(tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match="mediapipe cannot read this model"):
        landmarker()


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that passes for the model until it is read."""
    data = b"not a model"
    known = replace(WEIGHTS["face-landmarker"], sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(WEIGHTS, "face-landmarker", known)
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(folder))
    path = folder / known.file_name
    path.write_bytes(data)
    return path


@pytest.fixture
def real(real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))


@pytest.mark.usefixtures("real")
@pytest.mark.ravdess
def test_real_faces(ravdess: Path) -> None:
    path = next(ravdess.glob("video/*/01-01-08-01-02-02-01.mp4"))
    frames = decode(path, audio=False, n_frames=6, square=True).frames
    assert frames is not None
    track = track_blendshapes(frames)
    assert isinstance(track, BlendshapeTrack) and track.found.all()
    shapes, pose = track.values[:, :52], track.values[:, 52:]
    assert shapes.min() >= 0 and shapes.max() <= 1
    assert np.ptp(shapes[:, NAMES.index("jawOpen")]) > 0.02  # he speaks
    assert np.abs(pose[:, :3]).max() < 20 and (pose[:, 5] < -20).all()
    # mirroring negates yaw and roll and swaps left and right; the distance stays the same
    mirrored = TimedFrames(tuple(np.ascontiguousarray(i[:, ::-1]) for i in frames.images), frames.times_s, 6)
    other = track_blendshapes(mirrored)
    assert isinstance(other, BlendshapeTrack)
    np.testing.assert_allclose(other.values[:, 52:] * [-1, 1, -1, -1, 1, 1], pose, atol=2.5)
    # a frame without a face
    gone = (frames.images[0], np.zeros_like(frames.images[1]), frames.images[2])
    partial = track_blendshapes(TimedFrames(gone, frames.times_s[:3], 3))
    assert isinstance(partial, BlendshapeTrack)
    assert partial.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(partial.values[[0, 2]], track.values[[0, 2]])
    assert track_blendshapes(TimedFrames(gone[1:2], np.zeros(1), 1)) == "no face found in 1 frame"


@pytest.mark.usefixtures("real")
@pytest.mark.ravdess
def test_two_people(ravdess: Path) -> None:
    frames = decode(next(ravdess.glob("video/*/01-*.mp4")), audio=False, n_frames=1, square=True).frames
    assert frames is not None
    face = frames.images[0]
    track = track_blendshapes(TimedFrames((np.hstack([face, face[:, 150:600]]),), np.zeros(1), 1))
    assert isinstance(track, BlendshapeTrack) and track.n_faces.tolist() == [2]


@pytest.mark.usefixtures("real")
def test_nothing_is_written_to_the_terminal(
    video_clips: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """mediapipe logs its delegates; in a process of its own, since the model is read once."""
    code = (
        "import sys; from emofuse.features.extraction import extract\n"
        "from emofuse.core.recipes.load import load_recipe\n"
        "f = extract(sys.argv[1], load_recipe('ravdess-blendshapes'), voice=False)\n"
        "print(f.face.shape, f.meta['frames_with_face'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, video_clips["happy"]], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("(20, 58) 20\n", "")
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("real")
def test_train_then_predict(tmp_path: Path, video_folder: Path, video_clips: dict[str, Path]) -> None:
    """MediaPipe finds the face of the drawn person: from videos to a bundle and back."""
    (tmp_path / "small.toml").write_text(SMALL)
    recipe = load_recipe(tmp_path / "small.toml")
    store = FeatureStore(tmp_path / "store")
    train(load_corpus(video_folder), recipe, tmp_path / "bundle", Resources(store=store))
    recognizer = Recognizer.load(tmp_path / "bundle")
    prediction = recognizer.predict(video_clips["happy"])
    assert prediction.used == ("voice", "face") and prediction.face is not None
    assert prediction.meta["frames_with_face"] == 3
    timeline = recognizer.timeline(video_clips["happy"])
    assert timeline.people == ("person 1",)
    assert all(window.face is not None for window in timeline.windows)
    take = next(take for take in load_corpus(video_folder).takes() if take.face is not None)
    (stored,) = extract_takes([take], recipe, store=store)
    assert isinstance(stored, Features) and stored.face is not None and take.face is not None
    np.testing.assert_array_equal(stored.face, extract(take.face.path, recipe, voice=False).face)
    assert isinstance(recipe, Recipe) and parse_recipe(recipe.model_dump(mode="json")) == recipe
