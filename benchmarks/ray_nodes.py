"""Ray nodes on this machine: real raylets, held back by quotas, and killed as by a power failure."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_START: Final = (
    "from ray._private import services; services.resolve_ip_for_localhost = lambda host: host; "
    "from ray.scripts.scripts import main; main()"
)
"""The command ``ray``, which takes the loopback address as it is, and not for one that others reach."""
_MARK: Final = "EMOFUSE_RAY_NODE"
"""The variable by which the processes of a node are found, whoever started them."""
_CLUSTER: Final = "EMOFUSE_RAY_CLUSTER"
"""The same of all nodes of a cluster."""
_GUARD: Final = "import sys; from benchmarks.ray_nodes import end_with_parent; end_with_parent(sys.argv[1])"
_OBJECT_STORE_BYTES: Final = 80_000_000
_ATTEMPTS: Final = 3
_CPU_GROUPS: Final = Path("/sys/fs/cgroup/cpu")
"""Of cgroup v1: where shares are limited."""
_USE_GROUPS: Final = Path("/sys/fs/cgroup/cpuacct")
"""Where use is counted, of processes that have ended as well."""
_CALM: Final = 0.1
"""Cores that a node's servers use at the most once they have started."""
_PERIOD_US: Final = 100_000


def can_hold_to_quotas() -> bool:
    """Whether this machine has groups of processes whose share of a core can be limited, and lets us."""
    return all(groups.is_dir() and os.access(groups, os.W_OK) for groups in (_CPU_GROUPS, _USE_GROUPS))


class RayNodes:
    """A cluster of Ray on this machine; a context manager. Its head has no core for tasks, unless asked."""

    def __init__(
        self, head_cores: int = 0, variables: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        """Start the head.

        Args:
            head_cores: that tasks may use there.
            variables: of the environment of the head and all nodes.
            python: the interpreter of the head, if it is another than this one.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._variables = {**(variables or {}), _CLUSTER: self.folder.name}
        self._guard = subprocess.Popen(  # ends all nodes, whatever ends this process
            [sys.executable, "-c", _GUARD, str(self.folder)], stdin=subprocess.PIPE, start_new_session=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        self._quotas: dict[str, list[Path]] = {}
        """The groups of nodes with a share: the one that limits it, and the one that counts its use."""
        self.marks: list[str] = []
        """Of the nodes, the head's first."""
        self.address = f"{LOOPBACK}:{_free_port()}"
        port = self.address.rpartition(":")[2]
        self._start(python, head_cores, None, {}, "--head", f"--port={port}", f"--temp-dir={self.folder}",
                    "--include-dashboard=false")  # fmt: skip

    def add(
        self,
        cores: int = 1,
        share: float | None = None,
        mounts: str | None = None,
        python: str = sys.executable,
        **variables: str,
    ) -> str:
        """Start a node; return the mark by which it is killed.

        Args:
            cores: tasks at once.
            share: of a core that all its processes together may use; None: no limit.
            mounts: commands of a shell, run before, which mount what this node alone sees; as root.
            python: its interpreter, if it is another than this one.
            variables: of its environment.
        """
        return self._start(python, cores, share, variables, f"--address={self.address}", mounts=mounts)

    def _start(
        self, python: str, cores: int, share: float | None, variables: Mapping[str, str], *arguments: str,
        mounts: str | None = None,
    ) -> str:  # fmt: skip
        mark = uuid.uuid4().hex
        if share is not None:
            self._quotas[mark] = self._limited(mark, share)
        groups = self._quotas.get(mark, [])
        command = [
            python, "-c", _START, "start", *arguments, f"--num-cpus={cores}",
            f"--object-store-memory={_OBJECT_STORE_BYTES}", "--disable-usage-stats", "--min-worker-port=0",
            "--max-worker-port=0", "--dashboard-agent-listen-port=0", "--include-log-monitor=false",
            f"--node-ip-address={LOOPBACK}",
        ]  # fmt: skip
        if mounts is not None:
            alone = ["unshare", "-m", "--propagation", "private", "sh", "-ec", f'{mounts}; exec "$@"', "sh"]
            command = alone + command
        self.marks.append(mark)
        for _ in range(_ATTEMPTS):  # on a crowded machine, Ray gives up too early
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", check=False, stdin=subprocess.DEVNULL,
                env={**os.environ, **self._variables, **variables, _MARK: mark},
                preexec_fn=(lambda: _join(groups)) if groups else None,
            )  # fmt: skip
            if not done.returncode:
                return mark
            _kill(f"{_MARK}={mark}")
        raise RuntimeError(f"ray start failed: {done.stdout}{done.stderr}")

    def _limited(self, mark: str, share: float) -> list[Path]:
        limits, use = (groups / f"emofuse-{mark}" for groups in (_CPU_GROUPS, _USE_GROUPS))
        for group in dict.fromkeys([limits.resolve(), use.resolve()]):  # they may be one
            group.mkdir()
        (limits / "cpu.cfs_period_us").write_text(str(_PERIOD_US), encoding="utf-8")
        (limits / "cpu.cfs_quota_us").write_text(str(round(share * _PERIOD_US)), encoding="utf-8")
        return [limits, use]

    def used_s(self, mark: str) -> float:
        """CPU seconds of all processes that a node with a share ever had."""
        return int((self._quotas[mark][1] / "cpuacct.usage").read_text(encoding="utf-8")) / 1e9

    def settle(self, timeout_s: float = 120.0) -> None:
        """Wait until the servers of the nodes with a share have started, and do nothing any more."""
        until = time.monotonic() + timeout_s
        while True:
            before = {mark: self.used_s(mark) for mark in self._quotas}
            time.sleep(2.0)
            if all((self.used_s(mark) - used_s) / 2.0 <= _CALM for mark, used_s in before.items()):
                return
            if time.monotonic() > until:
                raise RuntimeError("the servers of Ray do not come to rest")

    def kill(self, mark: str) -> None:
        """End a node at once, with everything that runs on it."""
        _kill(f"{_MARK}={mark}")
        self.marks.remove(mark)

    def cpu_seconds(self) -> float:
        """That all processes of all nodes have used which still run, and those that they have waited for."""
        ticks = 0
        for mark in self.marks:
            for pid in processes_of(mark):
                with contextlib.suppress(OSError):
                    fields = (
                        Path("/proc", str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                    )
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End all nodes, and remove what they have left."""
        for mark in list(reversed(self.marks)):
            self.kill(mark)
        for group in {group.resolve() for groups in self._quotas.values() for group in groups}:
            _removed(group)
        self._guard.communicate()

    def __enter__(self) -> RayNodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def end_with_parent(folder: str) -> None:
    """In a process of its own: end what is left of a cluster when the process ends that started it."""
    sys.stdin.read()
    _kill(f"{_CLUSTER}={Path(folder).name}")
    shutil.rmtree(folder, ignore_errors=True)


def _kill(variable: str) -> None:
    while pids := list(_processes_of(variable.encode())):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def processes_of(mark: str) -> list[int]:
    """The processes of a node that still run."""
    return list(_processes_of(f"{_MARK}={mark}".encode()))


def _processes_of(variable: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable in (folder / "environ").read_bytes().split(b"\0"):
                state = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
                if state != "Z":
                    yield int(folder.name)


def _join(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")


def _removed(group: Path) -> None:
    """Remove a group, which takes until its last process is gone."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.rmdir()
        if not group.exists():
            return
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port
