"""Several recordings of one person, each read against the baseline that the others make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import Prediction
from emofuse.features.own_baseline import Reading, baselines_of, described
from emofuse.recognition.baseline_model import BaselineModel, as_data


def against_the_others(model: BaselineModel, predictions: Sequence[Prediction]) -> list[Prediction]:
    """The predictions of one person's recordings, each against the own baseline of the other recordings.

    A recording never takes part in its own baseline, nor does a copy of it: one that reads the same to the
    last bit. A recording that could not be read stays as it is.

    Args:
        model: of the recognizer that made them.
        predictions: without a profile.
    """
    readings = [Reading(one.voice, one.face, one.probabilities) for one in predictions]
    return [
        _against(model, prediction, reading, [other for other in readings if not _same(other, reading)])
        for prediction, reading in zip(predictions, readings, strict=True)
    ]


def _against(
    model: BaselineModel, prediction: Prediction, reading: Reading, others: Sequence[Reading]
) -> Prediction:
    if reading.fused is None:
        return prediction
    baselines = baselines_of(others)
    strengths = model.strengths(baselines)
    found = model.against(reading, baselines, strengths)
    note = described(baselines, strengths, of="the other recordings")
    own = as_data(reading, strengths, prediction.emotions)
    return replace(
        prediction, voice=found.voice, face=found.face, probabilities=found.fused,
        notes=(*prediction.notes, note), meta={**prediction.meta, "own_baseline": own},
    )  # fmt: skip


def _same(one: Reading, other: Reading) -> bool:
    return one is other or (_equal(one.voice, other.voice) and _equal(one.face, other.face))


def _equal(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
