from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from emofuse.core.recipes.part import ADDED_LATER, Part


class Before(Part):
    rate_hz: int = 16000


class After(Part):
    rate_hz: int = 16000
    mirror: Annotated[bool, ADDED_LATER] = False
    floor: Annotated[Annotated[float, Field(le=0)] | None, ADDED_LATER] = None
    crops: Annotated[tuple[int, ...], Field(strict=False), ADDED_LATER] = (1, 2)


class Whole(Part):
    part: Before | After = Before()


def test_a_key_added_later_is_left_out_of_the_hash_while_it_has_its_default() -> None:
    assert After().model_dump() == {"rate_hz": 16000} == Before().model_dump()
    assert After().hash() == Before().hash()
    assert After(mirror=False, crops=(1, 2)).hash() == Before().hash()
    assert Whole(part=After()).hash() == Whole().hash()


@pytest.mark.parametrize("changed", [After(mirror=True), After(floor=-1.0), After(crops=(1,))])
def test_a_key_added_later_counts_once_it_is_set(changed: After) -> None:
    assert changed.hash() != Before().hash()
    assert After.model_validate(changed.model_dump()) == changed
    assert Whole(part=changed).hash() != Whole().hash()


def test_keys_that_were_always_there_are_hashed_with_their_defaults() -> None:
    class Without(Part):
        pass

    assert Before().hash() != Without().hash()
