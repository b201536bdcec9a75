"""Whose own baseline a recording gives, when, and what windows then hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from emofuse import Recognizer
from emofuse.features.own_baseline import Reading
from emofuse.timeline.own_baselines import LEAST_CLIPS, RunningBaselines, with_own_baselines
from emofuse.timeline.records import Window
from tests.support.typed import not_none

WINDOW_S = 3.0


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load()


def faces(
    n: int, *, moods: int = 8, person: str | None = "person 1", start_s: float = 0.0, hop_s: float = 1.0
) -> list[Window]:
    """Windows of a face of several moods, which reads too much as neutral in all of them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.2, (n, 8))
    logits[np.arange(n), np.arange(n) % moods] += 4
    logits[:, 0] += 2
    rows = np.exp(log_softmax(logits, axis=1))
    return [
        Window(start_s + i * hop_s, start_s + i * hop_s + WINDOW_S, None, row, row, person=person)
        for i, row in enumerate(rows)
    ]


def test_a_person_in_several_moods_is_read_against_the_mean_of_the_windows(recognizer: Recognizer) -> None:
    windows = faces(22)  # 24 s
    found, baselines = with_own_baselines(recognizer, windows, WINDOW_S)
    logs = np.log([not_none(one.face) for one in windows])
    logs -= logs.mean(axis=1, keepdims=True)
    expected = np.exp(log_softmax(logs - 8 / 10 * logs.mean(axis=0), axis=1))
    np.testing.assert_allclose([not_none(one.face) for one in found], expected, rtol=1e-9)
    np.testing.assert_allclose([not_none(one.fused) for one in found], expected, rtol=1e-9)
    for before, after in zip(windows, found, strict=True):
        assert (after.baseline, after.other) == ("own", Reading(None, before.face, before.fused))
        assert replace(after, face=before.face, fused=before.fused, baseline=None, other=None) == before
    one = baselines["person 1"]
    assert one.leading == "own"
    assert one.baselines["face"].n == pytest.approx(LEAST_CLIPS)
    assert one.described == ("read against their own baseline, face: 80 % of the mean of 8 clips subtracted")
    assert one.as_data()["face"]["subtracted"] == 0.8


def test_less_than_eight_windows_one_after_the_other_are_not_enough(recognizer: Recognizer) -> None:
    windows = faces(21)  # 23 s
    found, baselines = with_own_baselines(recognizer, windows, WINDOW_S)
    assert found == windows and baselines == {}
    # gaps do not count
    apart = [*faces(11), *faces(10, start_s=100.0)]
    assert with_own_baselines(recognizer, apart, WINDOW_S)[1] != {}  # 13 s and 12 s
    apart = [*faces(10), *faces(9, start_s=100.0)]
    assert with_own_baselines(recognizer, apart, WINDOW_S)[1] == {}  # 12 s and 11 s


def test_one_mood_leaves_the_plain_reading_in_the_lead(recognizer: Recognizer) -> None:
    windows = faces(40, moods=1)
    found, baselines = with_own_baselines(recognizer, windows, WINDOW_S)
    assert baselines["person 1"].leading == "plain"
    assert "may be of one mood" in baselines["person 1"].described
    for before, after in zip(windows, found, strict=True):
        np.testing.assert_array_equal(not_none(after.face), not_none(before.face))
        assert after.baseline == "plain"
        # the other reading is the mean subtracted by number alone: flat
        assert not_none(not_none(after.other).face).max() < 0.5 < not_none(before.face).max()


def test_people_do_not_share_a_baseline_and_nobody_has_none(recognizer: Recognizer) -> None:
    anna, nobody = faces(40), faces(40, person=None)
    bert = faces(5, person="person 2")
    mixed = sorted([*anna, *bert, *nobody], key=lambda one: one.start_s)
    found, baselines = with_own_baselines(recognizer, mixed, WINDOW_S)
    assert set(baselines) == {"person 1"}
    alone, _ = with_own_baselines(recognizer, anna, WINDOW_S)
    assert [one for one in found if one.person == "person 1"] == alone
    assert [one for one in found if one.person != "person 1"] == [
        one for one in mixed if one.person != "person 1"
    ]


def test_windows_without_what_the_baseline_is_of_stay_as_they_are(recognizer: Recognizer) -> None:
    windows = faces(30)
    voice = windows[3].face
    windows[3] = replace(windows[3], face=None, voice=voice)  # too little of the voice for a baseline
    windows[4] = replace(windows[4], face=None, fused=None)
    found, _ = with_own_baselines(recognizer, windows, WINDOW_S)
    assert found[3:5] == windows[3:5]
    assert found[5].baseline == "own"


def test_both_modalities_are_fused_again(recognizer: Recognizer) -> None:
    windows = [replace(one, voice=one.face) for one in faces(40)]
    found, known = with_own_baselines(recognizer, windows, WINDOW_S)
    one = known["person 1"]
    assert set(one.strengths) == {"voice", "face"}
    plain = Reading(windows[0].voice, windows[0].face, windows[0].fused)
    expected = recognizer.baselines.against(plain, one.baselines, one.strengths)
    np.testing.assert_array_equal(not_none(found[0].fused), not_none(expected.fused))


def test_a_stream_is_read_against_the_windows_before(recognizer: Recognizer) -> None:
    windows = faces(60)
    running = RunningBaselines(recognizer, WINDOW_S)
    found = [running.read(one) for one in windows]
    assert found[:22] == windows[:22]  # 24 s are needed before
    assert {one.baseline for one in found[22:]} == {"own"}
    # the 51st window against the 50 before it: neither more nor less
    logs = np.log([not_none(one.face) for one in windows[:51]])
    logs -= logs.mean(axis=1, keepdims=True)
    n = 52 / 3
    expected = np.exp(log_softmax(logs[50] - n / (n + 2) * logs[:50].mean(axis=0)))
    np.testing.assert_allclose(not_none(found[50].face), expected, rtol=1e-9)


def test_who_was_read_with_a_profile_has_no_baseline_of_the_recording(recognizer: Recognizer) -> None:
    windows = [*faces(40), *faces(40, person="person 2", start_s=50.0)]
    found, known = with_own_baselines(recognizer, windows, WINDOW_S, enrolled={"person 1": "Anna"})
    assert set(known) == {"person 2"}
    assert found[:40] == windows[:40]
    running = RunningBaselines(recognizer, WINDOW_S, enrolled=["person 1"])
    streamed = [running.read(one) for one in windows]
    assert streamed[:40] == windows[:40] and streamed[-1].baseline == "own"
