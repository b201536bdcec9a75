"""Blendshapes: movements of the parts of a face and the pose of the head, by MediaPipe's Face Landmarker.

A blendshape is a movement of a face that can be mixed with others, such as ``jawOpen`` or ``browInnerUp``,
from 0 (not at all) to 1. The Face Landmarker gives 52 of them, in Apple's naming and in an order of its own
(the first is ``_neutral``), and the matrix that transforms a canonical head to the pose of this head
(https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker).

It was made for color images and is given gray ones here, like everything in emofuse that reads faces. On nine
RAVDESS videos, 180 frames, gray and color agree: r = 0.99 over all values, a median of 0.96 over the 20
blendshapes that move at all, a mean difference of 0.009.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import MissingExtraError, WeightsError
from emofuse.core.records import Float32, FrameTrack, TimedFrames, UInt8
from emofuse.features.face.boxes import SAME_OVERLAP, Box, area, overlap
from emofuse.system.model_files import find_weights

BLENDSHAPES: Final = (
    "_neutral",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft",
    "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""The 52 blendshapes in MediaPipe's order. Left and right are those of the person."""

POSE: Final = ("yaw_deg", "pitch_deg", "roll_deg", "x_cm", "y_cm", "z_cm")
"""Rotation and position of the head: toward the right of the image, upward and counterclockwise are positive;
z is minus the distance from a camera with the field of view that MediaPipe assumes."""

NAMES: Final = BLENDSHAPES + POSE
"""The columns of a sequence of blendshapes."""

MOST_FACES: Final = 4
"""Most faces detected in a frame."""
_SMALLEST_PX: Final = 16
"""A frame with a shorter side is not passed to the network: no face would be visible in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendshapeTrack(FrameTrack):
    """The blendshapes of one person over the sampled frames of a clip.

    ``values``: (n_frames, 58) float32 in the order of :data:`NAMES`; where ``found`` is False,
    interpolated between the nearest frames with the face. ``boxes`` are around the landmarks.
    """

    values: Float32

    def __post_init__(self) -> None:
        FrameTrack.__post_init__(self)
        n = len(self.times_s)
        if self.values.shape != (n, len(NAMES)) or self.values.dtype != np.float32:
            raise ValueError(f"values must be ({n}, {len(NAMES)}) float32, got {self.values.shape}")


@dataclass(frozen=True, slots=True)
class FaceShape:
    """The landmarker's output for one face in one frame: (58,) values and the box of its landmarks."""

    values: Float32
    box: tuple[float, float, float, float]


def track_blendshapes(frames: TimedFrames) -> BlendshapeTrack | str:
    """Follow one face through the frames: the largest in the first frame that has one.

    Frames without a face are interpolated between their neighbors with one; those before the first or after
    the last such frame repeat it.

    Args:
        frames: gray.

    Returns:
        The track, or the reason why there is none.

    Raises:
        MissingExtraError: mediapipe is not installed.
        WeightsError: the model is missing (the message says how to get it) or altered.
    """
    tracker = BlendshapeTracker()
    for image in frames.images:
        tracker.add(image)
    return tracker.track(frames.times_s)


class BlendshapeTracker:
    """Follows one face through frames that come one by one; see :func:`track_blendshapes`."""

    def __init__(self) -> None:
        """Read the model.

        Raises:
            MissingExtraError: mediapipe is not installed.
            WeightsError: the model is missing (the message says how to get it) or altered.
        """
        self._detector = landmarker()
        self._chosen: list[FaceShape | None] = []
        self._n_faces: list[int] = []
        self._last: FaceShape | None = None

    @property
    def first_box(self) -> Box | None:
        """Of the face in the first frame."""
        if not self._chosen or self._chosen[0] is None:
            return None
        left, top, right, bottom = np.rint(self._chosen[0].box).astype(np.int32).tolist()
        return left, top, right, bottom

    def add(self, image: UInt8) -> FaceShape | None:
        """The next frame: (height, width) gray. Returns the followed face in it; None: it is not there."""
        faces = self._detector.faces(image)
        self._n_faces.append(len(faces))
        self._chosen.append(_followed(faces, self._last))
        self._last = self._chosen[-1] or self._last
        return self._chosen[-1]

    def track(self, times_s: NDArray[np.float64]) -> BlendshapeTrack | str:
        """The blendshapes at each of the times, or the reason why there are none."""
        found = np.array([face is not None for face in self._chosen], dtype=bool)
        if not found.any():
            n = len(self._chosen)
            return f"no face found in {n} frame{'' if n == 1 else 's'}"
        present = [face for face in self._chosen if face is not None]
        boxes = interpolate(np.array([face.box for face in present]), found, times_s)
        values = interpolate(np.stack([face.values for face in present]), found, times_s)
        return BlendshapeTrack(
            values=values.astype(np.float32),
            times_s=times_s,
            boxes=np.rint(boxes).astype(np.int32),
            found=found,
            n_faces=np.array(self._n_faces, dtype=np.int32),
        )


def interpolate(
    values: NDArray[Any], found: NDArray[np.bool_], times_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fill in frames without a face: (n_found, n_values) → (n_frames, n_values), linear in time."""
    known = times_s[found]
    # A clip of one repeated frame has equal times; only the first of them counts.
    first = np.concatenate([[True], np.diff(known) > 0])
    filled = np.stack([np.interp(times_s, known[first], column[first]) for column in values.T], axis=1)
    filled[found] = values
    return filled


def head_pose(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """(6,) from a 4×4 transformation: yaw, pitch and roll in degrees, then the translation; see :data:`POSE`.

    The rotation is roll, then pitch, then yaw about axes that point right, up, and out of the image. A scale
    in the matrix is removed.
    """
    rotation = np.asarray(matrix, dtype=np.float64)[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=0)
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return np.concatenate([np.rad2deg([yaw, pitch, roll]), np.asarray(matrix, dtype=np.float64)[:3, 3]])


def _followed(faces: Sequence[FaceShape], last: FaceShape | None) -> FaceShape | None:
    """The followed face, if it is among them; else the largest."""
    if not faces:
        return None
    if last is not None:
        near = [face for face in faces if overlap(face.box, last.box) > SAME_OVERLAP]
        if near:
            return max(near, key=lambda face: overlap(face.box, last.box))
    return max(faces, key=lambda face: area(face.box))


class Landmarker:
    """MediaPipe's Face Landmarker on single images: its output depends on no earlier image."""

    def __init__(self, path: Path) -> None:
        """Read the model.

        Raises:
            MissingExtraError: mediapipe is not installed.
            WeightsError: mediapipe cannot read the file.
        """
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError:
            raise MissingExtraError("blendshapes", "the recipe's face features 'blendshapes'") from None
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            num_faces=MOST_FACES,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        self._mediapipe: Any = mediapipe
        self._lock = threading.Lock()
        with _quiet():
            try:
                self._network: Any = vision.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                raise WeightsError(f"{path}: mediapipe cannot read this model: {error}") from None
            self.faces(np.zeros((64, 64), np.uint8))
        # Closing it starts a thread, which fails with a message while a process exits. It is left open
        # instead; the process frees its memory.
        atexit.register(setattr, self._network, "_handle", None)

    def faces(self, image: UInt8) -> list[FaceShape]:
        """Every face in an image, (height, width) gray."""
        height, width = image.shape
        if min(height, width) < _SMALLEST_PX:
            return []
        rgb = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))
        given = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        with self._lock:
            outputs = self._network.detect(given)
        faces = []
        for marks, shapes, matrix in zip(
            outputs.face_landmarks,
            outputs.face_blendshapes,
            outputs.facial_transformation_matrixes,
            strict=True,
        ):
            scores = {shape.category_name: float(shape.score) for shape in shapes}
            x = np.array([mark.x for mark in marks]) * width
            y = np.array([mark.y for mark in marks]) * height
            values = np.concatenate([[scores[name] for name in BLENDSHAPES], head_pose(matrix)])
            box = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
            faces.append(FaceShape(values.astype(np.float32), box))
        return faces


def landmarker() -> Landmarker:
    """The landmarker with the user's model file, read once per process.

    Raises:
        MissingExtraError: mediapipe is not installed.
        WeightsError: the file is missing (the message says how to get it) or altered.
    """
    path = find_weights("face-landmarker")
    with _reading:  # while it starts, the standard error stream of the process leads elsewhere
        return _read(path)


_reading = threading.Lock()


@lru_cache(maxsize=1)
def _read(path: Path) -> Landmarker:
    return Landmarker(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the log output of mediapipe's native code while it starts.

    It writes to the standard error stream directly, and has no setting to stop that.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
