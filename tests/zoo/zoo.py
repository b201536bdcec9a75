"""All kinds of files."""

from __future__ import annotations

from typing import Final

from tests.zoo import clocks, containers, pictures, refused, sounds
from tests.zoo.kind import Kind

KINDS: Final[tuple[Kind, ...]] = (
    containers.KINDS + sounds.KINDS + pictures.KINDS + clocks.KINDS + refused.KINDS
)
