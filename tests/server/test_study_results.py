from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import NewJob
from emofuse.server.jobs.store import JobStore
from emofuse.server.studies import Entry, Studies, Study
from emofuse.server.study_results import StudyResults, file_names, result_name
from tests.support.typed import not_none


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talks", "talks"),
        ("a/b\\c", "a-b-c"),
        ("../..", "-"),
        ("..", "study"),
        (". hidden", "hidden"),
        ("Zoë 1", "Zoë 1"),
    ],
)
def test_results_are_named_after_the_study(name: str, shown: str) -> None:
    study = Study("0" * 32, name, "")
    assert result_name(study, "summary") == f"{shown}-summary.csv"
    assert result_name(study, "markers.svg") == f"{shown}-markers.svg"


def test_no_two_recordings_have_the_same_name(tmp_path: Path) -> None:
    given = ("a.wav", "a.wav", "a (2).wav", "a.wav", "b", "b", ".x", "c.tar.gz", "c.tar.gz")
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}") as store:
        jobs = [store.add(NewJob(name=name, purpose="p"), max_open=99) for name in given]
        study = Study("0" * 32, "s", "", recordings=tuple(Entry(job.id) for job in jobs))
        names = file_names(study, store.of_ids([job.id for job in jobs]))
    assert names == [
        "a.wav", "a (2).wav", "a (2) (2).wav", "a (3).wav", "b", "b (2)", ".x", "c.tar.gz", "c.tar (2).gz"
    ]  # fmt: skip


class Making:
    """What a worker does in these tests: it writes what it was asked, after something else has happened."""

    def __init__(self, store: JobStore, data: Path) -> None:
        self.store, self.studies, self.files = store, Studies(data, 9), JobFiles(data)
        self.asked: list[Mapping[str, Any]] = []
        self.meanwhile: list[Any] = []
        self.results = StudyResults(self.studies, self.files, store.of_ids)

    async def make(self, question: Mapping[str, Any]) -> None:
        self.asked.append(question)
        path = Path(question["out"])
        path.parent.mkdir(parents=True, exist_ok=True)  # as workers do
        path.write_text(str([one["name"] for one in question["recordings"]]), encoding="utf-8")
        if self.meanwhile:
            self.meanwhile.pop()()

    def made(self, study: Study, result: str = "files") -> str:
        path, _ = asyncio.run(self.results.made(study.id, result, self.make))
        return path.read_text(encoding="utf-8")


@pytest.fixture
def making(tmp_path: Path) -> Any:
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}") as store:
        yield Making(store, tmp_path)


def added(making: Making, *names: str) -> tuple[Study, list[str]]:
    ids = [making.store.add(NewJob(name=name, purpose="p"), max_open=99).id for name in names]
    return making.studies.add("s", [Entry(one, "x") for one in ids]), ids


def test_a_worker_is_asked_for_recordings_in_the_order_of_names(making: Making) -> None:
    study, ids = added(making, "b.wav", "a.wav")
    assert making.made(study) == "['a.wav', 'b.wav']" == making.made(study)
    (question,) = making.asked
    assert question["recordings"][0] == {
        "job": ids[1], "name": "a.wav", "timeline": None, "digest": None, "annotations": {},
        "purpose": "p", "consent": None,
        "error": "it was not read yet: it waits", "condition": "x", "participant": None,
    }  # fmt: skip
    lease = not_none(making.store.claim("server")).lease
    making.made(study)
    assert making.asked[-1]["recordings"][1]["error"] == "it was not read yet: it is being read"
    making.store.fail(lease, "no audio")
    making.made(study)
    assert making.asked[-1]["recordings"][1]["error"] == "no audio"


def test_what_changed_while_it_was_made_is_made_again(making: Making) -> None:
    study, ids = added(making, "a.wav", "b.wav")

    def erase() -> None:
        making.store.erase(ids[0])
        making.studies.leave({ids[0]})

    making.meanwhile.append(erase)
    assert making.made(study) == "['b.wav']"
    assert len(making.asked) == 2
    assert len(list(making.studies.result(study, "", "").parent.iterdir())) == 1


def test_digests_of_older_annotations_and_of_erased_recordings_are_deleted(making: Making) -> None:
    study, ids = added(making, "a.wav", "b.wav")
    for number, job_id in enumerate(ids):
        making.files.create(job_id)
        making.files.begin(job_id, 1)
        lease = not_none(making.store.claim("server")).lease
        making.store.finish(lease, {}, partial(making.files.publish, job_id, 1))
        making.store.annotate(job_id, {"names": {"person 1": str(number)}}, 0)
    folders = [making.files.folder(one) / "exports" for one in ids]

    def digests() -> list[str]:
        return [path.name.partition("-")[0] for one in folders for path in sorted(one.glob("*-digest-*"))]

    def write() -> None:  # as the worker does
        for one in making.asked[-1]["recordings"]:
            Path(one["digest"]).parent.mkdir(parents=True, exist_ok=True)
            Path(one["digest"]).write_bytes(b"{}")

    making.meanwhile.append(write)
    making.made(study)
    assert digests() == ["1", "1"]
    making.store.annotate(ids[0], {}, 1)
    being_written = folders[0] / ".1-digest-0.json.0a1b2c.part"
    being_written.write_bytes(b"")
    making.meanwhile.append(write)
    making.made(study)
    assert being_written.exists()
    being_written.unlink()
    assert digests() == ["2", "1"]

    def erase() -> None:
        making.store.erase(ids[0])
        making.files.erase(ids[0])
        making.studies.leave({ids[0]})
        write()

    making.meanwhile.append(erase)
    assert making.made(study, "summary") == "['b.wav']"
    assert not making.files.folder(ids[0]).exists() and digests() == ["1"]


def test_of_a_study_that_is_erased_meanwhile_nothing_is_left(making: Making, tmp_path: Path) -> None:
    study, _ = added(making, "a.wav")
    making.meanwhile.append(lambda: making.studies.erase(study.id))
    with pytest.raises(FileNotFoundError):
        making.made(study)
    assert {path.name for path in (tmp_path / "studies").iterdir()} <= {".lock"}


def test_what_changes_all_the_time_is_not_made_for_ever(making: Making) -> None:
    study, ids = added(making, "a.wav")
    making.meanwhile += [
        lambda number=number: making.store.note_consent(ids[0], f"form {number}") for number in range(9)
    ]
    with pytest.raises(FileNotFoundError):
        making.made(study)
    assert len(making.asked) == 3
