"""How a coded frame is turned and mirrored to be shown upright: the display matrix of phones and webcams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

_Pixel = TypeVar("_Pixel", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to show a rectangle: rows and columns are exchanged first, then mirrored."""

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether no rotation alone would make the frame upright."""
        return self.transposed ^ self.left_right ^ self.up_down

    @property
    def rotation_deg(self) -> int:
        """Counterclockwise, a multiple of 90; a mirrored frame is then mirrored left to right."""
        if self.transposed:
            return 90 if self.up_down else 270
        return 180 if self.up_down else 0

    def upright(self, image: NDArray[_Pixel]) -> NDArray[_Pixel]:
        """A view of (height, width, ...) that is upright."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]


_AS_CODED: Final = Orientation()
_SIDE_DATA: Final[Any] = SideDataContainer
"""Not ``frame.side_data``: a frame keeps that, which refers to it, and only garbage collection frees them."""


def orientation(frame: VideoFrame) -> Orientation:
    """The nearest of the eight orientations to what the frame's display matrix asks for.

    The matrix moves the pixel at (x, y) to (a x + c y, b x + d y), up to a shift; FFmpeg stores it by rows as
    (a, b, u, c, d, v, x, y, w). A frame without one is shown as it is coded.
    """
    data: Any = _SIDE_DATA(frame).get("DISPLAYMATRIX")
    if data is None:
        return _AS_CODED
    a, b, _, c, d = (int(value) for value in np.frombuffer(data, np.int32)[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, left_right=c < 0, up_down=b < 0)
    return Orientation(False, left_right=a < 0, up_down=d < 0)
