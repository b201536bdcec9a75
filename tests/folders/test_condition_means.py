from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.csv_tables import cell_text
from emofuse.core.labels import EMOTIONS
from emofuse.folders.condition_means import ConditionMean, condition_means, write_condition_means
from emofuse.folders.tables import Outcome
from tests.support.many_recordings import outcome, summary_row


def by_name(means: list[ConditionMean]) -> dict[tuple[str | None, str | None], ConditionMean]:
    return {(one.condition, one.person): one for one in means}


def test_a_person_is_the_mean_of_recordings_and_everybody_that_of_people() -> None:
    """Anna was recorded three times as often, and counts no more than Bert."""
    means = condition_means(
        [
            outcome("a.mp4", "before", summary_row("Anna", 0.2, 5.0), summary_row("Bert", 1.0)),
            outcome("b.mp4", "before", summary_row("Anna", 0.4, 50.0), summary_row("Carl", None, 0.0)),
            outcome("c.mp4", "before", summary_row("Anna", 0.6, 5.0)),
            outcome("d.mp4", "after", summary_row("Anna", 0.0)),
            outcome("e.mp4", None, summary_row("Anna", 0.5)),
            Outcome("f.mp4", "after", error="no audio"),
        ],
        EMOTIONS,
    )
    assert [(one.condition, one.person) for one in means] == [
        ("after", None), ("after", "Anna"), ("before", None), ("before", "Anna"), ("before", "Bert"),
        (None, None), (None, "Anna"),
    ]  # fmt: skip
    found = by_name(means)
    anna, everybody = found["before", "Anna"], found["before", None]
    assert anna.values["share_happy"] == pytest.approx(0.4)
    assert (anna.n_people, anna.n_recordings, anna.read_s) == (1, 3, 60.0)
    assert everybody.values["share_happy"] == pytest.approx(0.7)
    assert everybody.values["share_abstained"] == pytest.approx(0.3)
    assert (everybody.n_people, everybody.n_recordings, everybody.read_s) == (2, 3, 70.0)
    assert everybody.intervals == {} == anna.intervals


def test_conditions_are_in_the_order_that_is_given() -> None:
    recordings = [outcome(f"{one}.mp4", one, summary_row("A", 0.5)) for one in ("t2", "t10", "before", None)]
    given: tuple[str | None, ...] = ("t10", "none", None, "before")
    for order, expected in (
        ((), ["before", "t2", "t10", None]), (given, ["t10", "before", "t2", None]),
    ):  # fmt: skip
        means = condition_means(recordings, EMOTIONS, order)
        assert [one.condition for one in means if one.person is None] == expected


def test_who_has_no_name_is_another_in_each_recording() -> None:
    means = condition_means(
        [
            outcome("a.mp4", "x", summary_row("person 1", 0.0), summary_row(None, 0.9)),
            outcome("b.mp4", "x", summary_row("person 1", 0.5)),
            outcome("c.wav", "x", summary_row(None, 1.0)),
        ],
        EMOTIONS,
    )
    assert [one.person for one in means] == [
        None, "a voice in c.wav", "person 1 in a.mp4", "person 1 in b.mp4"
    ]  # fmt: skip
    assert means[0].values["share_happy"] == pytest.approx(0.5)  # nobody's voice beside people does not count


def test_intervals_are_over_people_and_over_recordings() -> None:
    rng = np.random.default_rng(0)
    recordings = [
        outcome(f"{person}{n}.mp4", "x", summary_row(f"P{person}", float(rng.uniform(0.2, 0.6))))
        for person in range(8)
        for n in range(6 if person == 3 else 1)
    ]
    found = by_name(condition_means(recordings, EMOTIONS))
    low, high = found["x", None].intervals["share_happy"]
    shares = [found["x", f"P{person}"].values["share_happy"] for person in range(8)]
    spread = 1.96 * np.std(shares) / np.sqrt(8)  # type: ignore[arg-type]
    assert high - low == pytest.approx(2 * spread, rel=0.15)
    assert low < found["x", None].values["share_happy"] < high  # type: ignore[operator]
    assert "share_happy" in found["x", "P3"].intervals and found["x", "P2"].intervals == {}


def test_the_table(tmp_path: Path) -> None:
    means = condition_means(
        [
            outcome("a.mp4", "=x", summary_row("Anna", 0.25)),
            outcome("b.mp4", "=x", summary_row("B", 0.5)),
        ],
        EMOTIONS,
    )
    write_condition_means(tmp_path / "conditions.csv", means, EMOTIONS, "a study")
    with (tmp_path / "conditions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["level"], row["person"]) for row in rows] == [
        ("everybody", ""), ("person", "Anna"), ("person", "B")
    ]  # fmt: skip
    first = rows[0]
    assert cell_text(first["condition"]) == "=x" and first["n_people"] == "2" == first["n_recordings"]
    assert first["read_s"] == "20.000" and first["share_happy"] == "0.375000"
    assert first["share_happy_low"] == "" == first["share_happy_high"] and first["purpose"] == "a study"
    assert float(first["mean_probability_sad"]) == 0.125
    write_condition_means(tmp_path / "none.csv", [], EMOTIONS, None)
    (header,) = (tmp_path / "none.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",") == [column for column in first if column != "purpose"]
