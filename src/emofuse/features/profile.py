"""A person's profile: what enrolment keeps of some recordings of that person. No sound, no picture, no label.

A profile is a small file of means and deviations of features. It fits the recogniser that made it alone. It
describes how a person's voice and face differ from others', so treat it as personal data.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ProfileError
from emofuse.features.speaker_normalization import Moments
from emofuse.system.atomic_write import write_atomically

SCHEMA: Final = 1
_DAMAGED: Final = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""All that NumPy and zipfile are known to raise for a file that is not what it says."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is kept of a person's recordings, by what was read: voice, face, and both at once."""

    recogniser: str
    """Fingerprint of the recogniser that reads it."""
    moments: Mapping[str, Moments]
    clips: int
    skipped: tuple[str, ...] = ()
    """Recordings that gave neither voice nor face, with the reasons; not kept in the file: names can tell."""

    def save(self, path: str | Path) -> None:
        """Write the profile, whole or not at all."""
        about = {
            "schema": SCHEMA,
            "recogniser": self.recogniser,
            "clips": self.clips,
            "n": {name: known.n for name, known in self.moments.items()},
        }
        arrays: dict[str, NDArray[Any]] = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
        for name, known in self.moments.items():
            arrays[f"{name}-mean"], arrays[f"{name}-deviations"] = known.mean, known.deviations
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomically(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile.

        Raises:
            ProfileError: it is missing, damaged, or none.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ProfileError(f"{path}: there is no such profile (emofuse enroll makes one)") from None
        except OSError as error:
            raise ProfileError(f"{path}: {error.strerror or error}") from None
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                if about["schema"] != SCHEMA:
                    raise ProfileError(
                        f"{path}: profile schema {about['schema']}, this version reads {SCHEMA}"
                    )
                moments = {
                    name: _moments(int(n), file[f"{name}-mean"], file[f"{name}-deviations"])
                    for name, n in about["n"].items()
                }
                return cls(str(about["recogniser"]), moments, int(about["clips"]))
        except _NotMomentsError as error:
            raise ProfileError(f"{path} is no profile: {error}") from None
        except _DAMAGED:  # whose words are those of libraries, and for who writes programs
            raise ProfileError(
                f"{path} is no profile of emofuse, or damaged: make it anew (emofuse enroll)"
            ) from None


class _NotMomentsError(ValueError):
    """What was read cannot be the moments of anything."""


def _moments(n: int, mean: NDArray[Any], deviations: NDArray[Any]) -> Moments:
    """As read from a file."""
    mean, deviations = mean.astype(np.float64), deviations.astype(np.float64)
    if n < 0 or not (np.isfinite(mean).all() and np.isfinite(deviations).all()):
        raise _NotMomentsError("it holds values that are not numbers")
    if mean.ndim != 1 or mean.shape != deviations.shape or (deviations < 0).any():
        raise _NotMomentsError("its means and deviations do not go together")
    return Moments(n, mean, deviations)
