"""The likelihood of a face, against a count by hand; what a face that shows nothing may say."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.training.face_likelihood import (
    HIDDEN_SHARE,
    likelihood_of_clips,
    likelihood_of_faces,
    log_likelihood,
)

N = len(EMOTIONS)
NEUTRAL, CALM, HAPPY, SAD = 0, 1, 2, 3


def outputs(n: int, seed: int = 0, right: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of a network that is mostly right, and what is expressed."""
    rng = np.random.default_rng(seed)
    emotions = np.arange(n) % N
    scores = rng.standard_normal((n, N)) + right * np.eye(N)[emotions]
    logs: np.ndarray = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return logs, emotions


def by_hand(logs: np.ndarray, emotions: np.ndarray, hidden: float) -> np.ndarray:
    """Row by row: shares of outputs, and fifty clips as believed beforehand."""
    rows = []
    for emotion in range(N):
        counts = [0.0] * N
        for log, truth in zip(logs, emotions, strict=True):
            if truth == emotion:
                counts = [c + np.exp(value) for c, value in zip(counts, log, strict=True)]
        for k in range(N):
            look = 0.5 if k in (NEUTRAL, CALM) else 0.0
            own = look if emotion in (NEUTRAL, CALM) else float(k == emotion)
            counts[k] += 50 * (hidden * look + (1 - hidden) * (0.5 * own + 0.5 / N))
        rows.append([c / sum(counts) for c in counts])
    return np.array(rows)


def test_clips_are_counted_in_shares_beside_the_prior() -> None:
    logs, emotions = outputs(200)
    matrix = likelihood_of_clips(logs, emotions)
    np.testing.assert_allclose(matrix, by_hand(logs, emotions, HIDDEN_SHARE), rtol=1e-12)
    np.testing.assert_allclose(matrix.sum(1), 1)


def test_faces_are_counted_likewise_and_half_of_them_hidden() -> None:
    logs, emotions = outputs(200)
    emotions[emotions == CALM] = NEUTRAL  # as in FER+
    doubled = np.concatenate([logs, logs[emotions == NEUTRAL]])
    with_calm = np.concatenate([emotions, np.full(int((emotions == NEUTRAL).sum()), CALM)])
    look = np.zeros(N)
    look[[NEUTRAL, CALM]] = 0.5
    expected = 0.5 * look + 0.5 * by_hand(doubled, with_calm, 0.0)
    matrix = likelihood_of_faces(logs, emotions)
    np.testing.assert_allclose(matrix, expected, rtol=1e-12)
    np.testing.assert_array_equal(matrix[NEUTRAL], matrix[CALM])
    np.testing.assert_allclose(matrix.sum(1), 1)


def test_without_any_clip_it_is_the_prior() -> None:
    matrix = likelihood_of_clips(np.zeros((0, N)), np.zeros(0, dtype=np.int64))
    np.testing.assert_allclose(matrix, by_hand(np.zeros((0, N)), np.zeros(0), HIDDEN_SHARE))
    assert (matrix.argmax(1)[2:] < 2).all()  # what is most often seen of any expression is nothing


def sure_of(*emotions: int) -> np.ndarray:
    """Outputs of a network that is nearly certain."""
    shares = np.full(N, 1e-4)
    shares[list(emotions)] = 1 / len(emotions)
    out: np.ndarray = np.log(shares / shares.sum())[None]
    return out


@pytest.mark.parametrize("learn", [likelihood_of_clips, likelihood_of_faces])
def test_neutral_says_little_and_an_expression_much(learn: object) -> None:
    logs, emotions = outputs(4000)
    matrix = learn(logs, emotions)  # type: ignore[operator]
    neutral = log_likelihood(sure_of(NEUTRAL, CALM), matrix)[0]
    happy = log_likelihood(sure_of(HAPPY), matrix)[0]
    assert neutral.argmax() in (NEUTRAL, CALM)
    assert happy.argmax() == HAPPY
    if learn is likelihood_of_faces:
        assert np.ptp(np.exp(neutral)) < 0.5
        assert neutral.max() - neutral.min() < np.log(2.5)  # however sure the network is
        assert happy[HAPPY] - np.delete(happy, HAPPY).max() > np.log(5)


def test_it_is_monotone_in_what_the_network_outputs() -> None:
    """The surer the network is of an emotion, the likelier the face is under it against any other."""
    matrix = likelihood_of_faces(*outputs(400))
    before: np.ndarray | None = None
    for share in np.linspace(0, 1, 11):
        shares = (1 - share) * np.exp(sure_of(NEUTRAL, CALM)[0]) + share * np.exp(sure_of(SAD)[0])
        now = log_likelihood(np.log(shares)[None], matrix)[0]
        ratio = now[SAD] - np.delete(now, SAD)
        if before is not None:
            assert (ratio > before).all()
        before = ratio


def test_it_is_calibrated_where_the_world_is_as_it_was_counted() -> None:
    """Of faces that a network calls happy, as many are happy as Bayes' rule says with the counted rows."""
    rng = np.random.default_rng(3)
    true = np.full((N, N), 0.05)
    true += (1 - 0.05 * N) * np.eye(N)
    emotions = rng.integers(0, N, 200_000)  # so many that the prior hardly counts
    named = (rng.random(len(emotions))[:, None] > true.cumsum(1)[emotions]).sum(1).clip(max=N - 1)
    certain = np.log(np.full((N, N), 1e-9) + np.eye(N))
    matrix = likelihood_of_clips(certain[named], emotions)
    posterior = np.exp(log_likelihood(certain[named], matrix))
    posterior /= posterior.sum(1, keepdims=True)
    for emotion in range(N):
        found = named == emotion
        right = (emotions[found] == emotion).mean()
        assert posterior[found, emotion].mean() == pytest.approx(right, abs=0.01)
