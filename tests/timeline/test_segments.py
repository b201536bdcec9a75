from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS
from emofuse.timeline.records import Timeline, Window
from emofuse.timeline.segments import SegmentRules, make_segments, viterbi_path

HAPPY, SAD = EMOTIONS.index("happy"), EMOTIONS.index("sad")


def one_high(emotion: int, top: float = 0.8) -> NDArray[np.float64]:
    p = np.full(len(EMOTIONS), (1 - top) / (len(EMOTIONS) - 1))
    p[emotion] = top
    return p


def windows(emotions: Sequence[int | None], person: str | None = None, top: float = 0.8) -> list[Window]:
    """Three seconds each, one every second."""
    fused = [None if emotion is None else one_high(emotion, top) for emotion in emotions]
    return [Window(float(i), i + 3.0, None, None, one, person=person) for i, one in enumerate(fused)]


def test_the_viterbi_path_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for n, n_classes, cost in ((1, 3, 1.0), (5, 3, 0.7), (6, 4, 1.5), (6, 3, 0.0)):
        answers = rng.dirichlet(np.ones(n_classes), n)
        logs = np.log(answers)

        def worth(path: tuple[int, ...], logs: NDArray[np.float64] = logs, cost: float = cost) -> float:
            changes = sum(a != b for a, b in itertools.pairwise(path))
            return float(sum(logs[i, k] for i, k in enumerate(path)) - cost * changes)

        best = max(worth(path) for path in itertools.product(range(n_classes), repeat=n))
        found = viterbi_path(answers, cost)
        assert worth(tuple(int(k) for k in found)) == pytest.approx(best, abs=1e-12)


def test_a_change_is_found_where_it_is() -> None:
    found = make_segments(windows([HAPPY] * 10 + [SAD] * 10), (0.0, 22.0), EMOTIONS)
    assert [segment.emotion for segment in found] == ["happy", "sad"]
    # the last window of the first emotion has its middle at 10.5 s, the first of the second at 11.5 s
    assert found[0].end_s == found[1].start_s == 11.0
    assert (found[0].start_s, found[1].end_s) == (0.0, 22.0)
    assert found[0].confidence is not None and 0.7 < found[0].confidence <= 0.8


def test_a_single_window_is_smoothed_over() -> None:
    emotions = [HAPPY] * 6 + [SAD] + [HAPPY] * 6
    found = make_segments(windows(emotions, top=0.6), (0.0, 15.0), EMOTIONS)
    assert [segment.emotion for segment in found] == ["happy"]
    free = make_segments(windows(emotions, top=0.6), (0.0, 15.0), EMOTIONS, rules=SegmentRules(0.0, 0.0))
    assert "sad" in {segment.emotion for segment in free}


def test_what_could_not_be_read_is_a_segment_without_a_result() -> None:
    found = make_segments(windows([None] * 5 + [SAD] * 5 + [None] * 5), (0.0, 20.0), EMOTIONS)
    assert [segment.emotion for segment in found] == [None, "sad", None]
    assert [segment.confidence is None for segment in found] == [True, False, True]
    assert [(segment.start_s, segment.end_s) for segment in found] == [(0.0, 5.0), (5.0, 12.0), (12.0, 20.0)]


def test_unsure_results_are_abstained_from() -> None:
    found = make_segments(windows([HAPPY] * 4, top=0.3), (0.0, 6.0), EMOTIONS)
    assert [(s.emotion, s.abstained) for s in found] == [(None, True)]
    assert found[0].confidence == pytest.approx(0.3)


def test_an_absent_person_has_no_result() -> None:
    found = make_segments(
        windows([HAPPY] * 10, "person 1"),
        (0.0, 12.0),
        EMOTIONS,
        presence={"person 1": [(2.2, 5.4), (8.0, 9.0)]},
    )
    assert [(s.start_s, s.end_s) for s in found if s.emotion] == [(2.2, 5.4), (8.0, 9.0)]
    assert found[0].start_s == 0.0 and found[-1].end_s == 12.0


def test_changes_happen_at_a_frame() -> None:
    frame_times = np.arange(0, 22, 0.2) + 0.033
    found = make_segments(
        windows([HAPPY] * 10 + [SAD] * 10), (0.0, 22.0), EMOTIONS, frame_times=np.asarray(frame_times)
    )
    assert found[0].end_s == pytest.approx(11.033)


def test_people_are_told_apart_and_make_a_timeline() -> None:
    both = sorted(
        windows([HAPPY] * 8, "person 1") + windows([SAD] * 8, "person 2"), key=lambda window: window.start_s
    )
    found = make_segments(both, (0.0, 10.0), EMOTIONS)
    assert [(s.person, s.emotion) for s in found] == [("person 1", "happy"), ("person 2", "sad")]
    Timeline("a.mp4", 10.0, 0.0, tuple(both), found, EMOTIONS, "r", people=("person 1", "person 2"))


def test_windows_with_a_gap_between_them() -> None:
    far = [Window(50.0, 53.0, None, None, one_high(SAD))]
    found = make_segments(windows([HAPPY] * 3) + far, (0.0, 60.0), EMOTIONS)
    assert [(s.start_s, s.end_s, s.emotion) for s in found] == [
        (0.0, 5.0, "happy"), (5.0, 50.0, None), (50.0, 53.0, "sad"), (53.0, 60.0, None),
    ]  # fmt: skip


def test_an_empty_recording() -> None:
    assert make_segments([], (0.0, 0.0), EMOTIONS) == ()
    assert make_segments([], (0.0, 5.0), EMOTIONS) == ()


@pytest.mark.parametrize("wrong", [{"change_cost": -1.0}, {"change_cost": math.nan}, {"abstain_below": 1.5}])
def test_wrong_rules(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegmentRules(**wrong)


def steady(share: float, *, heard: bool = False) -> list[Window]:
    """A face that shows neutral or calm with this probability, and does not say which."""
    p = np.full(8, (1 - share) / 6)
    p[:2] = share / 2
    return [Window(float(i), i + 3.0, p if heard else None, p, p, person="a") for i in range(8)]


@pytest.mark.parametrize("share", [0.96, 0.7, 0.5])
def test_a_steady_face_is_neutral_or_calm_and_not_unsure(share: float) -> None:
    (segment,) = make_segments(steady(share), (0.0, 10.0), EMOTIONS)
    assert (segment.emotion, segment.alike, segment.abstained) == ("neutral", ("calm",), False)
    assert segment.shown_emotion == "neutral or calm"
    assert segment.confidence == pytest.approx(share / 2)
    assert segment.shown_confidence == pytest.approx(share)
    # tables keep the emotions of the recognizer
    assert segment.as_row()["emotion"] == "neutral" and segment.as_row()["confidence"] == segment.confidence


def test_a_steady_face_below_the_limit_or_with_a_voice_is_judged_as_before() -> None:
    (faint,) = make_segments(steady(0.38), (0.0, 10.0), EMOTIONS)
    assert faint.abstained and faint.alike == ()
    (heard,) = make_segments(steady(0.7, heard=True), (0.0, 10.0), EMOTIONS)
    assert heard.abstained
    (sure,) = make_segments(steady(0.96, heard=True), (0.0, 10.0), EMOTIONS)
    assert (sure.shown_emotion, sure.shown_confidence) == ("neutral", sure.confidence)
