from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import JournalError
from emofuse.system import lease_file
from emofuse.system.journal import Journal, Progress, read_progress

ABOUT = {"recogniser": "a", "profile": None}


def written(path: Path, n: int = 3) -> list[int]:
    with Journal(path, ABOUT) as journal:
        list(journal.entries())
        return [journal.append({"n": i, "name": "\udce9 ü"}) for i in range(n)]


def resumed(path: Path) -> list[tuple[int, int]]:
    with Journal(path, ABOUT) as journal:
        return [(offset, entry["n"]) for offset, entry in journal.entries()]


def test_entries_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "j.jsonl"
    offsets = written(path)
    assert resumed(path) == list(zip(offsets, range(3), strict=True))
    with Journal(path, ABOUT) as journal:
        list(journal.entries())
        assert journal.at(offsets[1]) == {"n": 1, "name": "\udce9 ü"}
        later = journal.append({"n": 9})
        assert journal.at(offsets[0])["n"] == 0
        assert journal.at(later) == {"n": 9}
        journal.append({"n": 10})
    assert [n for _, n in resumed(path)] == [0, 1, 2, 9, 10]


def test_complete_lines_survive_a_cut_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    offsets = written(path)
    data = path.read_bytes()
    ends = [*offsets[1:], len(data)]
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        expected = sum(end <= size for end in ends)
        assert [n for _, n in resumed(path)] == list(range(expected))
        written(path, 1)  # after the complete lines, not after the torn one
        assert [n for _, n in resumed(path)] == [*range(expected), 0]


@pytest.mark.parametrize("garbage", [bytes(100) + b"\n", b"[1]\n", b"\xff{\n"])
def test_what_a_power_failure_leaves_is_dropped(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    path.write_bytes(path.read_bytes() + garbage)
    assert [n for _, n in resumed(path)] == [0, 1, 2]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"a":' * 100_000, b"x" * 40_000_000])
def test_lines_nested_deeply_or_without_end_are_no_results(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    with Journal(path, {"a": 1}) as journal:
        journal.append({"n": 0})
    with path.open("ab") as file:
        file.write(line + b"\n")
    with Journal(path, {"a": 1}) as journal:
        assert [entry for _, entry in journal.entries()] == [{"n": 0}]
    path.write_bytes(b'{"journal": ' + line + b"\n")
    with pytest.raises(JournalError, match="is not a journal"):
        Journal(path, {"a": 1})


def test_an_empty_journal_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    assert written(path, 0) == [] and not path.exists()
    written(path, 1)
    assert written(path, 0) == [] and path.exists()


def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"j\.jsonl holds the progress of a run with another recogniser, "):
        Journal(path, {**ABOUT, "recogniser": "b"})
    with pytest.raises(JournalError, match="another recogniser and another profile"):
        Journal(path, {"recogniser": "b", "profile": "c"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"[]\n", b'{"journal": 99, "about": {}}\n', b"a,b"])
def test_a_file_that_is_not_a_journal_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is not a journal"):
        Journal(path, ABOUT)
    assert path.read_bytes() == content


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT), pytest.raises(JournalError, match="another run is writing this file"):
        Journal(path, ABOUT)
    Journal(path, ABOUT).__exit__(None, None, None)


def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", ABOUT) as journal:
        journal.remove()
    assert list(tmp_path.iterdir()) == []


def failed(entry: Mapping[str, Any]) -> bool:
    return bool(entry["n"] < 0)


def test_progress_is_read_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT) as journal:
        assert read_progress(path, failed) == Progress(True, 0, 0, 0, None, ABOUT)
        journal.begin(10, 4, 1)
        assert read_progress(path, failed) == Progress(True, 10, 4, 1, None, ABOUT)
        for n in (1, -1):
            journal.append({"n": n})
        time.sleep(0.01)  # the time of a result is told to a millisecond
        journal.append({"n": 2})
        now = read_progress(path, failed)
        assert (now.running, now.total, now.done, now.failed) == (True, 10, 7, 2)
        (last,) = [entry["at_s"] for _, entry in journal.entries() if entry.get("n") == 2]
        assert now.left_s == pytest.approx(3 * last / 3)
    path.write_bytes(path.read_bytes() + b'{"n": 5')
    ended = read_progress(path, failed)
    assert ended == Progress(False, 10, 7, 2, None, ABOUT)
    with Journal(path, ABOUT) as journal:  # a second run knows better how many there were
        assert [entry["n"] for _, entry in journal.entries() if "n" in entry] == [1, -1, 2]
        journal.begin(8, 2, 0)
        journal.append({"n": 7})
        assert read_progress(path, failed).done == 3


def test_a_run_that_only_began_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", ABOUT) as journal:
        journal.begin(10, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_speed_is_that_of_the_last_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT) as journal:
        journal.begin(1000, 0, 0)
        for at_s in (*range(1, 101), *range(5000, 5600, 60), 5600):  # 100 at once, then one per minute
            journal.append({"n": 1})
            lines = path.read_bytes().splitlines()
            lines[-1] = b'{"n": 1, "at_s": %d}' % at_s
            path.write_bytes(b"\n".join(lines) + b"\n")
        left_s = read_progress(path, failed).left_s
    assert left_s == pytest.approx((1000 - 111) * 600 / 10, rel=0.11)


@pytest.mark.parametrize("content", [b"", b"a,b\n", b'{"journal": 99, "about": {}}\n'])
def test_the_progress_of_what_is_no_journal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match="is not a journal"):
        read_progress(tmp_path / "j", failed)


def test_a_journal_that_was_taken_over_is_written_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFUSE_LOCKS", "lease")
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT) as journal:
        journal.append({"n": 1})
        assert (tmp_path / "j.jsonl.lease").exists()
        monkeypatch.setattr(lease_file.Lease, "held", lambda _self: False)
        with pytest.raises(JournalError, match="another run has taken this file over"):
            journal.append({"n": 2})
        monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["j.jsonl"]


def test_progress_ends_at_a_number_beyond_all(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT) as journal:
        journal.begin(10, 4, 1)
        journal.append({"n": 1})
    path.write_bytes(path.read_bytes().replace(b'"total": 10', b'"total": 1e999'))
    assert read_progress(path, failed) == Progress(False, 0, 0, 0, None, ABOUT)
