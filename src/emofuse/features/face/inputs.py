"""A clip's face becomes the array that a face network reads, with what a user should know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames
from emofuse.features.face.clip_track import track_face
from emofuse.features.store import ModalityFeatures

if TYPE_CHECKING:
    from emofuse.features.face.blendshapes import BlendshapeTrack

_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def face_shape(features: FaceFeatures, n_units: int | None = None) -> tuple[int, ...]:
    """The shape of the face array; ``n_units``: the number of columns of the table of action units."""
    if features.kind == "stack":
        return features.n_frames, features.size, features.size
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import NAMES

        return features.n_frames, len(NAMES)
    if n_units is None:
        raise ValueError("the shape of an au-table depends on the table: give n_units")
    return (n_units,)


def face_part(frames: TimedFrames, features: FaceFeatures) -> ModalityFeatures:
    """What a face network reads of the pictures of a clip, or the reason why there is nothing.

    Raises:
        MissingExtraError: the features need an optional part of the package.
        WeightsError: they need a weight file that is absent or altered.
    """
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import track_blendshapes

        shapes = track_blendshapes(frames)
        if not isinstance(shapes, str):
            return ModalityFeatures(shapes.values, None, face_notes(shapes), face_meta(shapes))
        missing = shapes
    else:
        track = track_face(frames, features)
        if not isinstance(track, str):
            return ModalityFeatures(track.crops, None, face_notes(track), face_meta(track))
        missing = track
    return ModalityFeatures(None, missing, (), {"n_frames": len(frames.images), "frames_with_face": 0})


def check_face_needs(features: FaceFeatures) -> None:
    """Look whether everything is there that reading a face needs, before hours of work.

    Raises:
        MissingExtraError: an optional part of the package is not installed.
        WeightsError: a weight file is absent or altered; the text gives the ways to get it.
    """
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import landmarker

        landmarker()
    elif features.kind == "stack" and features.detector == "yunet":
        from emofuse.features.face.yunet import yunet

        yunet()


def face_notes(track: FaceTrack | BlendshapeTrack) -> tuple[str, ...]:
    """What a user should know: borrowed or filled in frames, several faces."""
    notes = []
    n_frames, n_found = len(track.found), int(track.found.sum())
    if n_found < n_frames:
        what = "face borrowed" if isinstance(track, FaceTrack) else "blendshapes filled in"
        notes.append(f"{what} in {n_frames - n_found} of {n_frames} frames")
    most = int(track.n_faces.max())
    if most > 1:
        name = _NUMBERS[most] if most < len(_NUMBERS) else str(most)
        notes.append(f"{name} faces: the largest was used")
    return tuple(notes)


def face_meta(track: FaceTrack | BlendshapeTrack) -> dict[str, Any]:
    """JSON-ready figures: when the frames are shown, where the face is, how many there are."""
    return {
        "n_frames": len(track.found),
        "frames_with_face": int(track.found.sum()),
        "n_faces_max": int(track.n_faces.max()),
        "face_times_s": [round(float(time), 4) for time in track.times_s],
        "face_boxes": track.boxes.tolist(),
    }
