"""Figures by corpus, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from emofuse.core.labels import EMOTIONS
from emofuse.training.corpus_figures import corpus_figures, figures_by_corpus

SIX = ("neutral", "happy", "sad", "angry", "fearful", "surprised")
PLACES = [EMOTIONS.index(emotion) for emotion in SIX]


def test_decisions_are_among_a_corpus_own_emotions() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(PLACES, 120)
    p = rng.dirichlet(np.full(8, 0.4), 120)
    speakers = np.array([f"s{i % 4}" for i in range(120)])
    by_hand = p.copy()
    by_hand[:, 0] += by_hand[:, 1]  # calm counts as neutral
    predicted = np.array(PLACES)[by_hand[:, PLACES].argmax(1)]
    found = corpus_figures("nEMO", SIX, truth, p, speakers, seed=3)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["uar"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert (found["n"], found["n_actors"], found["emotions"]) == (120, 4, list(SIX))
    for figure, bounds in ((found["accuracy"], found["accuracy_ci95"]), (found["uar"], found["uar_ci95"])):
        assert bounds is not None
        assert bounds[0] < figure < bounds[1]
    one = corpus_figures("nEMO", SIX, truth, p, np.full(120, "s"), seed=3)
    assert (one["accuracy_ci95"], one["uar_ci95"]) == (None, None)


def test_each_corpus_is_measured_apart() -> None:
    rng = np.random.default_rng(0)
    truth, p = rng.choice(PLACES, 80), rng.dirichlet(np.full(8, 0.4), 80)
    speakers = np.array([f"{'ab'[i % 2]}:{i % 4}" for i in range(80)])
    corpora = {speaker: speaker[0] for speaker in speakers}
    distinguished = {"b": SIX, "a": EMOTIONS, "empty": SIX}
    found = figures_by_corpus(truth, p, speakers, corpora, distinguished, seed=1)
    assert [one["name"] for one in found] == ["b", "a"]
    for one in found:
        own = np.array([corpora[s] == one["name"] for s in speakers])
        alone = corpus_figures(
            one["name"], distinguished[one["name"]], truth[own], p[own], speakers[own], seed=1
        )
        assert one == alone
    assert figures_by_corpus(truth, p, speakers, {}, {}, seed=1) == []
