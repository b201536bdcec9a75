"""Whether a recognizer that reads action units from a table reads video frames instead, over the bridge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from emofuse.core.errors import MissingExtraError, WeightsError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features
from emofuse.features.face.action_units import ActionUnitTable
from emofuse.features.face.bridge import bridged, has_counterparts
from emofuse.features.face.inputs import check_face_needs
from emofuse.features.profile import Profile
from emofuse.recognition.bundle import Bundle
from emofuse.recognition.enrolled_model import enrolled_file, has_bridged_face

_NOT_READ: Final = "faces in video were not read"
NO_PROFILE: Final = (
    f"{_NOT_READ}: without a table of action units (--action-units) that takes a profile of the person, "
    "made from videos (emofuse enroll)"
)
NO_FACE_IN_PROFILE: Final = (
    f"{_NOT_READ}: the profile was made without any; enroll the person from videos, without --action-units"
)
HOW: Final = "pip install 'emofuse[blendshapes]' and emofuse weights fetch face-landmarker"
"""How to get what the bridge needs."""


@dataclass(frozen=True, slots=True)
class FaceReading:
    """With which recipe features are extracted, and what becomes of them.

    ``units``: the action units that blendshapes are turned into; empty: the face is used as it is.
    ``note``: why faces in video frames are not read, and how they can be.
    """

    recipe: Recipe
    units: tuple[str, ...] = ()
    note: str | None = None

    def finished(self, features: Features) -> Features:
        """The extracted features as the networks read them."""
        if self.units:
            return bridged(features, self.units)
        return features if self.note is None else replace(features, notes=(*features.notes, self.note))


def face_reading(
    bundle: Bundle, table: ActionUnitTable | None, *, profile: Profile | None, enrolling: bool
) -> FaceReading:
    """How a recognizer reads the face of the next recording.

    A face comes over the bridge where the recognizer reads action units, can enroll people and was given no
    table: when a person is enrolled, or when a profile holds that person's faces.

    Args:
        bundle: the recognizer's.
        table: of action units, if one was given.
        profile: of the person in the recording.
        enrolling: whether the recording is one that a profile is made from.
    """
    recipe, units = bundle.recipe, bundle.action_units
    reads_units = recipe.face.features.kind == "au-table" and "face" in bundle.modalities
    enrolls = f"{enrolled_file('face')}.onnx" in bundle.files
    if table is not None or not (reads_units and enrolls and has_counterparts(units)):
        return FaceReading(recipe)
    if not enrolling and profile is None:
        return FaceReading(recipe, note=NO_PROFILE)
    if not enrolling and profile is not None and not has_bridged_face(profile):
        return FaceReading(recipe, note=NO_FACE_IN_PROFILE)
    features = FaceFeatures(kind="blendshapes", n_frames=recipe.face.features.n_frames, whole_if_empty=True)
    try:
        check_face_needs(features)
    except MissingExtraError:
        return FaceReading(recipe, note=f"{_NOT_READ}: that takes {HOW}")
    except WeightsError as error:
        return FaceReading(recipe, note=f"{_NOT_READ}: that takes {HOW} ({error})")
    face = recipe.face.model_copy(update={"features": features})
    return FaceReading(recipe.model_copy(update={"face": face}), units)
