"""Rows and curves of many recordings, as studies summarize them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.folders.marker_means import RecordingCurves
from emofuse.folders.tables import Outcome
from emofuse.timeline.marker_curves import CurveRules, MarkerCurve
from emofuse.timeline.marks import Marker
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.summary import summary_columns

RULES = CurveRules(1.0, 2.0)
_N = len(RULES.offsets_s)


def summary_row(person: str | None, happy: float | None, read_s: float = 10.0) -> Row:
    """A row in which only one emotion is read, and the rest of the time none."""
    row: Row = dict.fromkeys(summary_columns(EMOTIONS)) | {"person": person, "read_s": read_s}
    if happy is not None:
        row |= {f"share_{one}": 0.0 for one in EMOTIONS}
        row |= {f"mean_probability_{one}": 0.125 for one in EMOTIONS}
        row |= {"share_happy": happy, "share_abstained": 1 - happy}
    return row


def outcome(name: str, condition: str | None, *rows: Row, **more: Any) -> Outcome:
    return Outcome(name, condition, summary=rows, **more)


def curve(person: str | None, start_s: float, happy: float, text: str = "go") -> MarkerCurve:
    values = np.full((_N, 8), (1 - happy) / 7)
    values[:, 2] = happy
    return MarkerCurve(person, Marker(start_s, text), values)


def recordings(n: int, per_recording: int = 1, condition: str | None = "x") -> list[RecordingCurves]:
    rng = np.random.default_rng(n)
    return [
        RecordingCurves(
            f"{number}.mp4", condition,
            [curve("Anna", float(mark), float(rng.random())) for mark in range(per_recording)],
        )
        for number in range(n)
    ]  # fmt: skip
