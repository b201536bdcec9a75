"""Named, versioned maps between label sets, and valence and arousal as a heuristic.

Every pair of :data:`emofuse.core.labels.LABEL_SETS` has a map, made by four rules:

1. A label becomes the label of the same meaning.
2. Calm, where the target has no calm, becomes neutral; where the target has no neutral either, it is dropped.
3. Neutral, where the target has no neutral, is dropped. Where the target distinguishes calm from neutral and
   the source does not, its probability is split in half: a source without calm cannot tell the two apart, and
   all of it on neutral would claim "certainly not calm". A single label stays neutral: it is what an actor
   was instructed to show or a rater chose, and calm was never an option.
4. What the target has no label for (contempt, boredom, surprise) is dropped, never moved to a similar label.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emofuse.core.labels import EMOTIONS, FER_PLUS_TO_EMOTION, FER_PLUS_TO_EMOTION_VERSION, LABEL_SETS

LABEL_MAPS_VERSION: Final = 1
"""Version of the label sets and the rules above: raised whenever any map changes a share or a single
label."""

MIN_RETAINED: Final = 1e-6
"""A row that retains a smaller share holds only rounding errors, which must not be scaled up to certainty."""

_MAX_LISTED: Final = 5
"""An error names this many rows and counts the rest."""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """How the labels of one set become those of another.

    ``shares[source label][target label]`` is the share of the source label's probability that the target
    label gets: every row sums to 1, or to 0 where the label is dropped. Shares of 0 are omitted.
    """

    name: str
    version: int
    source: str
    target: str
    shares: Mapping[str, Mapping[str, float]]
    single: Mapping[str, str] = field(default_factory=dict)
    """Target of a single label whose probability is split; any other label becomes the one that gets it
    all."""

    def __post_init__(self) -> None:
        for known in (self.source, self.target):
            label_set(known)
        if tuple(self.shares) != label_set(self.source):
            raise ValueError(
                f"{self.name}: shares must name {', '.join(label_set(self.source))}, in this order"
            )
        for label, row in self.shares.items():
            self._check_row(label, row)
        rows = {label: MappingProxyType(dict(row)) for label, row in self.shares.items()}
        object.__setattr__(self, "shares", MappingProxyType(rows))
        object.__setattr__(self, "single", MappingProxyType(dict(self.single)))

    def _check_row(self, label: str, row: Mapping[str, float]) -> None:
        targets = label_set(self.target)
        if unknown := set(row) - set(targets):
            raise ValueError(
                f"{self.name}: {label} goes to {', '.join(sorted(unknown))}, not in {self.target}"
            )
        if not all(0 < share <= 1 for share in row.values()):
            raise ValueError(f"{self.name}: the shares of {label} must be above 0 and at most 1")
        if row and not math.isclose(sum(row.values()), 1, abs_tol=1e-9):
            raise ValueError(
                f"{self.name}: the shares of {label} sum to {sum(row.values()):g}, must be 1 or 0"
            )
        if (len(row) > 1) != (label in self.single):
            raise ValueError(f"{self.name}: exactly the labels that are split need a single one, see {label}")
        if label in self.single and self.single[label] not in row:
            raise ValueError(
                f"{self.name}: {label} as a single label is {self.single[label]}, which gets no share"
            )

    @property
    def dropped(self) -> tuple[str, ...]:
        """The labels of the source that are dropped."""
        return tuple(label for label, row in self.shares.items() if not row)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The shares as (n_source, n_target) float64."""
        targets = label_set(self.target)
        return np.array([[row.get(label, 0.0) for label in targets] for row in self.shares.values()])


def label_set(name: str) -> tuple[str, ...]:
    """The labels of a set, in order.

    Raises:
        ValueError: there is no set of this name; the message lists those there are.
    """
    try:
        return tuple(LABEL_SETS[name])
    except KeyError:
        raise ValueError(f"unknown label set {name!r}: use one of {', '.join(LABEL_SETS)}") from None


@functools.cache
def label_map(source: str, target: str) -> LabelMap:
    """The map from one label set to another, such as ``label_map("ravdess-8", "fer-7")``.

    Raises:
        ValueError: there is no set of one of these names.
    """
    label_set(source), label_set(target)
    meanings, names = LABEL_SETS[source], {meaning: label for label, meaning in LABEL_SETS[target].items()}
    version = LABEL_MAPS_VERSION
    shares: dict[str, dict[str, float]] = {}
    single: dict[str, str] = {}
    for label, meaning in meanings.items():
        targets = _targets(meaning, set(meanings.values()), names)
        shares[label] = {to: 1 / len(targets) for to in targets}
        if len(targets) > 1:
            single[label] = names[meaning]
    if (source, target) == ("fer-plus-8", "ravdess-8"):
        # Bundles depend on this table and record its version: use it, not a copy.
        shares, version = FER_PLUS_TO_EMOTION, FER_PLUS_TO_EMOTION_VERSION
    return LabelMap(f"{source} to {target}", version, source, target, shares, single)


def convert(probabilities: ArrayLike, mapping: LabelMap) -> NDArray[np.float64]:
    """Probabilities over the source's labels as probabilities over the target's.

    Args:
        probabilities: (n, n_source), finite and not negative; rows need not sum to 1.
        mapping: from :func:`label_map`.

    Returns:
        (n, n_target) float64, each row renormalized to sum to 1.

    Raises:
        ValueError: another shape, a value that is negative or not finite, or a row of which everything
            (all but a millionth) is dropped: it says nothing about the target's labels.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    n_source = len(label_set(mapping.source))
    if values.ndim != 2 or values.shape[1] != n_source:
        raise ValueError(f"{mapping.name}: probabilities must be (n, {n_source}), not {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{mapping.name}: probabilities must be finite and not negative")
    out: NDArray[np.float64] = values @ mapping.matrix
    retained = out.sum(axis=1, keepdims=True)
    lost = np.flatnonzero(retained[:, 0] <= MIN_RETAINED * values.sum(axis=1))
    if lost.size:
        rows = ", ".join(map(str, lost[:_MAX_LISTED].tolist()))
        more = f" and {lost.size - _MAX_LISTED} more" if lost.size > _MAX_LISTED else ""
        raise ValueError(
            f"{mapping.name}: nothing is left of row {rows}{more}: "
            f"all of it is on labels that are dropped ({', '.join(mapping.dropped) or 'none'}), or it is zero"
        )
    return np.asarray(out / retained, dtype=np.float64)


def restrict(
    probabilities: ArrayLike, emotions: Sequence[str], of: Sequence[str] = EMOTIONS
) -> NDArray[np.float64]:
    """Probabilities as they are where only some emotions are possible, as in a corpus without calm.

    The probability of calm goes to neutral if that is possible and calm is not (rule 2); that of any other
    emotion that is not possible is dropped, and the rest renormalized.

    Args:
        probabilities: (n, n_emotions), finite and not negative.
        emotions: those that are possible.
        of: what the probabilities are of, in order.

    Returns:
        (n, n_emotions) float64, 0 for emotions that are not possible. Where everything is dropped, all that
        are possible are equally probable.

    Raises:
        ValueError: another shape or value, or no emotion or an unknown one.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(of):
        raise ValueError(f"probabilities must be (n, {len(of)}), not {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("probabilities must be finite and not negative")
    if not emotions or set(emotions) - set(of):
        raise ValueError(f"emotions must be some of {', '.join(of)}, got {', '.join(emotions) or 'none'}")
    possible = np.array([emotion in emotions for emotion in of])
    out = np.where(possible, values, 0)
    if "calm" not in emotions and "neutral" in emotions and "calm" in of:
        out[:, of.index("neutral")] += values[:, of.index("calm")]
    kept = out.sum(axis=1, keepdims=True)
    lost = kept <= MIN_RETAINED * values.sum(axis=1, keepdims=True)
    return np.where(lost, possible / possible.sum(), out / np.where(lost, 1, kept))


def convert_label(label: str, mapping: LabelMap) -> str | None:
    """Convert one label of the source to the target's, or None where it is dropped.

    Raises:
        ValueError: the source has no such label.
    """
    if label not in mapping.shares:
        raise ValueError(f"{mapping.source} has no label {label!r}: use one of {', '.join(mapping.shares)}")
    return mapping.single.get(label) or next(iter(mapping.shares[label]), None)


CIRCUMPLEX_DEGREES: Final[dict[str, float | None]] = {
    "neutral": None,
    "calm": 320.0,
    "happy": 10.0,
    "sad": 210.0,
    "angry": 100.0,
    "fearful": 120.0,
    "disgust": 140.0,
    "surprised": 70.0,
}
"""Angles on the circumplex of affect: 0° is pleasure, 90° is arousal. None is the center.

Russell JA (1980) A circumplex model of affect. Journal of Personality and Social Psychology 39: 1161-1178,
circular scaling of 28 English adjectives, rounded to 10°: calm, happy, sad, angry, afraid, and
*astonished* for surprised. Disgust is not among the 28: placing it at *distressed* is our choice, and so is
neutral in the center.
"""


def heuristic_valence_arousal(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Valence and arousal as the mean of eight fixed points: a heuristic, not a measurement.

    The points lie on the unit circle at :data:`CIRCUMPLEX_DEGREES`. Nothing was fitted or validated against
    ratings of valence and arousal; a short vector can mean an undecided recognizer as well as a weak emotion.

    Args:
        probabilities: (n, 8) in the order of :data:`emofuse.core.labels.EMOTIONS`, rows sum to 1.

    Returns:
        (n, 2) float64, valence and arousal, both within ±1.

    Raises:
        ValueError: another shape, or rows that are not probabilities.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(EMOTIONS):
        raise ValueError(f"probabilities must be (n, {len(EMOTIONS)}), not {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any() or (abs(values.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError("probabilities must be finite, not negative and sum to 1")
    angles = [CIRCUMPLEX_DEGREES[name] for name in EMOTIONS]
    points = [
        (0.0, 0.0) if a is None else (math.cos(math.radians(a)), math.sin(math.radians(a))) for a in angles
    ]
    return np.asarray(values @ np.array(points), dtype=np.float64)


def _targets(meaning: str, of_source: set[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """The target labels that share a label of this meaning equally; ``names``: meaning → target label."""
    if meaning == "neutral" and "neutral" in names and "calm" in names and "calm" not in of_source:
        return names["neutral"], names["calm"]
    if meaning == "calm" and "calm" not in names and "neutral" in names:
        return (names["neutral"],)
    return (names[meaning],) if meaning in names else ()
