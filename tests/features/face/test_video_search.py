from __future__ import annotations

from typing import Any

import cv2
import dlib
import numpy as np
import pytest

from emofuse.corpus.synthetic import clip
from emofuse.features.face import video_search
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
    # A moment later, only known faces are searched.
    assert len(find(search, two, 1.2, [first.box])) == 1


@pytest.fixture(scope="module")
def scene(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A face 315 pixels wide, alone and beside one of 106."""
    large: Any = cv2.resize(image[:, 320:960], None, fx=1.2, fy=1.2, interpolation=cv2.INTER_LINEAR)
    small: Any = cv2.resize(image[:, 320:960], None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    alone = np.full((720, 1280), 150, np.uint8)
    alone[:, : large.shape[1]] = large[60:780]
    both = alone.copy()
    both[150 : 150 + small.shape[0], 900 : 900 + small.shape[1]] = small
    return alone, both


def test_a_small_face_beside_a_large_one_is_seen_at_once(scene: tuple[np.ndarray, np.ndarray]) -> None:
    faces = find(FaceSearch(240), scene[1], 0.0, [], fresh=True)
    widths = [face.box[2] - face.box[0] for face in faces]
    assert len(faces) == 2 and widths[0] > 2.5 * widths[1]


@pytest.mark.parametrize("arrives_s", [0.2, 0.6, 2.0, 3.4])
def test_a_small_face_that_appears_is_seen_within_half_a_second(
    scene: tuple[np.ndarray, np.ndarray], arrives_s: float
) -> None:
    search, known = FaceSearch(240), list[Any]()
    for i in range(60):
        time_s = i / 5
        image = scene[int(time_s >= arrives_s)]
        known = [face.box for face in find(search, image, time_s, known, fresh=i == 0)]
        assert len(known) == 1 if time_s < arrives_s else len(known) == 2 or time_s < arrives_s + 0.5


class Searched:
    """How large the images were that were searched since the last look, in parts of a frame of 720p."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sizes: list[int] = []
        run = video_search._detect

        def counted(image: np.ndarray, *rest: Any) -> list[FaceDetection]:
            self._sizes.append(image.size)
            return run(image, *rest)

        monkeypatch.setattr(video_search, "_detect", counted)

    def shares(self) -> list[float]:
        sizes, self._sizes[:] = self._sizes.copy(), []
        return [size / (720 * 1280) for size in sizes]


def test_where_something_always_moves_is_searched_ever_more_seldom(
    scene: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, search, known = Searched(monkeypatch), FaceSearch(240), list[Any]()
    rng = np.random.default_rng(0)
    times = []
    for i in range(72):
        image = scene[int(i >= 51)].copy()
        if i < 51:  # leaves in the wind, until somebody stands there
            leaves = rng.integers(0, 255, (12, 16), dtype=np.uint8)
            image[150:438, 900:1284] = cv2.resize(leaves, (384, 288), interpolation=cv2.INTER_CUBIC)[:, :380]
        known = [face.box for face in find(search, image, i / 5, known, fresh=i == 0)]
        if any(0.15 < share < 0.2 for share in searched.shares()):  # as large as what moves
            times.append(i / 5)
        assert len(known) == 1 if i < 51 else len(known) == 2 or i / 5 < 10.2 + 3.4
    assert len(known) == 2
    gaps = np.diff([time_s for time_s in times if time_s < 10.2])
    assert times[0] < 1 and gaps[0] < 2 and len(gaps) >= 3
    assert (gaps[1:] > 3).all() and (gaps < 3.5).all()


def test_a_shot_like_one_before_is_searched_where_it_differs(
    scene: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras that take turns: the second time, nothing was new; the third, somebody small has come."""
    searched, search = Searched(monkeypatch), FaceSearch(240)
    other = cv2.rotate(scene[0], cv2.ROTATE_180)
    whole: list[int] = []
    for shot, image in enumerate([scene[0], other, scene[0], other, scene[1], other, scene[1]]):
        known = list[Any]()
        for i in range(6):
            time_s = shot * 1.2 + i / 5
            known = [face.box for face in find(search, image, time_s, known, fresh=i == 0)]
        whole.append(sum(share > 0.9 for share in searched.shares()))
        if image is not other:  # which has no face: all of it is searched, at once
            assert len(known) == (2 if image is scene[1] else 1)
    assert whole[0] == 1 and whole[2] == whole[4] == whole[6] == 0


def test_a_frame_that_changes_everywhere_is_searched_for_small_faces_seldom(
    scene: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hand-held camera: the search for small faces must not take the time of all else."""
    searched = Searched(monkeypatch)
    search, known = FaceSearch(240), list[Any]()
    for i in range(25):
        shaken = np.roll(scene[0], 17 * (i % 5), axis=1)
        known = [face.box for face in find(search, shaken, i / 5, known, fresh=i == 0)]
    assert sum(share > 0.4 for share in searched.shares()) <= 4


def test_two_cuts_at_once_are_searched_for_small_faces_once(scene: tuple[np.ndarray, np.ndarray]) -> None:
    search = FaceSearch(240)
    assert len(find(search, scene[0], 0.0, [], fresh=True)) == 1
    # The second cut comes too soon after the first: a later frame of its shot is searched.
    assert len(find(search, scene[1], 0.2, [], fresh=True)) == 1
    assert len(find(search, scene[1], 0.4, [], fresh=False)) == 2
