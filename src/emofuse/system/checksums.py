"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from emofuse.core.errors import MediaError, WeightsError


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file's content in lower-case hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return stream_digest(file, algorithm)


def stream_digest(file: IO[bytes], algorithm: str = "sha256") -> str:
    """The checksum of what an open file holds from where it stands.

    Raises:
        OSError: it cannot be read.
    """
    # md5 is what Zenodo publishes: it finds broken files and is not meant as protection
    return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()  # type: ignore[arg-type]


def media_sha256(path: Path) -> str:
    """The sha256 of a media file's content.

    Raises:
        MediaError: the file cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror or error})") from None


def verify_sha256(path: Path, wanted: str) -> None:
    """Check that a weight file is the one that was published.

    Raises:
        WeightsError: it cannot be read, or its sha256 is another.
    """
    try:
        got = file_digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if got != wanted.lower():
        raise WeightsError(
            f"{path}: wrong sha256: expected {wanted.lower()}, got {got}: fetch the file again"
        )
