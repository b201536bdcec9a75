"""Check data that was read from JSON against the types that it should have: it may come from elsewhere."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Interval = Annotated[list[float], 2]
"""Two bounds."""
_NAMES: Final = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def check_entries(data: Any, kind: Any, where: str = "") -> None:
    """Check data in JSON types against a type; keys that a TypedDict does not name may hold anything.

    A number, a text or an interval may be null: it is then taken for missing.

    Args:
        data: what was read.
        kind: a TypedDict, or what its entries are made of.
        where: the keys that lead to the data, for the message.

    Raises:
        ValueError: something is of another type; the text names it.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        _check(isinstance(data, dict), data, "an object", where)
        for name, part in get_type_hints(kind, include_extras=True).items():
            if name in data:
                check_entries(data[name], part, f"{where}.{name}" if where else name)
    elif origin is Annotated:
        if data is not None:
            check_entries(data, arguments[0], where)
            _check(len(data) == arguments[1], data, f"{arguments[1]} numbers", where)
    elif origin in (Union, UnionType):
        _check_one_of(data, arguments, where)
    elif origin is list:
        _check(isinstance(data, list), data, "a list", where)
        for index, value in enumerate(data):
            check_entries(value, arguments[0], f"{where}[{index}]")
    elif origin is dict:
        _check(isinstance(data, dict), data, "an object", where)
        for name, value in data.items():
            check_entries(value, arguments[1], f"{where}.{name}")
    elif origin is Literal:
        _check(data in arguments, data, f"one of {', '.join(map(str, arguments))}", where)
    elif kind in _NAMES and data is not None:
        wanted = (int, float) if kind is float else (kind,)
        is_one = isinstance(data, wanted) and (kind is bool or not isinstance(data, bool))
        _check(is_one, data, _NAMES[kind], where)


def _check_one_of(data: Any, kinds: tuple[Any, ...], where: str) -> None:
    problems = []
    for kind in kinds:
        if kind is NoneType:
            if data is None:
                return
            continue
        try:
            check_entries(data, kind, where)
        except ValueError as error:
            problems.append(error)
        else:
            return
    raise problems[0]


def _check(holds: bool, data: Any, wanted: str, where: str) -> None:
    if not holds:
        raise ValueError(f"{where or 'it'} must be {wanted}, got {data!r:.60}")
