from __future__ import annotations

from typing import Any

import cv2
import dlib
import numpy as np
import pytest

from emofuse.corpus.synthetic import clip
from emofuse.features.face.boxes import FaceDetection
from emofuse.features.face.video_search import FaceSearch


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """(720, 1280) gray: a drawn face, 260 pixels wide for the detector."""
    code = clip.TakeCode(1, 1, 1, 1, 2)
    portrait = clip.person(5, 2).portrait
    pose = clip.face_poses(5, code, clip.take_speech(5, code))[0]
    bgr = portrait.frame(portrait.patch(pose, np.random.default_rng(0)))
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def small(image: np.ndarray) -> np.ndarray:
    width = round(image.shape[1] * 360 / image.shape[0])
    return cv2.cvtColor(cv2.resize(image, (width, 360), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)


def find(
    search: FaceSearch, image: np.ndarray, time_s: float, known: list[Any], fresh: bool = False
) -> list[FaceDetection]:
    return search.find(image, small(image), time_s, known, fresh=fresh)


@pytest.mark.parametrize("factor", [1.0, 0.6, 0.4])
def test_boxes_are_those_of_a_full_size_search(image: np.ndarray, factor: float) -> None:
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    canvas = np.full((720, 1280), 150, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    (full,) = dlib.get_frontal_face_detector()(canvas, 0)
    expected = np.array([full.left(), full.top(), full.right() + 1, full.bottom() + 1])
    search = FaceSearch(240)
    (whole,) = find(search, canvas, 0.0, [], fresh=True)
    (near,) = find(search, canvas, 0.2, [whole.box])
    for found in (whole, near):
        assert np.abs(np.subtract(found.box, expected)).max() <= 0.06 * (expected[2] - expected[0])
        assert found.score > 0.5


def test_a_face_that_moved_far_is_found_immediately(image: np.ndarray) -> None:
    search = FaceSearch(240)
    (first,) = find(search, image, 0.0, [], fresh=True)
    moved = np.full_like(image, 150)
    moved[:, 450:] = image[:, :-450]
    (second,) = find(search, moved, 0.6, [first.box])
    assert abs(second.box[0] - first.box[0] - 450) < 15


def test_a_second_face_is_found_within_a_second(image: np.ndarray) -> None:
    search = FaceSearch(240)
    (first,) = find(search, image, 0.0, [], fresh=True)
    two = image.copy()
    two[:, 850:1280] = image[:, 425:855]
    found = find(search, two, 1.0, [first.box])
    assert len(found) == 2 and found[0].box[0] < found[1].box[0]
    # In between, only known faces are searched.
    assert len(find(search, two, 1.2, [first.box])) == 1
