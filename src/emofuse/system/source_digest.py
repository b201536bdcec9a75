"""A digest of emofuse's own code: two installations of one version number may differ."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]


@functools.cache
def source_digest(package: Path = _PACKAGE) -> str:
    """The sha256 of all modules of a package, 64 hexadecimal digits; line ends do not count."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(package).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()
