"""What is predicted of a dimension: combinations of outputs, ranges, intervals, and data from elsewhere."""

from __future__ import annotations

import json
import math

import pytest

from emofuse.core.dimensions import Combination, Dimension, Rated, check_dimension

VALENCE = Dimension(
    "valence", 1.0, 7.0,
    {
        "voice": Combination({"voice": 1.5}, -1.0, 0.5),
        "face": Combination({"face": 2.0}, 0.0, None),
        "fused": Combination({"voice": 1.0, "face": 0.5}, 0.25, 0.75),
    },
)  # fmt: skip


def test_a_value_is_a_combination_of_outputs_within_its_interval() -> None:
    both = {"voice": 3.0, "face": 2.0}
    assert VALENCE.rated(both, "voice") == Rated(3.5, 3.0, 4.0)
    assert VALENCE.rated(both) == Rated(4.25, 3.5, 5.0)
    assert VALENCE.rated({}) is None


def test_a_modality_that_is_there_alone_stands_in_for_the_fusion() -> None:
    assert VALENCE.rated({"voice": 3.0}) == VALENCE.rated({"voice": 3.0}, "voice") == Rated(3.5, 3.0, 4.0)
    assert VALENCE.rated({"voice": 3.0}, "face") is None
    assert VALENCE.rated({"smell": 3.0}) is None


def test_values_and_intervals_stay_in_the_range() -> None:
    assert VALENCE.rated({"voice": 5.0}) == Rated(6.5, 6.0, 7.0)
    assert VALENCE.rated({"voice": 50.0}) == Rated(7.0, 6.5, 7.0)
    assert VALENCE.rated({"voice": -9.0}) == Rated(1.0, 1.0, 1.5)


def test_without_a_radius_the_interval_is_the_range() -> None:
    assert VALENCE.rated({"face": 2.0}) == Rated(4.0, 1.0, 7.0)


def test_a_dimension_survives_json() -> None:
    assert Dimension.from_dict(json.loads(json.dumps(VALENCE.to_dict()))) == VALENCE
    rated = Rated(0.1, -0.2, 0.3)
    assert Rated.from_dict(json.loads(json.dumps(rated.to_dict()))) == rated


@pytest.mark.parametrize(
    "change",
    [
        {"range": [2, 1]}, {"range": [1]}, {"range": [1, math.inf]}, {"level": 1}, {"level": "0.9"},
        {"name": ""}, {"name": "a,b"}, {"systems": {"smell": VALENCE.to_dict()["systems"]["voice"]}},
        {"systems": {"voice": {"weights": {"smell": 1}, "offset": 0, "radius": 1}}},
        {"systems": {"voice": {"weights": {"voice": math.nan}, "offset": 0, "radius": 1}}},
        {"systems": {"voice": {"weights": {"voice": True}, "offset": 0, "radius": 1}}},
    ],
)  # fmt: skip
def test_data_from_elsewhere_is_checked(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Dimension.from_dict(VALENCE.to_dict() | change)


def test_names_become_columns() -> None:
    for name in ("valence", "Erregung", "self rating-2", "ärger", "x.y_z"):
        check_dimension(name)
    for other in ("", " a", "a ", "a,b", "a=b", "a\nb", "x" * 61, 3, None, "a;b"):
        with pytest.raises(ValueError, match="dimension"):
            check_dimension(other)


def test_an_interval_holds_its_value() -> None:
    for value, low, high in ((1.0, 1.1, 2.0), (1.0, 0.0, 0.9), (math.nan, 0.0, 1.0), (1.0, 0.0, math.inf)):
        with pytest.raises(ValueError, match="interval"):
            Rated(value, low, high)
