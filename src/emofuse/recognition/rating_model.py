"""The networks of a bundle that output ratings: features → a value with an interval on each dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.dimensions import Rated
from emofuse.core.errors import BundleError
from emofuse.core.own_ratings import KnownClips
from emofuse.core.records import Features
from emofuse.features.face.bridge import is_bridged
from emofuse.recognition.bundle import RATINGS_FILES, Bundle

Modality = Literal["voice", "face"]
FaceFrames = Callable[[NDArray[Any]], NDArray[Any]]
"""See :meth:`emofuse.Recognizer.face_frames`."""


@dataclass(frozen=True, slots=True)
class RatedClip:
    """What a clip is rated on every dimension of a bundle, and from what; None: nothing could be read."""

    dimensions: Mapping[str, Rated | None] = field(default_factory=dict)
    used: tuple[Modality, ...] = ()
    shifts: Mapping[str, float] = field(default_factory=dict)
    """How far each value was shifted for what is known of the person."""


class RatingModel:
    """The rating networks of a bundle; of one without dimensions, none."""

    def __init__(self, bundle: Bundle, session: Callable[[str], Any]) -> None:
        """Load the networks.

        Args:
            bundle: whose networks.
            session: loads one of its files.

        Raises:
            BundleError: a network is missing, altered or cannot be run.
        """
        self._bundle = bundle
        known: tuple[Modality, ...] = ("voice", "face")
        self._networks = {
            name: session(RATINGS_FILES[name])
            for name in known
            if bundle.dimensions and RATINGS_FILES[name] in bundle.files
        }
        if bundle.dimensions and not self._networks:
            raise BundleError(
                f"{bundle.folder}: this bundle has dimensions, and no network that rates on them"
            )

    def rated(
        self,
        features: Features,
        face_frames: FaceFrames,
        known: Mapping[str, tuple[KnownClips, ...]] | None = None,
    ) -> RatedClip:
        """Rate one clip.

        Args:
            features: of the clip, without what the bundle does not read.
            face_frames: of the recognizer.
            known: other clips of the same person, by modality and in the order of the dimensions.
        """
        if not self._bundle.dimensions:
            return RatedClip()
        outputs = self._outputs(features, face_frames)
        dimensions: dict[str, Rated | None] = {}
        shifts: dict[str, float] = {}
        for index, one in enumerate(self._bundle.dimensions):
            values: dict[str, float] = {name: float(row[index]) for name, row in outputs.items()}
            clips = {name: of_all[index] for name, of_all in (known or {}).items()}
            plain, rated = one.rated(values), one.rated(values, known=clips)
            dimensions[one.name] = rated
            if clips and plain is not None and rated is not None:
                shifts[one.name] = rated.value - plain.value
        return RatedClip(dimensions, tuple(outputs), shifts)

    def known_clips(
        self,
        clips: Sequence[Features],
        ratings: Sequence[Mapping[str, float] | None],
        face_frames: FaceFrames,
    ) -> dict[str, tuple[KnownClips, ...]]:
        """What is kept of some clips of a person, by modality and in the order of the dimensions.

        Args:
            clips: without what the bundle does not read.
            ratings: what raters gave to each; None: nothing.
            face_frames: of the recognizer.
        """
        outputs = [self._outputs(one, face_frames) for one in clips]
        read = [(one, given or {}) for one, given in zip(outputs, ratings, strict=True)]
        found = {}
        for modality in self._networks:
            own = [(one[modality], given) for one, given in read if modality in one]
            found[str(modality)] = tuple(
                KnownClips.of(
                    [float(row[index]) for row, _ in own], [given.get(one.name) for _, given in own]
                )
                for index, one in enumerate(self._bundle.dimensions)
            )
        return found if self._bundle.dimensions else {}

    def _outputs(self, features: Features, face_frames: FaceFrames) -> dict[Modality, NDArray[np.float64]]:
        outputs: dict[Modality, NDArray[np.float64]] = {}
        if features.voice is not None and "voice" in self._networks:
            outputs["voice"] = self._run("voice", features.voice)
        if features.face is not None and "face" in self._networks and not is_bridged(features):
            outputs["face"] = self._run("face", face_frames(features.face))
        return outputs

    def _run(self, modality: Modality, array: NDArray[Any]) -> NDArray[np.float64]:
        """(n_dimensions,) what the network of a modality outputs."""
        found = np.asarray(self._networks[modality].run(["ratings"], {"inputs": array[None]})[0][0])
        if found.shape != (len(self._bundle.dimensions),) or not all(map(math.isfinite, found.tolist())):
            path = self._bundle.folder / RATINGS_FILES[modality]
            raise BundleError(f"{path} is a network that fails: it does not give a number for each dimension")
        return found.astype(np.float64)
