"""A person's own baseline against closed formulas: what is subtracted, and when it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.features.own_baseline import (
    ENOUGH_SPREAD_NATS,
    LEAST_SPREAD_NATS,
    PRIOR_CLIPS,
    TYPICAL_NATS,
    OwnBaseline,
    centered_logs,
    fused_strength,
    information_nats,
)

N = len(EMOTIONS)


def readings(n: int = 12, seed: int = 0, scale: float = 1.5) -> np.ndarray:
    """Probabilities of clips that differ."""
    logits = np.random.default_rng(seed).normal(0, scale, (n, N))
    return np.asarray(np.exp(log_softmax(logits, axis=1)))


def sure(*emotions: int) -> np.ndarray:
    """Clips that are read with near certainty, one per given emotion."""
    rows = np.full((len(emotions), N), 1e-9)
    rows[np.arange(len(emotions)), list(emotions)] = 1
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def baseline(n: float = 8, spread: float = 1.0) -> OwnBaseline:
    return OwnBaseline(n, np.linspace(-1, 1, N), spread)


def test_the_mean_is_that_of_the_log_probabilities() -> None:
    rows = readings()
    expected = np.log(rows).mean(axis=0)
    np.testing.assert_allclose(OwnBaseline.of(rows).mean, expected - expected.mean(), rtol=1e-9)


def test_the_spread_is_the_mutual_information_of_clip_and_emotion() -> None:
    rows = readings()
    left = np.exp(log_softmax(np.log(rows) - np.log(rows).mean(axis=0), axis=1))
    # scipy's: mean divergence of each clip from their mean
    expected = np.mean([entropy(one, left.mean(axis=0)) for one in left])
    assert OwnBaseline.of(rows).spread_nats == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k", [2, 4, 8])
def test_clips_that_are_certain_spread_over_the_number_of_their_moods(k: int) -> None:
    found = OwnBaseline.of(sure(*list(range(k)) * 4)).spread_nats
    # a little less: log-probabilities have a floor, so that no clip is quite certain
    assert math.log(k) - 0.03 < found <= math.log(k)


def test_equal_clips_have_no_spread_and_are_not_subtracted() -> None:
    found = OwnBaseline.of(np.repeat(readings(1), 8, axis=0))
    assert found.spread_nats == pytest.approx(0, abs=1e-12)
    assert found.strength() == 0


def test_one_clip_is_not_subtracted_and_none_changes_nothing() -> None:
    assert OwnBaseline.of(readings(1)).strength() == 0
    none = OwnBaseline.of(np.zeros((0, N)))
    assert (none.n, none.strength()) == (0, 0)
    rows = readings(3)
    np.testing.assert_allclose(none.subtract(rows, none.strength()), rows, rtol=1e-12)


def test_subtracting_is_bayes_with_the_mean_as_the_habit() -> None:
    rows = readings(5, seed=3)
    own = OwnBaseline.of(readings(9, seed=4))
    expected = rows * np.exp(-0.7 * own.mean)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(own.subtract(rows, 0.7), expected, rtol=1e-9)
    np.testing.assert_allclose(own.subtract(rows[2], 0.7), expected[2], rtol=1e-9)


def test_strength_grows_with_the_clips_and_with_their_spread() -> None:
    enough = ENOUGH_SPREAD_NATS
    assert baseline(8, enough).strength() == pytest.approx(8 / (8 + PRIOR_CLIPS))
    assert baseline(1e9, enough).strength() == pytest.approx(1)
    assert baseline(8, LEAST_SPREAD_NATS).strength() == 0
    half = (LEAST_SPREAD_NATS + enough) / 2
    assert baseline(8, half).strength() == pytest.approx(0.4)
    assert baseline(8, 0.0).strength_by_number == pytest.approx(0.8)


def test_a_surer_recognizer_needs_more_spread() -> None:
    one = baseline(8, ENOUGH_SPREAD_NATS)
    assert one.strength(TYPICAL_NATS * 1.5) == 0
    assert baseline(8, ENOUGH_SPREAD_NATS * 1.5).strength(TYPICAL_NATS * 1.5) == pytest.approx(0.8)
    # one that is less sure is not trusted with less
    assert baseline(8, ENOUGH_SPREAD_NATS * 0.8).strength(TYPICAL_NATS * 0.5) == 0


def test_a_joint_reading_is_shifted_as_the_weaker_modality() -> None:
    assert fused_strength({"voice": 0.8, "face": 0.3}) == 0.3
    assert fused_strength({"voice": 0.8}) == 0


def test_what_a_clip_tells_on_average() -> None:
    rows = readings()
    assert information_nats(rows) == pytest.approx(math.log(N) - np.mean(entropy(rows, axis=1)))
    assert information_nats(np.full((3, N), 1 / N)) == pytest.approx(0)


def test_probabilities_of_zero_count_as_the_least_that_a_fusion_reads() -> None:
    logs = centered_logs(np.eye(N)[:1])
    assert logs.max() - logs.min() == pytest.approx(-MIN_LOG_PROBABILITY)
    assert np.isfinite(OwnBaseline.of(np.eye(N)).mean).all()


@pytest.mark.parametrize(
    "bad", [{"n": -1.0}, {"n": math.nan}, {"spread_nats": math.inf}, {"mean": np.full(N, np.nan)}]
)
def test_what_cannot_be_a_baseline_is_refused(bad: dict[str, object]) -> None:
    good: dict[str, object] = {"n": 3.0, "mean": np.zeros(N), "spread_nats": 0.5}
    with pytest.raises(ValueError, match="must"):
        OwnBaseline(**good | bad)  # type: ignore[arg-type]
