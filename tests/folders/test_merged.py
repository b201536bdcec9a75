"""Shards of a folder, merged: the same files and tables as those of one run."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from emofuse.core.errors import JournalError, ShardError
from emofuse.folders.merged import merge_timelines
from emofuse.folders.timelines import write_timelines
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.file_list import FileList
from tests.support import drawn_people, media_files

SUFFIXES = (".csv", ".json")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("emofuse").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("merged") / "talks"
    (root / "more").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "=1.wav", "more/a.wav"), 1):
        sound = drawn_people.draw_person(number).speech(3.0 + number / 4)
        media_files.write_wav(root / name, sound, drawn_people.RATE)
    (root / "more" / "broken.mp4").write_bytes(b"not a video")
    (root / "folder.mov").mkdir()
    return root


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = tmp_path_factory.mktemp("conditions") / "conditions.csv"
    table.write_text("file,condition\n=1.wav,after\nmore/a.wav,before\n", encoding="utf-8")
    return table


@pytest.fixture(scope="module")
def shared(talks: Path, conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two shards in one folder."""
    out = tmp_path_factory.mktemp("shared")
    for shard in ("1/2", "2/2"):
        write_timelines(talks, out, shard=shard, suffixes=SUFFIXES, conditions=conditions, purpose="a test")
    return out


@pytest.fixture(scope="module")
def whole(talks: Path, conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a single run."""
    out: Path = tmp_path_factory.mktemp("whole")
    write_timelines(talks, out, suffixes=SUFFIXES, conditions=conditions, purpose="a test")
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".shard.json")
    }  # fmt: skip


def test_shards_in_one_folder_are_merged_there(
    shared: Path, whole: Path, talks: Path, tmp_path: Path
) -> None:
    names = {path.name for path in shared.iterdir() if path.name.endswith(".shard.json")}
    assert names == {"timelines.1-of-2.shard.json", "timelines.2-of-2.shard.json"}
    assert not (shared / "summary.csv").exists() and not list(shared.glob("*.partial.jsonl"))
    out = Path(shutil.copytree(shared, tmp_path / "results"))
    result = merge_timelines([out], out)
    assert (result.files, result.failed) == (5, 2)
    assert [error.partition(": ")[0] for error in result.errors] == [
        str(talks / "folder.mov"), str(talks / "more" / "broken.mp4")
    ]  # fmt: skip
    assert contents(out) == contents(whole)
    assert {"summary.csv", "files.csv", "conditions.csv", "conditions.svg"} < set(contents(out))


def test_shards_in_folders_of_their_own_are_brought_together(
    shared: Path, whole: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / "1", tmp_path / "2"]
    for number, part in enumerate(parts, 1):
        part.mkdir()
        record = json.loads((shared / f"timelines.{number}-of-2.shard.json").read_text(encoding="utf-8"))
        shutil.copy(shared / f"timelines.{number}-of-2.shard.json", part)
        for one in record["content"]["outcomes"]:
            for suffix in SUFFIXES if one["error"] is None else ():
                target = part / f"{one['name']}{suffix}"
                target.parent.mkdir(exist_ok=True)
                shutil.copy(shared / f"{one['name']}{suffix}", target)
    out = tmp_path / "merged"
    with pytest.raises(ShardError, match=r"1 of 2 shards is missing: 2: run it with --shard 2/2"):
        merge_timelines(parts[:1], out)
    copy = Path(shutil.copytree(parts[0], tmp_path / "copy"))
    with pytest.raises(ShardError, match="shard 1/2 is given twice"):
        merge_timelines([*parts, copy], out)
    assert not out.exists()
    merge_timelines(parts, out)
    assert contents(out) == contents(whole)
    next(path for path in parts[1].rglob("*.json") if ".shard" not in path.name).unlink()
    with pytest.raises(ShardError, match=r"\.json is missing: run shard 2/2 again"):
        merge_timelines(parts, tmp_path / "again")


def test_what_is_no_finished_shard_is_refused(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="there is no such folder"):
        merge_timelines([tmp_path / "none"], tmp_path / "out")
    with pytest.raises(ShardError, match="holds no record of a shard"):
        merge_timelines([tmp_path], tmp_path / "out")
    unfinished = Path(shutil.copytree(shared, tmp_path / "unfinished"))
    (unfinished / "timelines.3-of-4.partial.jsonl").touch()
    with pytest.raises(ShardError, match=r"3-of-4\.partial\.jsonl is of a shard that is not finished"):
        merge_timelines([unfinished], tmp_path / "out")
    damaged = Path(shutil.copytree(shared, tmp_path / "damaged"))
    record = json.loads((damaged / "timelines.1-of-2.shard.json").read_text(encoding="utf-8"))
    record["content"]["outcomes"].pop()
    (damaged / "timelines.1-of-2.shard.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ShardError, match="is damaged: run shard 1/2 again"):
        merge_timelines([damaged], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_shard_is_resumed_from_its_list(talks: Path, tmp_path: Path) -> None:
    listed = FileList.of(find_recordings(talks), talks)

    def stop(done: int, *_: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_timelines(talks, tmp_path, shard="1/2", file_list=listed, suffixes=(".csv",), on_progress=stop)
    other = FileList(listed.names[1:], listed.sizes[1:])
    with pytest.raises(JournalError, match="another list of files"):
        write_timelines(talks, tmp_path, shard="1/2", file_list=other, suffixes=(".csv",))
    assert write_timelines(talks, tmp_path, shard="1/2", file_list=listed, suffixes=(".csv",)).resumed == 1
    assert (tmp_path / "timelines.1-of-2.shard.json").exists()
    for name in ("../secret.wav", str(talks / "a.wav")):
        with pytest.raises(ShardError, match="which is in no folder: write it with emofuse timeline"):
            write_timelines(talks, tmp_path, shard="1/1", file_list=FileList((name,), (1,)))
