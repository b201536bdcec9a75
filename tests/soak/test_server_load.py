"""The service under load for minutes: no error, flat memory, nobody delays anybody; by hand, by make soak."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.server_load import measure_clips, measure_live, measure_slow

pytestmark = [
    pytest.mark.soak,
    pytest.mark.ravdess,
    pytest.mark.skipif(sys.platform != "linux", reason="reads CPU time and memory of processes from /proc"),
]

CLIENTS, WORKERS, SECONDS = 8, 2, 300.0


@pytest.fixture(scope="module")
def clips(ravdess: Path) -> list[Path]:
    """Films of about 4 s."""
    return sorted((ravdess / "video").rglob("*.mp4"))[:60]


def test_eight_clients_for_five_minutes(clips: list[Path]) -> None:
    found = measure_clips(clips, CLIENTS, SECONDS, WORKERS)
    print(found)
    assert found["n_errors"] == 0, found["errors"]
    assert found["ratio"] < 1.1
    _, middle, last = found["resident_mb"]
    assert last < 1.05 * middle


def test_a_slow_client_and_a_hundred_idle_ones(clips: list[Path]) -> None:
    found = measure_slow(clips[0], rounds=5, idle=100, workers=WORKERS)
    print(found)
    assert found["ratio_of_medians"] < 1.2


@pytest.mark.parametrize(("pictures", "most_s"), [(False, 1.0), (True, 2.5)])
def test_windows_of_a_live_session_come_in_time(clips: list[Path], *, pictures: bool, most_s: float) -> None:
    found = measure_live(clips[0], 60.0, pictures=pictures)
    print(found)
    assert found["p95_s"] < most_s
    assert found["closed"]["problems"] == []
