"""Functionals of a face: what its movements, its pose and its expression are over the frames of a clip.

One vector per clip, as openSMILE's functionals are for a voice: means say what a face shows, spreads how
much it moves, and peaks, the 10th and 90th percentile over the frames, what it shows for a moment.
Blendshapes crowd near zero, so their square roots are taken first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import FER_PLUS
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import Float32, FrameTrack, UInt8
from emofuse.features.face.blendshapes import BLENDSHAPES, NAMES, BlendshapeTracker, FaceShape
from emofuse.features.face.boxes import Box
from emofuse.features.face.expression_frames import expression_of

PEAKS: Final = (10, 90)
"""Percentiles over the frames."""
_MOVING: Final = slice(1, len(BLENDSHAPES))
"""Without ``_neutral``, which is no movement."""
_ANGLES: Final = slice(len(BLENDSHAPES), len(BLENDSHAPES) + 3)
_POSE: Final = slice(len(BLENDSHAPES), len(NAMES))
_N_MOVING: Final = len(BLENDSHAPES) - 1


def functional_views(features: FaceFeatures) -> dict[str, slice]:
    """Where in the vector each view is: means, spreads and peaks of movements, and all of expression."""
    lengths = {"means": _N_MOVING + 3, "spreads": _N_MOVING + 6, "peaks": len(PEAKS) * _N_MOVING}
    if features.expression_sha256 is not None:
        lengths["expression"] = (2 + len(PEAKS)) * len(FER_PLUS)
    views, start = {}, 0
    for name, length in lengths.items():
        views[name] = slice(start, start + length)
        start += length
    return views


def n_functionals(features: FaceFeatures) -> int:
    """The length of the vector."""
    return sum(view.stop - view.start for view in functional_views(features).values())


def functionals_of(frames: NDArray[Any]) -> Float32:
    """The vector of a clip.

    Args:
        frames: (n_frames, 58) blendshapes and pose, as :data:`~emofuse.features.face.blendshapes.NAMES`; or
            (n_frames, 66) with the log-probabilities of the expression network after them.

    Returns:
        (n_values,) float32, in the order of :func:`functional_views`.
    """
    x = np.asarray(frames, dtype=np.float64)
    moving = np.sqrt(np.maximum(x[:, _MOVING], 0))
    parts = [
        moving.mean(0), x[:, _ANGLES].mean(0),
        moving.std(0), x[:, _POSE].std(0),
        *np.percentile(moving, PEAKS, axis=0),
    ]  # fmt: skip
    expression = x[:, len(NAMES) :]
    if expression.shape[1]:
        parts += [expression.mean(0), expression.std(0), *np.percentile(expression, PEAKS, axis=0)]
    return np.concatenate(parts).astype(np.float32)


def frame_values(face: FaceShape, image: UInt8, expression_sha256: str | None) -> Float32:
    """What is read of a face in one frame: (58,) float32, or with an expression network (66,).

    Raises:
        WeightsError: there is no such network.
    """
    if expression_sha256 is None:
        return face.values
    return np.concatenate([face.values, expression_of(image, face.box, expression_sha256)])


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalsTrack(FrameTrack):
    """The functionals of one person's face over the sampled frames of a clip, and where the face is in them.

    ``values``: (n_values,) float32, over the frames with the face.
    """

    values: Float32


class FunctionalsTracker:
    """Follows one face through frames that come one by one, as :class:`BlendshapeTracker` does."""

    def __init__(self, features: FaceFeatures) -> None:
        """Read the models.

        Raises:
            MissingExtraError: mediapipe is not installed.
            WeightsError: a model is missing (the message says how to get it) or altered.
        """
        self._faces = BlendshapeTracker()
        self._expression_sha256 = features.expression_sha256
        self._values: list[Float32] = []

    @property
    def first_box(self) -> Box | None:
        """Of the face in the first frame."""
        return self._faces.first_box

    def add(self, image: UInt8) -> None:
        """The next frame: (height, width) gray."""
        face = self._faces.add(image)
        if face is not None:
            self._values.append(frame_values(face, image, self._expression_sha256))

    def track(self, times_s: NDArray[np.float64]) -> FunctionalsTrack | str:
        """The functionals, or the reason why there are none. ``times_s``: when the frames are shown."""
        track = self._faces.track(times_s)
        if isinstance(track, str):
            return track
        return FunctionalsTrack(
            values=functionals_of(np.stack(self._values)),
            times_s=times_s,
            boxes=track.boxes,
            found=track.found,
            n_faces=track.n_faces,
        )
