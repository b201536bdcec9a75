"""The service under load: what it costs, how long its answers take, and who delays whom.

    python benchmarks/server_load.py clips CLIP... [--clients 8] [--seconds 300] [--workers 2]
    python benchmarks/server_load.py slow CLIP [--rounds 5] [--idle 100]
    python benchmarks/server_load.py live VIDEO [--seconds 30] [--sound-alone]

``clips``: clients post clips one after the other; then ``emofuse predict --jobs`` reads as many of the same
clips in one run. CPU seconds are those of all processes, of the command without its start, which is measured
with two clips. ``slow``: a client posts a clip again and again, in rounds with and without one client that
uploads a byte a second and others that are connected and say nothing. ``live``: a session gets the video in
real time, again and again, and a window's delay is counted from its end to its arrival at the client.

Each prints its figures as JSON. The exit status is 1 if a request failed. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core.errors import RequestError
from emofuse.server.client import Client

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
START_S = 300.0
POSTS = 10
"""Of a round of ``slow``."""
RATE = 16000


# --- the service


@dataclass
class Service:
    """A running service."""

    url: str
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Its process and those of its workers."""
        return [self.process.pid, *_children(self.process.pid)]

    def cpu_s(self) -> float:
        """CPU seconds that they have used so far."""
        return sum(float(_stat(pid)[11]) + float(_stat(pid)[12]) for pid in self.pids()) * TICK_S

    def resident_mb(self) -> float:
        """What they hold in memory, MiB."""
        return (
            sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) for pid in self.pids())
            * PAGE_MB
        )


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(_stat(int(path.name))[1]) == pid:
                found.append(int(path.name))
    return found


@contextlib.contextmanager
def running(workers: int = 2) -> Iterator[Service]:
    """A service with a data folder of its own, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        command = [
            sys.executable, "-m", "emofuse", "serve", "--port", str(port), "--data", f"{folder}/data",
            "--purpose", "a load test", "--workers", str(workers),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=log, stderr=log)
        service = Service(f"http://127.0.0.1:{port}", process)
        try:
            _await_health(service, Path(log.name))
            yield service
        finally:
            process.terminate()
            process.wait(60)


def _await_health(service: Service, log: Path) -> None:
    end = time.monotonic() + START_S
    with Client(service.url) as client:
        while True:
            try:
                if client.health().status == "ok":
                    return
            except RequestError:
                if service.process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(
                        f"the service did not start:\n{log.read_text(encoding='utf-8')}"
                    ) from None
            time.sleep(0.1)


# --- clips


@dataclass
class Load:
    """What clients saw."""

    latencies_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)


def post_clips(url: str, clips: Sequence[Path], clients: int, seconds: float, load: Load) -> None:
    """Clients post clips one after the other until the time is over."""
    turns = itertools.cycle(clips)
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def post() -> None:
        with Client(url) as client:
            while time.monotonic() < end:
                with lock:
                    clip = next(turns)
                started = time.monotonic()
                try:
                    client.predict(clip)
                    load.latencies_s.append(time.monotonic() - started)
                except RequestError as error:
                    load.errors.append(f"{clip.name}: {error}")

    _together([post] * clients)


def _together(calls: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def command_cpu_s(clips: Sequence[Path], jobs: int) -> float:
    """CPU seconds of ``emofuse predict`` on clips."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / f"{number}{clip.suffix}" for number, clip in enumerate(clips)]
        for name, clip in zip(names, clips, strict=True):
            name.symlink_to(clip.absolute())
        command = [sys.executable, "-m", "emofuse", "predict", *map(str, names), "--jobs", str(jobs)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_clips(clips: Sequence[Path], clients: int, seconds: float, workers: int) -> dict[str, Any]:
    """The figures of ``clips``."""
    load = Load()
    with running(workers) as service:
        warm = Load()
        post_clips(service.url, clips, workers, 1.0, warm)  # what is loaded once is not counted
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(1.0):
                load.resident_mb.append(service.resident_mb())

        watcher = threading.Thread(target=watch)
        watcher.start()
        before, started = service.cpu_s(), time.monotonic()
        post_clips(service.url, clips, clients, seconds, load)
        wall_s, cpu_s = time.monotonic() - started, service.cpu_s() - before
        stop.set()
        watcher.join()
    n = len(load.latencies_s)
    few = command_cpu_s(clips[:2], workers)
    again = [*itertools.islice(itertools.cycle(clips), n + 2)]
    command = (command_cpu_s(again, workers) - few) / n
    return {
        "clips": n, "errors": load.errors[:5], "n_errors": len(load.errors), "wall_s": round(wall_s, 1),
        "cpu_s_per_clip": round(cpu_s / n, 4), "command_cpu_s_per_clip": round(command, 4),
        "ratio": round(cpu_s / n / command, 3), **_quantiles(load.latencies_s),
        "resident_mb": [round(load.resident_mb[at]) for at in (0, len(load.resident_mb) // 2, -1)],
    }  # fmt: skip


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share}_s": round(float(np.percentile(values, share)), 3) for share in (50, 95)}


# --- slow and idle clients


@contextlib.contextmanager
def disturbed(url: str, idle: int) -> Iterator[None]:
    """One client that uploads a byte a second, and others that are connected and say nothing."""
    host, port = url.removeprefix("http://").split(":")
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(idle + 1)
        ]
        slow, *others = connections
        for one in others[: idle // 2]:  # half of them have asked something before
            one.sendall(f"GET /v1/health HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n\r\n"
        slow.sendall(head.encode())

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(1.0):
                    slow.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            yield
        finally:
            stop.set()
            dripping.join()


def measure_slow(clip: Path, rounds: int, idle: int, workers: int) -> dict[str, Any]:
    """The figures of ``slow``: rounds alternate, so that both meet the same machine."""
    alone: list[float] = []
    beside: list[float] = []
    with running(workers) as service, Client(service.url) as client:
        client.predict(clip)
        for _ in range(rounds):
            alone += _posts(client, clip)
            with disturbed(service.url, idle):
                beside += _posts(client, clip)
    ratio = float(np.median(beside) / np.median(alone))
    return {
        "alone": _quantiles(alone), "beside": _quantiles(beside), "ratio_of_medians": round(ratio, 3),
        "posts": len(alone),
    }  # fmt: skip


def _posts(client: Client, clip: Path) -> list[float]:
    found = []
    for _ in range(POSTS):
        started = time.monotonic()
        client.predict(clip)
        found.append(time.monotonic() - started)
    return found


# --- live


def parts_of(video: Path, *, pictures: bool) -> tuple[list[tuple[float, str, bytes]], float]:
    """Blocks of 100 ms and five JPEG pictures a second, with their times; and the length of the sound."""
    import av
    import cv2

    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    sound = io.BytesIO()
    parts: list[tuple[float, str, bytes]] = []
    with av.open(str(video)) as container:
        for frame in container.decode(container.streams.audio[0]):
            for out in resampler.resample(frame):
                sound.write(out.to_ndarray().astype("<i2").tobytes())
    pcm = sound.getvalue()
    step = RATE // 5
    parts += [(at / 2 / RATE, "audio", pcm[at : at + step]) for at in range(0, len(pcm), step)]
    if pictures:
        with av.open(str(video)) as container:
            n = 0
            for shown in container.decode(container.streams.video[0]):
                if shown.time is not None and shown.time * 5 >= n:
                    coded = cv2.imencode(".jpg", shown.to_ndarray(format="bgr24"))[1]
                    parts.append((shown.time, "picture", coded.tobytes()))
                    n += 1
    return sorted(parts), len(pcm) / 2 / RATE


def measure_live(video: Path, seconds: float, *, pictures: bool) -> dict[str, Any]:
    """The figures of ``live``."""
    parts, length_s = parts_of(video, pictures=pictures)
    delays: list[float] = []
    with (
        running(workers=1) as service,
        Client(service.url) as client,
        client.live(video=pictures) as session,
    ):
        started = time.monotonic()

        def feed() -> None:
            for lap in itertools.count():
                for time_s, kind, payload in parts:
                    at_s = lap * length_s + time_s
                    if at_s > seconds:
                        session.close()
                        return
                    # a block is there once its last sample is
                    ready_s = at_s + (len(payload) / 2 / RATE if kind == "audio" else 0.0)
                    time.sleep(max(0.0, started + ready_s - time.monotonic()))
                    (session.send_audio if kind == "audio" else session.send_picture)(payload, at_s)

        feeder = threading.Thread(target=feed)
        feeder.start()
        messages = []
        for message in session:
            messages.append(message)
            if message["type"] == "window" and message["end_s"] < seconds - 2.5:
                delays.append(time.monotonic() - started - message["end_s"])
        feeder.join()
    closed = messages[-1]
    return {
        "windows": len(delays), **_quantiles(delays), "most_s": round(max(delays), 3),
        "closed": {name: value for name, value in closed.items() if name != "type"},
    }  # fmt: skip


def main() -> int:
    """Measure, print, and say by the exit status whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    clips, slow, live = (modes.add_parser(name) for name in ("clips", "slow", "live"))
    clips.add_argument("clip", type=Path, nargs="+")
    clips.add_argument("--clients", type=int, default=8)
    clips.add_argument("--seconds", type=float, default=300.0)
    clips.add_argument("--workers", type=int, default=2)
    slow.add_argument("clip", type=Path)
    slow.add_argument("--rounds", type=int, default=5)
    slow.add_argument("--idle", type=int, default=100)
    slow.add_argument("--workers", type=int, default=2)
    live.add_argument("video", type=Path)
    live.add_argument("--seconds", type=float, default=30.0)
    live.add_argument("--sound-alone", action="store_true")
    given = parser.parse_args()
    if given.mode == "clips":
        figures = measure_clips(given.clip, given.clients, given.seconds, given.workers)
    elif given.mode == "slow":
        figures = measure_slow(given.clip, given.rounds, given.idle, given.workers)
    else:
        figures = measure_live(given.video, given.seconds, pictures=not given.sound_alone)
    print(json.dumps(figures, indent=1))
    return bool(figures.get("n_errors"))


if __name__ == "__main__":
    raise SystemExit(main())
