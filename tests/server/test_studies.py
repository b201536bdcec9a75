from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from emofuse.server.studies import Entry, Studies, Study
from tests.support.typed import not_none

JOBS = tuple(f"{number:032x}" for number in range(1, 6))


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return Studies(tmp_path, 3)


def test_studies_are_kept(studies: Studies, tmp_path: Path) -> None:
    first = studies.add("interviews \ud800 é", [Entry(JOBS[0], "before", "Anna"), Entry(JOBS[1])])
    second = studies.add("b", [])
    again = Studies(tmp_path, 3)
    assert again.list() == [first, second] and again.get(first.id) == first
    assert first.recordings[0].condition == "before" and first.version == 0
    assert studies.room()
    studies.add("c", [])
    assert not studies.room()
    assert studies.erase(first.id) and not studies.erase(first.id) and studies.get(first.id) is None
    assert studies.room()


def test_a_change_counts_versions(studies: Studies) -> None:
    study = studies.add("a", [])
    changed = not_none(studies.change(study.id, lambda one: replace(one, name="b", version=9, id="x")))
    assert changed == replace(study, name="b", version=1) == studies.get(study.id)
    assert studies.change(study.id, lambda one: one) == changed  # nothing changes
    assert studies.change("0" * 32, lambda one: one) is None

    def refuse(_: Study) -> Study:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        studies.change(study.id, refuse)
    assert studies.get(study.id) == changed


def test_no_change_is_lost(studies: Studies, tmp_path: Path) -> None:
    """Of several threads, and of several services that share the folder."""
    study = studies.add("a", [])

    def add(number: int) -> None:
        own = Studies(tmp_path, 3)
        for step in range(5):
            entry = Entry(f"{number * 5 + step:032x}")
            own.change(study.id, lambda one: replace(one, recordings=(*one.recordings, entry)))  # noqa: B023

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = not_none(studies.get(study.id))
    assert found.version == 30 and len({one.job for one in found.recordings}) == 30


def test_recordings_that_are_gone_leave_all_studies(studies: Studies) -> None:
    both = studies.add("both", [Entry(one) for one in JOBS[:2]])
    other = studies.add("other", [Entry(JOBS[1])])
    for study in (both, other):
        path = studies.result(study, "key", "summary.csv")
        studies.make_room(path)
        path.write_bytes(b"of both")
    studies.sweep(lambda jobs: [one for one in jobs if one != JOBS[0]])
    found = not_none(studies.get(both.id))
    assert found.recordings == (Entry(JOBS[1]),) and found.version == 1
    assert not studies.result(both, "key", "summary.csv").exists()
    assert studies.get(other.id) == other and studies.result(other, "key", "summary.csv").exists()
    studies.sweep(lambda jobs: jobs)
    assert studies.get(both.id) == found


def test_old_results_and_remains_are_deleted(studies: Studies, tmp_path: Path) -> None:
    study = studies.add("a", [])
    for number in range(9):
        for name in ("summary.csv", "files.csv"):
            path = studies.result(study, f"{number}", name)
            studies.make_room(path)
            path.write_bytes(b"")
    left = sorted(path.name for path in path.parent.iterdir())
    assert len(left) == 8 and "8-summary.csv" in left and "8-files.csv" in left
    (tmp_path / "studies" / f".{JOBS[0]}").mkdir()
    studies.change(study.id, lambda one: replace(one, name="b"))
    studies.delete_remains()
    assert {path.name for path in (tmp_path / "studies").iterdir()} == {".lock", study.id}
    with pytest.raises(FileNotFoundError):
        studies.make_room(studies.result(replace(study, id=JOBS[0]), "1", "summary.csv"))


def test_what_is_not_the_key_of_a_study(studies: Studies, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}", encoding="utf-8")
    for wrong in ("..", "", ".lock", "x", "0" * 31, f"{'0' * 32}/.."):
        assert studies.get(wrong) is None and not studies.erase(wrong)
        assert studies.change(wrong, lambda one: one) is None
