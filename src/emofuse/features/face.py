"""A clip's face becomes the array that a face network reads, with what a user should know of it."""

from __future__ import annotations

from typing import Any, Final

from emofuse.recipes import FaceFeatures
from emofuse.records import FaceTrack

_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def face_shape(features: FaceFeatures, n_units: int | None = None) -> tuple[int, ...]:
    """The shape of the face array; ``n_units``: the number of columns of the table of action units."""
    if features.kind == "stack":
        return features.n_frames, features.size, features.size
    if n_units is None:
        raise ValueError("the shape of an au-table depends on the table: give n_units")
    return (n_units,)


def face_notes(track: FaceTrack) -> tuple[str, ...]:
    """What a user should know: borrowed frames, several faces."""
    notes = []
    n_frames, n_found = len(track.found), int(track.found.sum())
    if n_found < n_frames:
        notes.append(f"face borrowed in {n_frames - n_found} of {n_frames} frames")
    most = int(track.n_faces.max())
    if most > 1:
        name = _NUMBERS[most] if most < len(_NUMBERS) else str(most)
        notes.append(f"{name} faces: the largest was used")
    return tuple(notes)


def face_meta(track: FaceTrack) -> dict[str, Any]:
    """JSON-ready figures: when the frames are shown, where the face is, how many there are."""
    return {
        "n_frames": len(track.found),
        "frames_with_face": int(track.found.sum()),
        "n_faces_max": int(track.n_faces.max()),
        "face_times_s": [round(float(time), 4) for time in track.times_s],
        "face_boxes": track.boxes.tolist(),
    }
