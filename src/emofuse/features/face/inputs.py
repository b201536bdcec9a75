"""A clip's face becomes the array that a face network reads, with notes for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames
from emofuse.features.face.clip_track import track_face
from emofuse.features.face.stillness import never_moves
from emofuse.features.store import ModalityFeatures

if TYPE_CHECKING:
    from emofuse.features.face.blendshapes import BlendshapeTrack

STILL_FACE: Final = "the face never moves: it may be a picture of a person"
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def face_shape(features: FaceFeatures, n_units: int | None = None) -> tuple[int, ...]:
    """The shape of the face array; ``n_units``: number of columns of the table of action units."""
    if features.kind == "stack":
        return features.n_frames, features.size, features.size
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import NAMES

        return features.n_frames, len(NAMES)
    if n_units is None:
        raise ValueError("the shape of an au-table depends on the table: give n_units")
    return (n_units,)


def face_part(frames: TimedFrames, features: FaceFeatures, *, cropped: bool = True) -> ModalityFeatures:
    """What a face network reads of the frames of a clip, or the reason why there is nothing.

    ``cropped``: see :func:`track_face`.

    Raises:
        MissingExtraError: the features need an optional part of the package.
        WeightsError: they need a weight file that is missing or altered.
    """
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import track_blendshapes

        blendshapes = track_blendshapes(frames)
        if not isinstance(blendshapes, str):
            notes = face_notes(blendshapes) + _stillness_notes(frames, blendshapes)
            return ModalityFeatures(blendshapes.values, None, notes, face_meta(blendshapes))
        missing = blendshapes
    else:
        track = track_face(frames, features, cropped=cropped)
        if not isinstance(track, str):
            notes = face_notes(track) + _stillness_notes(frames, track)
            return ModalityFeatures(track.crops, None, notes, face_meta(track))
        missing = track
    return ModalityFeatures(None, missing, (), {"n_frames": len(frames.images), "frames_with_face": 0})


def check_face_needs(features: FaceFeatures) -> None:
    """Check that everything needed to read faces is present; fail before hours of work.

    Raises:
        MissingExtraError: an optional part of the package is not installed.
        WeightsError: a weight file is missing (the message says how to get it) or altered.
    """
    if features.kind == "blendshapes":
        from emofuse.features.face.blendshapes import landmarker

        landmarker()
    elif features.kind == "stack" and features.detector == "yunet":
        from emofuse.features.face.yunet import load_yunet

        load_yunet()


def face_notes(track: FaceTrack | BlendshapeTrack) -> tuple[str, ...]:
    """Notes for the user: borrowed or interpolated frames, several faces."""
    notes = []
    n_frames, n_found = len(track.found), int(track.found.sum())
    if n_found < n_frames:
        what = "face borrowed" if isinstance(track, FaceTrack) else "blendshapes interpolated"
        notes.append(f"{what} in {n_frames - n_found} of {n_frames} frames")
    most = int(track.n_faces.max())
    if most > 1:
        name = _NUMBERS[most] if most < len(_NUMBERS) else str(most)
        notes.append(f"{name} faces: the largest was used")
    return tuple(notes)


def _stillness_notes(frames: TimedFrames, track: FaceTrack | BlendshapeTrack) -> tuple[str, ...]:
    boxes = [(left, top, right, bottom) for left, top, right, bottom in track.boxes.tolist()]
    if not track.found.all() or not never_moves(frames.images, frames.times_s.tolist(), boxes):
        return ()
    return (STILL_FACE,)


def face_meta(track: FaceTrack | BlendshapeTrack) -> dict[str, Any]:
    """JSON-ready facts: times of the frames, boxes of the face, number of faces."""
    return {
        "n_frames": len(track.found),
        "frames_with_face": int(track.found.sum()),
        "n_faces_max": int(track.n_faces.max()),
        "face_times_s": [round(float(time), 4) for time in track.times_s],
        "face_boxes": track.boxes.tolist(),
    }
