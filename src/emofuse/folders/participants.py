"""Who is the same person in several recordings: whoever has the same name.

Somebody without a name (``person 1``, a voice of nobody in view) is not the same as anybody elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from emofuse.exports.tiers import VOICE
from emofuse.timeline.people import is_numbered

_NUMBER: Final = re.compile(r"(\d+)")


def participant(person: str | None, file: str) -> str:
    """Who somebody in a recording is among all recordings.

    >>> participant("Anna", "talk.mp4"), participant("person 1", "talk.mp4"), participant(None, "talk.wav")
    ('Anna', 'person 1 in talk.mp4', 'a voice in talk.wav')
    """
    if person is None:
        return f"{VOICE} in {file}"
    return f"{person} in {file}" if is_numbered(person) else person


def in_order(names: Iterable[str | None]) -> list[str | None]:
    """Each name once, numbers in them by their value; None comes last.

    >>> in_order(["day 10", None, "day 2", "day 10"])
    ['day 2', 'day 10', None]
    """
    return sorted(set(names), key=_order)


def in_given_order(names: Iterable[str | None], order: Iterable[str | None]) -> list[str | None]:
    """Each name once: first those of ``order``, as they stand there, then others; None comes last.

    >>> in_given_order([None, "b", "a", "c"], ["c", "x", "b"])
    ['c', 'b', 'a', None]
    """
    found = set(names)
    first = [name for name in dict.fromkeys(order) if name is not None and name in found]
    return [*first, *in_order(found.difference(first))]


def _order(name: str | None) -> tuple[bool, list[tuple[int, str]]]:
    parts = _NUMBER.split(name or "")
    return name is None, [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts]
