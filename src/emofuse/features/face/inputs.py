"""A clip's face becomes the array that a face network reads, with notes for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, UInt8
from emofuse.features.embeddings.onnx_files import embed_face, open_network
from emofuse.features.face.clip_track import FaceTracker
from emofuse.features.face.stillness import ClipStillness
from emofuse.features.store import ModalityFeatures

if TYPE_CHECKING:
    from emofuse.features.face.blendshapes import BlendshapeTrack, BlendshapeTracker
    from emofuse.features.face.functionals import FunctionalsTrack, FunctionalsTracker

STILL_FACE: Final = "the face never moves: it may be a picture of a person"
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def face_shape(features: FaceFeatures, n_units: int | None = None) -> tuple[int, ...]:
    """The shape of the face array; ``n_units``: number of columns of the table of action units."""
    if features.kind == "stack":
        return features.n_frames, features.size, features.size
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import NAMES

        return features.n_frames, len(NAMES)
    if features.kind == "functionals":
        from emofuse.features.face.functionals import n_functionals

        return (n_functionals(features),)
    if features.embedding is not None:
        return (features.embedding.n_values,)
    if n_units is None:
        raise ValueError("the shape of an au-table depends on the table: give n_units")
    return (n_units,)


class FacePart:
    """What a face network reads of the frames of a clip, which come one by one."""

    def __init__(self, features: FaceFeatures, *, cropped: bool = True) -> None:
        """Prepare the detector. ``cropped``: see :class:`FaceTracker`.

        Raises:
            MissingExtraError: the features need an optional part of the package.
            WeightsError: they need a weight file that is missing or altered.
        """
        self._embedding = features.embedding
        self._tracker: FaceTracker | BlendshapeTracker | FunctionalsTracker
        if features.kind == "blendshapes":
            from emofuse.features.face.blendshapes import BlendshapeTracker

            self._tracker = BlendshapeTracker()
        elif features.kind == "functionals":
            from emofuse.features.face.functionals import FunctionalsTracker

            self._tracker = FunctionalsTracker(features)
        else:
            self._tracker = FaceTracker(features, cropped=cropped)
        self._stillness = ClipStillness()
        self.all_square = True
        """No frame has more than its central square."""

    def add(self, image: UInt8) -> None:
        """The next frame: (height, width) gray."""
        self.all_square &= image.shape[0] == image.shape[1]
        self._tracker.add(image)
        self._stillness.add(image, self._tracker.first_box)

    def result(self, times_s: NDArray[np.float64]) -> ModalityFeatures:
        """The array, or the reason why there is none. ``times_s``: when the frames are shown."""
        track = self._tracker.track(times_s)
        if isinstance(track, str):
            return ModalityFeatures(None, track, (), {"n_frames": len(times_s), "frames_with_face": 0})
        array: NDArray[Any] = track.crops if isinstance(track, FaceTrack) else track.values
        if self._embedding is not None:
            array = embed_face(array, self._embedding)
        still = bool(track.found.all()) and self._stillness.never_moves(times_s.tolist())
        notes = face_notes(track) + ((STILL_FACE,) if still else ())
        return ModalityFeatures(array, None, notes, face_meta(track))


def check_face_needs(features: FaceFeatures) -> None:
    """Check that everything needed to read faces is present; fail before hours of work.

    Raises:
        MissingExtraError: an optional part of the package is not installed.
        WeightsError: a weight file is missing (the message says how to get it) or altered.
    """
    if features.reads_blendshapes:
        from emofuse.features.face.blendshapes import landmarker

        landmarker()
    if features.expression_sha256 is not None:
        from emofuse.features.face.expression_frames import expression_network

        expression_network(features.expression_sha256)
    if features.kind == "onnx":
        assert features.embedding is not None
        open_network("face", features.embedding, features.size)
    if features.reads_crops and features.detector == "yunet":
        from emofuse.features.face.yunet import load_yunet

        load_yunet()


def face_notes(track: FaceTrack | BlendshapeTrack | FunctionalsTrack) -> tuple[str, ...]:
    """Notes for the user: frames without a face, several faces."""
    notes = []
    n_frames, n_found = len(track.found), int(track.found.sum())
    if n_found < n_frames:
        if isinstance(track, FaceTrack):
            instead = "the nearest one was read"
        else:
            one_per_frame = track.values.ndim == 2
            instead = "blendshapes interpolated" if one_per_frame else "they were left out"
        notes.append(f"no face in {n_frames - n_found} of {n_frames} frames: {instead}")
    most = int(track.n_faces.max())
    if most > 1:
        name = _NUMBERS[most] if most < len(_NUMBERS) else str(most)
        notes.append(f"{name} faces: the largest was used")
    return tuple(notes)


def face_meta(track: FaceTrack | BlendshapeTrack | FunctionalsTrack) -> dict[str, Any]:
    """JSON-ready facts: times of the frames, boxes of the face, number of faces."""
    return {
        "n_frames": len(track.found),
        "frames_with_face": int(track.found.sum()),
        "n_faces_max": int(track.n_faces.max()),
        "face_times_s": [round(float(time), 4) for time in track.times_s],
        "face_boxes": track.boxes.tolist(),
    }
