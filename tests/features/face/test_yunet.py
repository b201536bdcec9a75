from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WEIGHTS
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames
from emofuse.features.face.clip_track import track_face
from emofuse.features.face.yunet import _square, load_yunet
from emofuse.media.decoding import decode

YUNET = FaceFeatures(detector="yunet")
GRAY = TimedFrames((np.full((240, 240), 128, np.uint8),), np.zeros(1), 1)


def test_a_box_becomes_a_square_between_eyes_and_mouth() -> None:
    # box 80 × 125 = 100², eyes at height 60, corners of the mouth at 100; the image was halved
    face = np.array([10, 20, 80, 125, 40, 60, 60, 60, 50, 80, 42, 100, 58, 100, 0.9], np.float32)
    left, top, right, bottom = _square(face, 0.5)
    assert right - left == bottom - top == 190
    assert abs((left + right) / 2 - 100) <= 1 and abs((top + bottom) / 2 - 160) <= 1


def test_missing_weights_name_the_ways_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"emofuse weights fetch yunet`.*--from PATH"):
        track_face(GRAY, YUNET)


def test_a_file_that_is_not_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = WEIGHTS["yunet"]
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    (tmp_path / known.file_name).write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="wrong sha256"):
        load_yunet()
    digest = hashlib.sha256(b"not a network").hexdigest()
    monkeypatch.setitem(WEIGHTS, "yunet", replace(known, sha256=digest))
    with pytest.raises(WeightsError, match="OpenCV cannot read this network"):
        load_yunet()


def test_weights_are_part_of_the_key_of_features(monkeypatch: pytest.MonkeyPatch) -> None:
    before = YUNET.hash()
    assert before != FaceFeatures().hash()
    monkeypatch.setitem(WEIGHTS, "yunet", replace(WEIGHTS["yunet"], sha256="0" * 64))
    assert YUNET.hash() != before


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    inside = float(width * height)
    return inside / (both - inside)


@pytest.mark.ravdess
def test_real_squares_are_those_of_dlib(
    ravdess: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    overlaps = []
    for path in sorted(ravdess.glob("video/*/01-*.mp4"))[::2]:
        frames = decode(path, audio=False, n_frames=8, square=True).frames
        assert frames is not None
        ours, theirs = track_face(frames, YUNET), track_face(frames, FaceFeatures())
        assert isinstance(ours, FaceTrack) and isinstance(theirs, FaceTrack)
        assert ours.found.all() and (ours.n_faces == 1).all() and ours.crops.shape == theirs.crops.shape
        overlaps += [overlap(a, b) for a, b in zip(ours.boxes, theirs.boxes, strict=True)]
    assert np.mean(overlaps) > 0.78
    assert capfd.readouterr().err == ""


@pytest.mark.ravdess
def test_two_real_faces_are_counted_and_the_largest_followed(
    ravdess: Path, real_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(real_weights))
    frames = decode(sorted(ravdess.glob("video/*/01-*.mp4"))[0], audio=False, n_frames=2, square=True).frames
    assert frames is not None
    face = frames.images[0]
    small = np.full_like(face, face[0, 0])
    small[180:540, 180:540] = face[::2, ::2]
    track = track_face(TimedFrames((np.hstack([small, face]),) * 2, np.arange(2.0), 2), YUNET)
    assert isinstance(track, FaceTrack)
    assert track.n_faces.tolist() == [2, 2]
    assert (track.boxes[:, 0] > 720).all()
    nothing = track_face(GRAY, YUNET)
    assert nothing == "no face found in 1 frame"
