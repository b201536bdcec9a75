"""A service whose workers and whose processes are killed, and what must be true of its jobs afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx

from emofuse.exports.waveform import Peaks
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.timeline.stored import load_timeline
from tests.support.processes import children
from tests.support.service import PURPOSE, RunningService

COMPARED: Final = ("json", "csv", "windows-csv", "frames-csv", "summary-csv", "vtt", "textgrid", "svg")
"""Export formats that are compared byte by byte."""
PATIENCE_S: Final = 1800.0
ALLOWED_DEATHS: Final = 1
"""No worker is killed while a job runs that has lost more of them: the third would rightly fail it."""

Exports = Mapping[str, bytes]


def command_line_exports(clip: Path, folder: Path) -> Exports:
    """What ``emofuse timeline --purpose`` writes of a clip, by format."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{clip.stem}{FORMATS[kind]}" for kind in COMPARED}
    outputs = [argument for path in paths.values() for argument in ("--out", str(path))]
    command = [sys.executable, "-m", "emofuse", "timeline", clip.name, "--purpose", PURPOSE, *outputs]
    done = subprocess.run(command, cwd=clip.parent, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return {kind: path.read_bytes() for kind, path in paths.items()}


def stored_exports(result: Path, folder: Path) -> Exports:
    """The same of what a job has kept."""
    folder.mkdir(parents=True, exist_ok=True)
    timeline = replace(load_timeline(result / "timeline.npz"), purpose=PURPOSE)
    waveform = Peaks.load(result / "waveform.npz")
    return {
        kind: write_timeline(timeline, folder / f"again{FORMATS[kind]}", waveform=waveform).read_bytes()
        for kind in COMPARED
    }


def check_results(
    data: Path, jobs: Iterable[Mapping[str, Any]], expected: Mapping[str, Exports], scratch: Path
) -> None:
    """Each job is done, with one result, that of the command line, and nothing else is left of it."""
    for job in jobs:
        assert job["state"] == "done", job
        folder = data / "jobs" / str(job["id"])
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {"upload", "result/timeline.npz", "result/waveform.npz"}, job
        made = stored_exports(folder / "result", scratch)
        for kind, content in expected[str(job["name"])].items():
            assert made[kind] == content, (job, kind)


def check_served(service: RunningService, job: Mapping[str, Any], expected: Mapping[str, Exports]) -> None:
    """The service's exports of a job are those of the command line."""
    for kind, content in expected[str(job["name"])].items():
        answer = service.client.get(f"/v1/jobs/{job['id']}/results/{kind}")
        assert answer.status_code == 200, answer.text
        assert answer.content == content, (job, kind)


class Faults:
    """Jobs of some clips that services work on, while they and their workers are killed.

    Args:
        clips: sent in turn.
        start: starts the ``n``-th service, on a port of its own or on that one.
        services: how many there are.
    """

    def __init__(self, clips: Sequence[Path], start: Any, services: int = 1, seed: int = 0) -> None:
        self._clips, self._start = clips, start
        self._random = random.Random(seed)
        self.services: list[RunningService] = [start(0) for _ in range(services)]
        self._killed: list[RunningService] = []
        self.accepted: list[str] = []
        self.done: dict[str, float] = {}
        """When each job was first seen to be done."""
        self.ended: dict[str, dict[str, Any]] = {}
        self.kills: dict[str, int] = {"worker": 0, "service": 0}
        self.recovered_s: list[float] = []
        """How long after a killed service ran again its jobs were done, kill by kill."""
        self._waiting_for: list[tuple[float, set[str]]] = []

    def close(self) -> None:
        for service in (*self.services, *self._killed):
            service.__exit__(None, None, None)

    def send(self, n: int) -> None:
        """Send that many jobs; what is not answered, because a service was killed, is sent again."""
        while len(self.accepted) < n:
            clip = self._clips[len(self.accepted) % len(self._clips)]
            for service in list(self.services):
                try:
                    answer = service.client.post(
                        "/v1/jobs",
                        content=clip.read_bytes(),
                        headers={"Content-Disposition": f'attachment; filename="{clip.name}"'},
                    )
                except httpx.HTTPError:
                    continue
                assert answer.status_code in (202, 429, 503), answer.text
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["id"])
                    break
            else:
                time.sleep(0.2)

    def run(self, n: int, *, workers: int, services: int, at: Mapping[float, Any] | None = None) -> None:
        """Have ``n`` jobs done, while so many workers and services are killed, spread over the time.

        Args:
            n: of the jobs; half of them are sent meanwhile, and a few more if faults are left at their end.
            workers: how many workers are killed.
            services: how many services are killed, and started again on the same port.
            at: what else is done, by the share of jobs that are done before.
        """
        self.send(n // 2)
        sender = threading.Thread(target=self.send, args=(n,))
        sender.start()
        faults = [self._kill_worker] * workers + [self._kill_service] * services
        self._random.shuffle(faults)
        plan = [(n * (1 + k) / (len(faults) + 2), fault) for k, fault in enumerate(faults)]
        plan += [(n * share, what) for share, what in (at or {}).items()]
        plan.sort(key=lambda one: one[0])
        deadline = time.monotonic() + PATIENCE_S
        while plan or sender.is_alive() or len(self.done) < len(self.accepted):
            self._look()
            if plan and not sender.is_alive() and len(self.done) == len(self.accepted):
                self.send(len(self.accepted) + 4)  # a fault needs somebody at work
            while plan and len(self.done) >= plan[0][0]:
                if plan[0][1]() is False:
                    break
                plan.pop(0)
            assert time.monotonic() < deadline, f"{len(self.done)} of {n} jobs are done"
            time.sleep(0.3)
        sender.join()

    def _jobs(self) -> list[dict[str, Any]]:
        """All jobs, as any service that answers knows them."""
        for service in self.services:
            try:
                answer = service.client.get("/v1/jobs", params={"limit": 1000})
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                return list(answer.json()["jobs"])
        return []

    def _look(self) -> None:
        for job in self._jobs():
            assert job["state"] in ("queued", "running", "done"), job
            if job["state"] == "done":
                before = self.ended.setdefault(job["id"], job)
                assert before == job, "a job that is done was done again"
                if job["id"] in self.accepted:
                    self.done.setdefault(job["id"], time.monotonic())
        for restarted, left in list(self._waiting_for):
            if left <= set(self.ended):
                self.recovered_s.append(time.monotonic() - restarted)
                self._waiting_for.remove((restarted, left))

    def _kill_worker(self) -> bool:
        """Kill a worker that works on a job; False: not now."""
        running = [job for job in self._jobs() if job["state"] == "running"]
        if not running or max(job["worker_deaths"] for job in running) > ALLOWED_DEATHS:
            return False
        service = self._random.choice(self.services)
        pids = children(service.process.pid)
        if not pids:
            return False
        try:
            os.kill(self._random.choice(pids), signal.SIGKILL)
        except ProcessLookupError:  # it has just ended
            return False
        self.kills["worker"] += 1
        return True

    def _kill_service(self) -> bool:
        """Kill a service while it works on a job, and start it again on its port; False: not now."""
        running = {job["id"] for job in self._jobs() if job["state"] == "running"}
        if not running:
            return False
        n = self._random.randrange(len(self.services))
        killed = self.services[n]
        killed.process.kill()
        killed.process.wait()
        self.services[n] = self._start(killed.port)
        started = time.monotonic()
        self._killed.append(killed)  # closed later: the thread that sends may be using its client
        self._waiting_for.append((started, running))
        self.kills["service"] += 1
        return True
