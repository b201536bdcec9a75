"""A still picture of a timeline for a paper: curves of everybody, waveform and segments, as SVG or PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO, Final

from emofuse.exports.page_texts import asset
from emofuse.exports.static_chart import css_colors, draw_chart
from emofuse.exports.waveform import Peaks
from emofuse.timeline.records import Timeline

_VARIABLE: Final = re.compile(r"var\((--[a-z0-9]+)\)")
_DECLARED: Final = re.compile(r"(--[a-z0-9]+):\s*(#[0-9a-f]{6})")
_VIEW_BOX: Final = re.compile(r'<svg viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
_SCALE: Final = 2
"""Pixels of the PNG per unit of the SVG: 20 cm at 300 dots per inch."""


def write_svg(timeline: Timeline, file: IO[bytes], waveform: Peaks | None = None) -> None:
    """Write the picture as SVG without style sheets or scripts, which drawing and text programs open."""
    file.write(draw_picture(timeline, waveform).encode())


def write_png(timeline: Timeline, file: IO[bytes], waveform: Peaks | None = None) -> None:
    """Write the same picture as PNG, 2,400 pixels wide; its letters are ASCII."""
    import cv2

    from emofuse.exports.raster import rasterize

    file.write(
        cv2.imencode(".png", rasterize(draw_picture(timeline, waveform), _SCALE, timeline.emotions))[
            1
        ].tobytes()
    )


def draw_picture(timeline: Timeline, waveform: Peaks | None) -> str:
    """The chart of the page as an SVG document of its own, in the colors of its light scheme."""
    return as_document(draw_chart(timeline, waveform, everyone=True), timeline.emotions)


def as_document(chart: str, emotions: Sequence[str], *, dark: bool = False) -> str:
    """A chart in the colors of the page as an SVG document of its own.

    Args:
        chart: one ``svg`` element with a ``viewBox`` first and with ``defs``; its colors are variables.
        emotions: whose colors are ``--e0`` and so on.
        dark: whether the colors are those of the dark scheme.
    """
    css = asset("viewer.css")
    colors: dict[str, str] = {}
    for name, color in _DECLARED.findall(css_colors(emotions) + css):
        if dark or name not in colors:  # the light scheme comes first
            colors[name] = color
    chart = _VARIABLE.sub(lambda found: colors[found[1]], chart)
    found = _VIEW_BOX.match(chart)
    assert found is not None
    width, height = found.groups()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"'
    )
    chart = chart.replace(found[0], head, 1).replace('font-family="inherit"', 'font-family="sans-serif"', 1)
    background = f'<rect width="{width}" height="{height}" fill="{colors["--paper"]}"/>'
    return chart.replace("</defs>", f"</defs>{background}", 1) + "\n"
