"""The bridge: blendshapes in the place of action units, for a person whose own clips give the standard.

OpenFace and MediaPipe both measure the movements of a face, on scales of their own. The map below names, for
each action unit of the Facial Action Coding System (Ekman & Friesen 1978), the blendshapes that are the same
movement in Apple's description of them (https://developer.apple.com/documentation/arkit/arfaceanchor/
blendshapelocation): ``mouthSmile`` is AU12, the lip corner puller. It was written from these two
descriptions, not fitted to any recording.

The two agree on when a person's movement is strong or weak, not on how strong it is in general: a face at
rest has other values for each. Such a row is therefore only read against the same person's other rows
(:func:`bridged_scaler`), which enrollment makes possible. Units without a counterpart are 0 in every row,
which then says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import FeatureError
from emofuse.core.records import Features, Float32
from emofuse.features.face.blendshapes import NAMES
from emofuse.features.speaker_normalization import Moments, SpeakerPrior, SpeakerScaler, speaker_scaler

FACE_FROM: Final = "face_from"
"""Key in the facts about a clip that says where its face comes from, with the value:"""
BRIDGE: Final = "bridge"
BRIDGE_NOTE: Final = "the face came over the bridge: blendshapes in the place of action units"

_BOTH: Final = ("Left", "Right")
_MOVEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browInnerUp", "browOuterUp"),
    "AU04": ("browDown",),
    "AU05": ("eyeWide",),
    "AU06": ("cheekSquint",),
    "AU07": ("eyeSquint",),
    "AU09": ("noseSneer",),
    "AU10": ("mouthUpperUp",),
    "AU12": ("mouthSmile",),
    "AU14": ("mouthDimple",),
    "AU15": ("mouthFrown",),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretch",),
    "AU23": ("mouthPress",),
    "AU25": ("jawOpen", "mouthLowerDown"),
    "AU26": ("jawOpen",),
    "AU28": ("mouthRollLower", "mouthRollUpper"),
    "AU45": ("eyeBlink",),
}


def _sides(movement: str) -> tuple[str, ...]:
    """Left and right of a movement, or the movement itself where it has no sides."""
    return (movement,) if movement in NAMES else tuple(movement + side for side in _BOTH)


COUNTERPARTS: Final[Mapping[str, tuple[str, ...]]] = {
    unit: tuple(name for movement in movements for name in _sides(movement))
    for unit, movements in _MOVEMENTS.items()
}
"""Action unit → the blendshapes that are the same movement; their mean counts."""

_LARGEST_INTENSITY: Final = 5.0
"""OpenFace's intensities (``_r``) go from 0 to 5; its presences (``_c``), and blendshapes, from 0 to 1."""


def to_action_units(blendshapes: NDArray[Any], units: Sequence[str]) -> Float32:
    """What a table of action units would have in the row of a clip.

    Args:
        blendshapes: (n_frames, 58), in the order of :data:`~emofuse.features.face.blendshapes.NAMES`.
        units: the columns of the table, such as ``AU12_r``.

    Returns:
        (n_units,) float32: the mean over the frames and the counterparts of each unit, as an intensity from 0
        to 5 for ``_r``, else from 0 to 1; 0 for a unit that has no counterpart.

    Raises:
        FeatureError: none of the columns has a counterpart.
    """
    means = np.asarray(blendshapes, dtype=np.float64).mean(axis=0)
    value_of = dict(zip(NAMES, means.tolist(), strict=True))
    row = np.zeros(len(units))
    if not has_counterparts(units):
        raise FeatureError(f"none of these columns can be read from blendshapes: {', '.join(units)}")
    for column, name in enumerate(units):
        unit, _, kind = name.partition("_")
        if unit in COUNTERPARTS:
            largest = _LARGEST_INTENSITY if kind == "r" else 1.0
            row[column] = largest * np.mean([value_of[shape] for shape in COUNTERPARTS[unit]])
    return row.astype(np.float32)


def has_counterparts(units: Sequence[str]) -> bool:
    """Whether any column of a table can be read from blendshapes."""
    return any(name.partition("_")[0] in COUNTERPARTS for name in units)


def bridged(features: Features, units: Sequence[str]) -> Features:
    """Features whose face is a sequence of blendshapes, with a row of action units in its place.

    A note, and ``face_from`` among the facts about the clip, say that the face came over the bridge.
    """
    if features.face is None:
        return features
    return replace(
        features,
        face=to_action_units(features.face, units),
        notes=(*features.notes, BRIDGE_NOTE),
        meta={**features.meta, FACE_FROM: BRIDGE},
    )


def is_bridged(features: Features) -> bool:
    """Whether there is a face, and it came over the bridge."""
    return features.face is not None and features.meta.get(FACE_FROM) == BRIDGE


def bridged_scaler(moments: Moments, prior: SpeakerPrior, prior_clips: float) -> SpeakerScaler:
    """A speaker's center and scale from rows that came over the bridge.

    The center is the person's own mean, however few rows there are, because the prior's mean is of another
    measurement; spreads are comparable, and few rows lean on those of the prior.

    Args:
        moments: of the person's rows.
        prior: of rows of a table of action units.
        prior_clips: how many rows the prior's spreads count for.
    """
    return speaker_scaler(moments, replace(prior, mean=moments.mean), prior_clips)
