"""Shards of a real batch, merged: the same table as that of one run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from benchmarks import batch as batch_benchmark
from emofuse import merge_tables, predict_table
from emofuse.core.errors import BatchError, JournalError, ShardError
from emofuse.recognition.batch import record_path
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.bundle import SHIPPED
from emofuse.recognition.file_list import FileList
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard

OF = 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds and a broken file, with names that CSV quotes and marks, and a folder called a video."""
    folder: Path = tmp_path_factory.mktemp("shards") / "files"
    folder.mkdir()
    names = ['a "quoted", one.wav', "=1.wav", "ü.wav", "z.wav"]
    if os.name == "posix":
        names.append("line\nbreak.wav")
    for number, name in enumerate(names):
        batch_benchmark.write_sound(folder / name, number)
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / "folder.mov").mkdir()
    return folder


@pytest.fixture(scope="module", params=[".csv", ".jsonl", ".parquet"])
def tables(
    request: pytest.FixtureRequest, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The table of a single run, and those of all shards."""
    work = tmp_path_factory.mktemp("tables")
    whole = work / f"whole{request.param}"
    predict_table(files, SHIPPED, whole)
    parts = [work / f"part-{n}{request.param}" for n in range(1, OF + 1)]
    for number, part in enumerate(parts, 1):
        predict_table([files], SHIPPED, part, shard=f"{number}/{OF}")
    return [whole, *parts]


def test_merged_shards_are_the_table_of_a_single_run(tables: list[Path], files: Path, tmp_path: Path) -> None:
    whole, *parts = tables
    n = len(find_recordings(files).files)
    merged = tmp_path / f"merged{whole.suffix}"
    result = merge_tables(reversed(parts), merged)
    assert (result.out, result.rows, result.failed) == (merged, n, 2)
    assert merged.read_bytes() == whole.read_bytes()
    merged.unlink()
    merge_tables([whole.parent], merged)  # the folder that they are in
    assert merged.read_bytes() == whole.read_bytes()
    assert [line.partition(": ")[0] for line in result.errors] == [
        str(files / "broken.mp4"), str(files / "folder.mov")
    ]  # fmt: skip
    kept = [path.name for path in whole.parent.iterdir() if path.name not in {table.name for table in tables}]
    assert sorted(kept) == sorted(record_path(part).name for part in parts)


def test_the_tables_of_shards_that_do_not_fit_are_refused(tables: list[Path], tmp_path: Path) -> None:
    whole, *parts = [Path(shutil.copy(path, tmp_path)) for path in tables]
    for part, one in zip(parts, tables[1:], strict=True):
        shutil.copy(record_path(one), tmp_path)
        assert record_path(part).exists()
    out = tmp_path / f"merged{whole.suffix}"
    for given, says in (
        (parts[:1], r"1 of 2 shards is missing: 2: run it with --shard 2/2"),
        ([*parts, parts[1]], "is given twice"),
        ([*parts, whole], rf"whole\{whole.suffix} has no whole\{whole.suffix}\.shard\.json beside it"),
        ([*parts, tmp_path / f"none{whole.suffix}"], "there is no such table"),
        ([*parts, tmp_path / "other.txt"], "give both the same suffix"),
        ([], "there is no shard to merge"),
    ):
        with pytest.raises(ShardError, match=says):
            merge_tables(given, out)
    with pytest.raises(ShardError, match="is one of the shards"):
        merge_tables(parts, parts[0])
    with pytest.raises(BatchError, match="a table ends in"):
        merge_tables(parts, tmp_path / "out.xlsx")
    journal = parts[1].with_name(f"{parts[1].name}.partial.jsonl")
    journal.write_bytes(b"")
    for given in (parts, [tmp_path]):
        with pytest.raises(ShardError, match="is not finished: repeat its command"):
            merge_tables(given, out)
    journal.unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ShardError, match="holds no table of a shard"):
        merge_tables([tmp_path / "empty"], out)
    parts[1].write_bytes(parts[1].read_bytes() + b"\n")
    with pytest.raises(ShardError, match=rf"{parts[1].name} has changed since shard 2/2 wrote it"):
        merge_tables(parts, out)
    assert not out.exists()


def test_shards_of_one_list_need_no_search(files: Path, tmp_path: Path) -> None:
    """Files that arrive meanwhile are in no shard; without a list, the shards would not fit together."""
    folder = Path(shutil.copytree(files, tmp_path / "files"))
    listed = FileList.of(find_recordings(folder))
    predict_table(folder, SHIPPED, tmp_path / "whole.csv")
    predict_table(listed, SHIPPED, tmp_path / "1.csv", shard=Shard(1, 2))
    batch_benchmark.write_sound(folder / "late.wav", 9)
    predict_table(listed, SHIPPED, tmp_path / "2.csv", shard=Shard(2, 2))
    merge_tables([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "merged.csv")
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    predict_table(folder, SHIPPED, tmp_path / "2.csv", shard="2/2")
    with pytest.raises(ShardError, match="another list of files"):
        merge_tables([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "merged.csv")


class StopError(Exception):
    """Stands in for whatever ends a run."""


def test_an_interrupted_shard_is_resumed_and_is_no_other(files: Path, tmp_path: Path) -> None:
    def stop(done: int, _failed: int, _total: int) -> None:
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        predict_table(files, SHIPPED, tmp_path / "t.csv", shard="1/2", on_progress=stop)
    with pytest.raises(JournalError, match="of a run with another shard, which cannot be resumed"):
        predict_table(files, SHIPPED, tmp_path / "t.csv", shard="2/2")
    with pytest.raises(JournalError, match="another shard and another list of files"):
        predict_table(files, SHIPPED, tmp_path / "t.csv")
    assert not record_path(tmp_path / "t.csv").exists()
    assert predict_table(files, SHIPPED, tmp_path / "t.csv", shard="1/2").resumed == 2
    assert record_path(tmp_path / "t.csv").exists()


def test_more_shards_than_files(tmp_path: Path) -> None:
    sound = batch_benchmark.write_sound(tmp_path / "a.wav", 1)
    predict_table(sound, SHIPPED, tmp_path / "whole.csv")
    for number in (1, 2):
        result = predict_table(sound, SHIPPED, tmp_path / f"{number}.csv", shard=Shard(number, 2))
        assert result.rows == (number == 1)
    assert ShardRecord.load(record_path(tmp_path / "2.csv")).positions == ()
    merge_tables([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "merged.csv")
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(BatchError, match="no recording to read"):
        predict_table([], SHIPPED, tmp_path / "t.csv", shard="1/2")
    with pytest.raises(ShardError, match="count from 1 to 2"):
        predict_table(sound, SHIPPED, tmp_path / "t.csv", shard="3/2")


def test_a_record_says_what_the_rows_depend_on(files: Path, tmp_path: Path) -> None:
    predict_table(files, SHIPPED, tmp_path / "t.csv", shard="2/4")
    data = json.loads(record_path(tmp_path / "t.csv").read_text(encoding="utf-8"))
    assert (data["kind"], data["number"], data["of"]) == ("table", 2, 4)
    assert data["list"]["sha256"] == FileList.of(find_recordings(files)).digest
    assert {"version of emofuse", "version of its code", "recogniser", "profile"} <= set(data["about"])
    assert "shard" not in data["about"]  # the same for all shards
