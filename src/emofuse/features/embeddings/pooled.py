"""Values over time become the values of a recording: means, spreads and others of each, view after view."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import FeatureError
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.records import Float32

PARTS: Final = "parts"
"""The view of a recording's equal parts of time."""
LARGEST: Final = 1e30
"""Values beyond this are close to the largest float32."""


def embedding_views(embedding: Embedding, n_parts: int = 0) -> dict[str, slice]:
    """Where in the values of a recording each view is, and those of its parts, if there are any."""
    size = embedding.n_values // embedding.views
    views = {f"view-{k + 1}": slice(k * size, (k + 1) * size) for k in range(embedding.views)}
    if n_parts:
        views[PARTS] = slice(embedding.n_values, embedding.n_values + n_parts * embedding.size)
    return views


def pooled(values: NDArray[Any], embedding: Embedding, source: str, n_parts: int = 0) -> Float32:
    """The values of a recording.

    Args:
        values: (n_times, size); or (size,), where the embedding is one of the whole recording.
        embedding: the recipe's.
        source: where the values come from, for messages.
        n_parts: equal parts of time, whose means follow.

    Returns:
        (n_values + n_parts · size,) float32: for each view its values under each pooling, then for each part
        the means.

    Raises:
        FeatureError: the shape is another, or a value is not a finite number.
    """
    found = np.asarray(values)
    wanted = f"(n_times, {embedding.size})" if embedding.over_time else f"({embedding.size},)"
    fits = found.ndim == 1 + embedding.over_time and found.shape[-1] == embedding.size
    if not fits or not len(found):
        advice = ""
        if found.shape == (embedding.size,):
            advice = ": one vector of a whole recording takes pooling = []"
        elif found.ndim == 2 and not embedding.over_time:
            advice = ": values of many times take a pooling"
        raise FeatureError(f"{source} gives {_shape(found)} values, and the recipe reads {wanted}{advice}")
    if found.dtype.kind not in "fiu":
        raise FeatureError(f"{source} gives values of type {found.dtype}, not numbers")
    with np.errstate(invalid="ignore"):  # what is no number is told below
        numbers = found.astype(np.float64)
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > LARGEST:
        raise FeatureError(f"{source} gives values that are not finite numbers")
    if not embedding.over_time:
        return numbers.astype(np.float32)
    statistics = np.stack([_POOLINGS[name](numbers) for name in embedding.pooling])
    by_view = statistics.reshape(len(statistics), embedding.views, -1).swapaxes(0, 1)
    return np.concatenate([by_view.ravel(), *_part_means(numbers, n_parts)]).astype(np.float32)


_POOLINGS: Final[dict[str, Any]] = {
    "mean": lambda values: values.mean(0),
    "std": lambda values: values.std(0),
    "min": lambda values: values.min(0),
    "max": lambda values: values.max(0),
    "p10": lambda values: np.percentile(values, 10, axis=0),
    "p90": lambda values: np.percentile(values, 90, axis=0),
}


def _part_means(values: NDArray[np.float64], n_parts: int) -> list[NDArray[np.float64]]:
    """The means of equal parts, which share values where there are fewer of them than parts."""
    edges = np.linspace(0, len(values), n_parts + 1)
    return [
        values[int(first) : max(int(first) + 1, math.ceil(last))].mean(0) for first, last in pairwise(edges)
    ]


def _shape(values: NDArray[Any]) -> str:
    sides = ", ".join(map(str, values.shape))
    return f"({sides}{',' if values.ndim == 1 else ''})"
