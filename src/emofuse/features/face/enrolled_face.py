"""Some recordings of one person → one embedding of that person's face, for a profile, on request.

**The embedding is biometric data**: it finds the person in other recordings. It is made only where somebody
asks for it (``emofuse enroll --with-face``), and kept nowhere but in the profile that is written then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np

from emofuse.core.errors import CancelledError, EmofuseError, ProfileError
from emofuse.core.limits import ReadControl
from emofuse.core.records import Float32, Recording, TimedFrames, UInt8, Waveform
from emofuse.features.face.boxes import FaceDetection
from emofuse.features.face.identity import FaceEmbedder, FacePatch, central_embedding, load_embedder
from emofuse.features.face.reidentification import FaceLook
from emofuse.features.face.tracker import FaceTracker
from emofuse.features.profile import Profile
from emofuse.media.container import Source
from emofuse.media.file_stream import open_stream
from emofuse.media.frame_sampling import SMALL_ROWS, Frame

_FRAMES_PER_S: Final = 3.0
_BEST: Final = 3
"""Faces embedded of one recording, the best ones."""
_AGREE: Final = 0.6
"""Of all these faces, at least this share must be one person's."""


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """The face of a person, as some recordings show it."""

    embedding: Float32
    """(128,) float32, the mean over the faces."""
    n_faces: int
    """Faces in the mean."""
    n_others: int
    """Faces that were left out, since they are somebody else's."""


@dataclass(slots=True)
class _Seen:
    """Somebody in one recording."""

    n_frames: int = 0
    best: list[tuple[float, int, FacePatch]] = field(default_factory=list)
    """A heap of the best patches, the worst of them first."""

    def add(self, look: FaceLook) -> None:
        self.n_frames += 1
        if (len(self.best) < _BEST or look.quality > self.best[0][0]) and look.patch is not None:
            entry = (look.quality, -self.n_frames, look.patch)
            if len(self.best) < _BEST:
                heapq.heappush(self.best, entry)
            else:
                heapq.heapreplace(self.best, entry)


def with_face(
    profile: Profile,
    recordings: Iterable[Source | Recording | Waveform | TimedFrames],
    control: ReadControl | None = None,
) -> Profile:
    """The profile with an embedding of the person's face: see :func:`enrolled_face`."""
    return replace(profile, face=enrolled_face(recordings, control).embedding)


def enrolled_face(
    recordings: Iterable[Source | Recording | Waveform | TimedFrames], control: ReadControl | None = None
) -> EnrolledFace:
    """The face of the one person in some recordings: in each, who is in view longest.

    Args:
        recordings: of one person; those that cannot be read, and those without video, are passed over.
        control: what each may ask for, and whether the reading was cancelled.

    Raises:
        CancelledError: it was.
        ProfileError: no recording shows a face that is large enough, or they show several people.
        WeightsError: the network is missing or altered.
    """
    embedder = load_embedder()
    embeddings = [one for source in recordings for one in _embeddings(source, embedder, control)]
    if not embeddings:
        raise ProfileError(
            "no recording shows a face that is large enough to be recognized: use recordings with video, or "
            "enroll without the face"
        )
    embedding, n = central_embedding(embeddings)
    if n < _AGREE * len(embeddings):
        raise ProfileError(
            f"the recordings show several people: only {n} of {len(embeddings)} faces are of one person; use "
            "recordings that show one person, or enroll without the face"
        )
    return EnrolledFace(embedding, n, len(embeddings) - n)


def _embeddings(
    source: Source | Recording | Waveform | TimedFrames, embedder: FaceEmbedder, control: ReadControl | None
) -> list[Float32]:
    """Of the best faces of the person who is in view longest; none if nobody is."""
    people: dict[int, _Seen] = {}
    try:
        with _frames(source, control) as frames:
            tracker = FaceTracker()
            for frame in frames:
                for face in tracker.update(frame):
                    if face.time_s == frame.time_s:  # others are held back from earlier frames
                        look = FaceLook(frame, FaceDetection(face.box, face.score))
                        people.setdefault(face.person, _Seen()).add(look)
    except CancelledError:
        raise
    except EmofuseError:  # enrollment names it
        return []
    if not people:
        return []
    longest = max(people.values(), key=lambda seen: seen.n_frames)
    return [embedder.embed(patch) for _, _, patch in sorted(longest.best, key=lambda one: -one[0])]


@contextmanager
def _frames(
    source: Source | Recording | Waveform | TimedFrames, control: ReadControl | None
) -> Iterator[Iterable[Frame]]:
    """Some frames of a recording, in order of time."""
    if isinstance(source, Recording | Waveform | TimedFrames):
        frames = source.frames if isinstance(source, Recording) else source
        yield () if frames is None or isinstance(frames, Waveform) else _of_arrays(frames)
        return
    with open_stream(source, audio=False, frames_per_s=_FRAMES_PER_S, control=control) as stream:
        yield (part for part in stream if isinstance(part, Frame))


def _of_arrays(frames: TimedFrames) -> Sequence[Frame]:
    """About every third of a second, in gray: arrays come without their colors."""
    wanted: list[Frame] = []
    for image, time_s in zip(frames.images, frames.times_s.tolist(), strict=True):
        if not wanted or time_s - wanted[-1].time_s >= 1 / _FRAMES_PER_S:
            wanted.append(Frame(time_s, image, _small(image)))
    return wanted


def _small(image: UInt8) -> UInt8:
    rows = min(SMALL_ROWS, image.shape[0])
    size = (max(1, round(image.shape[1] * rows / image.shape[0])), rows)
    reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(reduced, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
