"""Services that are killed with their workers and their database, and that run out of disk and of time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.faults import Exports, Faults, check_results, check_served, command_line_exports
from tests.support.postgres import Postgres
from tests.support.processes import children, wait_until
from tests.support.service import RunningService
from tests.support.small_corpora import write_wav
from tests.support.speech import speech_like

pytestmark = pytest.mark.soak

JOBS = 200
WORKER_KILLS, SERVICE_KILLS = 20, 5
RECOVERY_S = 60
"""The jobs of a killed service are done so long after its restart; or taken over by another one."""
FULL_BYTES = 16 * 2**20
LIMIT_S = 300
N_WORKERS = 2
FAKE_TIME = "/usr/lib/*/faketime/libfaketime.so.1"
"""Debian: apt-get install libfaketime."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, video_clips: dict[str, Path]) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    sounds = [
        write_wav(folder / f"voice {n}.wav", speech_like(16_000, 2.0 + n, seed=n), 16_000) for n in range(3)
    ]
    return [*sounds, video_clips["happy"]]


@pytest.fixture(scope="module")
def expected(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exports]:
    folder = tmp_path_factory.mktemp("command line")
    return {clip.name: command_line_exports(clip, folder) for clip in clips}


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("long") / "long.wav", speech_like(16_000, 1200.0), 16_000)


def starter(data: Path, url: str) -> Callable[[int], RunningService]:
    quotas = {"open_jobs": 2 * JOBS, "requests_per_s": 1000.0, "burst": 100_000}
    return lambda port: RunningService(data, port=port, workers=3, database=url, quotas=quotas)


def report(faults: Faults, began: float) -> None:
    took_s = time.monotonic() - began
    print(
        f"{len(faults.accepted)} jobs accepted, {len(faults.ended)} done in {took_s:.0f} s; "
        f"killed: {faults.kills}; attempts: {sum(job['attempts'] for job in faults.ended.values())}; "
        f"jobs of killed services done after {[round(one, 1) for one in faults.recovered_s]} s"
    )


def check_everything(faults: Faults, tmp_path: Path, expected: dict[str, Exports]) -> None:
    """All kills happened, no accepted job is lost, and each result is the command line's, and in time."""
    assert faults.kills == {"worker": WORKER_KILLS, "service": SERVICE_KILLS}
    check_results(tmp_path / "data", faults.ended.values(), expected, tmp_path / "again")
    for job in list(faults.ended.values())[::20]:
        check_served(faults.services[0], job, expected)
    assert set(faults.accepted) <= set(faults.ended) and len(set(faults.accepted)) >= JOBS
    assert len(faults.recovered_s) == SERVICE_KILLS and max(faults.recovered_s) < RECOVERY_S


def test_killed_workers_and_services(
    tmp_path: Path, database_url: str, clips: list[Path], expected: dict[str, Exports]
) -> None:
    began = time.monotonic()
    faults = Faults(clips, starter(tmp_path / "data", database_url))
    try:
        faults.run(JOBS, workers=WORKER_KILLS, services=SERVICE_KILLS)
        report(faults, began)
        check_everything(faults, tmp_path, expected)
    finally:
        faults.close()


def test_two_services_on_a_postgresql_that_restarts(
    tmp_path: Path, postgres: Postgres, clips: list[Path], expected: dict[str, Exports]
) -> None:
    def restart(mode: Any) -> None:
        postgres.stop(mode)
        postgres.start()

    began = time.monotonic()
    faults = Faults(clips, starter(tmp_path / "data", postgres.new_database()), services=2)
    try:
        at = {0.3: lambda: restart("fast"), 0.7: lambda: restart("immediate")}
        faults.run(JOBS, workers=WORKER_KILLS, services=SERVICE_KILLS, at=at)
        report(faults, began)
        check_everything(faults, tmp_path, expected)
    finally:
        faults.close()


def test_jobs_of_a_dead_service_are_taken_over(tmp_path: Path, postgres: Postgres) -> None:
    """Hours of sound: no job of the test ends by itself."""
    long_recording = write_wav(tmp_path / "hours.wav", np.tile(speech_like(8000, 600.0), 18), 8000)
    start = starter(tmp_path / "data", postgres.new_database())
    with start(0) as first, start(0) as second:
        jobs = [first.add_job(long_recording)["id"] for _ in range(4)]

        def attempts(state: str) -> list[int]:
            found = [second.job(job) for job in jobs]
            return [job["attempts"] for job in found if job["state"] == state]

        assert wait_until(lambda: attempts("running") == [1, 1, 1, 1], limit_s=LIMIT_S), "two each"
        first.process.kill()
        killed = time.monotonic()
        assert wait_until(lambda: len(attempts("running")) < 4, limit_s=LIMIT_S)
        print(f"queued again {time.monotonic() - killed:.1f} s after the kill")
        assert time.monotonic() - killed < RECOVERY_S / 2
        for job in jobs:
            if second.job(job)["state"] == "running":  # so that it has room
                second.client.delete(f"/v1/jobs/{job}").raise_for_status()
        assert wait_until(lambda: attempts("running") == [2, 2], limit_s=LIMIT_S)
        print(f"taken over {time.monotonic() - killed:.1f} s after the kill")
        assert time.monotonic() - killed < RECOVERY_S


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Leave not a byte on a disk."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_full_disk(
    small_disk: Path, clips: list[Path], expected: dict[str, Exports], tmp_path: Path
) -> None:
    data, clip = small_disk / "data", clips[0]
    with RunningService(data, workers=2, log=tmp_path / "log") as service:
        before = service.wait_for(service.add_job(clip)["id"], "done")
        kept = service.leftovers()
        large = tmp_path / "large.wav"
        write_wav(large, speech_like(16_000, 60.0), 16_000)
        with large.open("ab") as file:
            file.truncate(2 * FULL_BYTES)
        for path in ("/v1/jobs", "/v1/predictions"):
            answer = service.client.post(path, files={"file": ("large.wav", large.read_bytes())})
            assert answer.status_code == 507, answer.text
            assert service.leftovers() == kept
        filler = small_disk / "filler"
        fill(filler)
        answers = [
            service.client.post("/v1/jobs", files={"file": (clip.name, clip.read_bytes())}) for _ in range(3)
        ]
        assert {answer.status_code for answer in answers} == {507}, [answer.text for answer in answers]
        assert service.leftovers() == kept
        assert service.client.get("/v1/health").status_code == 200
        filler.unlink()
        after = service.wait_for(service.add_job(clip)["id"], "done")
        check_results(data, [before, after], expected, tmp_path / "again")


def test_a_disk_that_fills_while_a_job_runs(
    small_disk: Path, clips: list[Path], expected: dict[str, Exports], long_recording: Path, tmp_path: Path
) -> None:
    """Its result cannot be written, nor that it failed; once there is room again, it says why."""
    data, folders = small_disk / "data", [str(long_recording.parent)]
    with RunningService(data, workers=2, log=tmp_path / "log", folders=folders) as service:
        place = {"folder": 0, "path": long_recording.name}
        answer = service.client.post("/v1/jobs", json=place)
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"]
        service.wait_for(job_id, "running")
        attempt = data / "jobs" / job_id / "attempt-1"
        assert wait_until(attempt.exists, limit_s=LIMIT_S)
        fill(small_disk / "filler")
        assert wait_until(lambda: not attempt.exists(), limit_s=LIMIT_S)
        (small_disk / "filler").unlink()
        failed = service.wait_for(job_id, "failed", "done")
        assert failed["error"] == "long.wav: its result cannot be written (No space left on device)"
        assert service.leftovers() == []
        after = service.wait_for(service.add_job(clips[0])["id"], "done")
        check_results(data, [after], expected, tmp_path / "again")


def test_the_clock_is_set(
    tmp_path: Path, clips: list[Path], expected: dict[str, Exports], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By years, forward and back: nothing is erased early, nothing waits, nothing is lost."""
    libraries = sorted(Path("/").glob(FAKE_TIME.lstrip("/")))
    if not libraries:
        pytest.skip("there is no libfaketime")
    shift = tmp_path / "shift"
    shift.write_text("+0d", encoding="utf-8")
    monkeypatch.setenv("LD_PRELOAD", str(libraries[0]))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(shift))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    jobs = []
    with RunningService(tmp_path / "data", workers=2, keep_s=3600.0) as service:
        for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE"):
            monkeypatch.delenv(name)
        for days in ("+0d", "+900d", "-900d", "+0d"):
            running = service.add_job(clips[0])
            shift.write_text(days, encoding="utf-8")
            seen = service.client.get("/v1/health").headers["date"]
            print(f"shifted by {days}: the service's clock says {seen}")
            jobs += [running, service.add_job(clips[1])]
            for job in jobs[-2:]:
                service.wait_for(job["id"], "done")
            time.sleep(65)  # it looks for what has expired once a minute
        ended = [service.job(job["id"]) for job in jobs]
        check_results(tmp_path / "data", ended, expected, tmp_path / "again")
        assert all(job["attempts"] == 1 for job in ended)
        assert service.end(signal.SIGTERM) == 0


def test_memory_and_processes_do_not_grow_with_kills(tmp_path: Path, clips: list[Path]) -> None:
    """After ten killed workers there are as many processes as before, and as many open files."""
    with RunningService(tmp_path / "data", workers=N_WORKERS) as service:

        def descriptors() -> int:
            return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))

        service.wait_for(service.add_job(clips[0])["id"], "done")
        found = partial(children, service.process.pid)
        assert wait_until(lambda: len(found()) == N_WORKERS, limit_s=LIMIT_S)
        open_before = descriptors()
        for _ in range(10):
            os.kill(found()[0], signal.SIGKILL)
            assert wait_until(lambda: len(found()) == N_WORKERS, limit_s=LIMIT_S), (found(), service.log())
            service.wait_for(service.add_job(clips[0])["id"], "done")
        assert descriptors() <= open_before + 5
