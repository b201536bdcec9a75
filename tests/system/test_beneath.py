from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from emofuse.system.beneath import open_beneath, path_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows opens nothing beneath a folder")
LIMIT_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "allowed"
    (folder / "study").mkdir(parents=True)
    (folder / "study" / "talk.mp4").write_bytes(b"recording")
    return folder


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_opens_a_file_below_the_folder(folder: Path) -> None:
    assert content(open_beneath(folder, "study/talk.mp4")) == b"recording"


def test_the_path_of_a_descriptor_outlives_the_name(folder: Path) -> None:
    descriptor = open_beneath(folder, "study/talk.mp4")
    try:
        (folder / "study" / "talk.mp4").rename(folder / "other")
        (folder / "study" / "talk.mp4").write_bytes(b"another")
        assert path_of(descriptor).read_bytes() == b"recording"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/", "../secret", "study/../../secret", "study//talk.mp4", "./study/talk.mp4",
        "study/talk.mp4/", "study", "missing", "study/talk.mp4/more", "study/\0talk.mp4", "a" * 5000,
        "/".join("a" * 100), "/etc/passwd",
    ],
)  # fmt: skip
def test_opens_nothing_else(folder: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(folder, name)


def test_follows_no_link(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "inside").symlink_to("study/talk.mp4")
    (folder / "up").symlink_to(folder.parent)
    for name in ("link", "inside", "up/secret"):
        with pytest.raises(FileNotFoundError):
            open_beneath(folder, name)


def test_does_not_wait_for_a_pipe_and_opens_no_device(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(FileNotFoundError):
        open_beneath(folder, "pipe")
    with pytest.raises(FileNotFoundError):
        open_beneath("/dev", "null")


def test_an_unreadable_file_is_an_error_of_its_own(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / "study" / "talk.mp4").chmod(0)
    with pytest.raises(PermissionError):
        open_beneath(folder, "study/talk.mp4")


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere_else(folder: Path) -> None:
    """A thread swaps the folder for a link to the outside, again and again; the secret is never read."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "talk.mp4").write_bytes(b"secret")
    study, aside, ended = folder / "study", folder / "aside", threading.Event()

    def swap() -> None:
        while not ended.is_set():
            study.rename(aside)
            study.symlink_to(outside)
            study.unlink()
            aside.rename(study)
            ended.wait(0.0005)  # so that both are found

    swapper = threading.Thread(target=swap)
    swapper.start()
    read: Counter[bytes] = Counter()
    end = time.monotonic() + LIMIT_S
    try:
        while (len(read) < 2 or read.total() < 3000) and time.monotonic() < end:
            try:
                read[content(open_beneath(folder, "study/talk.mp4"))] += 1
            except FileNotFoundError:
                read[b"nothing"] += 1
    finally:
        ended.set()
        swapper.join()
    assert set(read) == {b"recording", b"nothing"}
