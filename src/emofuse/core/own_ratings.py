"""What is known of one person's ratings from some of their clips, and how far predictions are shifted for it.

A network that never met a person tends to rate all of that person's clips too high, or too low. The model is
that of a random intercept: an error is the person's own plus that of the clip. What a mean over *n* clips
says of the person's own part is the best linear prediction (Henderson 1975, doi:10.2307/2529430): the mean
times ``between / (between + within / n)``, with the variances between people and within one person's clips.

From clips with ratings the error itself is known. From clips without, only that the person's mean prediction
is far from the others': so much of that distance is taken for error as it was for the training speakers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """How much a figure differs between people, and between the clips of one person: two variances."""

    between: float
    within: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(one) and one >= 0 for one in (self.between, self.within)):
            raise ValueError(f"variances are finite and not negative, got {self.between} and {self.within}")

    def share(self, n: int) -> float:
        """How much of a person's mean over ``n`` clips is the person's own, from 0 to 1.

        >>> Spread(between=1, within=4).share(4)
        0.5
        """
        return 0.0 if n <= 0 or not self.between else self.between / (self.between + self.within / n)


@dataclass(frozen=True, slots=True)
class KnownClips:
    """Some clips of one person, as one network saw them on one dimension; means over the clips.

    ``n``: how many clips, and ``output``: what the network output; ``n_rated``, ``rated_output`` and
    ``rating``: the same of those that were rated, and what raters gave.
    """

    n: int
    output: float
    n_rated: int = 0
    rated_output: float = 0.0
    rating: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.n_rated <= self.n:
            raise ValueError(f"{self.n_rated} of {self.n} clips cannot be rated")
        if not all(map(math.isfinite, (self.output, self.rated_output, self.rating))):
            raise ValueError("outputs and ratings are finite numbers")

    @classmethod
    def of(cls, outputs: list[float], ratings: list[float | None]) -> KnownClips:
        """From what the network output for each clip, and how it was rated; None: it was not.

        >>> KnownClips.of([1.0, 2.0], [3.0, None])
        KnownClips(n=2, output=1.5, n_rated=1, rated_output=1.0, rating=3.0)
        """
        if not outputs:
            return cls(0, 0.0)
        pairs = [(one, given) for one, given in zip(outputs, ratings, strict=True) if given is not None]
        n = len(pairs)
        if not n:
            return cls(len(outputs), sum(outputs) / len(outputs))
        return cls(
            len(outputs), sum(outputs) / len(outputs), n,
            sum(one for one, _ in pairs) / n, sum(given for _, given in pairs) / n,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonalShift:
    """How far one system's ratings of a person are shifted for what is known of some of their clips.

    All of it is fitted on training speakers whom the networks had not seen.
    """

    errors: Spread
    """Of errors, rating less prediction."""
    predictions: Spread
    mean: float
    """Of predictions, over speakers."""
    slope: float
    """How much of the distance of a speaker's mean prediction from :attr:`mean` is error, 0 to 1."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 <= self.slope <= 1):
            raise ValueError(f"a shift has no mean {self.mean} with a slope of {self.slope}")

    def of(self, weights: Mapping[str, float], offset: float, clips: Mapping[str, KnownClips]) -> float:
        """What is added to the ratings of a person; 0 where nothing is known.

        Args:
            weights: of the networks' outputs, by modality.
            offset: of their combination.
            clips: of the person, by modality.
        """
        if set(weights) - set(clips):
            return 0.0
        known = {name: clips[name] for name in weights}
        n_rated = min(one.n_rated for one in known.values())
        if n_rated:
            predicted = sum(weights[name] * one.rated_output for name, one in known.items()) + offset
            rating = sum(one.rating for one in known.values()) / len(known)
            return self.errors.share(n_rated) * (rating - predicted)
        n = min(one.n for one in known.values())
        predicted = sum(weights[name] * one.output for name, one in known.items()) + offset
        return -self.slope * self.predictions.share(n) * (predicted - self.mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "errors": [self.errors.between, self.errors.within],
            "predictions": [self.predictions.between, self.predictions.within],
            "mean": self.mean,
            "slope": self.slope,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PersonalShift:
        """What :meth:`to_dict` gave ``data`` for.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        errors, predictions = (Spread(*map(_number, data[name])) for name in ("errors", "predictions"))
        return cls(errors, predictions, _number(data["mean"]), _number(data["slope"]))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is not a number")
    return float(value)
