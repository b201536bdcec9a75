"""Rows of plain data: as JSON, as columns of a table, as a pandas table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import MissingExtraError
from emofuse.core.text import encodable

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

KINDS: Final = ("voice", "face", "fused")
_SHARES: Final = (*KINDS, "speech", "face_present", "confidence")
"""The entries of a row that are a probability or a share, or one for each emotion."""


def by_emotion(
    readings: Mapping[Any, NDArray[np.float64] | None], emotions: Sequence[str]
) -> dict[str, dict[str, float] | None]:
    """Probabilities by kind and emotion."""
    return {
        kind: None if array is None else dict(zip(emotions, array.tolist(), strict=True))
        for kind, array in readings.items()
    }


def rounded(row: Row) -> Row:
    """A row for JSON: probabilities and shares rounded to six decimals."""
    more = {} if row.get("other") is None else {"other": rounded(row["other"])}
    if "dimensions" in row:
        more |= {"dimensions": {name: _rounded(one) for name, one in row["dimensions"].items()}}
    return row | {key: _rounded(row[key]) for key in _SHARES if key in row} | more


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: round(share, 6) for name, share in value.items()}
    return None if value is None else round(float(value), 6)


def probability_columns(emotions: Sequence[str], prefix: str = "") -> tuple[str, ...]:
    """The columns of all probabilities of a window: ``voice_neutral`` … ``fused_surprised``."""
    return tuple(f"{prefix}{kind}_{emotion}" for kind in KINDS for emotion in emotions)


def flat_row(row: Row, emotions: Sequence[str]) -> Row:
    """The row of a window with a column for each probability, and texts in place of lists."""
    flat: Row = {}
    for name, value in row.items():
        if name in KINDS:
            flat |= _columns_of(name, value, emotions)
        elif name == "other":
            for kind in KINDS:
                flat |= _columns_of(f"other_{kind}", None if value is None else value[kind], emotions)
        elif name == "quality":
            flat[name] = encodable(json.dumps(value, ensure_ascii=False)) if value else None
        elif name != "dimensions":  # which have columns of their own
            flat[name] = ";".join(value) or None if name == "reasons" else value
    return flat


def _columns_of(kind: str, values: Mapping[str, float] | None, emotions: Sequence[str]) -> Row:
    shares: Mapping[str, float | None] = dict.fromkeys(emotions) if values is None else values
    return {f"{kind}_{emotion}": share for emotion, share in shares.items()}


def data_frame(columns: Mapping[str, str], rows: Iterable[Row]) -> pd.DataFrame:
    """A pandas table.

    Args:
        columns: and the type of each as NumPy calls it.
        rows: with a value for each column; None where there is nothing.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtraError("tables", "a timeline as a pandas table") from None
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for row in rows:
        for name, value in row.items():
            values[name].append(value)
    return pd.DataFrame({name: pd.Series(values[name], dtype=kind) for name, kind in columns.items()})
