"""What runs on a node of a cluster: a worker process of its own for every core, which reads file after file.

The functions here are called by Ray, in a process of Ray. That process decodes nothing: it keeps an isolated
worker, so that a crash in a decoder costs one file here as well. What comes back are rows; recordings and
features stay where they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import EmofuseError
from emofuse.core.version import __version__
from emofuse.recognition.bundle import SHIPPED
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import IsolatedWorkers, Lost, Reply, Task
from emofuse.system.source_digest import source_digest

_LOOKS: Final = 5
_LOOK_S: Final = 1.0
"""How often, and after how long, a node looks for a new file in a folder that machines share."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a node needs to know besides the files."""

    target: str
    settings: WorkerSettings
    is_shipped: bool
    """Whether the recognizer is the one that comes with emofuse, wherever that is on a node."""
    more: Mapping[str, Any]
    identity: Mapping[str, str | None]
    """What rows depend on, on the machine of the driver."""
    folder: str
    """In which the driver runs: names of files may be relative to it."""
    marker: str | None = None
    """A file that the driver has made in the folder of the results; None: nodes write none."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to read, and how the driver sees it."""

    task: Task
    size_bytes: int | None
    """None: the driver sees no such file."""
    whatever: bool = False
    """Read it even if there is no such file here: no node has it, and the row says so."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """The result of a file that this node does not see, or sees another in its place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a node has read."""

    results: Sequence[tuple[int, Reply | Lost | Unseen]]
    seconds: float | None
    """That a file took, of those that a worker read which had loaded before; None: none did."""


@dataclass
class _Kept:
    """Of this process of Ray, which works for one driver at a time."""

    workers: IsolatedWorkers | None = None
    of: tuple[str, Mapping[str, Any], Mapping[str, str | None]] | None = None

    def fitting(self, work: Work) -> IsolatedWorkers:
        """The worker that is kept, or a new one if it has loaded something else."""
        of = (work.target, work.more, work.identity)
        if self.workers is None or self.of != of:
            self.end()
            self.workers, self.of = IsolatedWorkers(work.target, {}, 1, kept=True), of
        return self.workers

    def end(self) -> None:
        if self.workers is not None:
            self.workers.shutdown()
            self.workers = None


_kept = _Kept()


def other_version(version: str, digest: str) -> str | None:
    """What is said of a node with another version of emofuse, which may not even understand :class:`Work`."""
    if version != __version__:
        return f"it has emofuse {__version__}, not {version}: install the same on all nodes"
    if digest != source_digest():
        return (
            f"its emofuse {version} has other code than that of this machine: install the same on all nodes"
        )
    return None


def refusal(work: Work) -> str | None:
    """Why this node would not give the rows that the driver's machine gives; None: it would."""
    _work_in(work.folder)
    try:
        return _other_software(work) or _other_results(work)
    except EmofuseError as error:
        return str(error)
    except OSError as error:
        return _text(error)


def _other_software(work: Work) -> str | None:
    there = _at_home(work.settings, is_shipped=work.is_shipped)
    try:
        found = there.identity()
    except FileNotFoundError as error:
        return f"it has no {error.filename}: put it there under that path, or in a folder that all share"
    differing = [name for name, value in work.identity.items() if found.get(name) != value]
    if "recogniser" in differing:
        return f"{there.bundle} is another recognizer there than on this machine"
    if "version of a library" in differing:
        here = json.loads(str(work.identity["version of a library"]))
        at_node = json.loads(str(found["version of a library"]))
        named = [
            f"{name} {at_node.get(name)}, not {here[name]}"
            for name in here
            if here[name] != at_node.get(name)
        ]
        return f"it has {', '.join(named)}: install the same on all nodes"
    if differing:
        return f"it has another {' and another '.join(differing)} than this machine"
    return None


def _other_results(work: Work) -> str | None:
    """Whether this node writes into the folder from which the driver takes the results."""
    if work.marker is None:
        return None
    marker = Path(work.folder, work.marker)
    for attempt in range(_LOOKS):
        if marker.exists():
            break
        if attempt + 1 == _LOOKS:
            return f"it does not see the folder of the results, {marker.parent}: all nodes must share it"
        time.sleep(_LOOK_S)  # shared file systems show what is new a moment later
    with tempfile.TemporaryFile(dir=marker.parent) as file:
        file.write(b"emofuse")
    return None


def read(work: Work, files: Sequence[File]) -> Read | str:
    """Read some files, one after the other.

    Returns:
        Their results in any order; or why this node reads none.
    """
    begun = time.monotonic()
    _work_in(work.folder)
    present: list[Task] = []
    results: list[tuple[int, Reply | Lost | Unseen]] = []
    for file in files:
        unseen = None if file.whatever else _unseen(file)
        if unseen is None:
            present.append(file.task)
        else:
            results.append((file.task.key, unseen))
    settings = _at_home(work.settings, is_shipped=work.is_shipped)
    workers = _kept.fitting(work)
    loaded = bool(workers.workers)
    try:
        with settings.setup() as setup:
            workers.setup = {**setup, **work.more}
            results += workers.results(iter(present))
    except (EmofuseError, OSError) as error:
        _kept.end()
        return _text(error)
    except BaseException:
        _kept.end()
        raise
    seconds = (time.monotonic() - begun) / len(present) if loaded and present else None
    return Read(results, seconds)


def is_disk_full(reply: Reply) -> bool:
    """Whether a recording failed for the disk of its node, and not for anything in it."""
    return bool(reply.get("disk_full"))


def _work_in(folder: str) -> None:
    """Take the driver's folder, if it is here: names may be relative to it, and stay as they are in rows."""
    with contextlib.suppress(OSError):
        os.chdir(folder)  # of this process of Ray, and of its worker


def _at_home(settings: WorkerSettings, *, is_shipped: bool) -> WorkerSettings:
    return replace(settings, bundle=SHIPPED) if is_shipped else settings


def _unseen(file: File) -> Unseen | None:
    try:
        size = Path(file.task.request["file"]).stat().st_size
    except (OSError, ValueError):
        return Unseen("there is no such file")
    if file.size_bytes is not None and size != file.size_bytes:
        return Unseen(f"the file there has {size} bytes, not {file.size_bytes}")
    return None


def _text(error: EmofuseError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
