from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from emofuse.core.errors import ShardError
from emofuse.recognition.batch_inputs import Listing, find_recordings
from emofuse.recognition.file_list import FileList
from emofuse.recognition.shards import Shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    (folder / "more.mp4").mkdir(parents=True)  # a folder with the name of a video
    for number, name in enumerate(("b.wav", "ü.wav", "a.mp4")):
        (folder / name).write_bytes(bytes(100 * number))
    return folder


def test_a_list_is_read_back_and_its_digest_is_that_of_the_file(folder: Path, tmp_path: Path) -> None:
    listed = FileList.of(find_recordings(folder))
    assert listed.names == tuple(str(folder / name) for name in ("a.mp4", "b.wav", "more.mp4", "ü.wav"))
    assert listed.sizes == (200, 0, 0, 100) and listed.n_bytes == 300
    assert listed.refused == {str(folder / "more.mp4"): "is a folder, not a media file"}
    listed.save(tmp_path / "list")
    assert FileList.load(tmp_path / "list") == listed
    assert listed.digest == hashlib.sha256((tmp_path / "list").read_bytes()).hexdigest()
    assert listed.listing() == find_recordings(folder)
    assert listed.listing((1, 2)) == Listing(listed.names[1:3], listed.refused)
    (folder / "b.wav").write_bytes(b"longer")
    assert FileList.of(find_recordings(folder)).digest != listed.digest


def test_names_may_be_relative_to_the_folder(folder: Path) -> None:
    listed = FileList.of(find_recordings(folder), folder)
    assert listed.names == ("a.mp4", "b.wav", "more.mp4", "ü.wav")
    assert listed.listing(root=folder) == find_recordings(folder)
    assert listed.listing((3,), root=folder) == Listing((str(folder / "ü.wav"),))


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="file names are Unicode there")
def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.wav")
    Path(name).write_bytes(b"x")
    FileList.of(find_recordings(tmp_path)).save(tmp_path / "list")
    assert FileList.load(tmp_path / "list").names == (name,)


def test_shards_are_dealt_from_the_sizes_of_the_list(folder: Path) -> None:
    listed = FileList.of(find_recordings(folder))
    assert listed.positions(Shard(1, 2)) == (0,)
    assert listed.positions(Shard(2, 2)) == (1, 2, 3)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "not a list", '{"file_list": 1, "files": 2}\n{"file": "a", "size_bytes": 1}\n',
     '{"file_list": 2, "files": 0}\n', '{"file_list": 1, "files": 1}\n{"file": "a"}\n',
     '{"file_list": 1, "files": 1}\n{"file": "a", "size_bytes": "x"}\n',
     '{"file_list": 1, "files": 1}\n{"file": "a", "size_bytes": -1}\n',
     '{"file_list": 1, "files": 1}\n{"file": "a", "size_bytes": 1e999}\n',
     '{"file_list": 1, "files": 2}\n' + 2 * '{"file": "a", "size_bytes": 1}\n'],
)  # fmt: skip
def test_what_is_no_complete_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "list").write_text(content)
    with pytest.raises(ShardError, match=r"list.*write it again, by --list"):
        FileList.load(tmp_path / "list")


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"No such file or directory: write the list first, by --list"):
        FileList.load(tmp_path / "list")


def test_a_list_of_other_files_is_refused() -> None:
    FileList(("talks/a.wav", "talks/more/b.wav", "c.wav"), (1, 1, 1)).check_within(["talks/", Path("c.wav")])
    FileList(("a.wav",), (1,)).check_within(["."])
    for given in (["talks/more"], ["talk"], ["talks/a"]):
        with pytest.raises(
            ShardError, match=r"the list names talks/a.wav, which is not in talk.*is it of oth"
        ):
            FileList(("talks/a.wav",), (1,)).check_within(given)
