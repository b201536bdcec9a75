"""Which systems, groups and steps the tables and charts show, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from emofuse.evaluation.results import in_order, natural, title

MAIN_SYSTEMS: Final = ("voice", "face", "fused")
"""What every comparison shows; the fusions that were not chosen are in the tables of all systems."""

CLEAN: Final = "clean"
"""The recordings as they are, which damaged ones are compared with."""

ALL: Final = "all"
"""Enrollment with every clip of a person, the scored ones among them."""

GROUP_KINDS: Final = ("sex", "intensity", "statement", "emotion")

Records = Mapping[tuple[str, str], Mapping[str, Any]]
"""Records of one system by (kind, value) of group, or by (degradation, system)."""


def main_systems(systems: Mapping[str, Any]) -> tuple[str, ...]:
    """Voice, face and fusion as far as they are there; without any of them, all systems."""
    return tuple(name for name in MAIN_SYSTEMS if name in systems) or in_order(systems)


def named(system: str) -> dict[str, str]:
    """A system's name in the files, what it is called, and its colour in the style sheet."""
    colour = system if system in MAIN_SYSTEMS else "other"
    return {"name": system, "title": title(system), "short": short_title(system), "colour": colour}


def short_title(system: str) -> str:
    """What a system is called where there is little room.

    >>> short_title("fused")
    'Fusion'
    """
    return title(system).partition(",")[0]


def by_group(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Records]:
    """The groups of each system by (kind, value)."""
    return {name: {(r["kind"], r["value"]): r for r in records} for name, records in groups.items()}


def group_keys(groups: Mapping[str, Records], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """The groups of these kinds that any system has, in the order of ``kinds``, then as they were measured.

    The last system decides first: of groups that not all systems have, its own come before the others'.
    """
    found = [key for records in reversed(list(groups.values())) for key in records if key[0] in kinds]

    def place(key: tuple[str, str]) -> tuple[int, tuple[int, str]]:
        kind, value = key
        return list(kinds).index(kind), natural(value) if kind == "actor" else (0, "")

    return sorted(dict.fromkeys(found), key=place)


def clip_steps(systems: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, ...]:
    """The numbers of enrolled clips that were measured, as text, rising, :data:`ALL` last."""
    steps = {str(point["clips"]) for points in systems.values() for point in points}
    return tuple(sorted(steps, key=natural))


def in_condition_order(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The degradations, :data:`CLEAN` first and the others as they were measured."""
    conditions = dict.fromkeys(str(record["condition"]) for record in records)
    return tuple(sorted(conditions, key=lambda condition: condition != CLEAN))
