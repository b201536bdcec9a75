"""Checks before every evaluation: nothing of a test part may be in the training part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from emofuse.core.errors import ExperimentError
from emofuse.core.records import Take
from emofuse.corpus.folds import Fold
from emofuse.training.dataset import Dataset, Inputs


def check_folds(folds: Sequence[Fold], dataset: Dataset, *, speaker_independent: bool) -> tuple[str, ...]:
    """Check, before anything is trained, that no fold leaks and that each has something to measure.

    Returns:
        What :func:`audit_folds` returns.

    Raises:
        ExperimentError: a fold leaks, or its test part has no voice or no face.
    """
    notes = audit_folds(folds, dataset.takes, dataset.inputs, speaker_independent=speaker_independent)
    for fold in folds:
        for modality in dataset.inputs.modalities:
            if not dataset.inputs.has[modality][list(fold.test)].any():
                raise ExperimentError(f"{fold.name}: no test take has a {modality}, so nothing is measured")
    return notes


def audit_folds(
    folds: Sequence[Fold], takes: Sequence[Take], inputs: Inputs, *, speaker_independent: bool
) -> tuple[str, ...]:
    """Check that no fold shares an actor, a take or an identical recording between its two parts.

    Args:
        folds: positions of training and test takes.
        takes: the takes.
        inputs: their features: takes whose features are equal byte by byte are one recording.
        speaker_independent: whether the protocol promises that actors are kept apart.

    Returns:
        Notes for whoever reads the figures of a speaker-dependent protocol; otherwise none.

    Raises:
        ExperimentError: a take or a position is in both parts, or, where the protocol promises
            otherwise, an actor or an identical recording is.
    """
    fingerprints = _fingerprints(takes, inputs)
    n_twins = 0
    for fold in folds:
        train, test = set(fold.train), set(fold.test)
        in_both = {
            "take": {takes[i].take for i in train} & {takes[i].take for i in test},
            "position": {str(i) for i in train & test},
        }
        same = {p for i in train for p in fingerprints[i]} & {p for i in test for p in fingerprints[i]}
        if speaker_independent:
            in_both["actor"] = {takes[i].speaker for i in train} & {takes[i].speaker for i in test}
            in_both["identical recording"] = {takes[i].take for i in sorted(test) if fingerprints[i] & same}
        else:
            n_twins += sum(bool(fingerprints[i] & same) for i in test)
        for what, shared in in_both.items():
            if shared:
                raise ExperimentError(
                    f"{fold.name} leaks: {what} {', '.join(sorted(shared)[:4])} in both parts"
                )
    if n_twins:
        return (f"{n_twins} test takes have an identical recording in the training part",)
    return ()


def _fingerprints(takes: Sequence[Take], inputs: Inputs) -> list[set[str]]:
    """The digests of each take's features, one per modality that it has."""
    out: list[set[str]] = [set() for _ in takes]
    for modality in inputs.modalities:
        rows = inputs.load(modality)
        for i in np.flatnonzero(inputs.has[modality]):
            digest = hashlib.sha256(np.ascontiguousarray(rows[i]).tobytes()).hexdigest()
            out[i].add(f"{modality}:{digest}")
    return out
