"""How far ratings of a person are shifted: by what is known, and no further."""

from __future__ import annotations

import json

import pytest

from emofuse.core.dimensions import Combination, Dimension, Rated
from emofuse.core.own_ratings import KnownClips, PersonalShift, Spread

SHIFT = PersonalShift(Spread(1.0, 4.0), Spread(0.5, 1.0), 3.0, 0.6)


def test_shares_grow_with_clips_and_are_zero_where_people_do_not_differ() -> None:
    spread = Spread(1.0, 4.0)
    assert [spread.share(n) for n in (0, 4, 12)] == [0.0, 0.5, 0.75]
    assert Spread(0.0, 4.0).share(100) == 0.0
    assert Spread(2.0, 0.0).share(1) == 1.0
    with pytest.raises(ValueError, match="variances are finite and not negative"):
        Spread(-1.0, 0.0)


def test_rated_clips_shift_by_their_mean_error() -> None:
    known = {"voice": KnownClips.of([1.0, 3.0, 2.0, 2.0], [5.0, 7.0, 6.0, 6.0])}
    # predictions are 2 · output + 1, 5 on average; ratings 6
    assert SHIFT.of({"voice": 2.0}, 1.0, known) == pytest.approx(0.5 * 1.0)
    part = {"voice": KnownClips.of([1.0, 3.0, 9.0, 9.0], [5.0, 7.0, None, None])}
    assert SHIFT.of({"voice": 2.0}, 1.0, part) == pytest.approx(1 / 3 * 1.0), "unrated ones do not count"


def test_unrated_clips_shift_part_of_the_way_to_the_mean() -> None:
    known = {"voice": KnownClips.of([2.0, 2.0], [None, None])}
    assert SHIFT.of({"voice": 2.0}, 1.0, known) == pytest.approx(-0.6 * 0.5 * (5 - 3))
    assert SHIFT.of({"voice": 2.0, "face": 1.0}, 1.0, known) == 0.0, "the face of nobody is known"
    assert SHIFT.of({"voice": 2.0}, 1.0, {"voice": KnownClips.of([], [])}) == 0.0


def test_a_rating_and_its_interval_move_together_and_stay_in_the_range() -> None:
    one = Dimension("valence", 1.0, 7.0, {"voice": Combination({"voice": 1.0}, 0.0, 0.5, SHIFT)})
    known = {"voice": KnownClips.of([3.0] * 4, [5.0] * 4)}
    assert one.rated({"voice": 4.0}) == Rated(4.0, 3.5, 4.5)
    assert one.rated({"voice": 4.0}, known=known) == Rated(5.0, 4.5, 5.5)
    assert one.rated({"voice": 6.8}, known=known) == Rated(7.0, 6.5, 7.0)
    assert Dimension.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    "damage",
    [{"slope": 2.0}, {"slope": "1"}, {"errors": [-1.0, 1.0]}, {"errors": [1.0]}, {"mean": float("nan")}],
)
def test_what_is_no_shift_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        PersonalShift.from_dict({**SHIFT.to_dict(), **damage})


def test_known_clips_are_checked() -> None:
    with pytest.raises(ValueError, match="3 of 2 clips cannot be rated"):
        KnownClips(2, 0.0, 3)
    with pytest.raises(ValueError, match="finite"):
        KnownClips(2, float("inf"))
