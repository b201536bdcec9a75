"""What an SVG document says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Final

SVG: Final = "{http://www.w3.org/2000/svg}"


def texts(root: ET.Element) -> list[str]:
    """The lines of text in it."""
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def titles(root: ET.Element) -> list[str]:
    """What it says of its parts under the mouse."""
    return [one.text or "" for one in root.iter(f"{SVG}title")]
