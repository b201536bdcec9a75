"""Who is who across shots, by face embeddings: the tracker asks where position says nothing.

Within a shot a face is where it was a moment ago, and is not embedded. A face in the first frame of a shot,
or one that appears within it, is compared with everybody who was seen before. Of each person only the best
patch is kept, until it is embedded for the first comparison; from then on, only the mean embedding. All of it
is gone when the tracker is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from emofuse.core.records import Float32
from emofuse.features.face.boxes import FaceDetection
from emofuse.features.face.identity import (
    SAME_PERSON,
    FacePatch,
    LazyEmbedder,
    cut_patch,
    distance,
    identity_installed,
    load_embedder,
)

if TYPE_CHECKING:
    from emofuse.media.frame_sampling import Frame

AT_ONCE: Final = 0.45
"""A single frame, which may be blurred, must be this near to a person to be taken for that person."""
IN_DOUBT: Final = 0.55
"""A face that is between :data:`SAME_PERSON` and this from somebody is looked at for a few more frames."""
SOMEBODY_ELSE: Final = 0.6
"""A face that stays where it was must be this far from that person to be taken for somebody else."""
_BETTER: Final = 1.15
"""A patch replaces the one before if it is better by this factor."""
_MOST_MEANT: Final = 16
"""The weight of what was seen before, in faces, at most: people change over a long recording."""
_FULL_WIDTH_PX: Final = 150
"""A wider face is no better for the network."""


class Embedder(Protocol):
    """Embeds faces, as :class:`~emofuse.features.face.identity.FaceEmbedder` does."""

    def embed(self, patch: FacePatch) -> Float32:
        """(128,) float32; near each other for one person."""
        ...


@dataclass(slots=True)
class FaceLook:
    """A face in one frame, cut out and embedded only if it is asked for."""

    frame: Frame
    detection: FaceDetection
    _patch: FacePatch | None = None
    _embedding: Float32 | None = None

    @property
    def quality(self) -> float:
        """How well the network can read it: larger and frontal faces, which detectors score higher, first."""
        left, _, right, _ = self.detection.box
        return (0.2 + self.detection.score) * min(right - left, _FULL_WIDTH_PX)

    @property
    def patch(self) -> FacePatch | None:
        """What is embedded; None: the face is too small."""
        if self._patch is None:
            self._patch = cut_patch(self.frame, self.detection.box)
        return self._patch

    @property
    def was_embedded(self) -> Float32 | None:
        """Its embedding, if it was asked for."""
        return self._embedding

    def embedded(self, embedder: Embedder) -> Float32 | None:
        """Its embedding, (128,) float32; None: the face is too small."""
        if self._embedding is None and self.patch is not None:
            self._embedding = embedder.embed(self.patch)
        return self._embedding


@dataclass(slots=True)
class Identity:
    """What is known of whose face a track is: at first a patch, then a mean embedding."""

    patch: FacePatch | None = None
    quality: float = 0.0
    mean: Float32 | None = None
    n: int = 0
    """Faces in the mean."""
    known: Float32 | None = None
    """The embedding in the profile of this person, once recognized."""

    @property
    def is_unknown(self) -> bool:
        """Whether there is nothing yet that could be embedded."""
        return self.mean is None and self.patch is None

    def offer(self, look: FaceLook) -> None:
        """Keep a face that is better than those before, until one of them is embedded."""
        if self.mean is None and look.quality > _BETTER * self.quality and look.patch is not None:
            self.patch, self.quality = look.patch, look.quality

    def embedded(self, embedder: Embedder) -> Float32 | None:
        """(128,) float32, the mean embedding; None: the face was always too small."""
        if self.mean is None and self.patch is not None:
            self.mean, self.n, self.patch = embedder.embed(self.patch), 1, None
        return self.mean

    def add(self, embedding: Float32, n: int = 1) -> None:
        """Take another face, or the mean of ``n``, into the mean."""
        before = np.zeros_like(embedding) if self.mean is None else self.mean
        total = self.n + n
        self.mean = np.asarray((self.n * before + n * embedding) / total, dtype=np.float32)
        self.n, self.patch = min(total, _MOST_MEANT), None

    def joined(self, later: Identity) -> Identity:
        """That of one person who was taken for two."""
        if self.is_unknown:
            return later
        if later.mean is not None:
            self.add(later.mean, later.n)
        return self


@dataclass(slots=True)
class Reidentifier:
    """Compares faces with those of one recording, and with people who are known by a profile."""

    embedder: Embedder
    known: Mapping[str, Float32] = field(default_factory=dict)
    """The embeddings of known people, (128,) float32, by name."""
    names: dict[int, str] = field(default_factory=dict)
    """Who was recognized: the name of each, by the number of the person."""
    has_compared: bool = False
    """Whether any face was embedded."""

    def face_distance(self, identity: Identity, look: FaceLook) -> float | None:
        """How far a face is from a person; None: one of them cannot be embedded."""
        if identity.is_unknown:
            return None
        return self._distance(identity, look.embedded(self.embedder))

    def distance(self, identity: Identity, other: Identity) -> float | None:
        """How far a person is from another, who is perhaps the same; None: one of them cannot be embedded."""
        if identity.is_unknown:
            return None
        return self._distance(identity, other.embedded(self.embedder))

    def _distance(self, identity: Identity, embedding: Float32 | None) -> float | None:
        mean = identity.embedded(self.embedder)
        self.has_compared |= mean is not None
        if embedding is None or mean is None:
            return None
        others = (mean,) if identity.known is None else (mean, identity.known)
        return min(distance(one, embedding) for one in others)

    def observe(self, person: int, identity: Identity, look: FaceLook) -> None:
        """Note another face of a track; ``person``: 0 while it is not confirmed."""
        embedding = look.was_embedded
        if not person and identity.mean is not None:  # compared, and in doubt
            embedding = look.embedded(self.embedder)
        if embedding is None or identity.is_unknown:
            identity.offer(look)
        else:
            identity.add(embedding)
            self.recognize(person, identity)

    def recognize(self, person: int, identity: Identity) -> None:
        """Name a person whose face is that of a profile, unless somebody nearer has that name."""
        left = {name: face for name, face in self.known.items() if name not in self.names.values()}
        if not person or person in self.names or not left:
            return
        mean = identity.embedded(self.embedder)
        if mean is None:
            return
        self.has_compared = True
        nearest = min(left, key=lambda name: distance(left[name], mean))
        if distance(left[nearest], mean) < SAME_PERSON:
            self.names[person], identity.known = nearest, left[nearest]


def reidentifier(wanted: bool | None, known: Mapping[str, Float32]) -> Reidentifier | None:
    """What tells the people of a recording apart by their faces; None: nothing does.

    Args:
        wanted: whether to embed faces; None: if the network is there, or somebody is known.
        known: the embeddings of known people, by name.

    Raises:
        WeightsError: it is wanted, and a file is missing (the message says how to get it) or altered.
        ValueError: it is not wanted, and somebody is known.
    """
    if known and wanted is False:
        raise ValueError("known people are found by their faces: identity must not be False")
    if known or wanted:
        return Reidentifier(load_embedder(), known)
    if wanted is None and identity_installed():
        return Reidentifier(LazyEmbedder())
    return None
