"""Features on disk, each under a key made of everything that they depend on.

A key is the sha256 of: the content of the media file, the part of the recipe, the span, the version of the
extraction code, and those of the libraries that the modality is read with. A changed file, setting or version
therefore never finds an old entry; voice and face are stored separately, so that changing one keeps the
other. Entries are written whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import StoreError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.library_versions import (
    OF_BLENDSHAPES,
    OF_ENCODER,
    OF_FACE,
    OF_FACE_NETWORK,
    OF_FUNCTIONALS,
    OF_VOICE,
    library_versions,
)
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically
from emofuse.system.cache_dirs import cache_folder
from emofuse.system.json_files import parse_json

FEATURES_VERSION: Final = 1
"""To be raised when the extraction code gives other numbers: every entry is then computed again."""

_DAMAGED: Final = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class ModalityFeatures:
    """The features of one modality of one clip: an array, or the reason why there is none."""

    array: NDArray[Any] | None
    missing: str | None
    notes: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that there is exactly one of an array and a reason."""
        if (self.array is None) != (self.missing is not None):
            raise ValueError("exactly one of an array and a reason must be given")


def part_key(
    modality: Literal["voice", "face"],
    content_sha256: str,
    features: VoiceFeatures | FaceFeatures,
    start_s: float | None,
    end_s: float | None,
) -> str:
    """The key under which one modality of one clip is stored: 64 hexadecimal digits."""
    kind = str(getattr(features, "kind", None))
    if modality == "voice":
        libraries = OF_ENCODER if kind in ("encoder", "onnx") else OF_VOICE
    else:
        libraries = {
            "blendshapes": OF_BLENDSHAPES, "functionals": OF_FUNCTIONALS, "onnx": OF_FACE_NETWORK,
        }.get(kind, OF_FACE)  # fmt: skip
    versions = library_versions(libraries)
    facts = [FEATURES_VERSION, modality, content_sha256, features.hash(), start_s, end_s, versions]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def default_store_folder() -> Path:
    """``$EMOFUSE_CACHE``, else ``features`` in emofuse's cache folder."""
    return cache_folder("features", variable="EMOFUSE_CACHE")


class FeatureStore:
    """Computed features in a folder, safe for several processes at once."""

    def __init__(self, root: Path | str | None = None) -> None:
        """Use a folder; None: the default one. It is created with the first entry."""
        self.root = default_store_folder() if root is None else Path(root)

    def get(self, key: str) -> ModalityFeatures | None:
        """The entry under a key; None if there is none, or if it is damaged."""
        try:
            arrays = read_arrays(self._path(key))
            facts = parse_json(arrays["facts"].tobytes())
            array = arrays["array"] if facts["has_array"] else None
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                return None
            return ModalityFeatures(array, facts["missing"], tuple(facts["notes"]), facts["meta"])
        except _DAMAGED:
            return None

    def put(self, key: str, entry: ModalityFeatures) -> None:
        """Store an entry under a key.

        Raises:
            StoreError: the folder cannot be written, or the disk is full; no partial entry is left.
        """
        facts = {
            "has_array": entry.array is not None,
            "missing": entry.missing,
            "notes": entry.notes,
            "meta": dict(entry.meta),
        }
        arrays = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
        if entry.array is not None:
            arrays["array"] = entry.array
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        try:
            write_atomically(self._path(key), buffer.getvalue())
        except OSError as error:
            raise StoreError(
                f"{self.root}: features cannot be stored: {error.strerror or error}; free some space or name "
                "another folder in EMOFUSE_CACHE"
            ) from None

    def size_bytes(self) -> int:
        """How much disk space the entries take."""
        total = 0
        for path in self.root.glob("??/*.npz"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"
