from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.core.errors import JournalError
from emofuse.system.journal import Journal

ABOUT = {"recogniser": "a", "profile": None}


def written(path: Path, n: int = 3) -> list[int]:
    with Journal(path, ABOUT) as journal:
        list(journal.entries())
        return [journal.append({"n": i, "name": "\udce9 ü"}) for i in range(n)]


def kept(path: Path) -> list[tuple[int, int]]:
    with Journal(path, ABOUT) as journal:
        return [(place, entry["n"]) for place, entry in journal.entries()]


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "j.jsonl"
    places = written(path)
    assert kept(path) == list(zip(places, range(3), strict=True))
    with Journal(path, ABOUT) as journal:
        list(journal.entries())
        assert journal.at(places[1]) == {"n": 1, "name": "\udce9 ü"}
        later = journal.append({"n": 9})
        assert journal.at(places[0])["n"] == 0
        assert journal.at(later) == {"n": 9}
        journal.append({"n": 10})
    assert [n for _, n in kept(path)] == [0, 1, 2, 9, 10]


def test_cut_anywhere_whole_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    places = written(path)
    data = path.read_bytes()
    ends = [*places[1:], len(data)]
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        expected = sum(end <= size for end in ends)
        assert [n for _, n in kept(path)] == list(range(expected))
        written(path, 1)  # after what was whole, not after what was torn
        assert [n for _, n in kept(path)] == [*range(expected), 0]


@pytest.mark.parametrize("garbage", [bytes(100) + b"\n", b"[1]\n", b"\xff{\n"])
def test_what_a_power_failure_leaves_is_dropped(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    path.write_bytes(path.read_bytes() + garbage)
    assert [n for _, n in kept(path)] == [0, 1, 2]


def test_a_journal_of_nothing_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    assert written(path, 0) == [] and not path.exists()
    written(path, 1)
    assert written(path, 0) == [] and path.exists()


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"j\.jsonl holds the progress of a run with another recogniser, "):
        Journal(path, {**ABOUT, "recogniser": "b"})
    with pytest.raises(JournalError, match="another recogniser and another profile"):
        Journal(path, {"recogniser": "b", "profile": "c"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"[]\n", b'{"journal": 99, "about": {}}\n', b"a,b"])
def test_a_file_that_is_no_journal_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is no journal"):
        Journal(path, ABOUT)
    assert path.read_bytes() == content


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, ABOUT), pytest.raises(JournalError, match="another run is writing this"):
        Journal(path, ABOUT)
    Journal(path, ABOUT).__exit__(None, None, None)


def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", ABOUT) as journal:
        journal.remove()
    assert list(tmp_path.iterdir()) == []
