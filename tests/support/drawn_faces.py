"""Drawings of faces that the frontal face detector finds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def face_drawing(size: int, face_px: int, center: tuple[int, int]) -> NDArray[np.uint8]:
    """(size, size) uint8: a shaded drawing of a face that dlib's detector finds."""
    image = np.full((size, size), 90, np.uint8)
    x, y = center
    r = face_px / 2

    def oval(dx: float, dy: float, w: float, h: float, grey: int) -> None:
        cv2.ellipse(
            image, (round(x + dx * r), round(y + dy * r)), (max(1, round(w * r)), max(1, round(h * r))),
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
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.6, face_px / 90)), dtype=np.uint8)
