"""Networks that weigh the parts of an utterance, fitted on clips whose emotion shows in one part only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.part import AttentionPooling, Training
from emofuse.training.attention import train_attention
from emofuse.training.loop import infer
from emofuse.training.networks.attention_pooling import PartsView
from emofuse.training.supervision import Supervision

N_PARTS, WIDTH, N_EMOTIONS = 4, 10, 3
VIEW = PartsView(slice(2, 2 + N_PARTS * WIDTH), N_PARTS)
SETTINGS = AttentionPooling(
    networks=2, hidden=16, heads=2, training=Training(epochs=30, batch_size=16, learning_rate=5e-3)
)


def clips(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Noise, but for a pattern of the emotion in one part, drawn anew for each clip."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N_EMOTIONS, n)
    parts = rng.standard_normal((n, N_PARTS, WIDTH))
    patterns = np.random.default_rng(9).standard_normal((N_EMOTIONS, WIDTH))
    parts[np.arange(n), rng.integers(0, N_PARTS, n)] += 4 * patterns[labels]
    values = np.concatenate([rng.standard_normal((n, 2)), parts.reshape(n, -1)], axis=1)
    return values.astype(np.float32), labels


def test_the_part_that_tells_is_found_wherever_it_is() -> None:
    values, labels = clips(300, 0)
    faster = values + 0.1
    networks, curve = train_attention([values, faster], labels, VIEW, SETTINGS, n_emotions=3, seed=0)
    unseen, truth = clips(300, 1)
    _, logs = infer(networks, unseen)
    assert (logs.argmax(1) == truth).mean() > 0.9
    assert len(curve) == 30
    assert curve[-1].train_loss < curve[0].train_loss / 2


def test_the_seed_decides() -> None:
    values, labels = clips(60, 0)
    state = torch.random.get_rng_state()
    first, again, other = (
        train_attention([values], labels, VIEW, SETTINGS, n_emotions=3, seed=seed)[0].state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["members.0.project.weight"], other["members.0.project.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_an_emotion_that_a_corpus_does_not_have_is_not_held_against_it() -> None:
    """Half of the clips come from a corpus that does not distinguish the third emotion."""
    values, labels = clips(400, 0)
    known = np.ones((400, N_EMOTIONS), dtype=np.bool_)
    known[200:, 2] = False
    supervision = Supervision.of(known, np.ones(400))
    labels[200:] = np.minimum(labels[200:], 1)
    unseen, truth = clips(300, 1)
    of_third = truth == 2
    found = []
    for one in (None, supervision):
        networks, _ = train_attention([values], labels, VIEW, SETTINGS, n_emotions=3, seed=0, supervision=one)
        found.append(np.exp(infer(networks, unseen)[1][of_third, 2]).mean())
    assert found[1] > found[0] + 0.1


def test_what_cannot_be_trained_is_named() -> None:
    values, labels = clips(40, 0)
    wild = SETTINGS.model_copy(update={"training": Training(epochs=3, learning_rate=1.0)})
    with pytest.raises(ExperimentError, match="at least two clips"):
        train_attention([values[:1]], labels[:1], VIEW, SETTINGS, n_emotions=3, seed=0)
    values[0, 5] = np.nan
    with pytest.raises(ExperimentError, match="not numbers"):
        train_attention([values], labels, VIEW, wild, n_emotions=3, seed=0)
