"""YuNet as the face detector, with boxes converted to the squares that dlib's detector would give.

YuNet (Wu, Peng and Yu 2023) is a network of 75,000 weights that OpenCV runs. It finds faces that are turned,
tilted or half hidden, and of about 10 to 300 pixels (README of opencv_zoo's face_detection_yunet). Its boxes
are narrow and reach to the hairline; those of dlib, which everything after the detector was made for, are
squares from the brows to the chin. They are converted so that crops show the same part of a face.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from emofuse.core.errors import WeightsError
from emofuse.core.records import UInt8
from emofuse.features.face.boxes import Box, FaceDetection, distinct_faces
from emofuse.system.model_files import find_weights
from emofuse.system.shared_settings import SharedSetting

LEAST_SCORE: Final = 0.6
"""Of a face. Real faces of some size score above 0.9."""
_MOST_OVERLAP: Final = 0.3
_DEEP_ROWS: Final = 720
_DEEP_EVERY_S: Final = 0.95
"""When no face is found, smaller ones are searched about once a second."""
_SIDE: Final = 0.95
"""Side of dlib's square over the root of the area of YuNet's box; its center is midway between eyes and
mouth. On RAVDESS videos the squares overlap dlib's by 0.83 (intersection over union, 216 frames)."""

_LOGGING: Final[Any] = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
"""Where OpenCV 4 and OpenCV 5 have the level of their log."""
_ERRORS_ONLY: Final = 2
_LOG_LEVEL: Final = SharedSetting[int](_LOGGING.getLogLevel, _LOGGING.setLogLevel)


class YuNet:
    """Finds faces in gray images. Several threads may share one object; they take turns."""

    def __init__(self, path: Path) -> None:
        """Read the network from its weights file.

        Raises:
            WeightsError: OpenCV cannot read it.
        """
        try:
            # OpenCV 5 warns that it will run the network on the CPU, which is what we want.
            with _LOG_LEVEL.held(_ERRORS_ONLY):
                self._network: Any = cv2.FaceDetectorYN.create(
                    str(path), "", (320, 320), LEAST_SCORE, _MOST_OVERLAP, 50
                )
        except cv2.error as error:
            raise WeightsError(f"{path}: OpenCV cannot read this network: {error.err}") from None
        self._lock = threading.Lock()

    def find(self, image: UInt8, height_px: int) -> list[FaceDetection]:
        """Squares around the faces, in pixels of the image, by descending score above 0.

        Args:
            image: (height, width) gray.
            height_px: the image is reduced until its shorter side is this, if it is longer.
        """
        scale = min(1.0, height_px / min(image.shape))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        if scale < 1:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        bgr = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        with self._lock:
            self._network.setInputSize(size)
            faces = self._network.detect(bgr)[1]
        if faces is None:
            return []
        by_score = faces[np.argsort(-faces[:, -1], kind="stable")]
        found = [FaceDetection(_square(face, scale), float(face[-1]) - LEAST_SCORE) for face in by_score]
        return [face for face in found if face.box[2] > face.box[0]]


def _square(face: Any, scale: float) -> Box:
    """From one face in OpenCV's format: box (4), eyes, nose and corners of the mouth (5 × 2), score."""
    points = np.asarray(face[4:14], dtype=np.float64).reshape(5, 2) / scale
    x, y = (points[:2].mean(0) + points[3:].mean(0)) / 2
    half = _SIDE * float(np.sqrt(max(0.0, face[2] * face[3]))) / scale / 2
    left, top, side = round(x - half), round(y - half), round(2 * half)
    return left, top, left + side, top + side


class YuNetSearch:
    """Finds the faces of consecutive frames; fast enough to search every frame whole."""

    def __init__(self, detect_height_px: int) -> None:
        """``detect_height_px``: height to which frames are reduced, as in recipes.

        Raises:
            WeightsError: YuNet's weights are missing or altered.
        """
        self._network, self._rows = load_yunet(), detect_height_px
        self._last_s = -math.inf

    def find(
        self,
        image: UInt8,
        small: UInt8,  # noqa: ARG002 - less sharp
        time_s: float,
        known: Sequence[Box],  # noqa: ARG002 - faces are found anywhere
        *,
        fresh: bool,
    ) -> list[FaceDetection]:
        """The faces of a frame, each once, from left to right; see :meth:`FaceSearch.find`."""
        found = self._network.find(image, self._rows)
        if not found and (fresh or time_s - self._last_s >= _DEEP_EVERY_S):
            found = self._network.find(image, _DEEP_ROWS)
            self._last_s = time_s
        return distinct_faces(found)


def load_yunet() -> YuNet:
    """The detector with the user's weights file, read once per process.

    Raises:
        WeightsError: the file is missing (the message says how to get it) or altered.
    """
    return _read(find_weights("yunet"))


@lru_cache(maxsize=1)
def _read(path: Path) -> YuNet:
    return YuNet(path)
