from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse.exports.viewer import reader_digest
from emofuse.exports.write import FORMATS
from emofuse.server.exports import VIEW, Exports, export_name, media_type
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job

ID = "0123456789abcdef" * 2


def job(version: int = 0) -> Job:
    return Job(
        id=ID, name="talk.mp4", purpose="tests", number=1, state="done", created="",
        annotations_version=version, annotations={"names": {"person 1": str(version)}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("interview.mp4", "interview.csv"), ("a/b\\c.wav", "c.csv"), ("..", "recording.csv"),
        ("", "recording.csv"),
        (".hidden.mp4", "hidden.csv"), ("no suffix", "no suffix.csv"), ("a\r\nX: y.mp4", "a X: y.csv"),
    ],
)  # fmt: skip
def test_names_of_exports(name: str, wanted: str) -> None:
    assert export_name(name, "csv") == wanted


def test_every_format_has_a_media_type() -> None:
    kinds = {kind: media_type(kind).partition(";")[0] for kind in FORMATS}
    assert {kind for kind, found in kinds.items() if found == "text/csv"} == {
        kind for kind in FORMATS if kind.endswith("csv")
    }


def test_an_export_is_made_once_and_old_ones_go(tmp_path: Path) -> None:
    files = JobFiles(tmp_path)
    exports = Exports(files)
    asked: list[Mapping[str, Any]] = []

    async def make(request: Mapping[str, Any]) -> None:
        asked.append(request)
        await asyncio.sleep(0.01)
        Path(request["out"]).write_text(request["annotations"]["names"]["person 1"])

    async def ask(version: int, n: int) -> set[str]:
        paths = await asyncio.gather(*(exports.made(job(version), "csv", make) for _ in range(n)))
        return {path.read_text() for path in paths}

    with pytest.raises(FileNotFoundError):  # the job has no folder any more
        asyncio.run(ask(0, 1))
    files.create(ID)
    assert asyncio.run(ask(0, 5)) == {"0"} and len(asked) == 1
    assert {**asked[0], "out": None} == {
        "do": "export", "name": "talk.mp4", "timeline": str(files.result(ID)), "format": "csv", "out": None,
        "annotations": {"names": {"person 1": "0"}}, "purpose": "tests",
    }  # fmt: skip
    assert asyncio.run(ask(1, 1)) == {"1"} and asyncio.run(ask(0, 1)) == {"0"} and len(asked) == 2
    asyncio.run(ask(10, 1))
    assert [path.name for path in exports.path(job(), "csv").parent.iterdir()] == ["10-csv.csv"]


def test_a_view_is_made_for_one_viewer(tmp_path: Path) -> None:
    exports = Exports(JobFiles(tmp_path))
    assert exports.path(job(), VIEW).name == f"0-view-{reader_digest()}.json.gz"
    assert exports.path(job(), "csv").name == "0-csv.csv"


def test_one_that_fails_is_made_again(tmp_path: Path) -> None:
    files = JobFiles(tmp_path)
    files.create(ID)
    exports = Exports(files)

    async def fail(_: Mapping[str, Any]) -> None:
        raise RuntimeError

    async def make(request: Mapping[str, Any]) -> None:
        Path(request["out"]).write_text("made")

    async def both() -> str:
        with pytest.raises(RuntimeError):
            await exports.made(job(), "json", fail)
        return (await exports.made(job(), "json", make)).read_text()

    assert asyncio.run(both()) == "made"
