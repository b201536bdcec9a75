"""What the means of a study need of one recording, so that its timeline is not loaded for each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json
from emofuse.timeline.marker_curves import MarkerCurve, marker_curves
from emofuse.timeline.marks import Marker
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import excluded_s, summary_rows

_SCHEMA: Final = "emofuse-recording-digest-1"


@dataclass(frozen=True, slots=True, eq=False)
class RecordingDigest:
    """Of a timeline, as it is annotated."""

    emotions: tuple[str, ...]
    duration_s: float
    n_people: int
    notes: tuple[str, ...]
    summary: tuple[Row, ...]
    """The rows of its summary, without a condition; with ``excluded_s`` if it has excluded spans."""
    curves: tuple[MarkerCurve, ...]

    @classmethod
    def of(cls, timeline: Timeline) -> RecordingDigest:
        """Digest a timeline."""
        more = {}
        if timeline.excluded:
            more = {who: {"excluded_s": excluded_s(timeline, who)} for who in (*timeline.people, None)}
        return cls(
            timeline.emotions, timeline.duration_s, len(timeline.people), timeline.remarks,
            tuple(row | more.get(row["person"], {}) for row in summary_rows(timeline)),
            tuple(marker_curves(timeline)),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Keep it in a file.

        Raises:
            OSError: it cannot be written.
        """
        curves = [
            {
                "person": one.person, "text": one.marker.text, "start_s": one.marker.start_s,
                "end_s": one.marker.end_s, "values": one.values.tolist(),
            }
            for one in self.curves
        ]  # fmt: skip
        data = {
            "schema": _SCHEMA, "emotions": self.emotions, "duration_s": self.duration_s,
            "n_people": self.n_people, "notes": self.notes, "summary": self.summary, "curves": curves,
        }  # fmt: skip
        write_atomically(path, json.dumps(data).encode())

    @classmethod
    def load(cls, path: Path) -> RecordingDigest | None:
        """What :meth:`save` wrote; None: there is nothing, or it cannot be used any more."""
        try:
            data = read_json(path)
            return cls._of_data(data) if data["schema"] == _SCHEMA else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _of_data(cls, data: Mapping[str, Any]) -> RecordingDigest:
        curves = (
            MarkerCurve(
                one["person"], Marker(one["start_s"], one["text"], one["end_s"]),
                np.array(one["values"], dtype=np.float64),
            )
            for one in data["curves"]
        )  # fmt: skip
        return cls(
            tuple(data["emotions"]), data["duration_s"], data["n_people"], tuple(data["notes"]),
            tuple(data["summary"]), tuple(curves),
        )  # fmt: skip
