from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from emofuse.core.recipes import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames
from emofuse.features.face import clip_track as face
from emofuse.features.face.clip_track import crop, track_face
from emofuse.media.decoding import decode

FEATURES = FaceFeatures()
DETECTOR = dlib.get_frontal_face_detector()


def face_picture(size: int, face_px: int, centre: tuple[int, int]) -> np.ndarray:
    """(size, size) uint8: a shaded drawing of a face that dlib's detector finds."""
    picture = np.full((size, size), 90, np.uint8)
    x, y = centre
    r = face_px / 2

    def oval(dx: float, dy: float, w: float, h: float, grey: int) -> None:
        cv2.ellipse(
            picture, (round(x + dx * r), round(y + dy * r)), (max(1, round(w * r)), max(1, round(h * r))),
            0, 0, 360, grey, -1, cv2.LINE_AA,
        )  # fmt: skip

    oval(0, -0.25, 1.05, 1.2, 35)
    oval(0, 0, 0.85, 1.15, 190)
    for side in (-1, 1):
        oval(side * 0.36, -0.28, 0.2, 0.05, 60)
        oval(side * 0.36, -0.1, 0.17, 0.09, 235)
        oval(side * 0.36, -0.1, 0.08, 0.09, 30)
    oval(0, 0.18, 0.07, 0.22, 165)
    oval(0, 0.36, 0.16, 0.05, 120)
    oval(0, 0.64, 0.32, 0.09, 90)
    return cv2.GaussianBlur(picture, (0, 0), max(0.6, face_px / 90))


def full_size_boxes(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [(f.left(), f.top(), f.right() + 1, f.bottom() + 1) for f in DETECTOR(image, 0)]


def frames(*images: np.ndarray) -> TimedFrames:
    return TimedFrames(images, np.arange(len(images)) / 10, len(images))


@pytest.mark.parametrize(("size", "face_px"), [(480, 110), (480, 260), (720, 160), (720, 330), (720, 420)])
def test_boxes_are_those_of_a_full_size_search(size: int, face_px: int) -> None:
    images = [face_picture(size, face_px, (size // 2 + 5 * i, size // 2 - 3 * i)) for i in range(3)]
    track = track_face(frames(*images), FEATURES)
    assert isinstance(track, FaceTrack) and track.found.all()
    for image, box in zip(images, track.boxes, strict=True):
        full = full_size_boxes(image)
        assert full, "the drawing must be found by the detector itself"
        # Cells of the detector are 8 pixels on its level: about a tenth of the face.
        assert min(np.abs(np.subtract(other, box)).max() for other in full) <= max(4, 0.08 * face_px)


def test_a_frame_without_a_face_borrows_the_nearest() -> None:
    face, empty = face_picture(480, 200, (240, 240)), np.full((480, 480), 90, np.uint8)
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
        left, right = face_picture(720, 300, (210 + shift, 360)), face_picture(720, 180, (560, 360 + shift))
        return np.hstack([left[:, :430], right[:, 430:]])

    track = track_face(frames(*(both(4 * i) for i in range(6))), FEATURES)
    assert isinstance(track, FaceTrack) and track.found.all()
    assert track.n_faces.max() == 2
    assert (track.boxes[:, 0] < 300).all() and (track.boxes[:, 2] - track.boxes[:, 0] > 200).all()


def test_crops_repeat_the_edge_outside_the_picture() -> None:
    image = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    inner = crop(image, (10, 10, 58, 58), 48)
    np.testing.assert_array_equal(inner, image[10:58, 10:58])
    outer = crop(image, (-24, 0, 24, 48), 48)
    assert (outer[:, :24] == 0).all() and outer[0, 47] == 23
    assert crop(image, (80, 80, 128, 128), 48)[47, 47] == 99


@pytest.mark.ravdess
def test_real_boxes_are_those_of_a_full_size_search(ravdess: Path) -> None:
    path = sorted(ravdess.glob("video/*/01-*.mp4"))[0]
    pictures = decode(path, audio=False, n_frames=8, square=True).frames
    assert pictures is not None
    track = track_face(pictures, FEATURES)
    assert isinstance(track, FaceTrack)
    for image, box in zip(pictures.images, track.boxes, strict=True):
        assert np.abs(np.subtract(full_size_boxes(image)[0], box)).max() <= 4


def test_the_detector_that_is_shipped_is_that_of_dlib(tmp_path: Path) -> None:
    DETECTOR.save(str(tmp_path / "own"))
    shipped = Path(face.__file__).with_name("frontal_face_detector.dat")
    dlib.fhog_object_detector(str(shipped)).save(str(tmp_path / "shipped"))
    assert (tmp_path / "shipped").read_bytes() == (tmp_path / "own").read_bytes()


def test_threads_have_a_detector_each() -> None:
    """In a process of its own: several threads in one detector end it."""
    script = (
        "import sys, threading; import numpy as np; from emofuse.core.records import TimedFrames\n"
        "from emofuse.core.recipes import FaceFeatures\n"
        "from emofuse.features.face.clip_track import track_face\n"
        "picture = np.load(sys.argv[1])\n"
        "frames = TimedFrames((picture,) * 12, np.arange(12.0), 12)\n"
        "found = []\n"
        "read = lambda: found.append(track_face(frames, FaceFeatures()).boxes.tolist())\n"
        "threads = [threading.Thread(target=read) for _ in range(6)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]\n"
        "assert len(found) == 6 and all(boxes == found[0] for boxes in found)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "picture.npy"), face_picture(480, 200, (240, 240)))
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(folder, "picture.npy"))], capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
