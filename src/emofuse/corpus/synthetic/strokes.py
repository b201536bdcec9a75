"""Antialiased shapes and lines at subpixel positions, and colors as three numbers."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import UInt8
from emofuse.corpus.synthetic.expression import Float64

Color = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""

_SHIFT: Final = 4  # fractional bits of the coordinates that OpenCV draws at
_WHITE: Final = (255.0, 255.0, 255.0)


def scaled(color: Color, factor: float) -> Color:
    """The color, darker or lighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def _fixed(points: Float64) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def shifted(points: Float64, across: float, down: float) -> Float64:
    """The points, shifted."""
    result: Float64 = points + np.array([across, down])
    return result


def curve(start: Float64, through: Float64, end: Float64, n: int) -> Float64:
    """(n, 2) a parabola through three points."""
    t = np.linspace(0, 1, n)[:, None]
    control = 2 * through - 0.5 * (start + end)
    parabola: Float64 = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return parabola


def ellipse(center: tuple[float, float], radii: tuple[float, float], degrees: float) -> Float64:
    """(24, 2) a rotated ellipse."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    angle_rad = np.deg2rad(degrees)
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    return np.stack(
        [
            center[0] + x * np.cos(angle_rad) - y * np.sin(angle_rad),
            center[1] + x * np.sin(angle_rad) + y * np.cos(angle_rad),
        ],
        axis=1,
    )


def fill(image: UInt8, points: Float64, color: Color) -> None:
    """Fill a shape, in place."""
    cv2.fillPoly(image, [_fixed(points)], color, cv2.LINE_AA, _SHIFT)


def line(image: UInt8, points: Float64, color: Color, width: int) -> None:
    """Draw an open line, in place."""
    cv2.polylines(image, [_fixed(points)], False, color, width, cv2.LINE_AA, _SHIFT)


def disc(image: UInt8, center: Float64, radius: float, color: Color) -> None:
    """Fill a circle, in place."""
    x, y = _fixed(center).reshape(2)
    cv2.circle(image, (int(x), int(y)), round(radius * (1 << _SHIFT)), color, -1, cv2.LINE_AA, _SHIFT)


def soft_shape(image: UInt8, points: Float64, color: Color, share: float, blur: float) -> None:
    """Blend a blurred shape into the image, in place; ``blur`` is a standard deviation in pixels."""
    low, mask = _region_mask(image, points, int(3 * blur + 3))
    if mask.size:
        fill(mask, points - low, _WHITE)
        _blend(image, low, mask, color, share=share, blur=blur)


def soft_line(
    image: UInt8, points: Float64, color: Color, share: float, *, blur: float, width: int = 2
) -> None:
    """Blend a blurred line into the image, in place."""
    low, mask = _region_mask(image, points, int(3 * blur + width + 2))
    if mask.size:
        line(mask, points - low, _WHITE, width)
        _blend(image, low, mask, color, share=share, blur=blur)


def _region_mask(image: UInt8, points: Float64, margin: int) -> tuple[NDArray[np.int64], UInt8]:
    """The corner of the image region around the points, and an empty mask of it."""
    low = np.maximum(np.floor(points.min(axis=0)).astype(np.int64) - margin, 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(np.int64) + margin, image.shape[1::-1])
    width, height = np.maximum(high - low, 0)
    return low, np.zeros((height, width), np.uint8)


def _blend(
    image: UInt8, low: NDArray[np.int64], mask: UInt8, color: Color, *, share: float, blur: float
) -> None:
    blurred = cv2.GaussianBlur(mask, (0, 0), blur)
    weight = blurred.astype(np.float32)[:, :, None] * np.float32(share / 255)
    area = image[low[1] : low[1] + mask.shape[0], low[0] : low[0] + mask.shape[1]]
    area[:] = area + weight * (np.array(color, np.float32) - area)
