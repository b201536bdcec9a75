"""What some clips of a speaker are worth for ratings: agreement over the number of clips that are known.

Of each test speaker some clips are drawn, again and again; all other clips of the speaker are then rated with
the shift that the drawn ones give, and only those are scored. What a shift is like was fitted on training
speakers. Each figure stands beside that of the same clips without enrollment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core.dimensions import Dimension
from emofuse.core.own_ratings import KnownClips
from emofuse.core.rating_metrics import concordance, mean_absolute_error, rating_interval
from emofuse.evaluation.entry_types import Interval
from emofuse.training.dataset import Inputs

Floats = NDArray[np.float64]
Kind = Literal["unrated", "rated"]

KINDS: Final[tuple[Kind, ...]] = ("unrated", "rated")
"""Whether raters had rated the clips that are known."""
CLIPS: Final = (1, 2, 4, 8, 16)
"""How many clips of a speaker are known; a speaker needs twice as many."""
DRAWS: Final = 5
SYSTEM: Final = "fused"


class RatingEnrollmentPoint(TypedDict):
    """The figures after a number of known clips, and those of the same clips without any; None: undefined."""

    clips: int
    kind: Kind
    draws: int
    n: int
    n_actors: int
    ccc: float | None
    ccc_ci95: Interval | None
    mae: float | None
    ccc_without: float | None
    mae_without: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class EnrolledRatings:
    """Clips that were rated after enrollment, (n,) each: a clip is there once per draw that leaves it out."""

    actors: NDArray[np.str_]
    truth: Floats
    predicted: Floats
    without: Floats
    inside: NDArray[np.bool_]
    """Whether the rating is inside the shifted interval."""


Enrolled = Mapping[tuple[str, Kind, int], EnrolledRatings]
"""By dimension, kind and number of known clips."""


def enroll_fold(
    fitted: Sequence[Dimension],
    outputs: Mapping[str, Mapping[int, Floats]],
    inputs: Inputs,
    seed: int,
) -> Enrolled:
    """Rate the test clips of a fold again, after every draw of known clips.

    Args:
        fitted: on the training speakers of the fold.
        outputs: by modality, row → (n_dimensions,) of the test clips.
        inputs: ratings and speakers.
        seed: of the draws.
    """
    parts: dict[tuple[str, Kind, int], list[EnrolledRatings]] = {}
    for index, dimension in enumerate(fitted):
        known = dimension.systems.get(SYSTEM)
        if known is None or set(known.weights) - set(outputs):
            continue
        rows = set.intersection(*(set(outputs[name]) for name in known.weights))
        rated = np.array(sorted(row for row in rows if not math.isnan(inputs.ratings[row, index])), np.int64)
        for speaker in np.unique(inputs.speakers[rated]):
            own = rated[inputs.speakers[rated] == speaker]
            for number in range(DRAWS):
                order = np.random.default_rng([seed, number, *str(speaker).encode()]).permutation(own)
                for n in (n for n in CLIPS if 2 * n <= len(own)):
                    for kind in KINDS:
                        part = _after(dimension, index, outputs, inputs, order[:n], order[n:], kind)
                        parts.setdefault((dimension.name, kind, n), []).append(part)
    return {key: _joined(found) for key, found in parts.items()}


def _after(
    dimension: Dimension,
    index: int,
    outputs: Mapping[str, Mapping[int, Floats]],
    inputs: Inputs,
    enrolled: NDArray[np.int64],
    scored: NDArray[np.int64],
    kind: Kind,
) -> EnrolledRatings:
    """One draw of one speaker's clips: ``enrolled`` are known, ``scored`` are others."""
    truth = inputs.ratings[scored, index]
    given = [float(one) if kind == "rated" else None for one in inputs.ratings[enrolled, index]]
    known = {
        name: KnownClips.of([float(by_row[row][index]) for row in enrolled.tolist()], given)
        for name, by_row in outputs.items()
        if name in dimension.systems[SYSTEM].weights
    }
    predicted, without, inside = [], [], []
    for row, rating in zip(scored.tolist(), truth.tolist(), strict=True):
        own = {name: float(outputs[name][row][index]) for name in known}
        shifted, plain = dimension.rated(own, SYSTEM, known), dimension.rated(own, SYSTEM)
        assert shifted is not None
        assert plain is not None
        predicted.append(shifted.value)
        without.append(plain.value)
        slack = 1e-9 * max(1.0, abs(rating))
        inside.append(shifted.low - slack <= rating <= shifted.high + slack)
    actors = inputs.speakers[scored]
    return EnrolledRatings(actors, truth, np.array(predicted), np.array(without), np.array(inside))


def _joined(parts: Sequence[EnrolledRatings]) -> EnrolledRatings:
    return EnrolledRatings(
        np.concatenate([one.actors for one in parts]),
        np.concatenate([one.truth for one in parts]),
        np.concatenate([one.predicted for one in parts]),
        np.concatenate([one.without for one in parts]),
        np.concatenate([one.inside for one in parts]),
    )


def rating_enrollment(folds: Sequence[Enrolled], name: str, seed: int) -> list[RatingEnrollmentPoint]:
    """The figures of a dimension over all folds: unrated clips first, then rated ones, by their number.

    Args:
        folds: of each, what :func:`enroll_fold` gave.
        name: of the dimension.
        seed: of the resamples, which are of speakers.
    """
    points: list[RatingEnrollmentPoint] = []
    for kind in KINDS:
        for n in CLIPS:
            parts = [one[name, kind, n] for one in folds if (name, kind, n) in one]
            if not parts:
                continue
            own = _joined(parts)
            bounds = rating_interval(concordance, own.truth, own.predicted, own.actors, seed=seed)
            points.append(
                {
                    "clips": n,
                    "kind": kind,
                    "draws": DRAWS,
                    "n": len(own.truth),
                    "n_actors": len(set(own.actors.tolist())),
                    "ccc": _or_none(concordance(own.truth, own.predicted)),
                    "ccc_ci95": None if math.isnan(bounds[0]) else list(bounds),
                    "mae": _or_none(mean_absolute_error(own.truth, own.predicted)),
                    "ccc_without": _or_none(concordance(own.truth, own.without)),
                    "mae_without": _or_none(mean_absolute_error(own.truth, own.without)),
                    "coverage": float(own.inside.mean()),
                }
            )
    return points


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
