"""Tables and charts list systems, groups and steps in one order."""

from __future__ import annotations

import doctest

from emofuse.evaluation.report import selection
from emofuse.evaluation.report.selection import (
    by_group,
    clip_steps,
    degradation_names,
    group_keys,
    main_systems,
)
from emofuse.evaluation.results import EnrollmentPoint, GroupEntry, RobustnessFigures


def test_the_fusions_that_were_not_chosen_are_left_out() -> None:
    systems = dict.fromkeys(("fused", "fused:lr", "face", "voice"))
    assert main_systems(systems) == ("voice", "face", "fused")
    assert main_systems({"tea-leaves": None, "fused:lr": None}) == ("fused:lr", "tea-leaves")


def test_groups_come_kind_by_kind_and_actors_by_number() -> None:
    def group(kind: str, value: str) -> GroupEntry:
        return {"kind": kind, "value": value}

    groups = by_group(
        {
            "voice": [group("emotion", "sad"), group("sex", "male"), group("statement", "dogs")],
            "fused": [*(group("actor", n) for n in ("10", "9", "guest")), group("sex", "female")],
        }
    )
    assert groups["voice"]["sex", "male"] == group("sex", "male")
    assert group_keys(groups, ("sex", "emotion")) == [("sex", "female"), ("sex", "male"), ("emotion", "sad")]
    assert [value for _, value in group_keys(groups, ("actor",))] == ["9", "10", "guest"]


def test_steps_stand_in_the_order_of_their_number() -> None:
    points: list[EnrollmentPoint] = [{"clips": k, "accuracy": 0.5} for k in ("all", 16, 2, 0, 30)]
    assert clip_steps({"fused": points, "voice": [{"clips": 8}]}) == (
        "0",
        "2",
        "8",
        "16",
        "30",
        "all",
    )


def test_clean_recordings_come_first() -> None:
    records: list[RobustnessFigures] = [{"condition": name} for name in ("noise", "clean", "codec", "noise")]
    assert degradation_names(records) == ("clean", "noise", "codec")


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(selection) == doctest.TestResults(failed=0, attempted=1)
