"""Frames of real people, from RAVDESS: its stills, and films of actor 1 that look like several people's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import Box
from emofuse.features.face.identity import cut_patch, load_embedder
from emofuse.features.face.tracker import FaceTracker
from emofuse.media.frame_sampling import Frame
from tests.support.typed import not_none

WIDE = (1280, 720)


def frame_of(image: Any, time_s: float = 0.0) -> Frame:
    """A frame from (height, width, 3) BGR, as decoding makes it."""
    rows = min(360, image.shape[0])
    size = (round(image.shape[1] * rows / image.shape[0]), rows)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    small = image if rows == image.shape[0] else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return Frame(time_s, gray, np.asarray(small, np.uint8))


def box_in(frame: Frame) -> Box:
    """The box of the one face in a frame."""
    tracker = FaceTracker()
    faces = [*tracker.update(frame), *tracker.finish()]
    assert len(faces) == 1
    return faces[0].box


def embedded(image: Any) -> Float32:
    """(128,) float32: of the one face in a picture, by dlib's network."""
    frame = frame_of(image)
    return load_embedder().embed(not_none(cut_patch(frame, box_in(frame))))


def read_stills(ravdess: Path) -> list[UInt8]:
    """One picture of each of the 24 actors, (224, 398, 3) BGR."""
    paths = sorted((ravdess / "stills").glob("*.png"))
    assert len(paths) == 24
    return [np.asarray(not_none(cv2.imread(str(path))), np.uint8) for path in paths]


def read_clip(path: Path, every: int = 6) -> list[UInt8]:
    """Every sixth frame of a film at 30 per second, (720, 1280, 3) BGR."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        wanted = [frame for i, frame in enumerate(frames) if i % every == 0]
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in wanted]


def noisy(image: UInt8, rng: np.random.Generator) -> UInt8:
    """The picture as a camera would take it again."""
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def warm_and_close(clip: Sequence[UInt8]) -> list[UInt8]:
    """The clip from nearer, in the light of a lamp."""
    return [_at_size(_tinted(bgr[60:720, 200:1060], (0.6, 0.85, 1.0))) for bgr in clip]


def before_a_green_wall(clip: Sequence[UInt8]) -> list[UInt8]:
    """The clip in another crop, in cold and dim light, before a wall of another color."""
    return [_at_size(_other_wall(_tinted(bgr[140:640, 300:1000], (1.0, 0.8, 0.6)))) for bgr in clip]


def _tinted(bgr: UInt8, gains: tuple[float, float, float]) -> UInt8:
    return np.asarray(np.clip(bgr * np.array(gains), 0, 255), np.uint8)


def _other_wall(bgr: UInt8) -> UInt8:
    """The lightest part of the frame, which is the wall, in green."""
    gray = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    wall = cv2.dilate(np.asarray(gray > 0.7 * gray.max(), np.uint8), np.ones((3, 3), np.uint8))[..., None]
    wall[bgr.shape[0] // 6 :, bgr.shape[1] // 4 : -bgr.shape[1] // 4] = 0  # a bright forehead is no wall
    painted = bgr.copy()
    painted[wall[..., 0] > 0] = (40, 120, 30)
    return painted


def _at_size(bgr: UInt8) -> UInt8:
    return np.asarray(cv2.resize(bgr, WIDE, interpolation=cv2.INTER_AREA), np.uint8)
