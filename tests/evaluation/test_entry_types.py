from __future__ import annotations

from typing import Any, Literal, TypedDict

import pytest

from emofuse.evaluation.entry_types import Interval, check_entries


class Point(TypedDict, total=False):
    clips: int | str
    ci95: Interval
    accuracy: float | None
    kind: Literal["a", "b"]


class Results(TypedDict, total=False):
    n: int
    ok: bool
    points: dict[str, list[Point]]
    recipe: dict[str, Any]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"n": 3, "ok": True, "points": {}, "recipe": {"a": [1, {}]}, "other": object()},
        {"n": None, "points": {"voice": [{"clips": "all", "ci95": [0, 0.5], "accuracy": None, "kind": "a"}]}},
        {"points": {"voice": [{"clips": 3, "ci95": None, "accuracy": 1}, {}]}},
    ],
)
def test_what_is_right_passes(data: Any) -> None:
    check_entries(data, Results)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"^it must be an object, got \[\]"),
        ({"n": 0.5}, r"^n must be a whole number, got 0\.5"),
        ({"n": True}, "n must be a whole number, got True"),
        ({"ok": 1}, "ok must be true or false, got 1"),
        ({"points": []}, r"points must be an object, got \[\]"),
        ({"points": {"voice": {}}}, r"points\.voice must be a list"),
        ({"points": {"voice": [{}, 5]}}, r"points\.voice\[1\] must be an object, got 5"),
        ({"points": {"v": [{"ci95": [0.1]}]}}, r"points\.v\[0\]\.ci95 must be 2 numbers, got \[0\.1\]"),
        ({"points": {"v": [{"ci95": [0.1, "x"]}]}}, r"ci95\[1\] must be a number, got 'x'"),
        ({"points": {"v": [{"clips": []}]}}, r"clips must be a whole number, got \[\]"),
        ({"points": {"v": [{"accuracy": "x"}]}}, "accuracy must be a number, got 'x'"),
        ({"points": {"v": [{"kind": "c"}]}}, "kind must be one of a, b, got 'c'"),
        ({"recipe": "x" * 1000}, "recipe must be an object, got 'x{59}$"),
    ],
)
def test_what_is_wrong_is_named(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_entries(data, Results)
