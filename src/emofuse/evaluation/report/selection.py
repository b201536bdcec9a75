"""Which systems, groups and steps the tables and charts show, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from emofuse.evaluation.results import (
    MAIN_SYSTEMS,
    EnrollmentPoint,
    GroupEntry,
    RobustnessFigures,
    in_order,
    natural,
    title,
)

CLEAN: Final = "clean"
"""The undegraded recordings, which the degraded ones are compared with."""

ALL: Final = "all"
"""Enrollment with every clip of a speaker, including the scored ones."""

GROUP_KINDS: Final = ("sex", "intensity", "statement", "emotion")

Records = Mapping[tuple[str, str], Mapping[str, Any]]
"""Records of one system by (kind, value) of the group."""


def main_systems(systems: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of voice, face and fusion that are there; if none is, all systems."""
    return tuple(name for name in MAIN_SYSTEMS if name in systems) or in_order(systems)


def named(system: str) -> dict[str, str]:
    """A system's name in the files, its titles, and its color in the style sheet."""
    color = system if system in MAIN_SYSTEMS else "other"
    return {"name": system, "title": title(system), "short": short_title(system), "color": color}


def short_title(system: str) -> str:
    """The title of a system where there is little room.

    >>> short_title("fused")
    'Fusion'
    """
    return title(system).partition(",")[0]


def by_group(groups: Mapping[str, Sequence[GroupEntry]]) -> dict[str, Records]:
    """The groups of each system by (kind, value)."""
    return {name: {(r["kind"], r["value"]): r for r in records} for name, records in groups.items()}


def group_keys(groups: Mapping[str, Records], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """The groups of these kinds that any system has: kind by kind, actors by number, others as measured.

    Of groups that not all systems have, those of the last system come first.
    """
    found = [key for records in reversed(list(groups.values())) for key in records if key[0] in kinds]

    def order(key: tuple[str, str]) -> tuple[int, tuple[int, str]]:
        kind, value = key
        return list(kinds).index(kind), natural(value) if kind == "actor" else (0, "")

    return sorted(dict.fromkeys(found), key=order)


def clip_steps(systems: Mapping[str, Sequence[EnrollmentPoint]]) -> tuple[str, ...]:
    """The numbers of enrolled clips that were measured, as text, ascending, :data:`ALL` last."""
    steps = {str(point["clips"]) for points in systems.values() for point in points}
    return tuple(sorted(steps, key=natural))


def degradation_names(records: Sequence[RobustnessFigures]) -> tuple[str, ...]:
    """The degradations, :data:`CLEAN` first and the others in the order of the records."""
    conditions = dict.fromkeys(str(record["condition"]) for record in records)
    return tuple(sorted(conditions, key=lambda condition: condition != CLEAN))
