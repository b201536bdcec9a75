"""Networks that come with emofuse as ONNX files and that recipes name by their sha256.

A recipe reads such a network as part of its features, or as an embedding like a file of the user's own.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Final

from emofuse.core.errors import WeightsError

EXPRESSION_SHA256: Final = "be0287cd58fc11c3834fcf704c11c7d8f562d5c2dcd324dd7e585a1ea4f31523"
"""Reads a face in a frame: (n, 48, 48) uint8 → (n, 264), 256 features and the log-probabilities of FER+."""

_PLACES: Final = {EXPRESSION_SHA256: ("emofuse.features.face", "expression", "fer-plus-frames.onnx")}
"""By sha256: the package, the folder in it, and the file."""


def comes_with_emofuse(sha256: str) -> bool:
    """Whether the network with this sha256 comes with emofuse."""
    return sha256 in _PLACES


def shipped_network(sha256: str) -> tuple[Path, bytes]:
    """The file of a network that comes with emofuse, and its content.

    Raises:
        WeightsError: none with this sha256 does, or its file is missing or altered.
    """
    if sha256 not in _PLACES:
        raise WeightsError(
            f"the network {sha256[:16]} does not come with this version of emofuse, only "
            f"{', '.join(_PLACES)} does"
        )
    package, folder, name = _PLACES[sha256]
    place = resources.files(package) / folder / name
    try:
        content = place.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{name}: the network that comes with emofuse cannot be read ({error.strerror or error}): "
            "install emofuse again"
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{name}: the network that comes with emofuse is altered: install emofuse again")
    return Path(str(place)), content
