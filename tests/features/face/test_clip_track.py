from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import pytest

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames
from emofuse.features.face import clip_track
from emofuse.features.face.boxes import crop
from emofuse.features.face.clip_track import track_face
from emofuse.media.decoding import decode
from tests.support.drawn_faces import face_drawing

FEATURES = FaceFeatures()
DETECTOR = dlib.get_frontal_face_detector()


def full_size_boxes(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [(f.left(), f.top(), f.right() + 1, f.bottom() + 1) for f in DETECTOR(image, 0)]


def frames(*images: np.ndarray) -> TimedFrames:
    return TimedFrames(images, np.arange(len(images)) / 10, len(images))


@pytest.mark.parametrize(("size", "face_px"), [(480, 110), (480, 260), (720, 160), (720, 330), (720, 420)])
def test_boxes_are_those_of_a_full_size_search(size: int, face_px: int) -> None:
    images = [face_drawing(size, face_px, (size // 2 + 5 * i, size // 2 - 3 * i)) for i in range(3)]
    track = track_face(frames(*images), FEATURES)
    assert isinstance(track, FaceTrack) and track.found.all()
    for image, box in zip(images, track.boxes, strict=True):
        full = full_size_boxes(image)
        assert full, "the drawing must be found by the detector itself"
        # Cells of the detector are 8 pixels on its level: about a tenth of the face.
        assert min(np.abs(np.subtract(other, box)).max() for other in full) <= max(4, 0.08 * face_px)


def test_a_frame_without_a_face_borrows_the_nearest() -> None:
    face, empty = face_drawing(480, 200, (240, 240)), np.full((480, 480), 90, np.uint8)
    track = track_face(frames(empty, face, empty, empty, np.roll(face, 40, axis=1)), FEATURES)
    assert isinstance(track, FaceTrack)
    assert track.found.tolist() == [False, True, False, False, True]
    assert track.n_faces.tolist() == [0, 1, 0, 0, 1]
    np.testing.assert_array_equal(track.crops[0], track.crops[1])
    np.testing.assert_array_equal(track.crops[2], track.crops[1])
    np.testing.assert_array_equal(track.crops[3], track.crops[4])


def test_no_face_is_a_reason() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 240)).astype(np.uint8)
    assert track_face(frames(*[noise] * 3), FEATURES) == "no face found in 3 frames"
    assert track_face(frames(np.zeros((2, 3), np.uint8)), FEATURES) == "no face found in 1 frame"


def test_the_largest_of_two_faces_is_followed() -> None:
    def both(shift: int) -> np.ndarray:
        left, right = face_drawing(720, 300, (210 + shift, 360)), face_drawing(720, 180, (560, 360 + shift))
        return np.hstack([left[:, :430], right[:, 430:]])

    track = track_face(frames(*(both(4 * i) for i in range(6))), FEATURES)
    assert isinstance(track, FaceTrack) and track.found.all()
    assert track.n_faces.max() == 2
    assert (track.boxes[:, 0] < 300).all() and (track.boxes[:, 2] - track.boxes[:, 0] > 200).all()


@pytest.mark.ravdess
def test_real_boxes_are_those_of_a_full_size_search(ravdess: Path) -> None:
    path = sorted(ravdess.glob("video/*/01-*.mp4"))[0]
    clip = decode(path, audio=False, n_frames=8, square=True).frames
    assert clip is not None
    track = track_face(clip, FEATURES)
    assert isinstance(track, FaceTrack)
    for image, box in zip(clip.images, track.boxes, strict=True):
        assert np.abs(np.subtract(full_size_boxes(image)[0], box)).max() <= 4


def test_frames_larger_than_4k_are_searched_reduced_and_cropped_whole() -> None:
    large = face_drawing(3200, 1400, (1500, 1700))
    half = np.asarray(cv2.resize(large, (1600, 1600), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    track, reduced = track_face(frames(large), FEATURES), track_face(frames(half), FEATURES)
    assert isinstance(track, FaceTrack) and isinstance(reduced, FaceTrack)
    box = tuple(track.boxes[0].tolist())
    assert box == tuple((2 * reduced.boxes[0]).tolist())
    np.testing.assert_array_equal(track.crops[0], crop(large, box, FEATURES.size))


def test_small_faces_are_searched_in_1080_rows() -> None:
    """Whole frames of 4K at their full size would take seconds each, where there is no face."""
    searched: list[int] = []

    class Pyramid(clip_track._Pyramid):
        def search(self, number: int, around: Any = None) -> Any:
            searched.append(min(self.level(number).shape))
            return super().search(number, around)

    empty = np.full((2160, 2160), 90, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_track, "_Pyramid", Pyramid)
        for image, most in ((empty, 1100), (empty[:1080, :1080], 1080), (empty[:720, :720], 720)):
            searched.clear()
            track_face(frames(image), FEATURES)
            assert 0.9 * most < max(searched) <= most
