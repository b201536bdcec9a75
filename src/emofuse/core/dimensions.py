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

from emofuse.core.own_ratings import KnownClips, PersonalShift
from emofuse.core.text import shown

System = Literal["voice", "face", "fused"]

USUAL: Final = ("valence", "arousal", "dominance")
"""The dimensions that a table's columns are read as by their names alone."""
LEVEL: Final = 0.9
"""The share of ratings that an interval is to hold."""
PARTS: Final = ("value", "low", "high")
"""What tables have of a predicted rating."""
MOST: Final = 50
"""Dimensions of one recognizer."""
_MOST_CHARACTERS: Final = 60
_UNITS: Final = ("_s", "_px")
"""Columns that end so hold seconds and pixels."""


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
class Scale:
    """A dimension as those see it who read its ratings: its name, its range, and what intervals promise."""

    name: str
    low: float
    high: float
    level: float = LEVEL

    def __post_init__(self) -> None:
        check_dimension(self.name)
        if not self.low < self.high or not math.isfinite(self.low) or not math.isfinite(self.high):
            raise ValueError(f"{self.name} has no range {self.low} to {self.high}")
        if not 0 < self.level < 1:
            raise ValueError(f"{self.name} has no level {self.level}")

    def share(self, value: float) -> float:
        """Where a value lies in the range, from 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def text(self, value: float) -> str:
        """A rating for people: as many digits as tell a hundredth of the range.

        >>> Scale("valence", 1, 7).text(4.5), Scale("stress", 0, 100).text(4.5)
        ('4.50', '4')
        """
        digits = min(max(2 - math.floor(math.log10(self.high - self.low)), 0), 6)
        return f"{value:.{digits}f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"name": self.name, "range": [self.low, self.high], "level": self.level}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scale:
        """What :meth:`to_dict` gave ``data`` for.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        low, high = (_finite(bound) for bound in data["range"])
        return cls(data["name"], low, high, _finite(data["level"]))


def rating_column(name: str, part: str = "value") -> str:
    """The column of a table with the predicted ratings of a dimension, or with a bound of their intervals.

    >>> rating_column("valence"), rating_column("valence", "low")
    ('rated_valence', 'rated_valence_low')
    """
    return f"rated_{name}" if part == "value" else f"rated_{name}_{part}"


@dataclass(frozen=True, slots=True)
class Combination:
    """One number from the outputs of the networks of some modalities: ``Σ weight · output + offset``."""

    weights: Mapping[str, float]
    """By modality."""
    offset: float
    radius: float | None
    """Half of the interval; None: there were too few speakers to tell, and it is the whole range."""
    personal: PersonalShift | None = None
    """How far it is shifted for somebody of whom clips are known; None: not."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """How one dimension is predicted: its scale, and the combination of each modality alone and of both."""

    name: str
    low: float
    high: float
    systems: Mapping[str, Combination]
    """By ``voice``, ``face`` and ``fused``, as far as the recognizer reads them."""
    level: float = LEVEL

    def rated(
        self,
        outputs: Mapping[str, float],
        system: str = "fused",
        known: Mapping[str, KnownClips] | None = None,
    ) -> Rated | None:
        """The prediction of a system, within the range; None where there is nothing that it reads.

        Args:
            outputs: of the networks, by modality.
            system: voice, face, or their fusion, in whose place a modality stands that is there alone.
            known: other clips of the same person, by modality, for which the rating is shifted.
        """
        one = self._combination(outputs, system)
        if one is None:
            return None
        shift = one.personal.of(one.weights, one.offset, known) if one.personal and known else 0.0
        combined = sum(weight * outputs[name] for name, weight in one.weights.items()) + one.offset
        value = self.within(combined + shift)
        if one.radius is None:
            return Rated(value, self.low, self.high)
        return Rated(value, self.within(value - one.radius), self.within(value + one.radius))

    def _combination(self, outputs: Mapping[str, float], system: str) -> Combination | None:
        """Of the system, or of the modality that stands in for the fusion."""
        one = self.systems.get(system)
        if system == "fused" and (one is None or set(one.weights) - set(outputs)):
            one = next((self.systems[name] for name in outputs if name in self.systems), None)
        return None if one is None or set(one.weights) - set(outputs) else one

    @property
    def scale(self) -> Scale:
        """Its name and range."""
        return Scale(self.name, self.low, self.high, self.level)

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
                system: {
                    "weights": dict(one.weights),
                    "offset": one.offset,
                    "radius": one.radius,
                    **({} if one.personal is None else {"personal": one.personal.to_dict()}),
                }
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
            personal = PersonalShift.from_dict(one["personal"]) if "personal" in one else None
            systems[system] = Combination(weights, _finite(one["offset"]), radius, personal)
        check_dimension(data["name"])
        return cls(data["name"], low, high, systems, level)


def check_dimension(name: object) -> None:
    """Check the name of a dimension, which becomes the name of columns.

    Raises:
        ValueError: it is empty, too long, or has other characters than letters, digits, spaces, ``_``, ``-``
            and ``.``, or ends like the unit of a column.
    """
    if not isinstance(name, str) or not name.strip() or name != name.strip() or len(name) > _MOST_CHARACTERS:
        raise ValueError(
            f"a dimension needs a name of 1 to {_MOST_CHARACTERS} characters, got {shown(str(name))!r:.80}"
        )
    if not all(one.isalnum() or one in " _-." for one in name):
        raise ValueError(f"a dimension's name has letters, digits, spaces, _, - and ., got {shown(name)!r}")
    if name.endswith(_UNITS):
        raise ValueError(f"a dimension's name does not end in {' or '.join(_UNITS)}, got {shown(name)!r}")


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} is not a number")
    return float(value)
