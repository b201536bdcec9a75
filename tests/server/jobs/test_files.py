from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import new_job_id


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    return JobFiles(tmp_path / "data")


@pytest.fixture
def job(files: JobFiles) -> str:
    job = new_job_id()
    files.create(job)
    files.upload(job).write_bytes(b"film")
    return job


def everything(files: JobFiles) -> set[str]:
    return {path.relative_to(files.root).as_posix() for path in files.root.rglob("*")}


def test_an_attempt_becomes_the_result_once(files: JobFiles, job: str) -> None:
    (files.begin(job, 1) / "timeline.npz").write_bytes(b"half")
    (files.begin(job, 2) / "timeline.npz").write_bytes(b"whole")
    assert everything(files) == {job, f"{job}/upload", f"{job}/attempt-2", f"{job}/attempt-2/timeline.npz"}
    for _ in range(2):
        files.publish(job, 2)
        assert (files.result(job) / "timeline.npz").read_bytes() == b"whole"
    assert everything(files) == {job, f"{job}/upload", f"{job}/result", f"{job}/result/timeline.npz"}
    assert files.size_bytes(job) == len(b"film") + len(b"whole")


def test_a_result_that_did_not_count_is_replaced(files: JobFiles, job: str) -> None:
    """Its server died after the rename, before the job was done."""
    (files.begin(job, 1) / "old").write_bytes(b"")
    files.publish(job, 1)
    (files.begin(job, 2) / "new").write_bytes(b"")
    files.publish(job, 2)
    assert [path.name for path in files.result(job).iterdir()] == ["new"]


def test_nothing_can_be_published_that_was_not_made(files: JobFiles, job: str) -> None:
    with pytest.raises(FileNotFoundError):
        files.publish(job, 1)
    with pytest.raises(FileNotFoundError):
        files.begin(new_job_id(), 1)


def test_the_attempt_of_another_server_is_left_alone(files: JobFiles, job: str) -> None:
    """One that was taken for dead begins or ends, while another is at work."""
    theirs = files.begin(job, 2)
    ours = files.begin(job, 1)
    files.discard(job, 1)
    files.discard(job, 1)
    assert theirs.is_dir() and not ours.exists()


def test_erasing(files: JobFiles, job: str) -> None:
    other = new_job_id()
    files.create(other)
    (files.begin(job, 1) / "folder").mkdir()
    files.erase(job)
    files.erase(job)
    assert list(files.ids()) == [other]
    assert everything(files) == {other}
    with pytest.raises(FileExistsError):
        files.create(other)


@pytest.mark.parametrize(
    "bad", ["", "..", "../" + "0" * 32, "0" * 31, "0" * 33, "G" * 32, "0" * 32 + "\n", "a/b"]
)
def test_no_text_becomes_a_path(files: JobFiles, bad: str) -> None:
    for call in (files.create, files.folder, files.upload, files.result, files.erase, files.size_bytes):
        with pytest.raises(ValueError, match="is not the key of a job"):
            call(bad)
    for with_attempt in (files.begin, files.publish, files.discard):
        with pytest.raises(ValueError, match="is not the key of a job"):
            with_attempt(bad, 1)


def test_only_folders_of_jobs_are_listed(files: JobFiles, job: str, tmp_path: Path) -> None:
    (files.root / "note.txt").write_text("mine", encoding="utf-8")
    (files.root / "lost+found").mkdir()
    (files.root / ("1" * 32)).symlink_to(tmp_path)
    assert list(files.ids()) == [job]
