"""What a person changes about a timeline: names, merges of people, spans that do not count, and markers.

Annotations speak of the people and the clock of the recording as it was read, whatever else they change: the
order of their entries has no meaning, and undo is the annotations before.
:mod:`emofuse.timeline.annotated` makes the timeline that they describe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import AnnotationError
from emofuse.core.text import encodable
from emofuse.system.json_files import parse_json, read_bounded
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.value_checks import check_name

LARGEST_BYTES: Final = 4 * 2**20
"""Of annotations as JSON."""
MOST: Final = {"names": 1_000, "merges": 1_000, "excluded": 2_000, "markers": 10_000}
"""Entries of each kind."""
LONGEST_NAME: Final = 200
LONGEST_REASON: Final = 500
LONGEST_TEXT: Final = 2_000
"""Characters of a name, of the reason of an excluded span, and of a marker's text."""
_LATEST_S: Final = 1e9
_SHOWN: Final = 60
"""Characters of an unknown key that a message shows."""
_MOST_SHOWN: Final = 10
"""People that a message names."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Annotations:
    """All that a person changed about a timeline.

    Raises:
        AnnotationError: people are merged in a circle, or each into themselves.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    """The name of a person by the name that the timeline has. That of somebody who is merged into another has
    no effect."""
    merges: Mapping[str, str] = field(default_factory=dict)
    """Into whom a person is merged, by the names that the timeline has."""
    excluded: tuple[ExcludedSpan, ...] = ()
    markers: tuple[Marker, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "excluded", tuple(sorted(set(self.excluded), key=lambda one: one.order)))
        object.__setattr__(self, "markers", tuple(sorted(set(self.markers), key=lambda one: one.order)))
        for person in self.merges:
            self._root(person)

    def _root(self, person: str) -> str:
        seen = {person}
        while (into := self.merges.get(person)) is not None:
            if into in seen:
                raise AnnotationError(f"merges: {into!r} is merged into themselves, at once or over others")
            seen.add(into)
            person = into
        return person

    @property
    def targets(self) -> dict[str, str]:
        """By each person who is merged, the person who is left in the end."""
        return {person: self._root(person) for person in self.merges}

    # --- from and to JSON

    @classmethod
    def from_data(cls, data: object) -> Annotations:
        """From plain data of JSON; what is left out is empty.

        Raises:
            AnnotationError: an entry is unknown, missing, too long, too many or of another type.
        """
        given = _entries(data, "annotations", optional=MOST)
        names, merges = (
            {
                _name(key, f"{kind}, a person"): _name(value, f"{kind}[{key!r}]")
                for key, value in _entries(given.get(kind, {}), kind, most=MOST[kind]).items()
            }
            for kind in ("names", "merges")
        )
        lists = {kind: _list(given.get(kind, []), kind) for kind in ("excluded", "markers")}
        excluded = tuple(_excluded(one, f"excluded[{n}]") for n, one in enumerate(lists["excluded"]))
        markers = tuple(_marker(one, f"markers[{n}]") for n, one in enumerate(lists["markers"]))
        return cls(names, merges, excluded, markers)

    @classmethod
    def from_json(cls, text: str | bytes) -> Annotations:
        """From a JSON text.

        Raises:
            AnnotationError: it is too large, not JSON, or not what annotations are.
        """
        if len(text) > LARGEST_BYTES:
            raise AnnotationError(f"annotations take at most {LARGEST_BYTES // 2**20} MiB")
        try:
            return cls.from_data(parse_json(text))
        except ValueError as error:
            raise AnnotationError(f"annotations are not valid JSON: {error}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Annotations:
        """From a JSON file.

        Raises:
            AnnotationError: it cannot be read, or is not what annotations are.
        """
        try:
            return cls.from_json(read_bounded(Path(path), LARGEST_BYTES))
        except OSError as error:
            raise AnnotationError(f"{path}: {error.strerror or error}") from None
        except (ValueError, AnnotationError) as error:
            raise AnnotationError(f"{path}: {error}") from None

    def as_data(self) -> dict[str, Any]:
        """As plain data for JSON, which :meth:`from_data` reads."""
        return {
            "names": dict(self.names),
            "merges": dict(self.merges),
            "excluded": [
                {"start_s": one.start_s, "end_s": one.end_s, "reason": one.reason}
                | ({} if one.person is None else {"person": one.person})
                for one in self.excluded
            ],
            "markers": [
                {"start_s": one.start_s}
                | ({} if one.end_s is None else {"end_s": one.end_s})
                | {"text": one.text}
                for one in self.markers
            ],
        }

    def patched(self, patch: object) -> Annotations:
        """After a JSON merge patch (RFC 7396): a name or merge is taken back by null, lists are replaced.

        Raises:
            AnnotationError: the result is not what annotations are.
        """
        if not isinstance(patch, dict):
            raise AnnotationError(f"annotations are changed by a JSON object, got {_kind(patch)}")
        return Annotations.from_data(_merge_patch(self.as_data(), patch))

    # --- against a timeline

    def check_fits(self, people: Collection[str], span: Span) -> None:
        """Check that the annotations are of a recording with these people and this start and end.

        Raises:
            AnnotationError: somebody is unknown, two people would have one name, or a time lies outside.
        """
        whose = {
            "names": self.names,
            "merges": [*self.merges, *self.merges.values()],
            "excluded": [one.person for one in self.excluded if one.person is not None],
        }
        for kind, mentioned in whose.items():
            if unknown := next((one for one in mentioned if one not in people), None):
                known = ", ".join([*people][:_MOST_SHOWN]) or "nobody"
                known += ", …" if len(people) > _MOST_SHOWN else ""
                raise AnnotationError(f"{kind}: there is no {unknown!r} in the recording, but {known}")
        left = [person for person in people if person not in self.merges]
        named: dict[str, str] = {}
        for person in left:
            name = self.names.get(person, person)
            if name in named:
                raise AnnotationError(
                    f"names: {named[name]!r} and {person!r} would both be {name!r}: "
                    "merge them, or choose different names"
                )
            named[name] = person
        for kind, marks in (("excluded", self.excluded), ("markers", self.markers)):
            for mark in marks:
                _check_inside(kind, mark, span)


def _check_inside(kind: str, mark: ExcludedSpan | Marker, span: Span) -> None:
    if mark.end_s is None:
        inside, shown = span[0] <= mark.start_s <= span[1], f"{mark.start_s:g} s"
    else:
        inside = mark.start_s < span[1] and mark.end_s > span[0]
        shown = f"{mark.start_s:g} to {mark.end_s:g} s"
    if not inside:
        raise AnnotationError(f"{kind}: {shown} is outside the recording, {span[0]:.3f} to {span[1]:.3f} s")


# --- strict reading


def _excluded(data: object, where: str) -> ExcludedSpan:
    given = _entries(data, where, needed=("start_s", "end_s", "reason"), optional=("person",))
    person = given.get("person")
    start_s, end_s = _span(given, where)
    return ExcludedSpan(
        start_s,
        end_s,
        _text(given["reason"], f"{where}.reason", LONGEST_REASON),
        None if person is None else _name(person, f"{where}.person"),
    )


def _marker(data: object, where: str) -> Marker:
    given = _entries(data, where, needed=("start_s", "text"), optional=("end_s",))
    text = _text(given["text"], f"{where}.text", LONGEST_TEXT)
    if given.get("end_s") is None:
        return Marker(_time(given["start_s"], f"{where}.start_s"), text)
    start_s, end_s = _span(given, where)
    return Marker(start_s, text, end_s)


def _span(given: Mapping[str, Any], where: str) -> Span:
    start_s, end_s = (_time(given[name], f"{where}.{name}") for name in ("start_s", "end_s"))
    if start_s >= end_s:
        raise AnnotationError(f"{where} must start before it ends, got {start_s:g} to {end_s:g} s")
    return start_s, end_s


def _entries(
    data: object,
    where: str,
    *,
    needed: Iterable[str] = (),
    optional: Iterable[str] | None = None,
    most: int | None = None,
) -> dict[str, Any]:
    """A JSON object with these keys; ``optional`` None: with any keys, ``most`` at most."""
    if not isinstance(data, dict):
        raise AnnotationError(f"{where} must be an object, got {_kind(data)}")
    if optional is not None:
        known = [*needed, *optional]
        if unknown := next((key for key in data if key not in known), None):
            raise AnnotationError(f"{where} has no {_cut(unknown)}: use {', '.join(known)}")
    if missing := next((key for key in needed if key not in data), None):
        raise AnnotationError(f"{where} needs {missing!r}")
    if most is not None and len(data) > most:
        raise AnnotationError(f"{where} has at most {most} entries, got {len(data)}")
    return data


def _list(data: object, kind: str) -> list[Any]:
    if not isinstance(data, list):
        raise AnnotationError(f"{kind} must be a list, got {_kind(data)}")
    if len(data) > MOST[kind]:
        raise AnnotationError(f"{kind} has at most {MOST[kind]} entries, got {len(data)}")
    return data


def _time(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnnotationError(f"{where} must be a number of seconds, got {_kind(value)}")
    if not abs(value) <= _LATEST_S:  # nor is NaN
        raise AnnotationError(f"{where} must be a time within a recording, in seconds")
    return float(value)


def _text(value: object, where: str, longest: int) -> str:
    """A text that has letters, is not too long, and holds nothing that is no text; line breaks may be."""
    if not isinstance(value, str):
        raise AnnotationError(f"{where} must be a text, got {_kind(value)}")
    if not value.strip():
        raise AnnotationError(f"{where} must not be blank")
    if len(value) > longest:
        raise AnnotationError(f"{where} has at most {longest} characters, got {len(value)}")
    if encodable(value) != value or _CONTROL.search(value):
        raise AnnotationError(f"{where} holds a control character, or is not valid Unicode")
    return value


def _name(value: object, where: str) -> str:
    """A person's name; one that comes from the timeline may hold anything that a timeline allows."""
    if not isinstance(value, str):
        raise AnnotationError(f"{where} must be a text, got {_kind(value)}")
    if len(value) > LONGEST_NAME:
        raise AnnotationError(f"{where} has at most {LONGEST_NAME} characters, got {len(value)}")
    try:
        check_name(value)
    except ValueError as error:
        raise AnnotationError(f"{where}: {error}") from None
    return value


def _kind(value: object) -> str:
    """The type of a value, as JSON calls it."""
    kinds = {type(None): "null", bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")


def _merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2, to the depth that annotations have: names and merges are objects, no more is."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(before := merged.get(key, {}), dict):
            inner = {**before, **value}
            merged[key] = {name: one for name, one in inner.items() if one is not None}
        else:
            merged[key] = value
    return merged


def _cut(text: str) -> str:
    """A text from elsewhere, as much as a message needs of it."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
