"""A lock for file systems that several machines share, made of a file whose holder keeps changing it.

The locks of an operating system (:mod:`~emofuse.system.file_lock`) need the file system to tell them to
other machines. Some do not, and say that they did: NFS with ``nolock``, Lustre with ``localflock``, BeeGFS
and FUSE by default. A lease needs nothing but that a file is created by one of several at a time, and that
others read what was written:

- It is acquired by the exclusive creation of a file. Its holder counts up a number in it, the beat.
- Whoever finds it watches the beat on a clock of its own: if the beat moves, the holder lives; if it stands
  still for :data:`STALE_S`, the holder is dead, and the lease may be taken over. No two clocks are compared.
  Of a holder on the same machine it is known at once that its process is gone.
- A lease ends, by its holder or by somebody who takes it over, for whoever creates the file of that name with
  the lease's own token added: of several, one. So nobody ends a lease other than the one that was watched.
- A holder that was suspended for longer than that learns it at its next beat, or when it asks
  (:meth:`Lease.held`) before it writes.

Used beside the system's lock where :func:`lease_needed` says so.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from emofuse.system.steady_clock import elapsed_s

BEAT_S: Final = 5.0
"""Time from one beat to the next."""
STALE_S: Final = 60.0
"""A lease whose beat stands still for so long, on the watch of whoever wants it, has lost its holder."""
SETTING: Final = "EMOFUSE_LOCKS"
"""Environment variable: ``lease`` (always), ``flock`` (never), ``auto`` (by the kind of file system)."""
_SHARED: Final = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
    "ocfs2", "orangefs", "panfs", "pvfs2", "quobyte", "smb3", "smbfs", "virtiofs", "wekafs",
))  # fmt: skip
"""Kinds of file systems that other machines may write to, as Linux names them, beside ``fuse`` and all of
its kinds."""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES: Final = Path("/proc/self/ns/pid")
_ESCAPE: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
_LONGEST: Final = 4096
_BINARY: Final = getattr(os, "O_BINARY", 0)

_log = logging.getLogger(__name__)
_ours: Final[set[str]] = set()
"""Tokens of the leases that this process holds."""


class Lease:
    """A held lease; use :meth:`acquire`. Its beats are in a thread that does not keep the process."""

    def __init__(self, path: Path, token: str, handle: int, beat_s: float, stale_s: float) -> None:
        self.path = path
        self._token, self._handle = token, handle
        self._beat_s, self._stale_s = beat_s, stale_s
        self._beats, self._beaten_s = 0, elapsed_s()
        self._lost = False
        self._writing, self._ended = threading.Lock(), threading.Event()
        _ours.add(token)
        threading.Thread(target=self._keep, daemon=True, name=f"lease {path.name}").start()

    @classmethod
    def acquire(cls, path: Path, *, beat_s: float = BEAT_S, stale_s: float = STALE_S) -> Lease:
        """Acquire the lease in the file ``path``, whose folder exists.

        Takes about ``beat_s`` if somebody holds it, and ``stale_s`` if its last holder was killed.

        Args:
            path: of the lease, not of what it protects.
            beat_s: time between beats, the same for all.
            stale_s: how long a beat stands still before the lease is taken over, the same for all.

        Raises:
            BlockingIOError: somebody holds it; the message says who.
            OSError: the file cannot be written.
        """
        token = secrets.token_hex(8)
        while True:
            try:
                handle = _create(path, _content(token, 0))
            except FileExistsError:
                seen = _read(path)
                if seen is None:
                    continue
                if not _is_stale(path, seen, beat_s, stale_s):
                    raise BlockingIOError(
                        errno.EWOULDBLOCK, f"is in use by another run{holder(seen)}", str(path)
                    ) from None
                taken = _take_over(path, seen, token)
                if taken is None:
                    continue
                handle = taken
            return cls(path, token, handle, beat_s, stale_s)

    def held(self) -> bool:
        """Whether the lease was still held at the last beat, which is made now if that was long ago."""
        if not self._lost and elapsed_s() - self._beaten_s > self._stale_s / 2:
            self._beat()
        return not self._lost

    def release(self) -> None:
        """End the lease, unless somebody has taken it over."""
        self._ended.set()
        with self._writing:
            _ours.discard(self._token)
            os.close(self._handle)
            self._handle = -1
        if self._lost:
            return
        claim, begun_s = _claim(self.path, self._token), elapsed_s()
        with contextlib.suppress(OSError):
            os.close(_create(claim, b""))
            if _token(_read(self.path)) == self._token and elapsed_s() - begun_s < self._stale_s / 2:
                self.path.unlink()
            claim.unlink()

    def _keep(self) -> None:
        while not self._ended.wait(self._beat_s) and not self._lost:
            self._beat()

    def _beat(self) -> None:
        with self._writing:
            if self._handle < 0:
                return
            try:
                if _token(_read(self.path)) != self._token:
                    self._lost = True
                    return
                self._beats += 1
                os.lseek(self._handle, 0, os.SEEK_SET)
                os.write(self._handle, _content(self._token, self._beats))
                os.fsync(self._handle)
                self._beaten_s = elapsed_s()
            except OSError as error:  # a server that is away for a moment; the next beat may come through
                _log.debug("%s: no beat: %s", self.path, error)


def holder(content: bytes) -> str:
    """Which process says that it holds a lease, for a message; "" if that cannot be read."""
    try:
        found = json.loads(content)
        pid, host = int(found["pid"]), str(found["host"])
    except (ValueError, KeyError, TypeError):
        return ""
    return f" (process {pid})" if host == socket.gethostname() else f" (process {pid} on {host})"


def lease_needed(path: Path) -> bool:
    """Whether a file or folder lies where the system's locks may not reach other machines.

    That is on the kinds of file systems that are shared over a network, on Linux. The environment variable
    ``EMOFUSE_LOCKS`` overrules it.
    """
    wanted = os.environ.get(SETTING, "auto")
    if wanted in ("lease", "flock"):
        return wanted == "lease"
    if sys.platform != "linux":
        return False
    kind = _kind(path)
    return kind in _SHARED or kind == "fuse" or kind.startswith("fuse.")


def _kind(path: Path) -> str:
    """The kind of the file system on which a path lies; "" if it is unknown."""
    try:
        place, mounts = path.resolve(), _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = fields[4]
        for code, character in _ESCAPE.items():
            point = point.replace(code, character)
        parts = len(Path(point).parts)
        if parts >= best and place.is_relative_to(
            point
        ):  # of two mounts at one place, the later hides the other
            best, kind = parts, after.split(" ")[0]
    return kind


def is_alive(path: Path, *, beat_s: float = BEAT_S) -> bool:
    """Whether somebody holds a lease: watches it for two beats, unless that is clear at once."""
    seen = _read(path)
    if seen is None or _is_gone(seen):
        return False
    return _token(seen) in _ours or _moves(path, seen, beat_s, 2 * beat_s)


def _moves(path: Path, seen: bytes, beat_s: float, watch_s: float) -> bool:
    """Whether a lease changes within some time, other than by its end."""
    since_s = elapsed_s()
    while elapsed_s() - since_s < watch_s:
        _pause(min(beat_s / 4, 0.5))
        if (now := _read(path)) != seen:
            return now is not None
    return False


def _is_stale(path: Path, seen: bytes, beat_s: float, stale_s: float) -> bool:
    """Watch a lease until it changes, or has stood still for long enough."""
    if _token(seen) in _ours:
        return False
    claim = _claim(path, _token(seen))
    if _is_gone(seen) and _read(claim) is None:
        return True
    while True:
        claimed = _read(claim)
        if _moves(path, seen, beat_s, min(2 * beat_s, stale_s)):
            return False
        if _read(path) == seen:
            _log.warning("%s%s gives no sign of life: waiting for %g s", path, holder(seen), stale_s)
        if _moves(path, seen, beat_s, stale_s - min(2 * beat_s, stale_s)):
            return False
        if _read(claim) == claimed:
            break
    if claimed is not None:  # whoever wanted to take it over died in the midst of that
        claim.unlink(missing_ok=True)
    return True


def _take_over(path: Path, seen: bytes, token: str) -> int | None:
    """Put a lease of ours in the place of the one that was watched; None: somebody else was faster."""
    claim = _claim(path, _token(seen))
    try:
        handle = _create(claim, _content(token, 0))
    except FileExistsError:
        return None
    try:
        if _read(path) == seen:
            claim.replace(path)
        else:
            claim.unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # somebody took us for dead
    if _token(_read(path)) == token:
        return handle
    os.close(handle)
    return None


def _claim(path: Path, token: str) -> Path:
    """The file by whose creation the lease of a token ends."""
    return path.with_name(f"{path.name}.{token}")


def _content(token: str, beat: int) -> bytes:
    """Of the same length for every beat, so that it is overwritten as a whole."""
    known = {
        "lease": token, "beat": f"{beat:012d}", "pid": os.getpid(), "host": socket.gethostname(),
        "here": _here(),
    }  # fmt: skip
    return json.dumps(known).encode() + b"\n"


def _here() -> str:
    """What tells this machine, since its last start, and this view of its processes from all others; "" if
    nothing does."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {_PROCESSES.stat().st_ino}"
    except (OSError, UnicodeDecodeError):
        return ""


def _is_gone(content: bytes) -> bool:
    """Whether the holder of a lease was a process of this machine that has ended."""
    try:
        found = json.loads(content)
        pid, here = int(found["pid"]), str(found["here"])
    except (ValueError, KeyError, TypeError):
        return False
    if not here or here != _here() or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _token(content: bytes | None) -> str:
    try:
        token = str(json.loads(content or b"")["lease"])
    except (ValueError, KeyError, TypeError):
        return "unread"
    return token if token.isalnum() else "unread"


def _create(path: Path, content: bytes) -> int:
    """Create a file exclusively; return it, open to write."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        os.write(handle, content)
        os.fsync(handle)
    except OSError:
        os.close(handle)
        path.unlink(missing_ok=True)
        raise
    return handle


def _read(path: Path) -> bytes | None:
    """The content of a file, as its server has it now; None: there is none."""
    try:
        with path.open("rb") as file:  # opening asks the server
            return file.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ESTALE:
            return None
        raise


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)
