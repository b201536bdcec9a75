from __future__ import annotations

import pytest

from emofuse.folders.participants import in_order, participant


@pytest.mark.parametrize(
    ("person", "who"),
    [
        ("Anna", "Anna"), ("P 12", "P 12"), ("person 12", "person 12 in a.mp4"),
        ("Person 3", "Person 3 in a.mp4"), ("person", "person"), (None, "a voice in a.mp4"),
    ],
)  # fmt: skip
def test_who_has_no_name_is_nobody_elsewhere(person: str | None, who: str) -> None:
    assert participant(person, "a.mp4") == who


def test_numbers_are_ordered_by_value() -> None:
    given = ["t10", "T2", None, "t1", "", "10", "9", "t2 b", "ä", "t2 b"]
    assert in_order(given) == ["", "9", "10", "t1", "T2", "t2 b", "t10", "ä", None]
    assert in_order([]) == []
    assert in_order(["²", "1"]) == ["1", "²"]
