"""Emotions that a face alone does not tell apart, which are shown as one.

A face network that learned from images without calm splits what it takes for neutral in half: the two
probabilities are equal, and "neutral 48 %, calm 48 %" means "neutral or calm 96 %". Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.labels import FER_PLUS_TO_EMOTION

_SPLIT: Final = tuple(tuple(shares) for shares in FER_PLUS_TO_EMOTION.values() if len(shares) > 1)
_RELATIVE: Final = 1e-3
"""Halves may differ by what half precision and rounding in files leave."""


def alike_indices(emotions: Sequence[str], probabilities: NDArray[np.float64], index: int) -> tuple[int, ...]:
    """The other emotions of the same probability that a face alone does not tell apart from one.

    Args:
        emotions: their order.
        probabilities: (n_emotions,) or (n, n_emotions), from a face alone.
        index: of the one.
    """
    others = {name for names in _SPLIT if emotions[index] in names for name in names}
    return tuple(
        i
        for i, name in enumerate(emotions)
        if i != index
        and name in others
        and np.allclose(probabilities[..., i], probabilities[..., index], rtol=_RELATIVE, atol=1e-9)
    )


def told_apart_by_voice(emotions: Sequence[str]) -> list[tuple[int, ...]]:
    """The indices of the emotions that a face alone does not tell apart, group by group."""
    known = {name: index for index, name in enumerate(emotions)}
    groups = [tuple(sorted(known[name] for name in names if name in known)) for names in _SPLIT]
    return [group for group in groups if len(group) > 1]


def are_tied(emotions: Sequence[str], probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the most probable emotion is one of a group that a face alone does not tell apart.

    Args:
        emotions: their order.
        probabilities: (n, n_emotions), from a face alone; rows that are not known are NaN.

    Returns:
        (n,): True where all of such a group have the greatest probability.
    """
    tied = np.zeros(len(probabilities), dtype=np.bool_)
    if not probabilities.size:
        return tied
    greatest = probabilities.max(axis=1, keepdims=True)
    for group in told_apart_by_voice(emotions):
        own = probabilities[:, list(group)]
        tied |= np.isclose(own, greatest, rtol=_RELATIVE, atol=1e-9).all(axis=1)
    return tied


def shown_groups(
    emotions: Sequence[str], probabilities: NDArray[np.float64], *, face_alone: bool
) -> list[tuple[int, ...]]:
    """The indices of the emotions that are shown together, in order: one each, unless a face alone answers.

    Args:
        emotions: their order.
        probabilities: (n_emotions,).
        face_alone: whether they are from a face without a voice.
    """
    groups: list[tuple[int, ...]] = []
    for i in range(len(emotions)):
        if any(i in group for group in groups):
            continue
        others = alike_indices(emotions, probabilities, i) if face_alone else ()
        groups.append((i, *others))
    return groups


def joined_name(emotions: Sequence[str]) -> str:
    """``neutral or calm``."""
    return " or ".join(emotions)
