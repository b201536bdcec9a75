"""Ratings over the windows of a timeline: steps, means, rows, and what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.dimensions import Rated, Scale
from emofuse.core.errors import TimelineError
from emofuse.timeline.records import Timeline, Window
from emofuse.timeline.stored import load_timeline, save_timeline
from emofuse.timeline.summary import summarize, summary_rows
from emofuse.timeline.window_ratings import mean_ratings, rating_steps
from tests.support.rated_timelines import SCALES, rated_timeline


def test_steps_touch_where_windows_overlap_and_leave_gaps() -> None:
    timeline = rated_timeline()
    of_anna = list(rating_steps(timeline.by_person(timeline.windows)["Anna"], "valence", timeline.span_ms))
    assert [(start, end) for start, end, _ in of_anna[:3]] == [(0, 2000), (2000, 3000), (3000, 4000)]
    assert of_anna[-1][1] == 12000
    assert [one.value for _, _, one in of_anna] == [
        w.ratings["valence"].value for w in timeline.windows if w.person == "Anna"
    ]
    parts = [Window(0, 1, None, None, None, ratings={"a": Rated(1, 0, 2)}),
             Window(4, 5, None, None, None, ratings={"a": Rated(2, 1, 2)})]  # fmt: skip
    assert [(s, e) for s, e, _ in rating_steps(parts, "a", (0, 4500))] == [(0, 1000), (4000, 4500)]
    assert list(rating_steps(parts, "b", (0, 4500))) == []


def test_means_weigh_windows_by_their_length() -> None:
    windows = [Window(0, 3, None, None, None, ratings={"a": Rated(1, 0, 2)}),
               Window(3, 4, None, None, None, ratings={"a": Rated(5, 0, 6)}),
               Window(4, 5, None, None, None)]  # fmt: skip
    assert mean_ratings(windows, (Scale("a", 0, 6), Scale("b", 0, 1))) == (2.0, None)
    assert mean_ratings([], (Scale("a", 0, 6),)) == (None,)


@pytest.mark.parametrize("emotions", [True, False])
def test_rows_have_columns_for_value_and_interval(*, emotions: bool) -> None:
    timeline = rated_timeline(emotions=emotions)
    names = list(timeline.columns("windows"))
    assert names[-6:] == [
        "rated_valence", "rated_valence_low", "rated_valence_high",
        "rated_self rating", "rated_self rating_low", "rated_self rating_high",
    ]  # fmt: skip
    rows = list(timeline.rows("windows"))
    assert all(list(row) == names for row in rows)
    assert rows[2]["rated_valence"] == timeline.windows[2].ratings["valence"].value
    assert rows[2]["rated_self rating"] is None
    table = timeline.to_pandas()
    assert table["rated_valence"].dtype == np.float64
    assert table["rated_valence"].isna().sum() == 4


@pytest.mark.parametrize("emotions", [True, False])
def test_a_summary_has_the_mean_of_each_person(*, emotions: bool) -> None:
    timeline = rated_timeline(emotions=emotions)
    people = summarize(timeline)
    assert [one.person for one in people] == ["Anna", "Ben", None]
    own = [w.ratings["valence"].value for w in timeline.windows if w.person == "Ben" and w.ratings]
    assert people[1].ratings == pytest.approx((np.mean(own), -0.5))
    rows = list(summary_rows(timeline))
    assert rows[1]["mean_rated_valence"] == pytest.approx(np.mean(own))
    assert rows[2]["mean_rated_self rating"] is None


@pytest.mark.parametrize("emotions", [True, False])
def test_what_is_stored_comes_back(tmp_path: Path, *, emotions: bool) -> None:
    timeline = rated_timeline(emotions=emotions)
    save_timeline(timeline, tmp_path / "t.npz")
    assert load_timeline(tmp_path / "t.npz") == timeline
    plain = replace(
        rated_timeline(), windows=tuple(replace(w, ratings={}) for w in timeline.windows), dimensions=()
    ) if emotions else None  # fmt: skip
    if plain is not None:
        save_timeline(plain, tmp_path / "plain.npz")
        with np.load(tmp_path / "plain.npz") as arrays:
            assert "window_ratings" not in arrays.files
            assert b"dimensions" not in arrays["about"].tobytes()


def test_damaged_ratings_are_refused(tmp_path: Path) -> None:
    save_timeline(rated_timeline(), tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as arrays:
        parts = dict(arrays)
    parts["window_ratings"][0, 0] = 3.0, 4.0, 5.0
    np.savez(tmp_path / "t.npz", **parts)
    with pytest.raises(TimelineError, match="an interval must hold its value"):
        load_timeline(tmp_path / "t.npz")


def test_ratings_are_on_scales_that_the_timeline_lists() -> None:
    timeline = rated_timeline()
    with pytest.raises(ValueError, match="a rating of 'valence', which is not among the dimensions"):
        replace(timeline, dimensions=SCALES[1:])
    with pytest.raises(ValueError, match="at least one where there are no dimensions"):
        Timeline("x", 1.0, 0.0, (), (), (), "small")
