"""Draws the SVG of our own charts on pixels: rectangles, polygons, upright lines, hatching and text.

The base installation has no other program that could; the letters are OpenCV's, which knows ASCII only.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import UInt8
from emofuse.exports.overlay_drawing import plain_labels, plain_text

_SHIFT: Final = 4
"""Bits of the fraction of a pixel."""
_STEP: Final = re.compile(r"([MLVZ])([^MLVZ]*)")
_FONT: Final = cv2.FONT_HERSHEY_DUPLEX
_FONT_PX: Final = 26.0
"""Of a line of this font at scale 1, so that its letters are as large as those of other fonts."""
_FONT_SIZE: Final = 12.0
_MARKS: Final = str.maketrans({"…": "...", "−": "-", "–": "-"})
_HATCH: Final = "url(#hatch)"
_Color = tuple[int, int, int]
_Points = NDArray[np.float64]


def rasterize(svg: str, scale: int, emotions: Sequence[str] = ()) -> UInt8:
    """(height, width, 3) uint8 BGR: a chart, ``scale`` pixels per unit.

    Args:
        svg: of the chart.
        scale: a whole number.
        emotions: labels in it; in scripts that the font lacks they become ``label 3``.
    """
    stand_ins = {label: plain for label, plain in plain_labels(emotions).items() if not label.isascii()}
    root = ET.fromstring(svg)  # our own text, and no entities in it
    width, height = (round(float(root.attrib[name]) * scale) for name in ("width", "height"))
    image = np.full((height, width, 3), 255, np.uint8)
    for element in root:
        kind = element.tag.rpartition("}")[2]
        if kind == "rect":
            _draw_rectangle(image, element.attrib, scale)
        elif kind == "path":
            _draw_path(image, element.attrib, scale)
        elif kind == "text":
            _draw_text(image, element.attrib, _with(stand_ins, element.text or ""), scale)
    return image


def _draw_rectangle(image: UInt8, given: dict[str, str], scale: int) -> None:
    left, top, width, height = (float(given.get(name, 0)) * scale for name in ("x", "y", "width", "height"))
    part = _part(image, left, top, left + width, top + height)
    if given["fill"] != _HATCH:
        part[:] = _color(given["fill"])
        return
    rows, columns = np.indices(part.shape[:2])
    striped = np.asarray((rows + columns) % (10 * scale) < 3 * scale)
    part[:] = 0xF8
    part[striped] = 0xA2


def _part(image: UInt8, left: float, top: float, right: float, bottom: float) -> UInt8:
    """The pixels of a rectangle, at least one each way."""
    first_row, first_column = round(top), round(left)
    last_row, last_column = max(round(bottom), first_row + 1), max(round(right), first_column + 1)
    return image[first_row:last_row, first_column:last_column]


def _draw_path(image: UInt8, given: dict[str, str], scale: int) -> None:
    for points in _subpaths(given["d"]):
        if "fill" in given:
            _fill(image, points * scale, _color(given["fill"]))
        else:  # our lines are upright, and one unit wide
            x, top, bottom = points[0, 0], points[:, 1].min(), points[:, 1].max()
            part = _part(image, (x - 0.5) * scale, top * scale, (x + 0.5) * scale, bottom * scale)
            part[:] = _color(given["stroke"])


def _fill(image: UInt8, points: _Points, color: _Color) -> None:
    """Fill a polygon; OpenCV's goes a pixel further, and is cut off at the outermost corners."""
    corner = np.round(points.min(0))
    part = _part(image, *corner, *points.max(0))
    # pixels have their middles at whole numbers, SVG at halves
    fixed = np.rint((points - corner - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(part, [fixed], color, cv2.LINE_AA, _SHIFT)


def _subpaths(path: str) -> Iterator[_Points]:
    """Each part of a path that is drawn in one go, (n, 2)."""
    points: list[tuple[float, float]] = []
    for step, numbers in _STEP.findall(path):
        if step == "M" and points:
            yield np.array(points)
            points = []
        if step == "V":
            points.append((points[-1][0], float(numbers)))
        elif step != "Z":
            x, y = map(float, numbers.split())
            points.append((x, y))
    if points:
        yield np.array(points)


def _with(stand_ins: Mapping[str, str], text: str) -> str:
    for label, plain in stand_ins.items():
        text = text.replace(label, plain)
    return text


def _draw_text(image: UInt8, given: dict[str, str], text: str, scale: int) -> None:
    plain = text.translate(_MARKS)
    plain = plain if plain.isascii() else plain_text(plain, "?")
    size = float(given.get("font-size", _FONT_SIZE)) * scale / _FONT_PX
    (width, height), _ = cv2.getTextSize(plain, _FONT, size, 1)
    x, y = float(given["x"]) * scale, float(given["y"]) * scale
    x -= {"middle": width / 2, "end": width}.get(given.get("text-anchor", ""), 0)
    y += height / 2 if given.get("dominant-baseline") == "middle" else 0
    color = _color(given["fill"])
    cv2.putText(image, plain, (round(x), round(y)), _FONT, size, color, 1, cv2.LINE_AA)


def _color(text: str) -> _Color:
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red
