from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.folders.marker_means import MarkerMean, RecordingCurves, marker_means, write_marker_means
from tests.support.many_recordings import RULES, curve, recordings

N = len(RULES.offsets_s)


def happy(one: MarkerMean) -> float:
    return float(one.means[0, 2])


def test_curves_are_averaged_over_markers_people_and_recordings() -> None:
    given = [
        RecordingCurves("a.mp4", "x", [curve("Anna", 1, 0.2), curve("Bert", 1, 0.4), curve("Anna", 5, 0.6)]),
        RecordingCurves("b.mp4", "x", [curve("Anna", 1, 0.8), curve("Anna", 1, 0.1, "other\nthing")]),
        RecordingCurves("c.mp4", "y", [curve("person 1", 1, 1.0)]),
        RecordingCurves("d.mp4", "y", []),
    ]
    found = {(one.marker, one.condition, one.person): one for one in marker_means(given)}
    assert list(found) == [
        ("go", "x", None), ("go", "x", "Anna"), ("go", "x", "Bert"),
        ("go", "y", None), ("go", "y", "person 1 in c.mp4"),
        ("other thing", "x", None), ("other thing", "x", "Anna"),
    ]  # fmt: skip
    everybody = found["go", "x", None]
    assert happy(everybody) == pytest.approx((0.2 + 0.4 + 0.6 + 0.8) / 4)
    np.testing.assert_allclose(everybody.counts, np.tile([[3], [2], [2]], N))
    assert happy(found["go", "x", "Anna"]) == pytest.approx((0.2 + 0.6 + 0.8) / 3)
    assert everybody.bounds is None and everybody.resampled is None


def test_a_gap_in_one_curve_is_no_gap_of_the_mean() -> None:
    with_gap = curve("Anna", 1, 0.2)
    with_gap.values[0] = np.nan
    nothing = curve("Anna", 9, 0.5)
    nothing.values[:, :] = np.nan
    nothing.values[1] = 0.125
    (mean, _) = marker_means([RecordingCurves("a", None, [with_gap, curve("Anna", 5, 0.8), nothing])])
    assert happy(mean) == pytest.approx(0.8)
    assert mean.counts[0].tolist() == [1, 3, 2, 2]


@pytest.mark.parametrize(
    ("n", "each", "resampled"), [(4, 1, None), (2, 2, None), (2, 3, "markers"), (5, 1, "recordings")]
)
def test_what_an_interval_is_over(n: int, each: int, resampled: str | None) -> None:
    (mean, anna) = marker_means(recordings(n, each))
    assert mean.resampled == resampled == anna.resampled
    assert (mean.bounds is None) == (resampled is None)


def test_markers_of_one_recording_are_not_independent() -> None:
    """Equal markers within each of six recordings tell no more than six."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.2, 0.8, 6)
    (mean, _) = marker_means(
        RecordingCurves(f"{n}", "x", [curve("Anna", float(mark), float(share)) for mark in range(40)])
        for n, share in enumerate(shares)
    )
    assert mean.bounds is not None
    low, high = mean.bounds[:, 0, 2]
    assert high - low == pytest.approx(2 * 1.96 * shares.std() / np.sqrt(6), rel=0.2)


def test_the_table(tmp_path: Path) -> None:
    path = tmp_path / "markers.csv"
    write_marker_means(path, marker_means(recordings(6)), EMOTIONS, "a study", RULES)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * N
    assert [row["offset_s"] for row in rows[:N]] == ["-1.000", "0.000", "1.000", "2.000"]
    first = rows[0]
    assert (first["marker"], first["condition"], first["level"], first["person"]) == (
        "go", "x", "everybody", ""
    )  # fmt: skip
    assert (first["n_markers"], first["n_people"], first["resampled"]) == ("6", "1", "recordings")
    assert float(first["low_happy"]) < float(first["mean_happy"]) < float(first["high_happy"])
    assert first["purpose"] == "a study"
    write_marker_means(tmp_path / "none.csv", [], EMOTIONS, "a study")
    (header,) = (tmp_path / "none.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",") == list(first)
