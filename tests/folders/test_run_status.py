from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import BatchError, JournalError
from emofuse.core.labels import EMOTIONS
from emofuse.folders.run_status import RunStatus, missing_shards, statuses
from emofuse.recognition.batch import journal_path, record_path
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard
from emofuse.recognition.tables import columns, write_table
from emofuse.system.journal import Journal


def row(error: str | None) -> dict[str, Any]:
    return {**dict.fromkeys(columns(EMOTIONS)), "file": "a\nb.wav", "error": error}


def record(shard: Shard, n: int, failed: int) -> ShardRecord:
    return ShardRecord("table", shard, "0", 9, tuple(range(n)), {}, EMOTIONS, failed, ())


def write_journal(path: Path, total: int, n: int, **about: Any) -> Journal:
    """A journal of a run that is at work, of whose ``n`` results the first has failed."""
    journal = Journal(path, about)
    journal.begin(total, 0, 0)
    key = "reply" if path.name.startswith("timelines") else "row"
    for i in range(n):
        journal.append({"file": str(i), key: {"error": None if i else "is broken"}})
    return journal


def test_a_batch_that_runs_and_one_that_was_interrupted(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    with write_journal(journal_path(table), 10, 4):
        (now,) = statuses([table])
        assert (now.path, now.state, now.total, now.done, now.failed, now.left) == (
            table,
            "running",
            10,
            4,
            1,
            6,
        )
    assert statuses([table]) == [RunStatus(table, "interrupted", 10, 4, 1)]
    assert statuses([journal_path(table)]) == statuses([table, table])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_finished_table_tells_by_itself(tmp_path: Path, suffix: str) -> None:
    table = tmp_path / f"t{suffix}"
    write_table(table, [row(None), row("is broken"), row(None)], EMOTIONS)
    assert statuses([table]) == [RunStatus(table, "finished", 3, 3, 1)]
    record(Shard(2, 4), 7, 2).save(record_path(table))  # its record knows, without the table being read
    assert statuses([table]) == [RunStatus(table, "finished", 7, 7, 2, shard=Shard(2, 4))]


def test_the_shards_in_a_folder(tmp_path: Path) -> None:
    for number in (2, 5):
        write_table(tmp_path / f"{number}.csv", [row(None)], EMOTIONS)
        record(Shard(number, 9), 3, 1).save(record_path(tmp_path / f"{number}.csv"))
    write_journal(journal_path(tmp_path / "7.csv"), 3, 2, shard="7/9").__exit__(None, None, None)
    with write_journal(journal_path(tmp_path / "8.csv"), 3, 1, shard="8/9"):
        runs = statuses([tmp_path])
    assert [(one.path.name, one.state, one.done, one.left, str(one.shard)) for one in runs] == [
        ("2.csv", "finished", 3, 0, "2/9"), ("5.csv", "finished", 3, 0, "5/9"),
        ("7.csv", "interrupted", 2, 1, "7/9"), ("8.csv", "running", 1, 2, "8/9"),
    ]  # fmt: skip
    assert missing_shards(runs) == {9: [1, 3, 4, 6, 9]}


def test_folders_of_timelines(tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    write_journal(whole / "timelines.partial.jsonl", 5, 2).__exit__(None, None, None)
    assert statuses([whole]) == [RunStatus(whole, "interrupted", 5, 2, 1)]
    (whole / "timelines.partial.jsonl").unlink()
    (whole / "files.csv").write_text("file,error\na.wav,\nb.wav,is broken\n")
    assert statuses([whole]) == [RunStatus(whole, "finished", 2, 2, 1)]
    shared.mkdir()
    record(Shard(1, 3), 4, 0).save(shared / "timelines.1-of-3.shard.json")
    write_journal(shared / "timelines.2-of-3.partial.jsonl", 4, 1, shard="2/3").__exit__(None, None, None)
    runs = statuses([shared])
    assert [(one.path.name, one.state, one.done) for one in runs] == [
        ("timelines.2-of-3.shard.json", "interrupted", 1), ("timelines.1-of-3.shard.json", "finished", 4)
    ]  # fmt: skip
    assert missing_shards(runs) == {3: [3]}


def test_a_run_that_does_not_know_yet_how_much_there_is(tmp_path: Path) -> None:
    with Journal(journal_path(tmp_path / "t.csv"), {}):
        assert statuses([tmp_path / "t.csv"]) == [RunStatus(tmp_path / "t.csv", "running", 0, 0, 0)]


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(BatchError, match="there is no run, neither begun nor finished"):
            statuses([path])
    for name, content in (("t.csv", "a,b\n1,2\n"), ("t.jsonl", "[]\n"), ("t.txt", "x")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BatchError, match=r"is not a table of predictions|a table ends in"):
            statuses([tmp_path / name])
    (tmp_path / "x.csv.partial.jsonl").write_text("no journal")
    with pytest.raises(JournalError, match="is not a journal"):
        statuses([tmp_path / "x.csv"])
