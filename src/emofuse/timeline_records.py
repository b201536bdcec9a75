"""What a recording's timeline is: windows with probabilities, and the segments that were made of them.

Every time is a presentation timestamp in seconds on the recording's own clock. The recording lasts from
``start_s`` to ``start_s + duration_s``; both come from the container, so ``start_s`` need not be zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDE_S = 1e-6
"""How far a time may lie outside the recording: what is lost when timestamps are added as floats."""

QualityValue = float | int | str | bool | None

_CODE = re.compile(r"[A-Za-z0-9_.:-]+")


def _check_span(kind: str, start_s: float, end_s: float) -> None:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        raise ValueError(f"a {kind} must begin before it ends, got {start_s} to {end_s} s")


def _check_name(name: str) -> None:
    if not name.strip() or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise ValueError(f"{name!r} is no name for a person: it is blank, or it cannot be written as UTF-8")


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen and heard in one window.

    ``voice``, ``face`` and ``fused``: (8,) float64 in the order of the timeline's emotions, or None where
    that was not to be had; ``reasons`` then says why, in codes. ``speech`` and ``face_present``: the share
    of the window, 0 to 1, with speech and with a face; None where nobody looked.
    """

    start_s: float
    end_s: float
    voice: NDArray[np.float64] | None
    face: NDArray[np.float64] | None
    fused: NDArray[np.float64] | None
    speech: float | None = None
    face_present: float | None = None
    quality: Mapping[str, QualityValue] = field(default_factory=dict)
    """Plain figures by name, units in the names: snr_db, face_size_px."""
    reasons: tuple[str, ...] = ()
    """Codes of letters, digits and ``_.:-``, such as ``voice:silent``."""
    person: str | None = None
    """Whose face it is, where faces are told apart."""

    def __post_init__(self) -> None:
        _check_span("window", self.start_s, self.end_s)
        for name, array in self.probabilities.items():
            if array is None:
                continue
            if array.ndim != 1 or array.dtype != np.float64:
                raise ValueError(f"{name} must be (n_emotions,) float64, got {array.shape} {array.dtype}")
            if not np.isfinite(array).all() or array.min() < 0 or abs(float(array.sum()) - 1) > 1e-3:
                raise ValueError(f"{name}: probabilities must be finite, not negative and sum to 1")
        for name, share in (("speech", self.speech), ("face_present", self.face_present)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}")
        for key, value in self.quality.items():
            plain = value is None or isinstance(value, (bool, int, float, str))
            if not plain or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"quality {key!r} must be a finite number, a text or None, got {value!r}")
        for code in self.reasons:
            if not _CODE.fullmatch(code):
                raise ValueError(f"{code!r} is no reason code: use letters, digits and _.:-")

    @property
    def probabilities(self) -> dict[str, NDArray[np.float64] | None]:
        """The three vectors by name, in the order of every export."""
        return {"voice": self.voice, "face": self.face, "fused": self.fused}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one answer.

    The answer is an emotion with its confidence; or none, because the recogniser ``abstained`` (then
    ``confidence`` may hold that of its best guess) or because there was nothing to be read.
    """

    start_s: float
    end_s: float
    emotion: str | None
    confidence: float | None = None
    abstained: bool = False
    person: str | None = None

    def __post_init__(self) -> None:
        _check_span("segment", self.start_s, self.end_s)
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must be between 0 and 1, got {self.confidence}")
        if self.emotion is not None and (self.abstained or self.confidence is None):
            raise ValueError("a segment with an emotion has a confidence, and was not abstained from")
        if self.emotion is None and not self.abstained and self.confidence is not None:
            raise ValueError("a segment of which nothing could be read has no confidence")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that is said of one recording.

    Windows are ordered by their start and may overlap; segments are ordered by their start, and those of
    one person (or of nobody in particular) do not overlap.

    Raises:
        ValueError: a window or segment lies outside the recording, out of order, over another of the same
            person, or speaks of an emotion or a person that the timeline does not know.
    """

    source: str
    """The path or address that was read, as it was given."""
    duration_s: float
    start_s: float
    windows: tuple[Window, ...]
    segments: tuple[Segment, ...]
    emotions: tuple[str, ...]
    recogniser: str
    licence: str | None = None
    """Of the recogniser, which its output may have to name."""
    people: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise ValueError(f"no span of time: {self.duration_s} s from {self.start_s} s")
        if not self.emotions or len(set(self.emotions)) != len(self.emotions):
            raise ValueError("emotions must be different from each other, and at least one")
        for name in self.people:
            _check_name(name)
        if len(set(self.people)) != len(self.people):
            raise ValueError("people must have different names")
        self._check_places("window", self.windows)
        self._check_places("segment", self.segments)
        n = len(self.emotions)
        for window in self.windows:
            for name, array in window.probabilities.items():
                if array is not None and array.shape != (n,):
                    raise ValueError(f"{name} must be ({n},), one for each emotion, got {array.shape}")
        self._check_segments()

    def _check_places(self, kind: str, parts: tuple[Any, ...]) -> None:
        first, last = self.start_s - OUTSIDE_S, self.end_s + OUTSIDE_S
        before = first
        for part in parts:
            if part.start_s < first or part.end_s > last:
                raise ValueError(
                    f"{kind} {part.start_s} to {part.end_s} s lies outside the recording, "
                    f"{self.start_s} to {self.end_s} s"
                )
            if part.start_s < before:
                raise ValueError(f"{kind}s must be ordered by time: {part.start_s} s follows {before} s")
            if part.person is not None and part.person not in self.people:
                raise ValueError(f"{kind} of {part.person!r}, who is not among the people")
            before = part.start_s

    def _check_segments(self) -> None:
        ends: dict[str | None, float] = {}
        for segment in self.segments:
            if segment.emotion is not None and segment.emotion not in self.emotions:
                raise ValueError(
                    f"unknown emotion {segment.emotion!r}: use one of {', '.join(self.emotions)}"
                )
            # No slack here: rounded times keep their order only if these have one.
            if segment.start_s < ends.get(segment.person, -math.inf):
                raise ValueError(f"segments of {segment.person or 'one tier'} overlap at {segment.start_s} s")
            ends[segment.person] = segment.end_s

    @property
    def end_s(self) -> float:
        """When the recording ends, on its own clock."""
        return self.start_s + self.duration_s
