"""What the values of a timeline must be; each check raises a ValueError that says what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]+")


def check_span(kind: str, start_s: float, end_s: float) -> None:
    """A span is finite and starts before it ends."""
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        raise ValueError(f"a {kind} must start before it ends, got {start_s} to {end_s} s")


def check_name(name: str) -> None:
    """A person's name is not blank, and valid UTF-8 without zero bytes."""
    if not name.strip() or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise ValueError(f"{name!r} is not a valid name for a person: it is blank or not valid UTF-8")


def check_probabilities(name: str, array: NDArray[Any] | None) -> None:
    """Probabilities are (n_emotions,) float64, finite, not negative and sum to 1."""
    if array is None:
        return
    if array.ndim != 1 or array.dtype != np.float64:
        raise ValueError(f"{name} must be (n_emotions,) float64, got {array.shape} {array.dtype}")
    if not np.isfinite(array).all() or array.min() < 0 or abs(float(array.sum()) - 1) > 1e-3:
        raise ValueError(f"{name}: probabilities must be finite, not negative and sum to 1")


def check_share(name: str, share: float | None) -> None:
    """A share is between 0 and 1."""
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {share}")


def check_quality(quality: Mapping[str, object]) -> None:
    """Qualities are finite numbers, texts or None."""
    for key, value in quality.items():
        plain = value is None or isinstance(value, (bool, int, float, str))
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"quality {key!r} must be a finite number, a text or None, got {value!r}")


def check_codes(codes: Iterable[str]) -> None:
    """Reasons are codes."""
    for code in codes:
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is not a valid reason code: use letters, digits and _.:-")
