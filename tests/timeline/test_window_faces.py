"""Face arrays of windows, by the kind of the features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.features.face.blendshapes import FaceShape, landmarker
from emofuse.features.face.tracker import TrackedFace
from emofuse.media.file_stream import open_stream
from emofuse.media.frame_sampling import Frame
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.window_faces import Crops, FaceInput, Shapes, _values_at, window_faces


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load()


def reading(recognizer: Recognizer, **features: Any) -> Recognizer:
    """The same networks with a recipe of other face features."""
    recipe = recognizer.bundle.recipe
    face = recipe.face.model_copy(update={"features": recipe.face.features.model_copy(update=features)})
    return Recognizer(replace(recognizer.bundle, recipe=recipe.model_copy(update={"face": face})))


def tracked(box: tuple[int, int, int, int], time_s: float = 0.0) -> TrackedFace:
    return TrackedFace(1, time_s, box, np.zeros((48, 48), np.uint8), np.zeros((16, 24), np.uint8))


def frames_of(path: Path) -> list[Frame]:
    with open_stream(path, audio=False) as stream:
        return [part for part in stream if isinstance(part, Frame)]


def test_the_recipe_selects_what_is_read(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(window_faces(recognizer), Crops)
    assert window_faces(reading(recognizer, kind="au-table")) is None
    monkeypatch.setenv("EMOFUSE_WEIGHTS", "nowhere")
    with pytest.raises(WeightsError, match="emofuse weights fetch face-landmarker"):
        window_faces(reading(recognizer, kind="blendshapes"))
    with pytest.raises(WeightsError, match="emofuse weights fetch yunet"):
        window_faces(reading(recognizer, detector="yunet"))


def test_crops_are_as_large_as_the_recipe_says(recognizer: Recognizer, video_clips: dict[str, Path]) -> None:
    """The shipped networks read 48 × 48; the tracker of another recipe makes crops of its size."""
    faces = window_faces(reading(recognizer, size=64))
    assert faces is not None
    inputs = [one for frame in frames_of(video_clips["happy"]) for one in faces.add(frame)]
    assert inputs and {one.tracked.crop.shape for one in inputs} == {(64, 64)}


def test_a_face_has_the_blendshapes_that_lie_over_it() -> None:
    shapes = [
        FaceShape(np.full(58, float(i), np.float32), (100.0 * i, 0.0, 100.0 * i + 80, 100.0))
        for i in range(3)
    ]
    assert _values_at(tracked((105, 10, 185, 90)), shapes) is shapes[1].values
    assert _values_at(tracked((105, 10, 185, 90)), shapes[::2]) is None
    assert _values_at(tracked((105, 10, 185, 90)), []) is None


@pytest.fixture
def real(real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))


@pytest.mark.usefixtures("real")
def test_blendshapes_are_interpolated_between_frames(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    pytest.importorskip("mediapipe")
    faces = window_faces(reading(recognizer, kind="blendshapes", n_frames=5))
    assert isinstance(faces, Shapes)
    frames = frames_of(video_clips["happy"])
    inputs = [one for frame in frames for one in faces.add(frame)] + faces.finish()
    times = [one.tracked.time_s for one in inputs]
    assert times == [frame.time_s for frame in frames], "the first one, returned late, has its own too"
    expected = {}
    for frame in frames:
        (shape,) = landmarker().faces(frame.image)
        expected[frame.time_s] = shape.values
    array = faces.array(inputs, times[0], times[4])  # the sample times are those of five frames
    assert array is not None and array.shape == (5, 58) and array.dtype == np.float32
    np.testing.assert_allclose(array, [expected[t] for t in times[:5]], rtol=1e-5, atol=1e-6)
    middle = faces.array(inputs, (times[0] + times[1]) / 2, times[-1])
    assert middle is not None
    np.testing.assert_allclose(middle[0], (expected[times[0]] + expected[times[1]]) / 2, rtol=1e-4, atol=1e-5)
    assert faces.array([FaceInput(one.tracked) for one in inputs], times[0], times[4]) is None


@pytest.mark.usefixtures("real")
@pytest.mark.ravdess
def test_yunet_follows_a_real_face(ravdess: Path, recognizer: Recognizer) -> None:
    path = next(ravdess.glob("video/*/01-01-08-01-02-02-01.mp4"))
    by_yunet, by_dlib = window_faces(reading(recognizer, detector="yunet")), window_faces(recognizer)
    assert by_yunet is not None and by_dlib is not None
    found: list[list[FaceInput]] = [[], []]
    for frame in frames_of(path):
        for inputs, faces in zip(found, (by_yunet, by_dlib), strict=True):
            inputs.extend(faces.add(frame))
    ours, theirs = ([one.tracked for one in inputs] for inputs in found)
    assert [one.time_s for one in ours] == [one.time_s for one in theirs]
    assert {one.person for one in ours} == {1}
    apart = [np.abs(np.subtract(a.box, b.box)).max() for a, b in zip(ours, theirs, strict=True)]
    widths = [b.box[2] - b.box[0] for b in theirs]
    assert np.mean(np.divide(apart, widths)) < 0.15
    timeline = reading(recognizer, detector="yunet").timeline(path)
    assert timeline.people == ("person 1",)
    assert all(window.face is not None for window in timeline.windows)
