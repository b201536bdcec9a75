"""A service in a process of its own, on a free port, and what is sent to it byte by byte."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx

PURPOSE: Final = "tests"
TOKEN: Final = "a-token-for-tests-of-the-service"
FOREVER_S: Final = 180.0
"""What a test waits for happens long before, also on a crowded machine."""

_RUN: Final = """\
import json, logging, sys
from pathlib import Path
from emofuse.server.label_studio import LabelStudio
from emofuse.server.live.limits import LiveLimits
from emofuse.server.run import serve
from emofuse.server.settings import Quotas, ServerSettings
given = json.loads(sys.argv[1])
for name in ("data", "bundle", "token_file"):
    if given.get(name) is not None:
        given[name] = Path(given[name])
given["folders"] = tuple(map(Path, given.get("folders", ())))
given["hosts"] = tuple(given.get("hosts", ()))
given["live"] = LiveLimits(**given.get("live", {}))
if given.get("label_studio") is not None:
    given["label_studio"] = LabelStudio(**given["label_studio"])
given["quotas"] = Quotas(**given.get("quotas", {}))
logging.basicConfig(level=logging.WARNING)
logging.getLogger("emofuse").setLevel(logging.INFO)  # as the command does
serve(ServerSettings(**given), lambda address: print(address, flush=True))
"""


class RunningService:
    """A context manager: the service listens, and is killed at the end unless it was ended before.

    Args:
        data: its data folder.
        log: where its standard error goes; beside the data folder by default.
        settings: fields of :class:`~emofuse.server.settings.ServerSettings`; ``quotas`` is a mapping.
    """

    def __init__(self, data: Path, *, log: Path | None = None, **settings: Any) -> None:
        self.data = data
        self.token: str | None = settings.get("token")
        given = {"data": str(data), "port": 0, "workers": 1, "purpose": PURPOSE, **settings}
        self._log = log or Path(f"{data}.log")
        with self._log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _RUN, json.dumps(given)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log()
        self.port = int(self.url.rpartition(":")[2])
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        self.client = httpx.Client(base_url=self.url, timeout=FOREVER_S, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def log(self) -> str:
        """What it has written on standard error."""
        return self._log.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and wait for its end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=FOREVER_S)

    def predict(self, file: Path, **options: Any) -> httpx.Response:
        """Post a recording as a form."""
        with file.open("rb") as content:
            return self.client.post("/v1/predictions", files={"file": (file.name, content)}, params=options)

    def add_job(self, file: Path, **options: Any) -> dict[str, Any]:
        """Have a recording read; the job."""
        with file.open("rb") as content:
            answer = self.client.post("/v1/jobs", files={"file": (file.name, content)}, params=options)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        answer = self.client.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def wait_for(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job, once it is in one of these states."""
        end = time.monotonic() + FOREVER_S
        while (job := self.job(job_id))["state"] not in states:
            assert time.monotonic() < end, job
            time.sleep(0.05)
        return job

    def send(self, head: str, body: bytes = b"", *, half_close: bool = False) -> RawAnswer:
        """Send bytes as they are: a head without its empty line, and a body. The answer, up to its end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=FOREVER_S) as raw:
            with contextlib.suppress(ConnectionError):  # it may be answered before all is sent
                raw.sendall(head.replace("\n", "\r\n").encode("utf-8") + b"\r\n\r\n" + body)
                if half_close:
                    raw.shutdown(socket.SHUT_WR)
            return RawAnswer.read(raw)

    def leftovers(self, *folders: str) -> list[str]:
        """Files of recordings in the data folder: of requests (``incoming``), of jobs (``jobs``), or both."""
        return sorted(
            str(path.relative_to(self.data))
            for folder in folders or ("incoming", "jobs")
            for path in (self.data / folder).rglob("*")
            if path.is_file() and path.name != ".lock"
        )


class RawAnswer:
    """What came back over a raw connection."""

    def __init__(self, status: int | None, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @classmethod
    def read(cls, raw: socket.socket) -> RawAnswer:
        """Read until the answer is whole, or the connection ends; a status of None: there was no answer."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while not cls._whole(data):
                piece = raw.recv(65_536)
                if not piece:
                    break
                data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if not lines[0].startswith("HTTP/1.1 "):
            return cls(None, {}, b"")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return cls(int(lines[0].split()[1]), headers, body)

    @staticmethod
    def _whole(data: bytes) -> bool:
        head, separator, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return bool(separator) and len(body) >= int(line.partition(b":")[2])
        return bool(separator) and head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 101"))


def form(*parts: tuple[str, str | None, bytes], boundary: str = "xyz") -> tuple[str, bytes]:
    """A multipart form of (field, file name, content): its content type and its bytes."""
    body = b""
    for name, filename, content in parts:
        shown = "" if filename is None else f'; filename="{filename}"'
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """The server-sent events of an answer: names and data."""
    name, data = "message", ""
    for line in answer.iter_lines():
        if line.startswith("event:"):
            name = line.partition(":")[2].strip()
        elif line.startswith("data:"):
            data += line.partition(":")[2].strip()
        elif not line:
            if data:
                yield name, json.loads(data)
            name, data = "message", ""


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return 1024 * int(done.stdout.strip() or 0)
