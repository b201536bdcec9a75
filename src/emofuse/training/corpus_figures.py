"""Figures of each of several joined corpora, over the emotions that it distinguishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.label_maps import restrict
from emofuse.core.labels import EMOTIONS


class CorpusFigures(TypedDict, total=False):
    """One system on the takes of one corpus. Figures are fractions; intervals are 95 %, over its speakers.

    Decisions are among ``emotions``, those that the corpus distinguishes, see
    :func:`emofuse.core.label_maps.restrict`; None in place of an interval: the corpus has one speaker.
    """

    name: str
    emotions: list[str]
    n: int
    n_actors: int
    accuracy: float
    accuracy_ci95: list[float] | None
    uar: float
    uar_ci95: list[float] | None


def corpus_figures(
    name: str,
    emotions: tuple[str, ...],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    speakers: NDArray[np.str_],
    seed: int,
    all_emotions: tuple[str, ...] = EMOTIONS,
) -> CorpusFigures:
    """Accuracy and UAR of one corpus.

    Args:
        name: of the corpus.
        emotions: those that it distinguishes.
        truth: (n,) indices into ``all_emotions``.
        probabilities: (n, n_emotions), rows sum to 1.
        speakers: (n,) whose takes they are, for resampling.
        seed: the same seed gives the same intervals.
        all_emotions: what is told apart, in the order of ``probabilities``.
    """
    predicted = restrict(probabilities, emotions, all_emotions).argmax(axis=1)
    n_actors = len(np.unique(speakers))
    accuracy_ci95, uar_ci95 = (
        list(metrics.bootstrap_interval(metric, truth, predicted, speakers, seed=seed))
        if n_actors > 1
        else None
        for metric in (metrics.accuracy, metrics.uar)
    )
    return {
        "name": name,
        "emotions": list(emotions),
        "n": len(truth),
        "n_actors": n_actors,
        "accuracy": metrics.accuracy(truth, predicted),
        "accuracy_ci95": accuracy_ci95,
        "uar": metrics.uar(truth, predicted),
        "uar_ci95": uar_ci95,
    }


def figures_by_corpus(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    speakers: NDArray[np.str_],
    corpora: Mapping[str, str],
    distinguished: Mapping[str, tuple[str, ...]],
    seed: int,
    all_emotions: tuple[str, ...] = EMOTIONS,
) -> list[CorpusFigures]:
    """The figures of every corpus that has takes, in the order of ``distinguished``.

    Args:
        truth: as of :func:`corpus_figures`.
        probabilities: as there.
        speakers: as there.
        corpora: the corpus of each speaker.
        distinguished: the emotions of each corpus.
        seed: as there.
        all_emotions: as there.

    Returns:
        Nothing where ``distinguished`` is empty: there is one corpus.
    """
    if not distinguished:
        return []
    names = np.array([corpora[str(speaker)] for speaker in speakers])
    return [
        corpus_figures(name, emotions, truth[own], probabilities[own], speakers[own], seed, all_emotions)
        for name, emotions in distinguished.items()
        if (own := names == name).any()
    ]
