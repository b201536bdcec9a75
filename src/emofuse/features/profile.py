"""A person's profile: what enrollment stores of some recordings of that person. No audio, no video, no label.

A profile is a small file of means and deviations of features; or, where the recognizer has no networks for
enrolled people, of mean log-probabilities. It works only with the recognizer that made it. It describes
how a person's voice and face differ from others', so treat it as personal data. On request it also holds an
embedding of the face, which is biometric data: it finds the person in other recordings.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ProfileError
from emofuse.core.own_ratings import KnownClips
from emofuse.features.own_baseline import Kind, OwnBaseline
from emofuse.features.speaker_normalization import Moments
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import parse_json, read_bounded

SCHEMA: Final = 1
LARGEST_BYTES: Final = 16 * 2**20
"""Of a profile, unpacked: some hundred times what those of the shipped recipes take."""
_KINDS: Final[tuple[Kind, ...]] = ("voice", "face", "fused")
FACE_NUMBERS: Final = 128
"""Of an embedding."""
_FACE: Final = "face-embedding"
_KNOWN: Final = ("n", "output", "n_rated", "rated_output", "rating")
_DAMAGED: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What reading a file that is not a profile raises."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is stored of a person's recordings, by what was read: voice, face, and both at once."""

    recogniser: str
    """Fingerprint of the recognizer that made it."""
    moments: Mapping[str, Moments]
    clips: int
    skipped: tuple[str, ...] = ()
    """Recordings with neither voice nor face, and why; not saved: file names can reveal emotions."""
    baselines: Mapping[Kind, OwnBaseline] = field(default_factory=dict)
    """How the recognizer reads the person on average, if it has no networks for enrolled people."""
    face: NDArray[np.float32] | None = None
    """(128,) the embedding of the person's face, biometric data; None unless it was asked for. See
    :mod:`emofuse.features.face.identity`."""
    ratings: Mapping[str, tuple[KnownClips, ...]] = field(default_factory=dict)
    """What the networks output for the recordings on numeric scales, on average, and how they were rated, if
    they were: by modality, in the order of the recognizer's dimensions."""

    def save(self, path: str | Path) -> None:
        """Write the profile atomically."""
        about: dict[str, Any] = {
            "schema": SCHEMA,
            "recogniser": self.recogniser,
            "clips": self.clips,
            "n": {name: moments.n for name, moments in self.moments.items()},
        }
        if self.baselines:
            about["baselines"] = {
                kind: {"n": one.n, "spread_nats": one.spread_nats} for kind, one in self.baselines.items()
            }
        if self.ratings:
            about["ratings"] = {
                name: [[getattr(one, key) for key in _KNOWN] for one in clips]
                for name, clips in self.ratings.items()
            }
        arrays: dict[str, NDArray[Any]] = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
        for name, moments in self.moments.items():
            arrays[f"{name}-mean"], arrays[f"{name}-deviations"] = moments.mean, moments.deviations
        for kind, one in self.baselines.items():
            arrays[f"{kind}-baseline"] = one.mean
        if self.face is not None:
            arrays[_FACE] = self.face.astype(np.float32)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomically(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile.

        Raises:
            ProfileError: it is missing, damaged, or not a profile.
        """
        path = Path(path)
        try:
            data = read_bounded(path, LARGEST_BYTES)
        except FileNotFoundError:
            raise ProfileError(f"{path}: there is no such profile (create one with emofuse enroll)") from None
        except OSError as error:
            raise ProfileError(f"{path}: {error.strerror or error}") from None
        except ValueError as error:
            raise ProfileError(f"{path} is not a profile of emofuse: {error}") from None
        try:
            arrays = read_arrays(data, limit_bytes=LARGEST_BYTES)
            about = parse_json(arrays["about"].tobytes())
            if about["schema"] != SCHEMA:
                raise ProfileError(f"{path}: profile schema {about['schema']}, this version reads {SCHEMA}")
            moments = {
                name: _moments(int(n), arrays[f"{name}-mean"], arrays[f"{name}-deviations"])
                for name, n in about["n"].items()
            }
            baselines = {
                kind: _baseline(known, arrays[f"{kind}-baseline"])
                for kind, known in about.get("baselines", {}).items()
                if kind in _KINDS
            }
            face = _face(arrays[_FACE]) if _FACE in arrays else None
            ratings = {
                str(name): tuple(map(_known_clips, rows)) for name, rows in about.get("ratings", {}).items()
            }
            return cls(
                str(about["recogniser"]), moments, int(about["clips"]), baselines=baselines, face=face,
                ratings=ratings,
            )  # fmt: skip
        except _NotMomentsError as error:
            raise ProfileError(f"{path} is not a profile: {error}") from None
        except _DAMAGED:  # the libraries' messages are meant for programmers
            raise ProfileError(
                f"{path} is not a profile of emofuse, or damaged: create it again (emofuse enroll)"
            ) from None


def _known_clips(row: Sequence[Any]) -> KnownClips:
    """What is known on a dimension, as read from a file, checked."""
    n, output, n_rated, rated_output, rating = row
    try:
        return KnownClips(int(n), float(output), int(n_rated), float(rated_output), float(rating))
    except ValueError as error:
        raise _NotMomentsError(f"of its ratings, {error}") from None


def _face(values: NDArray[Any]) -> NDArray[np.float32]:
    """An embedding as read from a file, checked."""
    if values.shape != (FACE_NUMBERS,) or not np.isfinite(values).all():
        raise _NotMomentsError(f"the embedding of its face is not {FACE_NUMBERS} finite numbers")
    return values.astype(np.float32)


def _baseline(known: Mapping[str, Any], mean: NDArray[Any]) -> OwnBaseline:
    """A baseline as read from a file, checked."""
    try:
        return OwnBaseline(float(known["n"]), mean.astype(np.float64), float(known["spread_nats"]))
    except ValueError as error:
        raise _NotMomentsError(f"of a baseline, {error}") from None


class _NotMomentsError(ValueError):
    """The values read cannot be moments."""


def _moments(n: int, mean: NDArray[Any], deviations: NDArray[Any]) -> Moments:
    """Moments as read from a file, checked."""
    mean, deviations = mean.astype(np.float64), deviations.astype(np.float64)
    if n < 0 or not (np.isfinite(mean).all() and np.isfinite(deviations).all()):
        raise _NotMomentsError("it holds values that are not finite numbers")
    if mean.ndim != 1 or mean.shape != deviations.shape or (deviations < 0).any():
        raise _NotMomentsError("its means and deviations do not fit together")
    return Moments(n, mean, deviations)
