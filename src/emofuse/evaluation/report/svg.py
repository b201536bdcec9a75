"""From a matplotlib figure to SVG that lives inside a page: the page's font, the page's colours, no address.

Figures are drawn in the placeholder colours of :class:`Ink`; in the page each becomes a CSS variable, so
that one drawing serves light, dark and paper. pyplot and its global figures are not used.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emofuse.core.colors import EMOTION_COLORS


class Ink:
    """Placeholder colours: any near-black that nothing else draws in. The page's style names their values."""

    TEXT: Final = "#000001"
    QUIET: Final = "#000002"
    GRID: Final = "#000003"
    PAPER: Final = "#000004"
    VOICE: Final = "#000005"
    FACE: Final = "#000006"
    FUSED: Final = "#000007"
    OTHER: Final = "#000008"


SYSTEM_INKS: Final = {"voice": Ink.VOICE, "face": Ink.FACE, "fused": Ink.FUSED}


def ink_of(system: str) -> str:
    """The ink of a system."""
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
} | {colour: f"--{emotion}" for emotion, colour in EMOTION_COLORS.items()}

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "svg.hashsalt": "emofuse",
    "font.size": 9,
    "text.parse_math": False,  # a group or a condition may be called anything, dollars included
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
    """A figure in the report's style, to be drawn and turned to SVG inside the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc must not change the report
        matplotlib.rcParams.update(_STYLE)
        yield Figure(figsize=(width_in, height_in), layout="constrained")


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Inline SVG of a figure.

    Args:
        figure: drawn in the colours of :class:`Ink` and of the emotions.
        name: makes the identifiers inside unique on the page.
        description: what a reader who cannot see the picture is told.
    """
    out = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue().decode("utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>|<metadata.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = _own_identifiers(svg.replace("xlink:href=", "href="), name)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"\s*\n\s*", " ", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    label = _attribute(description)
    return re.sub(r"^<svg[^>]*>", f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">', svg)


def to_png(image: NDArray[np.uint8]) -> str:
    """A ``data:`` address of a picture: (height, width) grey or (height, width, 3) red, green, blue."""
    picture = image[..., ::-1] if image.ndim == 3 else image
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(picture))
    assert done
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _own_identifiers(svg: str, name: str) -> str:
    """Drop identifiers nothing refers to, and make the others this figure's own."""
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    wanted = {a or b for a, b in used}

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in wanted else ""

    svg = re.sub(r' id="([^"]*)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "/")
