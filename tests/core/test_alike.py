from __future__ import annotations

import numpy as np

from emofuse.core.alike import alike_indices, are_tied, joined_name, shown_groups
from emofuse.core.labels import EMOTIONS

NEUTRAL, CALM, HAPPY = (EMOTIONS.index(name) for name in ("neutral", "calm", "happy"))


def halves(share: float) -> np.ndarray:
    """What a network without calm gives for this share of neutral."""
    p = np.full(8, (1 - share) / 6)
    p[[NEUTRAL, CALM]] = share / 2
    return p


def test_neutral_and_calm_of_a_face_alone_are_shown_as_one() -> None:
    groups = shown_groups(EMOTIONS, halves(0.96), face_alone=True)
    assert groups == [(NEUTRAL, CALM), *((i,) for i in range(2, 8))]
    assert joined_name([EMOTIONS[i] for i in groups[0]]) == "neutral or calm"


def test_a_voice_or_a_face_that_knows_calm_tells_them_apart() -> None:
    single = [(i,) for i in range(8)]
    assert shown_groups(EMOTIONS, halves(0.96), face_alone=False) == single
    p = halves(0.96)
    p[CALM] *= 1.01
    assert shown_groups(EMOTIONS, p, face_alone=True) == single


def test_no_other_emotions_of_equal_probability_are_alike() -> None:
    assert alike_indices(EMOTIONS, np.full(8, 1 / 8), HAPPY) == ()
    assert alike_indices(EMOTIONS, np.full(8, 1 / 8), CALM) == (NEUTRAL,)
    assert alike_indices(("happy", "sad"), np.full(2, 0.5), 0) == ()


def test_several_rows_must_all_agree() -> None:
    rows = np.stack([halves(0.9), halves(0.5)])
    assert alike_indices(EMOTIONS, rows, NEUTRAL) == (CALM,)
    rows[1, CALM] += 0.1
    assert alike_indices(EMOTIONS, rows, NEUTRAL) == ()


def test_rows_are_tied_where_the_greatest_belongs_to_several() -> None:
    p = np.stack([halves(0.9), halves(0.9), halves(0.1), np.full(8, np.nan), halves(0.9)])
    p[1, CALM] *= 1.01
    p[4, CALM] *= 1.0005  # what half precision leaves
    assert are_tied(EMOTIONS, p).tolist() == [True, False, False, False, True]
    assert are_tied(("happy", "sad"), np.full((1, 2), 0.5)).tolist() == [False]
    assert are_tied(EMOTIONS, np.empty((0, 8))).tolist() == []
