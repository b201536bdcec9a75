from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.system.atomic_write import write_atomically


def test_writes_complete_files_and_creates_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "ä.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    with write_atomically(path) as file:
        file.write(b"thr")
        assert path.read_bytes() == b"two"  # not there before it is whole
        file.write(b"ee")
    assert path.read_bytes() == b"three"
    assert [p.name for p in path.parent.iterdir()] == ["ä.bin"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def fail() -> None:
        with write_atomically(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    code = (
        "import resource\nfrom pathlib import Path\n"
        "from emofuse.system.atomic_write import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"write_atomically(Path({str(path)!r}), bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "OSError" in done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", b"")
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
