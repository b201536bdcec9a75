from __future__ import annotations

import numpy as np
import pytest

from emofuse.timeline.marker_curves import CurveRules, marker_curves
from emofuse.timeline.marks import Marker
from emofuse.timeline.records import Timeline, Window
from tests.support.timelines import timeline, window


def likely(place: int) -> np.ndarray:
    return np.asarray(np.eye(8)[place])


def windows(n: int, person: str | None, hop_s: float = 1.0) -> list[Window]:
    """Three seconds each; the emotion of the Nth is that of the second in which its middle lies."""
    starts = np.arange(n) * hop_s
    return [
        window(start, start + 3, fused=likely(int(start + 1.5) % 8), person=person)
        for start in starts.tolist()
    ]


def read(*parts: Window, people: tuple[str, ...] = (), markers: tuple[Marker, ...]) -> Timeline:
    ordered = tuple(sorted(parts, key=lambda one: one.start_s))
    return timeline(duration_s=100.0, windows=ordered, people=people, markers=markers)


def test_the_offsets_hold_the_marker() -> None:
    np.testing.assert_allclose(CurveRules(2.0, 3.0, 0.5).offsets_s, np.arange(-4, 7) / 2)
    np.testing.assert_allclose(CurveRules(0.7, 1.0, 0.5).offsets_s, [-0.5, 0.0, 0.5, 1.0])
    for bad in ({"step_s": 0.0}, {"before_s": -3.0, "after_s": 2.0}, {"step_s": 1e-9}, {"after_s": np.inf}):
        with pytest.raises(ValueError, match=r"step_s must|curve"):
            CurveRules(**bad)


def test_each_offset_has_the_window_around_it() -> None:
    """Middles are at 1.5, 2.5, … s: 0.2 s after the marker, and so nearest to its offsets."""
    marked = read(*windows(20, "Anna"), people=("Anna",), markers=(Marker(7.3, "go"),))
    (curve,) = marker_curves(marked, CurveRules(2.0, 3.0))
    assert (curve.person, curve.marker.text) == ("Anna", "go")
    expected = np.array([likely(second % 8) for second in range(5, 11)])
    np.testing.assert_array_equal(curve.values, expected)


def test_several_windows_of_a_step_are_averaged_and_gaps_stay() -> None:
    parts = windows(20, "Anna", hop_s=0.5)
    marked = read(*parts, people=("Anna",), markers=(Marker(2.0, "go"),))
    (curve,) = marker_curves(marked, CurveRules(3.0, 1.0))
    assert np.isnan(curve.values[:3]).all()  # before the first window
    own = [one.fused for one in parts if 1.5 <= (one.start_s + one.end_s) / 2 < 2.5]
    np.testing.assert_allclose(curve.values[3], np.mean(own, 0))  # type: ignore[arg-type]
    np.testing.assert_allclose(curve.values[3:].sum(1), 1.0)


def test_everybody_around_every_marker_where_something_was_read() -> None:
    parts = [*windows(20, "Anna"), *windows(3, "Bert"), *windows(20, None), window(50, 53, fused=None)]
    markers = (Marker(5.0, "go"), Marker(15.0, "go", 18.0), Marker(80.0, "late"))
    found = list(marker_curves(read(*parts, people=("Anna", "Bert"), markers=markers)))
    assert [(one.marker.start_s, one.person) for one in found] == [
        (5.0, "Anna"), (5.0, "Bert"), (15.0, "Anna"),
    ]  # fmt: skip
    (voice,) = marker_curves(read(*windows(20, None), markers=(Marker(5.0, "go"),)))
    assert voice.person is None
    assert list(marker_curves(read(*windows(20, None), markers=()))) == []
