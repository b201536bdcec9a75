"""Jobs of a real service, whose workers and whose process are killed; tests/soak has more of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faults import Exports, Faults, check_results, check_served, command_line_exports
from tests.support.service import RunningService
from tests.support.small_corpora import write_wav
from tests.support.speech import speech_like

JOBS = 10


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_wav(folder / f"clip {n}.wav", speech_like(16_000, 1.5 + n), 16_000) for n in range(2)]


@pytest.fixture(scope="module")
def expected(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exports]:
    """What the command line makes of each clip."""
    folder = tmp_path_factory.mktemp("command line")
    return {clip.name: command_line_exports(clip, folder) for clip in clips}


def test_killed_workers_and_services_lose_no_job(
    tmp_path: Path, database_url: str, clips: list[Path], expected: dict[str, Exports]
) -> None:
    data = tmp_path / "data"

    def start(port: int) -> RunningService:
        return RunningService(data, port=port, workers=2, database=database_url)

    faults = Faults(clips, start)
    try:
        faults.run(JOBS, workers=1, services=1)
        assert faults.kills == {"worker": 1, "service": 1}
        check_results(data, faults.ended.values(), expected, tmp_path / "again")
        for job in list(faults.ended.values())[:2]:
            check_served(faults.services[0], job, expected)
        assert set(faults.accepted) <= set(faults.ended) and len(faults.accepted) >= JOBS
    finally:
        faults.close()
