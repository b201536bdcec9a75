from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.timeline.frame_values import frame_columns, frame_rows
from emofuse.timeline.records import FaceBox
from tests.support import timelines


def test_probabilities_of_a_frame_are_those_of_the_windows_over_it() -> None:
    """Windows of 2 s, every second; weights by their distance from the middle, as a triangle."""
    vectors = np.random.default_rng(0).dirichlet(np.ones(8), 4)
    windows = tuple(
        timelines.window(i, i + 2.0, face=None if i == 2 else vectors[i], person="Anna") for i in range(4)
    )
    other = timelines.window(0.0, 5.0, face=np.eye(8)[0], person="Bert")
    times = (0.0, 0.5, 1.25, 2.5, 4.5, 6.0)
    faces = tuple(FaceBox(time_s, "Anna", 10, 20, 110, 130) for time_s in times)
    rows = list(frame_rows(timelines.timeline(
        windows=(windows[0], other, *windows[1:]), faces=faces, people=("Anna", "Bert"),
        picture_size=(640, 360),
    )))  # fmt: skip
    assert [row["time_s"] for row in rows] == list(times)
    assert tuple(rows[0]) == frame_columns(EMOTIONS)
    assert list(rows[0].values())[1:6] == ["Anna", 10, 20, 110, 130]
    found = [[row[f"face_{emotion}"] for emotion in EMOTIONS] for row in rows]
    expected = [
        vectors[0],
        vectors[0],
        (0.75 * vectors[0] + 0.25 * vectors[1]) / 1.0,
        vectors[1],
        vectors[3],
        None,
    ]
    for row, vector in zip(found, expected, strict=True):
        if vector is None:
            assert row == [None] * 8
        else:
            assert row == pytest.approx(vector.tolist())


def test_units_are_in_the_names() -> None:
    columns = ("time_s", "person", "left_px", "top_px", "right_px", "bottom_px")
    assert frame_columns(("happy", "sad")) == (*columns, "face_happy", "face_sad", "baseline")
