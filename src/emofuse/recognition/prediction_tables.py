"""Predictions as a pandas table: a row a recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import MissingExtraError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction

if TYPE_CHECKING:
    import pandas as pd


def to_pandas(predictions: Prediction | Iterable[Prediction]) -> pd.DataFrame:
    """A row a recording, also for those that could not be read.

    >>> to_pandas(recognizer.predict_files(paths)).groupby("emotion")["confidence"].mean()  # doctest: +SKIP

    Returns:
        Columns ``file``, ``emotion``, ``confidence``; the probability of each emotion under its name, and
        what voice and face say of it alone as ``voice_happy``, ``face_happy``; ``used`` ("voice+face"),
        ``voice_missing``, ``face_missing``, ``notes`` (joined by "; ") and ``error``. What is not there is
        missing in the sense of pandas. No predictions: the same columns, no rows.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("tables", "predictions as a pandas table") from None
    given = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    emotions = given[0].emotions if given else EMOTIONS
    numbers = ["confidence", *(f"{part}{name}" for part in ("", "voice_", "face_") for name in emotions)]
    texts = ["used", "voice_missing", "face_missing", "notes", "error"]
    table = pd.DataFrame([_row(one) for one in given], columns=["file", "emotion", *numbers, *texts])
    return table.astype(dict.fromkeys(numbers, "float64"))


def _row(prediction: Prediction) -> dict[str, Any]:
    return {
        "file": prediction.source,
        "emotion": prediction.emotion,
        "confidence": prediction.confidence,
        **_named("", prediction.emotions, prediction.probabilities),
        **_named("voice_", prediction.emotions, prediction.voice),
        **_named("face_", prediction.emotions, prediction.face),
        "used": "+".join(prediction.used) or None,
        "voice_missing": prediction.voice_missing,
        "face_missing": prediction.face_missing,
        "notes": "; ".join(prediction.notes) or None,
        "error": prediction.error,
    }


def _named(prefix: str, emotions: Iterable[str], array: NDArray[np.float64] | None) -> dict[str, float]:
    if array is None:
        return {}
    return {f"{prefix}{name}": value for name, value in zip(emotions, array.tolist(), strict=True)}
