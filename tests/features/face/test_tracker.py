from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.corpus.synthetic import clip
from emofuse.features.face.boxes import Box, FaceDetection, crop
from emofuse.features.face.tracker import FaceTracker, TrackedFace
from emofuse.media.frame_sampling import Frame

PER_S = 5.0
Video = list[np.ndarray]


def as_frame(time_s: float, bgr: np.ndarray) -> Frame:
    height, width = bgr.shape[:2]
    size = (round(width * 360 / height), 360)
    small: Any = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA) if height > 360 else bgr
    gray: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    return Frame(time_s, gray, small)


def follow(video: Sequence[np.ndarray], per_s: float = PER_S) -> list[TrackedFace]:
    tracker = FaceTracker()
    out = []
    for i, bgr in enumerate(video):
        out += tracker.update(as_frame(i / per_s, bgr))
    return out + tracker.finish()


def people_by_frame(faces: Sequence[TrackedFace], n: int) -> list[str]:
    """For each frame, the numbers of the people in it, from left to right."""
    rows: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for face in faces:
        rows[round(face.time_s * PER_S)].append((face.box[0], face.person))
    return ["".join(str(person) for _, person in sorted(row)) for row in rows]


@cache
def drawn(actor: int) -> Video:
    """Twelve frames of a drawn person who speaks, 1280×720."""
    code = clip.TakeCode(2 + actor % 6, 1, 1, 1, actor)
    poses = clip.face_poses(5, code, clip.take_speech(5, code))[::6][:12]
    portrait, rng = clip.person(5, actor).portrait, np.random.default_rng(actor)
    return [portrait.frame(portrait.patch(pose, rng)) for pose in poses]


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.hstack([left[:, 320:960], right[:, 320:960]])


def swapped(left: Video, right: Video, at: int) -> Video:
    pairs = enumerate(zip(left, right, strict=False))
    return [beside(a, b) if i < at else beside(b, a) for i, (a, b) in pairs]


def test_one_person_is_one_track_with_crops_of_the_box() -> None:
    video = drawn(1)
    faces = follow(video)
    assert [s.time_s for s in faces] == [i / PER_S for i in range(len(video))]
    assert {s.person for s in faces} == {1}
    for face, bgr in zip(faces, video, strict=True):
        image: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        np.testing.assert_array_equal(face.crop, crop(image, face.box, 48))
        assert face.mouth.shape == (16, 24) and face.mouth.dtype == np.uint8


def test_the_same_frames_give_the_same_faces() -> None:
    video = swapped(drawn(1), drawn(2), 4)[:7]
    first, second = follow(video), follow(video)
    assert [(s.person, s.time_s, s.box) for s in first] == [(s.person, s.time_s, s.box) for s in second]
    assert all(np.array_equal(a.mouth, b.mouth) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("left", "right"), [(1, 2), (3, 4), (2, 4)])
def test_two_people_who_swap_sides_keep_their_numbers(left: int, right: int) -> None:
    video = swapped(drawn(left), drawn(right), 6)
    assert people_by_frame(follow(video), len(video)) == ["12"] * 6 + ["21"] * (len(video) - 6)


def test_a_cut_to_other_people_and_back() -> None:
    video = [*drawn(1)[:3], *drawn(2)[:3], *drawn(3)[:3], *drawn(2)[3:6], *drawn(1)[3:6]]
    assert people_by_frame(follow(video), len(video)) == [*"111", *"222", *"333", *"222", *"111"]


def crossing(left: Video, right: Video, wall: int, n: int = 20) -> Video:
    """The left one walks to the right, in front of the one who walks to the left."""
    video = []
    for i in range(n):
        canvas = np.full((720, 1280, 3), wall, np.uint8)
        for person, x in ((right, 800 - 780 * i // (n - 1)), (left, 20 + 780 * i // (n - 1))):
            head = person[i % len(person)][60:, 400:880]
            part = canvas[60:, x : x + 480]
            far = np.abs(head.astype(int) - person[0][5, 5]).max(axis=2, keepdims=True) > 26
            part[:] = np.where(far, head, part)
        video.append(canvas)
    return video


def test_two_people_who_cross_keep_their_numbers() -> None:
    numbers = people_by_frame(follow(crossing(drawn(1), drawn(2), 200)), 20)
    assert numbers[0] == "12" and numbers[-1] == "21"
    assert set("".join(numbers)) == {"1", "2"}
    # The one in front is always visible.
    assert all("1" in row for row in numbers)


@pytest.mark.parametrize("n_absent", [4, 15])
def test_a_face_that_was_absent_keeps_its_number(n_absent: int) -> None:
    hidden = [bgr.copy() for bgr in (drawn(1) * 2)[:n_absent]]
    for bgr in hidden:
        bgr[150:560, 450:830] = (150, 170, 190)
    video = [*drawn(1)[:5], *hidden, *drawn(1)[5:10]]
    assert people_by_frame(follow(video), len(video)) == ["1"] * 5 + [""] * n_absent + ["1"] * 5


def test_a_face_detected_once_is_not_a_person() -> None:
    empty = np.full((720, 1280, 3), 150, np.uint8)
    video = [*drawn(1)[:3], *[empty] * 2, drawn(3)[0], *[empty] * 6, *drawn(1)[3:6]]
    assert people_by_frame(follow(video), len(video)) == [*"111", *[""] * 9, *"111"]


def test_a_single_frame_is_enough_at_the_end() -> None:
    tracker = FaceTracker()
    assert tracker.update(as_frame(0.0, drawn(1)[0])) == []
    (only,) = tracker.finish()
    assert (only.person, only.time_s) == (1, 0.0)


class ScriptedSearch:
    """In place of a detector: finds the faces that it is given."""

    def __init__(self) -> None:
        self.faces: list[FaceDetection] = []

    def find(
        self, _image: np.ndarray, _small: np.ndarray, _time_s: float, _known: Sequence[Box], *, fresh: bool
    ) -> list[FaceDetection]:
        del fresh
        return self.faces


def test_no_person_is_in_one_frame_twice() -> None:
    """A face is missed once while one like it appears on its left: the right one returns, the left one stays.

    The left one is a blend of two patterns, more or less like the right one.
    """
    noise = np.random.default_rng(1).integers(60, 200, (2, 150, 150)).astype(np.uint8)
    own, other = (cv2.GaussianBlur(pattern, (0, 0), 3) for pattern in noise)

    def pair(share: float | None) -> np.ndarray:
        canvas = np.full((360, 640), 128, np.uint8)
        for x, part in ((440, 0.0), (40, share)):
            if part is not None:
                blend = cv2.addWeighted(own, 1 - part, other, part, 0)
                canvas[100:250, x : x + 150] = cv2.normalize(blend, blend.copy(), 30, 220, cv2.NORM_MINMAX)
        return np.repeat(canvas[:, :, None], 3, axis=2)

    left, right = FaceDetection((65, 125, 165, 225), 0.4), FaceDetection((465, 125, 565, 225), 1.0)
    for first, second in ((0.7, 0.0), (0.8, 0.3), (1.0, 0.4), (1.0, 0.5), (1.0, 1.0)):
        tracker, search = FaceTracker(), ScriptedSearch()
        tracker._search = search
        tracked: list[TrackedFace] = []
        shown = [([right], None)] * 8 + [([left], first), ([left, right], second)]
        for i, (faces, share) in enumerate(shown):
            search.faces = faces
            tracked += tracker.update(as_frame(i / PER_S, pair(share)))
        who = [(face.person, face.time_s) for face in tracked]
        assert len(who) == len(set(who)) >= 9, (first, second)


def darker(bgr: np.ndarray, share: float) -> np.ndarray:
    return cv2.convertScaleAbs(bgr, alpha=1 - 0.4 * share)


def steeper(bgr: np.ndarray, share: float) -> np.ndarray:
    return np.rint(255 * (bgr / 255.0) ** (1 + 0.5 * share)).astype(np.uint8)


def warmer(bgr: np.ndarray, share: float) -> np.ndarray:
    return np.rint(bgr * (1 - 0.25 * share, 1 - 0.1 * share, 1.0)).astype(np.uint8)


@pytest.mark.parametrize(("light", "n_steps"), [(darker, 1), (steeper, 1), (warmer, 5)])
def test_changing_light_makes_no_new_person(light: Callable[[Any, float], Any], n_steps: int) -> None:
    video = [light(bgr, min(1.0, max(0, i - 3) / n_steps)) for i, bgr in enumerate(drawn(1)[:10])]
    assert people_by_frame(follow(video), 10) == ["1"] * 10


def test_frames_a_second_apart_and_frames_without_faces() -> None:
    assert {s.person for s in follow(drawn(2)[:4], per_s=1.0)} == {1}
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3)).astype(np.uint8)
    assert follow([noise] * 3) == []
    assert follow([np.zeros((2, 3, 3), np.uint8)] * 2) == []


def test_memory_does_not_grow() -> None:
    tracker = FaceTracker()
    people = [drawn(actor)[i] for i in (0, 1, 2, 3) for actor in (1, 2, 3)]
    for i in range(36):
        tracker.update(as_frame(i / PER_S, people[i // 3 % len(people)]))
    assert len(tracker._tracks) <= 4
    assert all(len(track.appearances) <= 4 and len(track.pending) <= 2 for track in tracker._tracks)


def dimmed(video: Video, start: int = 6, n: int = 3, amount: float = 0.3) -> Video:
    """The light fades by ``amount`` of full scale over ``n`` frames, as ffmpeg's eq=brightness does it."""
    steps = (amount * 255 * min(max(i - start + 1, 0) / n, 1) for i in range(len(video)))
    return [np.clip(bgr - step, 0, 255).astype(np.uint8) for bgr, step in zip(video, steps, strict=True)]


def colored(video: Video, start: int = 6) -> Video:
    """Red light is switched on."""
    return [bgr if i < start else (bgr * (0.4, 0.5, 0.9)).astype(np.uint8) for i, bgr in enumerate(video)]


@pytest.mark.parametrize("lit", [dimmed, lambda video: dimmed(video, n=1), colored])
@pytest.mark.parametrize(("left", "right"), [(1, 2), (3, 4)])
def test_people_who_stay_keep_their_numbers_when_the_light_changes(
    lit: Callable[[Video], Video], left: int, right: int
) -> None:
    video = lit([beside(a, b) for a, b in zip(drawn(left), drawn(right), strict=True)])
    assert people_by_frame(follow(video), len(video)) == ["12"] * len(video)


def test_people_who_change_with_the_light_are_others() -> None:
    video = [*drawn(1)[:4], *dimmed(drawn(2)[:8], start=0, n=1)]
    assert people_by_frame(follow(video), len(video)) == [*"1111", *"22222222"]


@pytest.fixture(scope="module")
def real(ravdess: Path) -> list[Video]:
    """Frames of three clips of one actor, five per second, in color."""
    import av

    videos = []
    for path in sorted(ravdess.glob("video/*/02-*.mp4"))[:3]:
        with av.open(str(path)) as container:
            frames = [
                f.to_ndarray(format="bgr24") for i, f in enumerate(container.decode(video=0)) if i % 6 == 0
            ]
        videos.append(frames)
    return videos


def cold(bgr: np.ndarray) -> np.ndarray:
    return np.rint(bgr * (1.0, 0.8, 0.6)).astype(np.uint8)


@pytest.mark.ravdess
def test_real_boxes_are_those_of_prediction(real: list[Video]) -> None:
    from emofuse.core.recipes.face import FaceFeatures
    from emofuse.core.records import FaceTrack, TimedFrames
    from emofuse.features.face.clip_track import track_face

    ratios = []
    for video in real:
        gray: Any = tuple(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) for bgr in video)
        track = track_face(TimedFrames(gray, np.arange(len(gray)) / PER_S, len(gray)), FaceFeatures())
        faces = follow(video)
        assert isinstance(track, FaceTrack) and len(faces) == len(video)
        boxes = np.array([s.box for s in faces])
        ratios += list(np.abs(boxes - track.boxes).max(axis=1) / (boxes[:, 2] - boxes[:, 0]))
    # A face between two of the detector's sizes is sometimes found in either.
    assert np.quantile(ratios, 0.85) < 0.05 and max(ratios) < 0.25


@pytest.mark.ravdess
def test_real_people_side_by_side_keep_their_numbers(real: list[Video]) -> None:
    video = swapped(real[0], [cold(bgr) for bgr in real[1]], 8)
    assert people_by_frame(follow(video), len(video)) == ["12"] * 8 + ["21"] * (len(video) - 8)


@pytest.mark.ravdess
def test_one_real_person_in_several_clips_is_one_person(real: list[Video]) -> None:
    video = [bgr for clip in real for bgr in clip[:9]]
    assert people_by_frame(follow(video), len(video)) == ["1"] * 27
    mixed = [*real[0][:4], *drawn(1)[:4], *real[2][4:8], *drawn(1)[4:8]]
    assert people_by_frame(follow(mixed), 16) == [*"1111", *"2222", *"1111", *"2222"]


@pytest.mark.ravdess
@pytest.mark.parametrize("lit", [dimmed, lambda video: dimmed(video, n=1), colored])
def test_real_people_keep_their_numbers_when_the_light_changes(
    real: list[Video], lit: Callable[[Video], Video]
) -> None:
    # the second clip follows while the light still fades
    left, right = (video[-7:] + video[:9] for video in (real[0], [cold(bgr) for bgr in real[1]]))
    video = lit([beside(a, b) for a, b in zip(left, right, strict=True)])
    assert people_by_frame(follow(video), len(video)) == ["12"] * len(video)


@pytest.mark.ravdess
@pytest.mark.parametrize("width", [1280, 1920])
def test_a_small_real_face_beside_a_large_one_is_seen_at_once(real: list[Video], width: int) -> None:
    large, small = (int(width * factor) for factor in (0.844, 0.29))
    video = []
    for one, other in zip(real[0], real[1], strict=False):
        canvas = np.full((width * 9 // 16, width, 3), 128, np.uint8)
        big: Any = cv2.resize(one, (large, large * 9 // 16), interpolation=cv2.INTER_AREA)
        little: Any = cv2.resize(cold(other), (small, small * 9 // 16), interpolation=cv2.INTER_AREA)
        canvas[-len(big) :, : 2 * width // 3] = big[:, large // 8 :][:, : 2 * width // 3]
        canvas[100 : 100 + len(little), -small:] = little
        video.append(canvas)
    sightings = follow(video)
    assert people_by_frame(sightings, len(video)) == ["12"] * len(video)
    widths = [s.box[2] - s.box[0] for s in sightings]
    assert min(widths) < width / 10 and max(widths) > width / 5
