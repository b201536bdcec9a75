"""Ratings after enrollment: what is known of a speaker is never scored, and never of another speaker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emofuse.core.dimensions import Combination, Dimension
from emofuse.core.own_ratings import PersonalShift, Spread
from emofuse.core.rating_metrics import concordance
from emofuse.evaluation.rating_enrollment import CLIPS, DRAWS, KINDS, enroll_fold, rating_enrollment
from emofuse.training.dataset import Inputs
from tests.support import small_ensembles

N_SPEAKERS, N_CLIPS = 6, 16
FITTED = (
    Dimension(
        "valence", 0.0, 8.0,
        {"fused": Combination({"voice": 1.0}, 0.0, 1.0,
                              PersonalShift(Spread(1.0, 0.5), Spread(1.0, 1.0), 4.0, 1.0))},
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    made = small_ensembles.make_inputs(tmp_path_factory.mktemp("inputs"), n_actors=N_SPEAKERS, takes=2)
    ratings = np.random.default_rng(0).uniform(2, 6, (len(made.labels), 1))
    return replace(made, dimensions=("valence",), ratings=ratings)


def outputs_of(inputs: Inputs, bias: float) -> dict[str, dict[int, np.ndarray]]:
    """Ratings with noise, and an error of each speaker's own."""
    rng = np.random.default_rng(1)
    own = dict(zip(np.unique(inputs.speakers), rng.normal(0, bias, N_SPEAKERS), strict=True))
    noise = rng.normal(0, 0.3, len(inputs.labels))
    values = inputs.ratings[:, 0] + [own[one] for one in inputs.speakers] + noise
    return {"voice": {row: np.array([one]) for row, one in enumerate(values)}}


def test_known_clips_are_not_scored_and_others_are(inputs: Inputs) -> None:
    found = enroll_fold(FITTED, outputs_of(inputs, 1.0), inputs, seed=3)
    assert set(found) == {("valence", kind, n) for kind in KINDS for n in CLIPS if 2 * n <= N_CLIPS}
    for (_, _, n), part in found.items():
        assert len(part.truth) == N_SPEAKERS * DRAWS * (N_CLIPS - n)
        for speaker in np.unique(part.actors):
            own = set(inputs.ratings[inputs.speakers == speaker, 0].tolist())
            assert set(part.truth[part.actors == speaker].tolist()) <= own


def test_the_rating_of_a_clip_does_not_change_its_own_prediction(inputs: Inputs) -> None:
    outputs, row = outputs_of(inputs, 1.0), 5
    changed = inputs.ratings.copy()
    changed[row] = 777.0
    before = enroll_fold(FITTED, outputs, inputs, seed=3)
    after = enroll_fold(FITTED, outputs, replace(inputs, ratings=changed), seed=3)
    for key, part in after.items():
        here = part.truth == 777.0
        assert here.any()
        np.testing.assert_array_equal(before[key].truth[here], inputs.ratings[row, 0])
        np.testing.assert_array_equal(part.predicted[here], before[key].predicted[here])
        others = part.actors != inputs.speakers[row]
        np.testing.assert_array_equal(part.predicted[others], before[key].predicted[others])
        if key[1] == "unrated":
            np.testing.assert_array_equal(part.predicted, before[key].predicted)


def test_figures_stand_beside_those_of_the_same_clips_without(inputs: Inputs) -> None:
    points = rating_enrollment([enroll_fold(FITTED, outputs_of(inputs, 1.2), inputs, seed=3)], "valence", 0)
    assert [(one["kind"], one["clips"]) for one in points] == [
        (kind, n) for kind in KINDS for n in (1, 2, 4, 8)
    ]
    for one in points:
        assert one["ccc"] is not None and one["ccc_without"] is not None and one["ccc_ci95"] is not None
        assert one["ccc_ci95"][0] <= one["ccc"] <= one["ccc_ci95"][1]
        assert one["n_actors"] == N_SPEAKERS
    last = points[-1]
    assert last["ccc"] is not None and last["ccc_without"] is not None
    assert last["ccc"] > last["ccc_without"] + 0.1
    part = enroll_fold(FITTED, outputs_of(inputs, 1.2), inputs, seed=3)["valence", "rated", 8]
    assert last["ccc"] == concordance(part.truth, part.predicted)


def test_speakers_with_few_clips_and_missing_ratings_are_left_out(inputs: Inputs) -> None:
    few = inputs.ratings.copy()
    first = np.flatnonzero(inputs.speakers == inputs.speakers[0])
    few[first[3:]] = np.nan
    found = enroll_fold(FITTED, outputs_of(inputs, 1.0), replace(inputs, ratings=few), seed=3)
    assert inputs.speakers[0] in found["valence", "rated", 1].actors
    assert inputs.speakers[0] not in found["valence", "rated", 2].actors
    nothing = replace(inputs, ratings=np.full_like(few, np.nan))
    assert enroll_fold(FITTED, outputs_of(inputs, 1.0), nothing, seed=3) == {}
    assert rating_enrollment([{}], "valence", 0) == []
