from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from emofuse.core.errors import FolderInUseError
from emofuse.system import file_lock, lease_file
from emofuse.system.file_lock import (
    LOCK_FILE,
    empty_locked,
    is_locked,
    locked_folder,
    open_locked,
    remove_locked,
)

HOLDER = """
import sys, time
from pathlib import Path
from emofuse.system.file_lock import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["this system", "windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "windows":
        if sys.platform != "linux":
            pytest.skip("imitates Windows on Linux")
        from tests.support.fake_msvcrt import lock_as_windows_does

        lock_as_windows_does(monkeypatch)
    return str(request.param)


@contextlib.contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has locked a folder."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("system")
def test_a_locked_file_is_read_and_written_by_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with open_locked(path) as file:
        file.write(b"abc")
        with pytest.raises(BlockingIOError) as caught:
            open_locked(path)
        assert caught.value.filename == str(path)
        file.seek(0)
        assert file.read() == b"abc"
    with open_locked(path) as file:
        file.seek(0)
        assert file.read() == b"abc"
        file.write(b"d")
        remove_locked(file, path)
        assert file.closed
    assert not path.exists()


def test_a_file_that_was_removed_while_it_was_awaited_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    lock, calls = file_lock._lock, []

    def removed_before_it_is_locked(file: IO[bytes]) -> bool:
        calls.append(file)
        if len(calls) == 1:
            path.unlink()
        return lock(file)

    monkeypatch.setattr(file_lock, "_lock", removed_before_it_is_locked)
    with open_locked(path) as file:
        file.write(b"abc")
    assert path.read_bytes() == b"abc"
    assert len(calls) == 2 and calls[0].closed


def test_a_file_system_without_locks_gets_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(_file: object, _mode: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = tmp_path / "f"
    with locked_folder(folder):
        assert (folder / f"{LOCK_FILE}.lease").exists()
        empty_locked(folder)
        with pytest.raises(FolderInUseError, match="is in use by another run"), locked_folder(folder):
            pass
    assert not folder.exists()


def test_a_lease_may_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_LOCKS", "lease")
    with locked_folder(tmp_path / "f"):
        assert (tmp_path / "f" / f"{LOCK_FILE}.lease").exists()
    monkeypatch.setenv("EMOFUSE_LOCKS", "flock")
    with locked_folder(tmp_path / "f"):
        assert not (tmp_path / "f" / f"{LOCK_FILE}.lease").exists()


def test_a_folder_that_was_taken_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_LOCKS", "lease")
    monkeypatch.setattr(lease_file.Lease, "held", lambda _self: False)
    with pytest.raises(FolderInUseError, match="was taken over by another run"), locked_folder(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).exists()  # it is that of the other run


@pytest.mark.usefixtures("system")
def test_whether_a_file_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert not is_locked(path) and not path.exists()
    with open_locked(path) as file:
        file.write(b"abc")
        assert is_locked(path)
    assert not is_locked(path)
    open_locked(path).close()


@pytest.mark.usefixtures("system")
def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with locked_folder(folder):
        message = (
            f"{folder} is in use by another run (process {os.getpid()}): "
            "wait until it ends, or give another folder"
        )
        with pytest.raises(FolderInUseError, match=f"^{re.escape(message)}$"), locked_folder(folder):
            pass
        (folder / "result").write_bytes(b"x")
    assert [path.name for path in folder.iterdir()] == ["result"]
    with locked_folder(folder):
        (folder / "more" / "deep").mkdir(parents=True)
        (folder / "link").symlink_to(tmp_path)
        empty_locked(folder)
        assert [path.name for path in folder.iterdir()] == [LOCK_FILE]
    assert not folder.exists() and tmp_path.exists()


def test_the_holder_is_named_and_its_death_releases_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with held_elsewhere(folder) as process:
        with pytest.raises(FolderInUseError, match=rf" \(process {process.pid}\): "), locked_folder(folder):
            pass
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        process.wait()
        assert (folder / LOCK_FILE).exists()  # what a killed run leaves is no obstacle
        with locked_folder(folder):
            assert (folder / LOCK_FILE).read_text().startswith(f"{os.getpid()} ")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [("", ""), ("123 elsewhere\n", " (process 123 on elsewhere)"), ("x y", ""), ("\x00\xff", "")],
)
def test_what_a_lock_says_of_its_holder(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / LOCK_FILE).write_bytes(text.encode("latin-1"))
    with (
        open_locked(tmp_path / LOCK_FILE),
        pytest.raises(FolderInUseError) as caught,
        locked_folder(tmp_path),
    ):
        pass
    assert str(caught.value).startswith(f"{tmp_path} is in use by another run{named}: ")


def test_workers_do_not_keep_a_folder_of_a_parent_that_died(tmp_path: Path) -> None:
    """A lock belongs to an open file, which no child gets."""
    script = (
        "import subprocess, sys, os, signal; from pathlib import Path\n"
        "from emofuse.system.file_lock import locked_folder\n"
        f"with locked_folder(Path({str(tmp_path / 'run')!r})):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],\n"
        "                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "    print(child.pid, flush=True)\n"
        "    os.abort()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    try:
        with locked_folder(tmp_path / "run"):
            pass
    finally:
        os.kill(int(done.stdout), signal.SIGTERM)
