"""Leases between processes that share files only: mount namespaces, and mounts that keep locks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emofuse.core.errors import FolderInUseError, JournalError
from emofuse.system import lease_file
from emofuse.system.file_lock import is_locked, locked_folder
from emofuse.system.journal import Journal
from emofuse.system.lease_file import Lease, is_alive, lease_needed

BEAT_S, STALE_S = 0.2, 4.0
"""A crowded machine may be late by seconds."""
HOLD = f"""
import sys, time
from pathlib import Path
from emofuse.system import lease_file
from emofuse.system.lease_file import Lease
if sys.argv[2:]:
    lease_file._here = lambda: sys.argv[2]  # as on another machine
try:
    lease = Lease.acquire(Path(sys.argv[1]), beat_s={BEAT_S}, stale_s={STALE_S})
except BlockingIOError as error:
    sys.exit(f"refused: {{error}}")
print("held", flush=True)
for line in sys.stdin:
    print(lease.held(), flush=True)
lease.release()
print("released", flush=True)
"""


def start(path: Path, *before: str, on: str = "another machine") -> subprocess.Popen[str]:
    """A process that holds a lease until its standard input ends, and tells for each line whether it does."""
    command = [*before, sys.executable, "-c", HOLD, str(path), *([on] if on else [])]
    return subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def asked(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return line_of(process)


def acquire(path: Path) -> Lease:
    return Lease.acquire(path, beat_s=BEAT_S, stale_s=STALE_S)


def test_one_holds_a_lease_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    first = acquire(path)
    assert first.held() and is_alive(path)
    with pytest.raises(BlockingIOError, match=rf"in use by another run \(process {os.getpid()}\)"):
        acquire(path)
    first.release()
    assert list(tmp_path.iterdir()) == [] and not is_alive(path)
    acquire(path).release()


def test_a_live_holder_is_not_disturbed_and_a_dead_one_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lease"
    with start(path) as holder:
        assert line_of(holder) == "held"
        with pytest.raises(BlockingIOError, match=rf"process {holder.pid}"):
            acquire(path)
        assert is_alive(path, beat_s=STALE_S)
        holder.kill()
    before = time.monotonic()
    with caplog.at_level(logging.WARNING):
        lease = acquire(path)
    assert f"{path} (process {holder.pid}) gives no sign of life: waiting for {STALE_S:g} s" in caplog.text
    assert time.monotonic() - before >= STALE_S  # on the watch of whoever waits
    assert lease.held() and [one.name for one in tmp_path.iterdir()] == ["lease"]
    lease.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux it is known which machine a process is on")
def test_a_holder_on_this_machine_that_is_gone_is_followed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with start(path, on="") as holder:
        assert line_of(holder) == "held" and is_alive(path)
        holder.kill()
    assert not is_alive(path)
    Lease.acquire(path, beat_s=60, stale_s=3600).release()  # neither is waited for
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="a process is suspended as on POSIX")
def test_a_holder_that_was_suspended_learns_that_it_has_lost(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with start(path) as holder:
        assert line_of(holder) == "held" and asked(holder) == "True"
        holder.send_signal(signal.SIGSTOP)
        lease = acquire(path)
        holder.send_signal(signal.SIGCONT)
        assert asked(holder) == "False"
        holder.communicate()
        assert lease.held() and path.exists()  # its end did not end ours
    lease.release()


def test_of_several_who_wait_for_a_dead_holder_one_follows(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with start(path) as holder:
        assert line_of(holder) == "held"
        holder.kill()
    held: list[Lease] = []
    refused: list[BlockingIOError] = []

    def follow() -> None:
        try:
            held.append(acquire(path))
        except BlockingIOError as error:
            refused.append(error)

    threads = [threading.Thread(target=follow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 7)
    held[0].release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"lease": "../../x"}', b"\xff"])
def test_a_lease_that_says_nothing_is_taken_over_in_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lease").write_bytes(content)
    (tmp_path / "lease.unread").touch()  # of somebody who died while taking it over
    lease = Lease.acquire(tmp_path / "lease", beat_s=0.05, stale_s=0.3)
    lease.release()
    assert list(tmp_path.iterdir()) == []


def test_the_rule_for_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    shared = tmp_path / "a b" / "shared"
    lines = [
        "22 1 254:0 / / rw - ext4 /dev/vda rw",
        f"23 22 0:44 / {str(shared).replace(' ', chr(92) + '040')} rw,relatime shared:1 - nfs4 server:/x rw",
        f"24 23 0:45 / {str(shared / 'local').replace(' ', chr(92) + '040')} rw - tmpfs tmpfs rw",
        "garbage",
    ]
    mounts.write_text("\n".join(lines))
    monkeypatch.setattr(lease_file, "_MOUNTS", mounts)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("EMOFUSE_LOCKS", raising=False)
    assert not lease_needed(tmp_path / "run")
    assert lease_needed(shared) and lease_needed(shared / "run" / "x")
    assert not lease_needed(shared / "local" / "x") and not lease_needed(tmp_path / "a b" / "shared2")
    for kind in ("lustre", "fuse.sshfs", "fuse"):
        mounts.write_text(lines[1].replace("nfs4", kind))
        assert lease_needed(shared), kind
    for kind in ("fuseblk", "ext4", "overlay"):
        mounts.write_text(lines[1].replace("nfs4", kind))
        assert not lease_needed(shared), kind
    monkeypatch.setenv("EMOFUSE_LOCKS", "lease")
    assert lease_needed(tmp_path)
    monkeypatch.setenv("EMOFUSE_LOCKS", "flock")
    assert not lease_needed(shared)
    monkeypatch.delenv("EMOFUSE_LOCKS")
    monkeypatch.setattr(lease_file, "_MOUNTS", tmp_path / "none")
    assert not lease_needed(shared)


def can_make_namespaces() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "-m", "-p", "--fork", "true"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not can_make_namespaces(), reason="this user may not make mount namespaces")
def test_two_mount_namespaces_share_a_lease(tmp_path: Path) -> None:
    """As on two nodes: each process sees the folder under a name that the other does not have, and none of
    the other's processes."""
    folder = tmp_path / "shared"
    folder.mkdir()
    places = [tmp_path / "node-1", tmp_path / "node-2"]
    for place in places:
        place.mkdir()

    def node(place: Path) -> subprocess.Popen[str]:
        mount = f'mount --bind "{folder}" "{place}" && exec "$@"'
        command = ["unshare", "-m", "-p", "--fork", "--kill-child", "--propagation", "private"]
        return start(place / "lease", *command, "sh", "-c", mount, "sh", on="")

    with node(places[0]) as first:
        assert line_of(first) == "held"
        assert (folder / "lease").exists() and list(places[0].iterdir()) == []  # mounted there only
        with node(places[1]) as second:
            _, stderr = second.communicate()
            assert (
                second.returncode == 1 and "refused: [Errno 11] is in use by another run (process " in stderr
            )
        assert asked(first) == "True"
        first.kill()
    with node(places[1]) as second:
        assert line_of(second) == "held"
        second.communicate("")
    assert list(folder.iterdir()) == []


@contextlib.contextmanager
def mounted_twice(folder: Path, places: list[Path]) -> Iterator[None]:
    """A folder mounted by two FUSE servers, each of which keeps locks for itself."""
    with contextlib.ExitStack() as stack:
        for place in places:
            place.mkdir()
            done = subprocess.run(["bindfs", str(folder), str(place)], capture_output=True, check=False)
            if done.returncode:
                pytest.skip("this user may not mount by FUSE")
            stack.callback(subprocess.run, ["umount", str(place)], check=True)
        yield


@pytest.mark.skipif(shutil.which("bindfs") is None, reason="there is no bindfs on this machine")
def test_a_journal_is_safe_where_locks_do_not_reach_other_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.delenv("EMOFUSE_LOCKS", raising=False)
    folder, places = tmp_path / "shared", [tmp_path / "node-1", tmp_path / "node-2"]
    folder.mkdir()
    with mounted_twice(folder, places):
        locked = []
        for place in places:  # why a lease is needed: both have the only lock
            locked.append((place / "file").open("a+b"))
            fcntl.flock(locked[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        for file in locked:
            file.close()
        (folder / "file").unlink()
        code = (
            "import sys; from pathlib import Path; from emofuse.system.journal import Journal\n"
            "with Journal(Path(sys.argv[1]), {}) as journal:\n"
            "    journal.append({'n': 1}); print('writing', flush=True); sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", code, str(places[0] / "j.jsonl")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert line_of(other) == "writing"
            with pytest.raises(JournalError, match="another run is writing this file"):
                Journal(places[1] / "j.jsonl", {})
            assert is_locked(places[1] / "j.jsonl")  # told to whoever asks for its status
            other.communicate("")
        assert not is_locked(places[1] / "j.jsonl")
        with Journal(places[1] / "j.jsonl", {}) as journal:
            assert [entry for _, entry in journal.entries()] == [{"n": 1}]
        with (
            locked_folder(places[0] / "run"),
            pytest.raises(FolderInUseError),
            locked_folder(places[1] / "run"),
        ):
            pass
        assert [path.name for path in folder.iterdir()] == ["j.jsonl"]


def test_what_a_lease_says_of_its_holder(tmp_path: Path) -> None:
    lease = acquire(tmp_path / "lease")
    content = json.loads((tmp_path / "lease").read_bytes())
    lease.release()
    assert content["pid"] == os.getpid() and len(content["beat"]) == 12
    assert lease_file.holder(json.dumps({**content, "host": "node7"}).encode()).endswith(" on node7)")
    assert lease_file.holder(b"{}") == ""
