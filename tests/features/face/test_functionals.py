from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse import Recognizer
from emofuse.cli.app import app
from emofuse.core.errors import RecipeError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.core.records import Features
from emofuse.corpus.load import load_corpus
from emofuse.features.extraction import extract, extract_takes
from emofuse.features.face.blendshapes import NAMES, BlendshapeTrack, track_blendshapes
from emofuse.features.face.expression_frames import expression_of
from emofuse.features.face.functionals import functional_views, functionals_of, n_functionals
from emofuse.features.face.inputs import face_shape
from emofuse.features.shipped_networks import EXPRESSION_SHA256
from emofuse.features.store import FeatureStore
from emofuse.media.decoding import decode
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support.stand_in_landmarker import StandInLandmarker, stand_in
from tests.support.typed import not_none

RECIPE = load_recipe("ravdess-video")
SMALL = """
extends = "ravdess-video"
name = "small"
[voice]
speeds = []
[voice.features]
sample_rate_hz = 16000
fmax_hz = 8000.0
encoder_sha256 = "none"
encoder_parts = 0
[voice.network]
encoder = "none"
attention = "none"
[voice.network.ensemble]
components = 10
networks = 1
hidden = 8
[voice.training]
epochs = 2
[face.features]
n_frames = 4
[face.network.ensemble]
networks = 1
hidden = 8
[face.training]
epochs = 2
[fusion]
classifiers = ["pool"]
inner_folds = 2
selection_folds = 2
trials = 1
[enrolment.both]
networks = 0
components = 10
"""


def test_the_views_cover_the_vector() -> None:
    with_expression = RECIPE.face.features
    views = functional_views(with_expression)
    assert list(views) == ["means", "spreads", "peaks", "expression"]
    assert face_shape(with_expression) == (n_functionals(with_expression),) == (245,)
    assert sorted(i for view in views.values() for i in range(view.start, view.stop)) == list(range(245))
    without = FaceFeatures(kind="functionals")
    assert list(functional_views(without)) == ["means", "spreads", "peaks"]
    assert face_shape(without) == (245 - 32,)


def test_means_spreads_and_peaks_over_the_frames() -> None:
    rng = np.random.default_rng(3)
    frames = rng.random((21, 66)).astype(np.float32)
    frames[:, 58:] = -frames[:, 58:]
    views, found = functional_views(RECIPE.face.features), functionals_of(frames)
    assert found.shape == (245,) and found.dtype == np.float32
    roots, pose, logs = np.sqrt(frames[:, 1:52]), frames[:, 52:58], frames[:, 58:]
    # of 21 sorted values, the third and the third from the end are the 10th and the 90th percentile
    low, high = np.sort(roots, axis=0)[[2, -3]]
    np.testing.assert_allclose(found[views["means"]], [*roots.mean(0), *pose[:, :3].mean(0)], rtol=1e-5)
    np.testing.assert_allclose(found[views["spreads"]], [*roots.std(0), *pose.std(0)], rtol=1e-4)
    np.testing.assert_allclose(found[views["peaks"]], [*low, *high], rtol=1e-5)
    low, high = np.sort(logs, axis=0)[[2, -3]]
    expected = [*logs.mean(0), *logs.std(0), *low, *high]
    np.testing.assert_allclose(found[views["expression"]], expected, rtol=1e-4)
    np.testing.assert_array_equal(functionals_of(frames[:, :58]), found[: views["expression"].start])
    assert np.isfinite(functionals_of(frames[:1])).all()
    # nothing depends on the order of the frames
    np.testing.assert_allclose(functionals_of(frames[::-1]), found, rtol=1e-5)


def test_a_recipe_says_what_is_read() -> None:
    assert RECIPE.face.features.weights == ("face-landmarker",)
    assert RECIPE.voice.features.encoder_sha256 is not None
    data = RECIPE.model_dump(mode="json")
    data["face"]["features"]["kind"] = "blendshapes"
    with pytest.raises(RecipeError, match=r"expression_sha256 goes with kind = 'functionals'"):
        parse_recipe(data)
    data["face"]["features"] |= {"expression_sha256": None}
    with pytest.raises(RecipeError, match=r"'ensemble' reads features 'au-table' or 'functionals'"):
        parse_recipe(data)


def test_a_clip_is_read_frame_by_frame(video_clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    found = extract(video_clips["happy"], RECIPE, voice=False)
    frames = not_none(decode(video_clips["happy"], audio=False, n_frames=20, square=True).frames)
    rows = []
    for image in frames.images:
        (face,) = StandInLandmarker().faces(image)
        rows.append([*face.values, *expression_of(image, face.box, EXPRESSION_SHA256)])
    np.testing.assert_allclose(not_none(found.face), functionals_of(np.array(rows)), rtol=1e-5, atol=1e-6)
    assert found.meta["frames_with_face"] == 20


def test_frames_without_a_face_are_left_out(
    video_clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    real, calls = StandInLandmarker.faces, []

    def every_other(self: StandInLandmarker, image: Any) -> Any:
        calls.append(image)
        return real(self, image) if len(calls) % 2 else []

    monkeypatch.setattr(StandInLandmarker, "faces", every_other)
    found = extract(video_clips["happy"], RECIPE, voice=False)
    assert found.meta["frames_with_face"] == 10
    assert "no face in 10 of 20 frames: they were left out" in found.notes
    kept = []
    for image in calls[::2]:
        (face,) = real(StandInLandmarker(), image)
        kept.append([*face.values, *expression_of(image, face.box, EXPRESSION_SHA256)])
    np.testing.assert_allclose(not_none(found.face), functionals_of(np.array(kept)), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(StandInLandmarker, "faces", lambda *_: [])
    none = extract(video_clips["happy"], RECIPE, voice=False)
    assert none.face is None and none.face_missing == "no face found in 20 frames"


def check_bundle(bundle: Path, clips: dict[str, Path], least_frames: int) -> None:
    """Predict, enroll and read a timeline with a bundle that was trained on videos alone."""
    recognizer = Recognizer.load(bundle)
    one = recognizer.predict(clips["happy"])
    assert one.used == ("voice", "face") and one.meta["frames_with_face"] >= least_frames
    assert "face_from" not in one.meta and recognizer.bundle.action_units == ()
    profile = recognizer.enroll([clips["happy"], clips["sad"]])
    assert {name: known.n for name, known in profile.moments.items()} == {"voice": 2, "face": 2, "both": 2}
    other = recognizer.predict(clips["happy"], profile=profile)
    assert not np.allclose(not_none(one.face), not_none(other.face), atol=1e-4)
    # the drawn people's faces tell their emotions: fused, both are nearly sure
    fused, enrolled = (np.log(not_none(found.probabilities)) for found in (one, other))
    assert not np.allclose(fused, enrolled, atol=0.01)
    windows = recognizer.timeline(clips["happy"]).windows
    assert windows and all(window.face is not None for window in windows)


def test_from_videos_to_a_bundle_and_back(
    tmp_path: Path, video_folder: Path, video_clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    (tmp_path / "small.toml").write_text(SMALL)
    recipe, store = load_recipe(tmp_path / "small.toml"), FeatureStore(tmp_path / "store")
    bundle = train(load_corpus(video_folder), recipe, tmp_path / "bundle", Resources(store=store))
    landmarker = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    assert bundle.provenance["pretrained_sha256"] == landmarker
    check_bundle(tmp_path / "bundle", video_clips, 4)
    take = next(take for take in load_corpus(video_folder).takes() if take.face is not None)
    (stored,) = extract_takes([take], recipe, store=store)
    assert isinstance(stored, Features) and take.face is not None
    np.testing.assert_array_equal(
        not_none(stored.face), not_none(extract(take.face.path, recipe, voice=False).face)
    )


def test_real_models_from_drawn_people_in_two_commands(
    tmp_path: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch, video_clips: dict[str, Path]
) -> None:
    """MediaPipe finds the faces of drawn people: whoever has RAVDESS' videos does the same with them."""
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "store"))
    toy, recipe = tmp_path / "toy", tmp_path / "small.toml"
    recipe.write_text(SMALL)
    for command in (
        ["corpus", "synth", toy, "--actors", 4, "--takes", 1],
        [
            "evaluate",
            toy,
            "--recipe",
            tmp_path / "small.toml",
            "--out",
            tmp_path / "run",
            "--protocol",
            "loso",
        ],
        ["train", toy, "--recipe", recipe, "--out", tmp_path / "bundle"],
    ):
        result = CliRunner().invoke(app, [*map(str, command)], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
    card = (tmp_path / "run" / "MODEL-CARD.md").read_text(encoding="utf-8")
    assert "Face Landmarker" in card
    check_bundle(tmp_path / "bundle", video_clips, 2)


@pytest.mark.ravdess
def test_real_videos(ravdess: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one actor, who speaks: the mouth moves, and is open further for a moment than on average."""
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    path = next(ravdess.glob("video/*/01-01-08-01-02-02-01.mp4"))
    found = extract(path, RECIPE, voice=False)
    frames = not_none(decode(path, audio=False, n_frames=20, square=True).frames)
    track = track_blendshapes(frames)
    assert isinstance(track, BlendshapeTrack) and track.found.all()
    roots = np.sqrt(track.values[:, 1:52])
    face, views = not_none(found.face), functional_views(RECIPE.face.features)
    np.testing.assert_allclose(face[views["means"]][:51], roots.mean(0), rtol=1e-4, atol=1e-5)
    jaw = NAMES.index("jawOpen") - 1
    assert face[views["peaks"]][51:][jaw] > face[views["means"]][jaw] + 0.05
    assert face[views["spreads"]][jaw] > 0.05
    assert found.meta["frames_with_face"] == 20 and np.exp(face[views["expression"]][:8]).sum() < 1.01
