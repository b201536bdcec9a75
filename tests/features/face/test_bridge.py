from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.core.errors import FeatureError
from emofuse.core.records import Features, TimedFrames
from emofuse.features.face.action_units import read_action_units
from emofuse.features.face.blendshapes import BLENDSHAPES, NAMES, BlendshapeTrack, track_blendshapes
from emofuse.features.face.bridge import (
    BRIDGE_NOTE,
    COUNTERPARTS,
    bridged,
    bridged_scaler,
    has_counterparts,
    is_bridged,
    to_action_units,
)
from emofuse.features.speaker_normalization import Moments, SpeakerPrior

SIDES = ("Left", "Right")


def blendshapes(**values: Sequence[float]) -> np.ndarray:
    """(n_frames, 58) with some columns set."""
    n_frames = len(next(iter(values.values())))
    frames = np.zeros((n_frames, len(NAMES)), np.float32)
    for name, column in values.items():
        frames[:, NAMES.index(name)] = column
    return frames


def test_counterparts_are_blendshapes_of_both_sides() -> None:
    for unit, shapes in COUNTERPARTS.items():
        assert set(shapes) <= set(BLENDSHAPES), unit
        sides = [{name.removesuffix(side) for name in shapes if name.endswith(side)} for side in SIDES]
        assert sides[0] == sides[1], unit
    # the names in the manual of the Facial Action Coding System, beside Apple's
    assert COUNTERPARTS["AU12"] == ("mouthSmileLeft", "mouthSmileRight")  # lip corner puller
    assert COUNTERPARTS["AU04"] == ("browDownLeft", "browDownRight")  # brow lowerer
    assert COUNTERPARTS["AU01"] == ("browInnerUp",)  # inner brow raiser
    assert COUNTERPARTS["AU26"] == ("jawOpen",)  # jaw drop


def test_a_row_is_the_mean_over_frames_and_counterparts_on_the_scale_of_its_column() -> None:
    frames = blendshapes(
        mouthSmileLeft=[0.1, 0.3], mouthSmileRight=[0.3, 0.5], jawOpen=[0.2, 0.6], browOuterUpLeft=[0.9, 0.9]
    )
    row = to_action_units(frames, ["AU12_r", "AU12_c", "AU12", "AU26_r", "AU25_c", "AU02_r", "AU99_r"])
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, [5 * 0.3, 0.3, 0.3, 5 * 0.4, 0.4 / 3, 5 * 0.9 / 3, 0], rtol=1e-6)


def test_columns_without_any_counterpart_are_refused() -> None:
    assert has_counterparts(["AU99_r", "AU12_c"]) and not has_counterparts(["AU99_r", "gaze_0_x"])
    with pytest.raises(FeatureError, match=r"none of these columns .* AU99_r, gaze_0_x"):
        to_action_units(blendshapes(jawOpen=[0.5]), ["AU99_r", "gaze_0_x"])


def test_features_say_that_the_face_came_over_the_bridge() -> None:
    voice = np.ones(3, np.float32)
    read = Features(voice, blendshapes(jawOpen=[0.5]), notes=("dark",), meta={"n_frames": 1})
    found = bridged(read, ["AU26_r"])
    assert is_bridged(found) and not is_bridged(read)
    assert found.face is not None and found.face.tolist() == [2.5]
    assert found.notes == ("dark", BRIDGE_NOTE)
    assert found.meta == {"n_frames": 1, "face_from": "bridge"}
    faceless = Features(voice, None, face_missing="no video stream")
    assert bridged(faceless, ["AU26_r"]) is faceless and not is_bridged(faceless)


def test_the_center_is_the_persons_own_however_few_rows_there_are() -> None:
    prior = SpeakerPrior(np.full(3, 9.0), np.full(3, 0.2), np.array([0.1, 0.1, 0.1]))
    rows = np.array([[1.0, 4, 0], [2, 4, 0], [6, 4, 0]])
    scaler = bridged_scaler(Moments.of(rows), prior, 3.0)
    np.testing.assert_allclose(scaler.center, [3, 4, 0])
    # (sum of squared deviations + 2 · 3 clips · 0.1²) / (3 + 2 · 3 clips), and a tenth of the spread
    np.testing.assert_allclose(
        scaler.scale, np.sqrt([(14 + 0.06) / 9, 0.06 / 9, 0.06 / 9]) + 0.02, rtol=1e-12
    )
    # a unit without a counterpart is 0 for everybody: it says nothing
    assert scaler.apply(np.array([[0.0, 0, 0]]))[0, 2] == 0
    # one clip: it is the center itself
    single = bridged_scaler(Moments.of(rows[:1]), prior, 3.0)
    np.testing.assert_array_equal(single.apply(rows[:1]), [[0, 0, 0]])


def test_another_zero_of_the_measurement_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    prior = SpeakerPrior(rng.random(5), rng.random(5) + 0.1, rng.random(5) + 0.1)
    rows, shift = rng.random((7, 5)), rng.random(5)
    one = bridged_scaler(Moments.of(rows), prior, 3.0).apply(rows[:2])
    other = bridged_scaler(Moments.of(rows + shift), prior, 3.0).apply(rows[:2] + shift)
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.ravdess
def test_it_follows_openface_on_real_faces(
    ravdess: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smile, brows and upper lip of 26 takes, against the values that OpenFace gave for them."""
    pytest.importorskip("mediapipe")
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    faces = np.load(ravdess / "faces" / "Actor_01.npz")
    units = ("AU04_r", "AU10_r", "AU12_r")
    table = read_action_units(ravdess / "openface_au_mean.csv").in_order(units)
    rows, published = [], []
    for code, frames in zip(faces["codes"].tolist(), faces["frames"], strict=True):
        if not code.startswith("01"):
            continue
        images = tuple(cv2.resize(frame, (192, 192)) for frame in frames[::4])
        track = track_blendshapes(TimedFrames(images, np.arange(len(images)) / 2, len(images)))
        assert isinstance(track, BlendshapeTrack)
        rows.append(to_action_units(track.values, units))
        row = table.row(code[3:])
        assert row is not None
        published.append(row)
    pairs = zip(np.transpose(rows), np.transpose(published), strict=True)
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairs]
    assert correlations[0] > 0.75 and correlations[1] > 0.6 and correlations[2] > 0.9
