"""The kernel machine against plain refitting, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from emofuse.core.recipes.part import Ensemble, Training
from emofuse.training import kernel_machine
from emofuse.training.ensemble import standard_components, train_ensemble
from emofuse.training.kernel_machine import TEMPERATURES, fit_kernel
from emofuse.training.loop import infer
from emofuse.training.networks.descriptor_ensemble import DescriptorEnsemble, Layout, kernel
from emofuse.training.supervision import Supervision
from tests.support.ensemble_clips import clips

LAYOUT = Layout(((0, 8), (8, 20)))
BOTH = Layout(((0, 8), (8, 14), (14, 20)), second=1)


@pytest.mark.parametrize("layout", [LAYOUT, BOTH], ids=["one", "both"])
@pytest.mark.parametrize("most_rows", [160, 159])
@pytest.mark.parametrize("ridges", [(0.2,), (0.05, 0.3, 2.0)])
def test_leaving_actors_out_equals_refitting_without_them(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, ridges: tuple[float, ...], most_rows: int
) -> None:
    """Whether all rows are supports, or all of them are drawn as landmarks."""
    monkeypatch.setattr(kernel_machine, "MOST_ROWS", most_rows)
    rows, labels, speakers = clips()
    settings = Ensemble(components=6, ridges=ridges)
    values = [torch.from_numpy(rows), torch.from_numpy(rows + 0.3 * clips(seed=9)[0])]
    fitted, _ = standard_components(values, speakers, layout, settings)
    targets = functional.one_hot(torch.from_numpy(labels), 8).double()
    queried: list[torch.Tensor] = []
    real = functional.cross_entropy

    def watched(scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        queried.append(scores)
        return real(scores, truth)

    monkeypatch.setattr(functional, "cross_entropy", watched)
    fit_kernel(fitted, targets, speakers, layout, settings, len(values))
    monkeypatch.undo()

    gram = kernel(fitted.supports, fitted.supports, settings.gamma, layout.second).double().numpy()
    expected, speaker_ids = np.tile(targets.numpy() - 1 / 8, (2, 1)), np.tile(speakers, 2)
    best = (np.inf, 0.0, 0.0)
    tolerance = 1e-7 if most_rows == 160 else 5e-4
    for r, ridge in enumerate(ridges):
        outputs = np.empty_like(expected)
        for actor in np.unique(speaker_ids):
            out, rest = speaker_ids == actor, speaker_ids != actor
            inner = gram[np.ix_(rest, rest)] + ridge * np.eye(rest.sum())
            outputs[out] = gram[np.ix_(out, rest)] @ np.linalg.solve(inner, expected[rest])
        for t, temperature in enumerate(TEMPERATURES):
            scores = outputs[: len(labels)] / temperature
            # only outputs for the clips at their own speed count
            np.testing.assert_allclose(
                queried[r * len(TEMPERATURES) + t].numpy(), scores, atol=tolerance / temperature
            )
            logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
            best = min(best, (-logs[np.arange(len(labels)), labels].mean(), ridge, temperature))
    assert len(queried) == len(ridges) * len(TEMPERATURES)
    if most_rows == 160:
        assert fitted.temperature == best[2]
    assert fitted.temperature == pytest.approx(best[2], rel=0.13)  # neighbors may be as good
    weights = np.linalg.solve(gram + best[1] * np.eye(len(gram)), expected)
    np.testing.assert_allclose(gram @ fitted.weights.double().numpy(), gram @ weights, atol=1e-4)
    if most_rows == 160:
        np.testing.assert_allclose(fitted.weights.numpy(), weights, atol=1e-5)


def fitted_on(rows: Any, labels: Any, speakers: Any) -> DescriptorEnsemble:
    settings = Ensemble(components=6, networks=0)
    return train_ensemble([rows], labels, speakers, LAYOUT, settings, Training(), n_emotions=8, seed=0)[0]


def test_some_landmarks_answer_like_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the rows as supports: unseen speakers are recognized as well, within three points."""
    rows, labels, speakers = clips(40, 32, noise=1.5)
    unseen, truth, _ = clips(20, 32, noise=1.5, seed=1)
    exact = fitted_on(rows, labels, speakers)
    monkeypatch.setattr(kernel_machine, "MOST_ROWS", 1000)
    monkeypatch.setattr(kernel_machine, "N_LANDMARKS", 128)
    few = fitted_on(rows, labels, speakers)
    assert (len(exact.weights), len(few.weights)) == (1280, 128)
    right = [float((infer(one, unseen)[1].argmax(1) == truth).mean()) for one in (exact, few)]
    assert right[0] > 0.6 and abs(right[0] - right[1]) < 0.03
    again = fitted_on(rows, labels, speakers)  # the same landmarks every time
    assert torch.equal(few.weights, again.weights)


def test_many_rows_need_no_square_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    real = kernel

    def watched(left: Any, right: Any, *rest: Any) -> Any:
        nonlocal largest
        largest = max(largest, len(left[0]) * len(right[0]))
        return real(left, right, *rest)

    rows, labels, speakers = clips(50, 60)
    monkeypatch.setattr(kernel_machine, "kernel", watched)
    monkeypatch.setattr(kernel_machine, "MOST_ROWS", 2999)
    monkeypatch.setattr(kernel_machine, "N_LANDMARKS", 100)
    fitted_on(rows, labels, speakers)
    assert largest == 1000 * 100


def two_corpora() -> tuple[Any, Any, Any, Supervision]:
    """Five speakers; the last two are of a corpus without emotions 1 and 6, whose clips count twice."""
    rows, labels, speakers = clips()
    second = np.isin(speakers, np.unique(speakers)[-2:])
    retained = ~(second & np.isin(labels, [1, 6]))
    rows, labels, speakers, second = rows[retained], labels[retained], speakers[retained], second[retained]
    known = np.ones((len(labels), 8), dtype=bool)
    for emotion in (1, 6):
        known[second, emotion] = False
    supervision = Supervision.of(known, np.where(second, 2.0, 1.0))
    assert supervision is not None
    return rows, labels, speakers, supervision


@pytest.mark.parametrize("all_rows", [True, False])
def test_emotions_that_a_corpus_lacks_are_fitted_without_its_clips(
    monkeypatch: pytest.MonkeyPatch, all_rows: bool
) -> None:
    """Against weighted ridge regressions in NumPy, an emotion and a left-out speaker at a time."""
    rows, labels, speakers, supervision = two_corpora()
    n = 2 * len(labels)
    monkeypatch.setattr(kernel_machine, "MOST_ROWS", n if all_rows else n - 1)
    settings = Ensemble(components=6, ridges=(0.05, 0.4))
    values = [torch.from_numpy(rows), torch.from_numpy(rows + 0.3 * clips(seed=9)[0][: len(rows)])]
    fitted, _ = standard_components(values, speakers, LAYOUT, settings)
    gram = kernel(fitted.supports, fitted.supports, settings.gamma, 0).double().numpy()
    targets = functional.one_hot(torch.from_numpy(labels), 8).double()
    fit_kernel(fitted, targets, speakers, LAYOUT, settings, 2, supervision)

    known, weights = np.tile(supervision.known, (2, 1)), np.tile(supervision.weights, 2)
    centered = np.tile(targets.numpy(), (2, 1)) - 1 / known.sum(1, keepdims=True)
    speaker_ids = np.tile(speakers, 2)

    def weighted_ridge(train: Any, emotion: int, ridge: float) -> Any:
        rows_of = np.flatnonzero(train & known[:, emotion])
        system = gram[np.ix_(rows_of, rows_of)] + ridge * np.diag(1 / weights[rows_of])
        alpha = np.zeros(n)
        alpha[rows_of] = np.linalg.solve(system, centered[rows_of, emotion])
        return alpha

    best: tuple[float, float, float] = (np.inf, 0, 0)
    for ridge in settings.ridges:
        held_out = np.full((n, 8), -np.inf)
        for speaker in np.unique(speakers):
            out = speaker_ids == speaker
            for emotion in range(8):
                of = out & known[:, emotion]
                held_out[of, emotion] = gram[of] @ weighted_ridge(~out, emotion, ridge)
        for temperature in TEMPERATURES:
            scores = held_out[: len(labels)] / temperature
            logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
            loss = -(supervision.weights * logs[np.arange(len(labels)), labels]).mean()
            best = min(best, (loss, ridge, temperature))
    assert fitted.temperature == pytest.approx(best[2], rel=1e-9 if all_rows else 0.13)
    expected = np.stack([weighted_ridge(np.ones(n, dtype=bool), e, best[1]) for e in range(8)], axis=1)
    found = fitted.weights.double().numpy()
    np.testing.assert_allclose(gram @ found, gram @ expected, atol=1e-4)
    if all_rows:
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found[~known[:, 1], 1] == 0).all()


def test_a_supervision_of_everything_alike_changes_nothing() -> None:
    rows, labels, speakers = clips()
    plain = fitted_on(rows, labels, speakers)
    every = Supervision(np.ones((len(labels), 8), dtype=bool), np.ones(len(labels)))
    masked = train_ensemble(
        [rows], labels, speakers, LAYOUT, Ensemble(components=6, networks=0), Training(),
        n_emotions=8, seed=0, supervision=every,
    )[0]  # fmt: skip
    torch.testing.assert_close(plain.weights, masked.weights, rtol=1e-4, atol=1e-5)
    assert float(plain.scalars[1]) == float(masked.scalars[1])
