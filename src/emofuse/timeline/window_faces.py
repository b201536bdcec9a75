"""Pictures as they come → the face arrays of windows, person by person.

Which pictures of a face a window has depends on the film; a face network reads as many as its recipe says,
evenly spaced over the window. Crops are the nearest ones, blendshapes lie between those before and after.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.features.face.boxes import overlap
from emofuse.features.face.tracker import FaceTracker, TrackedFace

if TYPE_CHECKING:
    from emofuse.features.face.blendshapes import FaceShape
    from emofuse.media.frame_sampling import Frame
    from emofuse.timeline.model_interface import EmotionModel

Float64 = NDArray[np.float64]

_HELD_BACK_S: Final = 11.0
"""The tracker tells of a new face ten sightings late at most, each within a second of the one before."""
_SAME: Final = 0.3
"""A face's box and that of its landmarks overlap by more (intersection over union): on nine films of RAVDESS,
155 pictures, by 0.73 to 0.84."""


@dataclass(slots=True)
class Seen:
    """A face in one picture, and what the face network reads of it; None: that is not known, or not yet."""

    sighting: TrackedFace
    read: NDArray[Any] | None = None


class WindowFaces(ABC):
    """Follows the faces of a film, and makes of one person's what a face network reads."""

    def __init__(self, recognizer: EmotionModel) -> None:
        features = recognizer.recipe.face.features
        self._recognizer = recognizer
        self._n_frames = features.n_frames
        self._tracker = FaceTracker(features.detect_height_px, features.size, detector=features.detector)

    def see(self, picture: Frame) -> list[Seen]:
        """The faces that are certain with the next picture, as :meth:`FaceTracker.update` tells them."""
        return self._seen(self._tracker.update(picture))

    def end(self) -> list[Seen]:
        """What is still held back when the film ends."""
        return self._seen(self._tracker.end())

    @abstractmethod
    def _seen(self, sightings: Iterable[TrackedFace]) -> list[Seen]:
        """With what is known of them at once."""

    @abstractmethod
    def array(self, faces: Sequence[Seen], start_s: float, end_s: float) -> NDArray[Any] | None:
        """The face array of one person in one window; None: the face was seen, but not well enough."""

    def _places(self, start_s: float, end_s: float) -> Float64:
        return np.linspace(start_s, end_s, self._n_frames)


class Crops(WindowFaces):
    """Grey crops, which the network may read one by one, each once."""

    def _seen(self, sightings: Iterable[TrackedFace]) -> list[Seen]:
        return [Seen(one) for one in sightings]

    def array(self, faces: Sequence[Seen], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_frames, …) of the crops nearest to the places."""
        new = [one for one in faces if one.read is None]
        if new:
            answers = self._recognizer.face_frames(np.stack([one.sighting.crop for one in new]))
            for one, answer in zip(new, answers, strict=True):
                one.read = answer
        times = np.array([one.sighting.time_s for one in faces])
        nearest = np.abs(times[None] - self._places(start_s, end_s)[:, None]).argmin(1)
        return np.stack([faces[i].read for i in nearest])


class Shapes(WindowFaces):
    """Blendshapes and head pose of every face that the tracker follows."""

    def __init__(self, recognizer: EmotionModel) -> None:
        """Read the model.

        Raises:
            MissingExtraError: mediapipe is not installed.
            WeightsError: the model is absent (the text gives the ways to get it) or altered.
        """
        from emofuse.features.face.blendshapes import landmarker

        super().__init__(recognizer)
        self._landmarker = landmarker()
        self._recent: dict[float, list[FaceShape]] = {}

    def see(self, picture: Frame) -> list[Seen]:
        """Ask for the blendshapes of all faces first: a face that is told of late needs its own picture's."""
        self._recent[picture.time_s] = self._landmarker.faces(picture.image)
        seen = super().see(picture)
        for time_s in [old for old in self._recent if picture.time_s - old > _HELD_BACK_S]:
            del self._recent[time_s]
        return seen

    def _seen(self, sightings: Iterable[TrackedFace]) -> list[Seen]:
        return [Seen(one, _values_of(one, self._recent.get(one.time_s, []))) for one in sightings]

    def array(self, faces: Sequence[Seen], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_frames, 58) float32 between those of the pictures with blendshapes."""
        known = [(one.sighting.time_s, one.read) for one in faces if one.read is not None]
        if not known:
            return None
        times = np.array([time_s for time_s, _ in known])
        values = np.stack([read for _, read in known])
        places = self._places(start_s, end_s)
        columns = [np.interp(places, times, column) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float32)


def _values_of(sighting: TrackedFace, shapes: Sequence[FaceShape]) -> NDArray[Any] | None:
    """The blendshapes of the face that lies where the tracker saw one."""
    best = max(shapes, key=lambda shape: overlap(shape.box, sighting.box), default=None)
    return None if best is None or overlap(best.box, sighting.box) < _SAME else best.values


def window_faces(recognizer: EmotionModel) -> WindowFaces | None:
    """What follows the faces for a recogniser; None: it reads no pictures.

    Raises:
        MissingExtraError: the recogniser's features need an optional part of the package.
        WeightsError: they need a weight file that is absent or altered.
    """
    kind = recognizer.recipe.face.features.kind
    if kind == "au-table":
        return None
    return (Shapes if kind == "blendshapes" else Crops)(recognizer)
