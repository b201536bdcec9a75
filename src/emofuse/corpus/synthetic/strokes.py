"""Shapes and lines, smooth and at fractions of a pixel, and colours as three numbers."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import UInt8
from emofuse.corpus.synthetic.expression import Float64

Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""

_SHIFT: Final = 4  # fractional bits of the coordinates that OpenCV draws at
_WHITE: Final = (255.0, 255.0, 255.0)


def times(colour: Colour, factor: float) -> Colour:
    """The colour, darker or lighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _fixed(points: Float64) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def moved(points: Float64, across: float, down: float) -> Float64:
    """The same points elsewhere."""
    there: Float64 = points + np.array([across, down])
    return there


def curve(start: Float64, through: Float64, end: Float64, n: int) -> Float64:
    """(n, 2) a parabola through three points."""
    t = np.linspace(0, 1, n)[:, None]
    control = 2 * through - 0.5 * (start + end)
    parabola: Float64 = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return parabola


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float) -> Float64:
    """(24, 2) an ellipse, turned."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    turn = np.deg2rad(degrees)
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    return np.stack(
        [centre[0] + x * np.cos(turn) - y * np.sin(turn), centre[1] + x * np.sin(turn) + y * np.cos(turn)],
        axis=1,
    )


def fill(image: UInt8, points: Float64, colour: Colour) -> None:
    """Fill a shape, in place."""
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def line(image: UInt8, points: Float64, colour: Colour, width: int) -> None:
    """Draw an open line, in place."""
    cv2.polylines(image, [_fixed(points)], False, colour, width, cv2.LINE_AA, _SHIFT)


def disc(image: UInt8, centre: Float64, radius: float, colour: Colour) -> None:
    """Fill a circle, in place."""
    x, y = _fixed(centre).reshape(2)
    cv2.circle(image, (int(x), int(y)), round(radius * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def soft_shape(image: UInt8, points: Float64, colour: Colour, share: float, blur: float) -> None:
    """Mix a blurred shape into the picture, in place; ``blur`` is a standard deviation in pixels."""
    low, mask = _bare_mask(image, points, int(3 * blur + 3))
    if mask.size:
        fill(mask, points - low, _WHITE)
        _mix(image, low, mask, colour, share=share, blur=blur)


def soft_line(
    image: UInt8, points: Float64, colour: Colour, share: float, *, blur: float, width: int = 2
) -> None:
    """Mix a blurred line into the picture, in place."""
    low, mask = _bare_mask(image, points, int(3 * blur + width + 2))
    if mask.size:
        line(mask, points - low, _WHITE, width)
        _mix(image, low, mask, colour, share=share, blur=blur)


def _bare_mask(image: UInt8, points: Float64, margin: int) -> tuple[NDArray[np.int64], UInt8]:
    """The corner and an empty mask of what of the picture lies around the points."""
    low = np.maximum(np.floor(points.min(axis=0)).astype(np.int64) - margin, 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(np.int64) + margin, image.shape[1::-1])
    width, height = np.maximum(high - low, 0)
    return low, np.zeros((height, width), np.uint8)


def _mix(
    image: UInt8, low: NDArray[np.int64], mask: UInt8, colour: Colour, *, share: float, blur: float
) -> None:
    blurred = cv2.GaussianBlur(mask, (0, 0), blur)
    weight = blurred.astype(np.float32)[:, :, None] * np.float32(share / 255)
    area = image[low[1] : low[1] + mask.shape[0], low[0] : low[0] + mask.shape[1]]
    area[:] = area + weight * (np.array(colour, np.float32) - area)
