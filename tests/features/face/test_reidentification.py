from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import FaceDetection
from emofuse.features.face.identity import FaceEmbedder, FacePatch, distance, load_embedder
from emofuse.features.face.reidentification import FaceLook, Identity, Reidentifier
from emofuse.features.face.tracker import FaceTracker, TrackedFace
from tests.features.face.test_tracker import PER_S, drawn, people_by_frame
from tests.support.real_people import (
    WIDE,
    before_a_green_wall,
    box_in,
    embedded,
    frame_of,
    noisy,
    read_clip,
    read_stills,
    warm_and_close,
)
from tests.support.typed import not_none


def follow(video: Sequence[np.ndarray], reidentifier: Reidentifier | None) -> list[TrackedFace]:
    tracker = FaceTracker(reidentifier=reidentifier)
    faces = [face for i, bgr in enumerate(video) for face in tracker.update(frame_of(bgr, i / PER_S))]
    return faces + tracker.finish()


def axis(number: int, length: float = 1.0) -> Float32:
    return np.asarray(np.eye(128)[number] * length, np.float32)


MARKS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


@cache
def marked(actor: int, who: int) -> list[UInt8]:
    """Frames of a drawn person, beside a wall whose color tells a :class:`WallReader` who it is."""
    frames = []
    for bgr in drawn(actor)[:6]:
        left, _, right, _ = box_in(frame_of(bgr))
        frame = np.asarray(bgr, np.uint8).copy()
        frame[:, : left - (right - left) // 4] = MARKS[who]
        frames.append(frame)
    return frames


class WallReader:
    """Embeds a patch by the color of the wall on its left; counts how often."""

    def __init__(self) -> None:
        self.n = 0

    def embed(self, patch: FacePatch) -> Float32:
        self.n += 1
        wall = patch.image[:, :8, ::-1].mean(axis=(0, 1))
        return axis(int(np.abs(np.array(MARKS) - wall).sum(axis=1).argmin()))


def test_faces_decide_and_not_the_looks() -> None:
    for who, expected in (((0, 1, 2, 0), "1231"), ((0, 1, 0, 1), "1212"), ((0, 0, 0, 0), "1111")):
        parts = [marked(actor, one) for actor, one in zip((1, 2, 4, 1), who, strict=True)]
        faces = follow([bgr for part in parts for bgr in part], Reidentifier(WallReader()))
        assert people_by_frame(faces, 24) == [person for person in expected for _ in range(6)]


def test_a_person_in_one_shot_is_never_embedded_unless_somebody_is_to_be_found() -> None:
    reader = WallReader()
    follow(marked(1, 0), Reidentifier(reader))
    assert reader.n == 0
    reidentifier = Reidentifier(reader, {"Anna": axis(0), "Bert": axis(1)})
    follow(marked(1, 0), reidentifier)
    assert reader.n == 1
    assert reidentifier.names == {1: "Anna"}


def test_a_face_is_embedded_once_per_shot() -> None:
    reader = WallReader()
    follow([*marked(1, 0), *marked(2, 1), *marked(1, 0), *marked(2, 1)], Reidentifier(reader))
    # before the second shot, the first person; the new one as it comes and at its best; then one per shot
    assert reader.n == 5


def test_without_a_match_nobody_is_named() -> None:
    reidentifier = Reidentifier(WallReader(), {"Carla": axis(2)})
    faces = follow([*marked(1, 0), *marked(2, 1)], reidentifier)
    assert {face.person for face in faces} == {1, 2}
    assert reidentifier.names == {}


def test_a_name_is_given_once_and_to_the_first() -> None:
    reidentifier = Reidentifier(WallReader(), {"Anna": axis(0), "Anne": axis(0, 1.3)})
    for person, mean in ((1, axis(0, 1.1)), (2, axis(0, 1.05)), (3, axis(0)), (4, axis(1))):
        reidentifier.recognize(person, Identity(mean=mean, n=1))
    assert reidentifier.names == {1: "Anna", 2: "Anne"}


def test_the_mean_of_faces() -> None:
    first = Identity(mean=axis(0), n=1)
    first.add(axis(1), 3)
    np.testing.assert_allclose(not_none(first.mean), axis(0, 0.25) + axis(1, 0.75))
    joined = Identity(mean=axis(2), n=4).joined(first)
    np.testing.assert_allclose(not_none(joined.mean), axis(0, 0.125) + axis(1, 0.375) + axis(2, 0.5))
    assert Identity().is_unknown and not joined.is_unknown
    assert Identity().joined(joined) is joined and joined.joined(Identity()) is joined


def test_a_better_face_is_kept_and_a_small_one_never() -> None:
    frame = frame_of(drawn(1)[0])
    identity = Identity()
    for width, score, kept in ((30, 2.0, 0), (60, 0.5, 60), (62, 0.5, 60), (120, 0.5, 120), (110, 0.5, 120)):
        identity.offer(FaceLook(frame, FaceDetection((400, 200, 400 + width, 200 + width), score)))
        assert (0 if identity.patch is None else identity.patch.box[2] - identity.patch.box[0]) == kept


@pytest.fixture
def embedder(identity_weights: Path) -> FaceEmbedder:
    del identity_weights  # the environment variable is set
    return load_embedder()


@pytest.fixture(scope="module")
def pictures(ravdess: Path) -> list[UInt8]:
    return read_stills(ravdess)


@pytest.mark.ravdess
@pytest.mark.parametrize("n", [2, 5])
def test_a_film_of_24_real_people_has_24_people(
    pictures: list[UInt8], embedder: FaceEmbedder, n: int
) -> None:
    rng = np.random.default_rng(n)
    once = [*range(24)]
    order = [*once, *rng.permutation(24).tolist()]
    faces = follow([noisy(pictures[who], rng) for who in order for _ in range(n)], Reidentifier(embedder))
    people = people_by_frame(faces, 48 * n)
    assert people == [str(who + 1) for who in order for _ in range(n)]


@pytest.mark.ravdess
def test_one_real_person_in_other_light_and_before_another_wall(
    ravdess: Path, pictures: list[UInt8], embedder: FaceEmbedder
) -> None:
    clips = [read_clip(path)[:10] for path in sorted(ravdess.glob("video/Actor_01/*.mp4"))[:3]]
    parts = [warm_and_close(clips[0]), before_a_green_wall(clips[1]), clips[2]]
    video = [bgr for part in parts for bgr in part]
    assert len({face.person for face in follow(video, None)}) > 1  # by their appearance
    assert people_by_frame(follow(video, Reidentifier(embedder)), 30) == ["1"] * 30
    rng = np.random.default_rng(0)
    large = [np.asarray(cv2.resize(pictures[who], WIDE), np.uint8) for who in (6, 2, 6)]
    others = [[noisy(picture, rng) for _ in range(4)] for picture in large]
    mixed = [bgr for part, other in zip(parts, others, strict=True) for bgr in [*part, *other]]
    reidentifier = Reidentifier(embedder, {"Anna": embedded(pictures[2])})
    expected = ["1"] * 10 + ["2"] * 4 + ["1"] * 10 + ["3"] * 4 + ["1"] * 10 + ["2"] * 4
    assert people_by_frame(follow(mixed, reidentifier), 42) == expected
    assert reidentifier.names == {3: "Anna"}


@pytest.mark.ravdess
def test_a_known_real_person_is_named_and_others_are_not(
    ravdess: Path, pictures: list[UInt8], embedder: FaceEmbedder
) -> None:
    known = {f"actor {i + 1}": embedded(picture) for i, picture in enumerate(pictures)}
    clip = read_clip(sorted(ravdess.glob("video/Actor_01/*.mp4"))[4])
    reidentifier = Reidentifier(embedder, known)
    assert {face.person for face in follow(clip, reidentifier)} == {1}
    assert reidentifier.names == {1: "actor 1"}
    del known["actor 1"]
    reidentifier = Reidentifier(embedder, known)
    follow(clip, reidentifier)
    assert reidentifier.names == {}
    assert min(distance(face, known["actor 2"]) for name, face in known.items() if name != "actor 2") > 0.55
