"""How a timeline was made of a recording: what it takes to make its segments and baselines again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emofuse.core.by_value import ComparedByValue


@dataclass(frozen=True, slots=True, eq=False)
class Provenance(ComparedByValue):
    """Kept with a timeline, and in no export."""

    window_s: float
    """The length of a window."""
    change_cost: float
    """Of the rules by which windows became segments."""
    abstain_below: float
    """Of the same rules."""
    frame_times: NDArray[np.float64]
    """(n_frames,) when the frames were shown that were searched for faces, in seconds, increasing."""
    own_baseline: bool
    """Whether people's own baselines were made of the recording."""
    model: str
    """The fingerprint of the networks that read the windows."""
    enrolled: tuple[str, ...] = ()
    """People who were read with their profile, and have no baseline of the recording."""

    def __post_init__(self) -> None:
        if self.frame_times.ndim != 1 or self.frame_times.dtype != np.float64:
            shape, dtype = self.frame_times.shape, self.frame_times.dtype
            raise ValueError(f"frame_times must be (n_frames,) float64, got {shape} {dtype}")
        if not np.isfinite(self.frame_times).all() or np.any(np.diff(self.frame_times) < 0):
            raise ValueError("frame_times must be finite and in order")
