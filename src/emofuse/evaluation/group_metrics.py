"""Figures by group: actor, sex, intensity, statement and emotion, where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emofuse.core import metrics
from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Take
from emofuse.corpus.ravdess import STATEMENTS, parse_name
from emofuse.evaluation.results import GroupEntry

KINDS: Final = ("actor", "sex", "intensity", "statement", "emotion")
"""What takes are grouped by, in canonical order."""

_OF_TAKES: Final = ("sex", "intensity", "statement")
_MOST_ACTORS: Final = 99
"""Two digits: synthetic corpora have more actors than RAVDESS's 24."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One system on one group of takes. Figures are fractions.

    ``accuracy_ci95`` and ``uar_ci95``: bootstrap intervals over the group's actors, or None where it has only
    one. In a group of one emotion, UAR is its recall.
    """

    kind: str
    value: str
    n: int
    n_actors: int
    accuracy: float
    uar: float
    accuracy_ci95: tuple[float, float] | None
    uar_ci95: tuple[float, float] | None

    def as_dict(self) -> GroupEntry:
        """Plain data for JSON."""
        return {
            "kind": self.kind,
            "value": self.value,
            "n": self.n,
            "n_actors": self.n_actors,
            "accuracy": self.accuracy,
            "accuracy_ci95": self.accuracy_ci95 and list(self.accuracy_ci95),
            "uar": self.uar,
            "uar_ci95": self.uar_ci95 and list(self.uar_ci95),
        }


def group_figures(
    takes: Sequence[Take | str],
    truth: ArrayLike,
    scores: ArrayLike,
    actors: ArrayLike,
    seed: int,
    emotions: Sequence[str] = EMOTIONS,
) -> list[GroupFigures]:
    """Accuracy and UAR of one system on every group of takes, kinds in the order of :data:`KINDS`.

    A kind that is unknown for every take has no groups; a take for which it is unknown is in none of them.

    Args:
        takes: (n,) records with their facts; or names alone, as in predictions.csv, which are read if they
            are RAVDESS codes.
        truth: (n,) integers, indices into ``emotions``.
        scores: (n, n_emotions) floats whose rows sum to 1.
        actors: (n,) labels, for resampling.
        seed: the same seed gives the same intervals.
        emotions: the labels, in the order of ``scores``.

    Raises:
        ValueError: arguments differ in length, or a truth is not an emotion.
    """
    t, speaker_ids = np.asarray(truth), np.asarray(actors).astype(str)
    p = np.asarray(scores, dtype=np.float64)
    if not len(takes) == len(t) == len(p) == len(speaker_ids):
        raise ValueError(
            "takes, truth, scores and actors must have the same length, "
            f"got {len(takes)}, {len(t)}, {len(p)}, {len(speaker_ids)}"
        )
    metrics.confusion_matrix(t, p.argmax(axis=1), len(emotions))  # raises if a class is invalid
    facts = [take_facts(take) for take in takes]
    labels: dict[str, NDArray[np.str_]] = {
        "actor": speaker_ids,
        **{kind: np.array([known.get(kind, "") for known in facts]) for kind in _OF_TAKES},
        "emotion": np.array(emotions)[t],
    }
    out = []
    for kind in KINDS:
        values = emotions if kind == "emotion" else np.unique(labels[kind]).tolist()
        for value in values:
            rows = np.flatnonzero(labels[kind] == value)
            if value and len(rows):
                out.append(_figures(kind, value, t[rows], p[rows].argmax(axis=1), speaker_ids[rows], seed))
    return out


def take_facts(take: Take | str) -> Mapping[str, str]:
    """The facts of a take: those of its record, or of its name if that is a RAVDESS code.

    >>> take_facts("01-05-02-01-01-12")["sex"], take_facts("01-05-02-01-01-12")["intensity"]
    ('female', 'strong')
    >>> take_facts("holiday.mp4")
    {}
    """
    if isinstance(take, Take):
        return take.facts
    try:
        # a take is named like its files, without the modality: any will do
        name = parse_name(f"03-{take}", n_actors=_MOST_ACTORS)
    except CorpusError:
        return {}
    return {
        "sex": name.sex,
        "intensity": name.intensity,
        "statement": STATEMENTS[f"{name.statement:02d}"],
    }


def _figures(
    kind: str,
    value: str,
    truth: NDArray[Any],
    predicted: NDArray[np.int64],
    actors: NDArray[np.str_],
    seed: int,
) -> GroupFigures:
    n_actors = len(np.unique(actors))
    accuracy_ci95, uar_ci95 = (
        metrics.bootstrap_interval(metric, truth, predicted, actors, seed=seed) if n_actors > 1 else None
        for metric in (metrics.accuracy, metrics.uar)
    )
    return GroupFigures(
        kind=kind,
        value=value,
        n=len(truth),
        n_actors=n_actors,
        accuracy=metrics.accuracy(truth, predicted),
        uar=metrics.uar(truth, predicted),
        accuracy_ci95=accuracy_ci95,
        uar_ci95=uar_ci95,
    )
