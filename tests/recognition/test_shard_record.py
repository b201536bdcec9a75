from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import ShardError
from emofuse.recognition.shard_record import ShardRecord, complete
from emofuse.recognition.shards import Shard

N_FILES = 11


def record(number: int, of: int = 5, **more: Any) -> ShardRecord:
    """A shard of a batch whose files are dealt in turn."""
    known: dict[str, Any] = {
        "kind": "table", "shard": Shard(number, of), "list_digest": "0123456789abcdef", "n_listed": N_FILES,
        "positions": tuple(range(number - 1, N_FILES, of)), "emotions": ("happy", "sad"), "failed": 1,
        "about": {"recogniser": "r", "version of emofuse": "1", "profile": None},
        "failures": ((number - 1, f"{number}.wav: is broken"),), "content": {"sha256": "x"},
    }  # fmt: skip
    return ShardRecord(**{**known, **more})


def shards(of: int = 5) -> dict[Path, ShardRecord]:
    return {Path(f"{n}.csv"): record(n, of) for n in reversed(range(1, of + 1))}


def test_a_record_is_read_back(tmp_path: Path) -> None:
    record(2).save(tmp_path / "r")
    assert ShardRecord.load(tmp_path / "r") == record(2)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"shard_record": 9}', '{"shard_record": 1, "kind": "x"}']
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(ShardError, match="is not the record of a shard"):
        ShardRecord.load(tmp_path / "r")
    with pytest.raises(ShardError, match="No such file"):
        ShardRecord.load(tmp_path / "none")


def test_all_parts_of_one_batch_are_complete_and_ordered() -> None:
    assert [str(path) for path, _ in complete(shards())] == [f"{n}.csv" for n in range(1, 6)]
    assert len(complete({Path("one.csv"): record(1, 1)})) == 1


def test_missing_shards_are_named() -> None:
    some = shards()
    del some[Path("2.csv")]
    with pytest.raises(ShardError, match=r"^1 of 5 shards is missing: 2: run it with --shard 2/5$"):
        complete(some)
    many = {path: one for path, one in shards(40).items() if one.shard.number not in {3, 7, 8, 9, 40}}
    with pytest.raises(
        ShardError, match=r"^5 of 40 shards are missing: 3, 7-9, 40: run them with --shard 3/4"
    ):
        complete(many)
    with pytest.raises(ShardError, match="there is no shard to merge"):
        complete({})


def test_a_shard_that_is_given_twice_is_named() -> None:
    with pytest.raises(ShardError, match=r"^shard 3/5 is given twice: .*copy\.csv"):
        complete({**shards(), Path("copy.csv"): record(3)})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"list_digest": "fedc"}, r"^3\.csv has another list of files than 5\.csv and 3 more \(11 files, "
         r"sha256 fedc instead of 11 files, sha256 0123456789ab\): write the list once, by --list, and"),
        ({"shard": Shard(3, 6)}, r"^3\.csv has another number of shards than .*\(of 6 instead of of 5\)"),
        ({"kind": "timelines"}, r"^3\.csv has another kind than"),
        ({"emotions": ("sad", "happy")}, r"^3\.csv has another set of emotions than"),
        ({"about": {"recogniser": "other", "version of emofuse": "1", "profile": None}},
         r"^3\.csv has another recogniser than 5\.csv and 3 more: run that shard again like the others$"),
        ({"about": {"recogniser": "r", "version of emofuse": "2", "profile": None}},
         r"^3\.csv has another version of emofuse than"),
        ({"about": {"recogniser": "r", "version of emofuse": "1", "profile": None, "device": "cuda"}},
         r"^3\.csv has another device than"),
        ({"positions": (2,)}, "the files of these shards are not those of their list"),
        ({"positions": (2, 6)}, "the files of these shards are not those of their list"),
    ],
)  # fmt: skip
def test_a_shard_of_another_batch_is_named(change: dict[str, Any], says: str) -> None:
    some = shards()
    some[Path("3.csv")] = replace(some[Path("3.csv")], **change)
    with pytest.raises(ShardError, match=says):
        complete(some)


def test_of_two_that_differ_both_are_named() -> None:
    with pytest.raises(
        ShardError, match=r"1\.csv has another list of files than 2\.csv \(11 files, sha256 a "
    ):
        complete({Path("2.csv"): record(2, 2), Path("1.csv"): record(1, 2, list_digest="a")})


def test_numbers_beyond_all_are_refused(tmp_path: Path) -> None:
    record(2).save(tmp_path / "r")
    text = (tmp_path / "r").read_text().replace('"failed": ', '"failed": 1e999, "was": ')
    (tmp_path / "r").write_text(text)
    with pytest.raises(ShardError, match="is not the record of a shard"):
        ShardRecord.load(tmp_path / "r")
