"""Timelines whose windows are rated on numeric scales, with and without emotions."""

from __future__ import annotations

import numpy as np

from emofuse.core.dimensions import Rated, Scale
from emofuse.core.labels import EMOTIONS
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

SCALES = (Scale("valence", 1.0, 7.0), Scale("self rating", -1.0, 1.0))


def rated_timeline(*, emotions: bool = True) -> Timeline:
    """Two people and a voice of nobody, ten windows each; Ben is not rated in the middle."""
    windows = []
    for k in range(10):
        for person in ("Anna", "Ben", None):
            shares = np.full(len(EMOTIONS), 1 / len(EMOTIONS)) if emotions else None
            value = 4 + 2 * np.sin(k / 2 + len(person or ""))
            ratings = {
                "valence": Rated(value, max(1.0, value - 1), min(7.0, value + 1)),
                "self rating": Rated(-0.5, -1.0, 0.25),
            }
            if person == "Ben" and 4 <= k < 8:
                ratings = {}
            if person is None:
                del ratings["self rating"]
            windows.append(
                Window(
                    float(k), k + 3.0, shares, None, shares, speech=0.5,
                    face_present=None if person is None else 0.9,
                    person=person, ratings=ratings, reasons=() if ratings else ("voice:silent",),
                )
            )  # fmt: skip
    segments = [Segment(0.0, 12.0, "happy", 0.5, person=one) for one in ("Anna", "Ben")]
    return Timeline(
        "talk.mp4", 12.0, 0.0, tuple(windows), tuple(segments) if emotions else (),
        EMOTIONS if emotions else (), "small", people=("Anna", "Ben"),
        faces=(FaceBox(0.5, "Anna", 1, 1, 9, 9),), picture_size=(20, 20), dimensions=SCALES,
    )  # fmt: skip
