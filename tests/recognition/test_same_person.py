"""Recordings of one person, each against the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from emofuse import Recognizer
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction
from emofuse.features.own_baseline import ENOUGH_SPREAD_NATS, OwnBaseline
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load()


def predictions(n: int = 10, *, towards: int = 0) -> list[Prediction]:
    """Voices of several moods, all of which read a little too much like one emotion."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.3, (n, 8))
    logits[np.arange(n), np.arange(n) % 8] += 4
    logits[:, towards] += 2
    rows = np.exp(log_softmax(logits, axis=1))
    return [Prediction(f"{i}.wav", EMOTIONS, row, ("voice",), voice=row) for i, row in enumerate(rows)]


def test_each_is_read_against_the_mean_of_the_others(recognizer: Recognizer) -> None:
    given = predictions()
    found = recognizer.same_person(iter(given))
    logs = np.log([not_none(one.voice) for one in given])
    logs -= logs.mean(axis=1, keepdims=True)
    for i, one in enumerate(found):
        others = np.delete(logs, i, axis=0)
        # all but full strength by the spread, 9 clips of 11 by number
        expected = np.exp(log_softmax(logs[i] - 9 / 11 * others.mean(axis=0)))
        np.testing.assert_allclose(not_none(one.probabilities), expected, rtol=1e-9)
        np.testing.assert_allclose(not_none(one.voice), expected, rtol=1e-9)
        assert one.notes == (
            "own baseline of the other recordings, voice: 82 % of the mean of 9 clips subtracted",
        )
        plain = one.meta["own_baseline"]["plain"]["voice"]
        assert list(plain.values()) == not_none(given[i].voice).tolist()
    assert OwnBaseline.of(np.array([not_none(one.voice) for one in given[1:]])).spread_nats > (
        ENOUGH_SPREAD_NATS
    )


def test_a_copy_of_a_recording_is_not_another_recording(recognizer: Recognizer) -> None:
    given = predictions()
    copied = [*given, replace(given[3], source="copy.wav")]
    found = recognizer.same_person(copied)
    np.testing.assert_array_equal(
        not_none(found[3].probabilities), not_none(recognizer.same_person(given)[3].probabilities)
    )
    np.testing.assert_array_equal(not_none(found[3].probabilities), not_none(found[-1].probabilities))


def test_one_mood_is_left_as_it_is(recognizer: Recognizer) -> None:
    rng = np.random.default_rng(1)
    rows = np.exp(log_softmax(np.eye(8)[4] * 4 + rng.normal(0, 0.3, (8, 8)), axis=1))
    given = [Prediction(f"{i}.wav", EMOTIONS, row, ("voice",), voice=row) for i, row in enumerate(rows)]
    for before, after in zip(given, recognizer.same_person(given), strict=True):
        np.testing.assert_array_equal(not_none(after.probabilities), not_none(before.probabilities))
        assert "voice: nothing subtracted, 7 clips may be of one mood" in after.notes[0]


def test_one_recording_has_no_others_and_failures_stay(recognizer: Recognizer) -> None:
    failed = Prediction.failed("broken.wav", EMOTIONS, "broken.wav: damaged")
    (one,) = predictions(1)
    after, still = recognizer.same_person([one, failed])
    assert still is failed
    np.testing.assert_array_equal(not_none(after.probabilities), not_none(one.probabilities))
    assert after.notes == ("own baseline of the other recordings, nothing to make one of",)
