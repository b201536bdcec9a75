"""Video frames as they come → the face arrays of windows, person by person.

How many detections of a face a window has depends on the video; a face network reads as many frames as its
recipe says, evenly spaced over the window. Crops are the nearest ones, blendshapes are interpolated.
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
    from emofuse.features.face.reidentification import Reidentifier
    from emofuse.media.frame_sampling import Frame
    from emofuse.timeline.model_interface import EmotionModel

Float64 = NDArray[np.float64]

_MAX_DELAY_S: Final = 11.0
"""The tracker returns a new face at most ten detections late, each within a second of the one before."""
_MIN_OVERLAP: Final = 0.3
"""A face's box and that of its landmarks overlap by more (intersection over union): on nine RAVDESS videos,
155 frames, by 0.73 to 0.84."""


@dataclass(slots=True)
class FaceInput:
    """A face in one frame, and what the face network reads of it; None: unknown, or not computed yet."""

    tracked: TrackedFace
    values: NDArray[Any] | None = None


class WindowFaces(ABC):
    """Tracks the faces of a video, and makes face arrays of one person's."""

    def __init__(self, recognizer: EmotionModel, reidentifier: Reidentifier | None = None) -> None:
        features = recognizer.recipe.face.features
        self._recognizer = recognizer
        self._n_frames = features.n_frames
        self._tracker = FaceTracker(
            features.detect_height_px, features.size, detector=features.detector, reidentifier=reidentifier
        )

    def add(self, frame: Frame) -> list[FaceInput]:
        """Add the next frame; return the faces that are certain with it, as the tracker does."""
        return self._inputs(self._tracker.update(frame))

    def finish(self) -> list[FaceInput]:
        """End the video; return the faces that were still held back."""
        return self._inputs(self._tracker.finish())

    @abstractmethod
    def _inputs(self, faces: Iterable[TrackedFace]) -> list[FaceInput]:
        """With what can be computed at once."""

    @abstractmethod
    def array(self, faces: Sequence[FaceInput], start_s: float, end_s: float) -> NDArray[Any] | None:
        """The face array of one person in one window; None: no detection was good enough."""

    def _sample_times(self, start_s: float, end_s: float) -> Float64:
        return np.linspace(start_s, end_s, self._n_frames)


class Crops(WindowFaces):
    """Gray crops, each of which the network reads once where it reads frame by frame."""

    def _inputs(self, faces: Iterable[TrackedFace]) -> list[FaceInput]:
        return [FaceInput(one) for one in faces]

    def array(self, faces: Sequence[FaceInput], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_frames, …) of the crops nearest to the sample times."""
        unread = [one for one in faces if one.values is None]
        if unread:
            outputs = self._recognizer.face_frames(np.stack([one.tracked.crop for one in unread]))
            for one, output in zip(unread, outputs, strict=True):
                one.values = output
        times = np.array([one.tracked.time_s for one in faces])
        nearest = np.abs(times[None] - self._sample_times(start_s, end_s)[:, None]).argmin(1)
        return np.stack([faces[i].values for i in nearest])


class EmbeddedCrops(Crops):
    """Gray crops, which an ONNX file reads together, as those of a clip."""

    def array(self, faces: Sequence[FaceInput], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_values,) float32, over as many crops as in a clip."""
        from emofuse.features.embeddings.onnx_files import embed_face

        embedding = self._recognizer.recipe.face.features.embedding
        assert embedding is not None
        crops = super().array(faces, start_s, end_s)
        return None if crops is None else embed_face(crops, embedding)


class Shapes(WindowFaces):
    """Blendshapes and head pose of every tracked face."""

    def __init__(self, recognizer: EmotionModel, reidentifier: Reidentifier | None = None) -> None:
        """Load the model.

        Raises:
            MissingExtraError: mediapipe is not installed.
            WeightsError: the model is absent (the text gives the ways to get it) or altered.
        """
        from emofuse.features.face.blendshapes import landmarker

        super().__init__(recognizer, reidentifier)
        self._landmarker = landmarker()
        self._recent: dict[float, list[FaceShape]] = {}

    def add(self, frame: Frame) -> list[FaceInput]:
        """Compute the blendshapes of all faces first: a face that is returned late needs its own frame's."""
        self._recent[frame.time_s] = self._shapes(frame)
        inputs = super().add(frame)
        for time_s in [old for old in self._recent if frame.time_s - old > _MAX_DELAY_S]:
            del self._recent[time_s]
        return inputs

    def _shapes(self, frame: Frame) -> list[FaceShape]:
        """What is read of every face in a frame."""
        return self._landmarker.faces(frame.image)

    def _inputs(self, faces: Iterable[TrackedFace]) -> list[FaceInput]:
        return [FaceInput(one, _values_at(one, self._recent.get(one.time_s, []))) for one in faces]

    def array(self, faces: Sequence[FaceInput], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_frames, 58) float32, interpolated between the frames with blendshapes."""
        known = [(one.tracked.time_s, one.values) for one in faces if one.values is not None]
        if not known:
            return None
        times = np.array([time_s for time_s, _ in known])
        values = np.stack([values for _, values in known])
        sample_times = self._sample_times(start_s, end_s)
        columns = [np.interp(sample_times, times, column) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float32)


class Functionals(Shapes):
    """Functionals of blendshapes and pose, and of an expression network if the recipe names one."""

    def _shapes(self, frame: Frame) -> list[FaceShape]:
        from emofuse.features.face.blendshapes import FaceShape
        from emofuse.features.face.functionals import frame_values

        sha256 = self._recognizer.recipe.face.features.expression_sha256
        return [
            FaceShape(frame_values(face, frame.image, sha256), face.box) for face in super()._shapes(frame)
        ]

    def array(self, faces: Sequence[FaceInput], start_s: float, end_s: float) -> NDArray[Any] | None:
        """(n_values,) float32, over as many frames as in a clip."""
        from emofuse.features.face.functionals import functionals_of

        values = super().array(faces, start_s, end_s)
        return None if values is None else functionals_of(values)


def _values_at(tracked: TrackedFace, shapes: Sequence[FaceShape]) -> NDArray[Any] | None:
    """The blendshapes of the face at the position of a tracked face."""
    best = max(shapes, key=lambda shape: overlap(shape.box, tracked.box), default=None)
    return None if best is None or overlap(best.box, tracked.box) < _MIN_OVERLAP else best.values


def window_faces(recognizer: EmotionModel, reidentifier: Reidentifier | None = None) -> WindowFaces | None:
    """The face tracking that a recognizer needs; None: it reads no frames.

    Raises:
        MissingExtraError: the recognizer's features need an optional part of the package.
        WeightsError: they need a weight file that is absent or altered.
    """
    kind = recognizer.recipe.face.features.kind
    if kind in ("au-table", "table"):
        return None
    readers: dict[str, type[WindowFaces]] = {
        "blendshapes": Shapes, "functionals": Functionals, "onnx": EmbeddedCrops,
    }  # fmt: skip
    return readers.get(kind, Crops)(recognizer, reidentifier)
