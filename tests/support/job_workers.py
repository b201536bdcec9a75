"""What workers do in tests of jobs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emofuse.system.worker_tasks import Talk, TaskHandler


def load(_setup: Mapping[str, Any]) -> TaskHandler:
    return handle


def handle(request: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """Do what a job's options say; ``marks`` names a folder in which every start leaves a file."""
    out, do = Path(request["out"]), request.get("do", "write")
    if "marks" in request:
        marks = Path(request["marks"])
        (marks / f"{request['name']} {os.getpid()} {time.monotonic_ns()}").touch()
        if do == "die" and len(list(marks.glob(f"{request['name']} *"))) <= request["deaths"]:
            (out / "half.txt").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    if do == "fail":
        (out / "half.txt").write_bytes(b"half")
        return {"error": "no audio", "kind": "media"}
    if do == "wait":
        (out / "half.txt").write_bytes(b"half")
        for n in range(100_000):
            talk.progress({"done_s": float(n), "total_s": 1000.0})
            if talk.cancelled.wait(0.02) and not request.get("stubborn"):
                return {"error": "cancelled", "kind": "cancelled"}
    time.sleep(float(request.get("takes_s", 0.0)))
    (out / "result.txt").write_bytes(f"of {request['name']}".encode())
    return {"pid": os.getpid()}
