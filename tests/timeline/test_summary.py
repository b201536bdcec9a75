"""Summaries, compared with NumPy arithmetic on windows that are made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.timeline.records import Segment, Timeline, Window
from emofuse.timeline.summary import main_results, summarize, summary_columns, summary_rows
from tests.support import timelines
from tests.support.typed import not_none

ANNA, BERT = PEOPLE = ("Anna", "Bert")
HOPS = 8
"""Windows of 3 s that start every second, from 0 to 10 s."""


def by_millisecond(spans: Any, values: Any) -> float:
    """The oracle: the mean over the covering spans at the middle of each millisecond, added up."""
    times = np.arange(0.0005, 10.0, 0.001)
    covered = np.array([(times > start) & (times < end) for start, end in spans])
    count = covered.sum(0)
    return float((covered * np.array(values)[:, None]).sum(0)[count > 0] @ (1 / count[count > 0])) * 0.001


@pytest.fixture
def numbers() -> Any:
    rng = np.random.default_rng(0)
    return {
        "speech": rng.random(HOPS),
        "seen": rng.random((HOPS, 2)),
        "fused": rng.dirichlet(np.ones(8), (HOPS, 2)),
        "speakers": [ANNA, ANNA, BERT, None, BERT, ANNA, None, BERT],
    }


@pytest.fixture
def conversation(numbers: Any) -> Timeline:
    """Two people; in the third window, Bert is not in view."""
    windows = [
        Window(
            i, i + 3.0, None, None, numbers["fused"][i, j], speech=float(numbers["speech"][i]),
            face_present=float(numbers["seen"][i, j]), person=PEOPLE[j], speaker=numbers["speakers"][i],
        )
        for i in range(HOPS) for j in range(2) if (i, j) != (2, 1)
    ]  # fmt: skip
    segments = (
        Segment(0.0, 2.0, "happy", 0.6, person=ANNA),
        Segment(0.0, 1.0, None, person=BERT),
        Segment(1.0, 4.0, "neutral", 0.45, person=BERT, alike=("calm",)),
        Segment(2.0, 5.0, "sad", 0.9, person=ANNA),
        Segment(4.0, 10.0, "sad", 0.5, person=BERT),
        Segment(5.0, 10.0, None, 0.3, abstained=True, person=ANNA),
    )
    return timelines.timeline(windows=tuple(windows), segments=segments, people=PEOPLE)


def test_times_are_the_mean_of_the_windows_over_each_moment(conversation: Timeline, numbers: Any) -> None:
    spans = [(i, i + 3.0) for i in range(HOPS)]
    anna, bert, nobody = summarize(conversation)
    assert [one.person for one in (anna, bert, nobody)] == [ANNA, BERT, None]
    for one in (anna, bert, nobody):
        own = [
            s if who == one.person else 0.0
            for s, who in zip(numbers["speech"], numbers["speakers"], strict=True)
        ]
        assert one.talking_s == pytest.approx(by_millisecond(spans, own), abs=1e-6)
    assert anna.seen_s == pytest.approx(by_millisecond(spans, numbers["seen"][:, 0]), abs=1e-6)
    away = numbers["seen"][:, 1].copy()
    away[2] = 0.0
    assert bert.seen_s == pytest.approx(by_millisecond(spans, away), abs=1e-6)
    assert nobody.seen_s is None and nobody.shares is None and nobody.probabilities is None


def test_shares_are_those_of_the_time_that_was_read(conversation: Timeline) -> None:
    anna, bert, _ = summarize(conversation)
    assert anna.read_s == 10 and bert.read_s == 9
    assert dict(zip(EMOTIONS, anna.shares or (), strict=True)) == pytest.approx(
        dict.fromkeys(EMOTIONS, 0.0) | {"happy": 0.2, "sad": 0.3}
    )
    assert anna.abstained_share == 0.5
    assert dict(zip(EMOTIONS, bert.shares or (), strict=True)) == pytest.approx(
        dict.fromkeys(EMOTIONS, 0.0) | {"neutral": 1.5 / 9, "calm": 1.5 / 9, "sad": 6 / 9}
    )
    assert anna.confidence == pytest.approx((2 * 0.6 + 3 * 0.9) / 5)
    assert bert.confidence == pytest.approx((3 * 0.9 + 6 * 0.5) / 9)  # neutral or calm: 45 % each
    assert main_results(anna) == [((), 0.5), (("sad",), 0.3), (("happy",), 0.2)]
    # where only a face was read, the two are one to people, and halves in tables
    assert main_results(bert) == [(("sad",), 6 / 9), (("neutral", "calm"), 3 / 9)]


def test_probabilities_are_the_mean_over_the_windows(conversation: Timeline, numbers: Any) -> None:
    anna, bert, _ = summarize(conversation)
    np.testing.assert_allclose(not_none(anna.probabilities), numbers["fused"][:, 0].mean(0))
    np.testing.assert_allclose(not_none(bert.probabilities), np.delete(numbers["fused"][:, 1], 2, 0).mean(0))


def test_windows_count_by_their_length() -> None:
    one, other = np.eye(8)[:2]
    windows = timelines.window(0, 3, fused=one), timelines.window(3, 4, fused=other)
    (summary,) = summarize(timelines.timeline(windows=windows))
    assert summary.person is None and summary.probabilities == (0.75, 0.25, *[0.0] * 6)
    assert summary.talking_s is summary.seen_s is summary.confidence is None


def test_nobody_has_a_row_only_where_there_is_something(conversation: Timeline) -> None:
    windows = [w for w in conversation.windows if w.speaker is not None]
    without = timelines.timeline(windows=tuple(windows), segments=conversation.segments, people=PEOPLE)
    assert [one.person for one in summarize(without)] == [ANNA, BERT]
    (empty,) = summarize(timelines.timeline())
    assert empty.person is None and empty.read_s == 0 and empty.shares is None
    assert main_results(empty) == []


def test_any_timeline_has_a_summary_that_adds_up() -> None:
    for seed in range(20):
        timeline = timelines.random_timeline(seed)
        for one in summarize(timeline):
            for seconds in (one.talking_s, one.seen_s, one.read_s):
                assert seconds is None or 0 <= seconds <= timeline.duration_s + 1e-6
            if one.shares is not None and one.abstained_share is not None:
                assert sum(one.shares) + one.abstained_share == pytest.approx(1)
            assert one.probabilities is None or sum(one.probabilities) == pytest.approx(1)


def test_rows_have_the_columns_that_are_documented(conversation: Timeline) -> None:
    rows = list(summary_rows(conversation, "baseline"))
    assert [row["condition"] for row in rows] == ["baseline"] * 3
    assert all(tuple(row) == summary_columns(EMOTIONS) for row in rows)
    assert summary_columns(EMOTIONS)[:5] == ("person", "condition", "talking_s", "seen_s", "share_neutral")
    assert rows[0]["share_sad"] == pytest.approx(0.3) and rows[2]["share_sad"] is None
