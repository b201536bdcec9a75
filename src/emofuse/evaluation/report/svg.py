"""From a matplotlib figure to inline SVG in the font and the colors of the page, without external references.

Figures are drawn in the placeholder colors of :class:`Ink`; each becomes a CSS variable in the page, so that
one drawing serves light mode, dark mode and print. pyplot and its global figures are not used.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emofuse.core.colors import EMOTION_COLORS, label_colors
from emofuse.system.shared_settings import ignored_warnings


class Ink:
    """Placeholder colors, near-blacks that nothing else uses; the style sheet sets their values."""

    TEXT: Final = "#000001"
    QUIET: Final = "#000002"
    GRID: Final = "#000003"
    PAPER: Final = "#000004"
    VOICE: Final = "#000005"
    FACE: Final = "#000006"
    FUSED: Final = "#000007"
    OTHER: Final = "#000008"


SYSTEM_INKS: Final = {"voice": Ink.VOICE, "face": Ink.FACE, "fused": Ink.FUSED}


def css_colors(labels: Sequence[str]) -> dict[str, str]:
    """The color of each label in the page's style: the eight emotions have variables of their names."""
    colors = label_colors(labels)
    return {
        name: f"var({_VARIABLES[color]})" if color in _VARIABLES else color for name, color in colors.items()
    }


def ink_of(system: str) -> str:
    """The placeholder color of a system."""
    return SYSTEM_INKS.get(system, Ink.OTHER)


_VARIABLES: Final = {
    Ink.TEXT: "--text",
    Ink.QUIET: "--quiet",
    Ink.GRID: "--grid",
    Ink.PAPER: "--paper",
    Ink.VOICE: "--voice",
    Ink.FACE: "--face",
    Ink.FUSED: "--fused",
    Ink.OTHER: "--other",
} | {color: f"--{emotion}" for emotion, color in EMOTION_COLORS.items()}

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "svg.hashsalt": "emofuse",
    "font.size": 9,
    "text.parse_math": False,  # names of groups and degradations may contain dollar signs
    "text.color": Ink.TEXT,
    "axes.edgecolor": Ink.QUIET,
    "axes.labelcolor": Ink.TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": Ink.GRID,
    "grid.linewidth": 0.6,
    "xtick.color": Ink.QUIET,
    "ytick.color": Ink.QUIET,
    "xtick.labelcolor": Ink.TEXT,
    "ytick.labelcolor": Ink.TEXT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


@contextmanager
def drawing(width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure in the style of the report, to be drawn and converted to SVG inside the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the report
        matplotlib.rcParams.update(_STYLE)
        yield Figure(figsize=(width_in, height_in), layout="constrained")


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Inline SVG of a figure.

    Args:
        figure: drawn in the colors of :class:`Ink` and of the emotions.
        name: makes the identifiers in the SVG unique on the page.
        description: text for readers who cannot see the chart.
    """
    out = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with ignored_warnings(UserWarning):  # letters that this font lacks: the browser has another for them
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue().decode("utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>|<metadata.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = _unique_identifiers(svg.replace("xlink:href=", "href="), name)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    svg = re.sub(r"\s*\n\s*", " ", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    label = _attribute(description)
    return re.sub(r"^<svg[^>]*>", f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">', svg)


def to_png(image: NDArray[np.uint8]) -> str:
    """``data:`` URL of an image: uint8 (height, width) gray or (height, width, 3) RGB."""
    pixels = image[..., ::-1] if image.ndim == 3 else image
    encoded_ok, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert encoded_ok
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _unique_identifiers(svg: str, name: str) -> str:
    """Drop identifiers that nothing refers to, and make the others unique to this figure."""
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    wanted = {a or b for a, b in used}

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in wanted else ""

    svg = re.sub(r' id="([^"]*)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "/")
