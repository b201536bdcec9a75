"""Dimensions: what raters gave as numbers, such as valence and arousal, and what is predicted of it.

A dimension is any numeric scale; its range is that of the ratings that a recognizer was trained on. A
prediction is a value on that scale with an interval around it, which holds the rating of a clip of a new
speaker with the probability that :attr:`Dimension.level` states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from emofuse.core.text import shown

System = Literal["voice", "face", "fused"]

USUAL: Final = ("valence", "arousal", "dominance")
"""The dimensions that a table's columns are read as by their names alone."""
LEVEL: Final = 0.9
"""The share of ratings that an interval is to hold."""
MOST: Final = 50
"""Dimensions of one recognizer."""
_MOST_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Rated:
    """One predicted rating, with its interval, all on the scale of the ratings."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.value <= self.high):
            raise ValueError(f"an interval must hold its value, got {self.low} to {self.high}, {self.value}")

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Rated:
        """What :meth:`to_dict` gave ``data`` for."""
        return cls(float(data["value"]), float(data["low"]), float(data["high"]))


def rated_data(dimensions: Mapping[str, Rated | None]) -> dict[str, dict[str, float] | None]:
    """Ratings by dimension as plain data for JSON."""
    return {name: None if one is None else one.to_dict() for name, one in dimensions.items()}


def rated_of(data: Mapping[str, Any]) -> dict[str, Rated | None]:
    """What :func:`rated_data` gave ``data`` for."""
    return {name: None if one is None else Rated.from_dict(one) for name, one in data.items()}


@dataclass(frozen=True, slots=True)
class Combination:
    """One number from the outputs of the networks of some modalities: ``Σ weight · output + offset``."""

    weights: Mapping[str, float]
    """By modality."""
    offset: float
    radius: float | None
    """Half of the interval; None: there were too few speakers to tell, and it is the whole range."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """How one dimension is predicted: its scale, and the combination of each modality alone and of both."""

    name: str
    low: float
    high: float
    systems: Mapping[str, Combination]
    """By ``voice``, ``face`` and ``fused``, as far as the recognizer reads them."""
    level: float = LEVEL

    def rated(self, outputs: Mapping[str, float], system: str = "fused") -> Rated | None:
        """The prediction of a system, within the range; None where there is nothing that it reads.

        Args:
            outputs: of the networks, by modality.
            system: voice, face, or their fusion, in whose place a modality stands that is there alone.
        """
        one = self.systems.get(system)
        if system == "fused" and (one is None or set(one.weights) - set(outputs)):
            one = next((self.systems[name] for name in outputs if name in self.systems), None)
        if one is None or set(one.weights) - set(outputs):
            return None
        value = self.within(sum(weight * outputs[name] for name, weight in one.weights.items()) + one.offset)
        if one.radius is None:
            return Rated(value, self.low, self.high)
        return Rated(value, self.within(value - one.radius), self.within(value + one.radius))

    def within(self, value: float) -> float:
        """The nearest value that is in the range."""
        return min(max(float(value), self.low), self.high)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "range": [self.low, self.high],
            "level": self.level,
            "systems": {
                system: {"weights": dict(one.weights), "offset": one.offset, "radius": one.radius}
                for system, one in self.systems.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Dimension:
        """What :meth:`to_dict` gave ``data`` for.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        low, high = (_finite(bound) for bound in data["range"])
        level = _finite(data["level"])
        if not low < high or not 0 < level < 1:
            raise ValueError(f"a dimension has no range {low} to {high} at level {level}")
        systems = {}
        for system, one in data["systems"].items():
            weights = {str(name): _finite(weight) for name, weight in one["weights"].items()}
            if system not in ("voice", "face", "fused") or set(weights) - {"voice", "face"}:
                raise ValueError(f"a dimension has no system {system!r} of {', '.join(weights)}")
            radius = None if one["radius"] is None else _finite(one["radius"])
            systems[system] = Combination(weights, _finite(one["offset"]), radius)
        check_dimension(data["name"])
        return cls(data["name"], low, high, systems, level)


def check_dimension(name: object) -> None:
    """Check the name of a dimension, which becomes the name of columns.

    Raises:
        ValueError: it is empty, too long, or has other characters than letters, digits, spaces, ``_``, ``-``
            and ``.``.
    """
    if not isinstance(name, str) or not name.strip() or name != name.strip() or len(name) > _MOST_CHARACTERS:
        raise ValueError(
            f"a dimension needs a name of 1 to {_MOST_CHARACTERS} characters, got {shown(str(name))!r:.80}"
        )
    if not all(one.isalnum() or one in " _-." for one in name):
        raise ValueError(f"a dimension's name has letters, digits, spaces, _, - and ., got {shown(name)!r}")


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} is not a number")
    return float(value)
