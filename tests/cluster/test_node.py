"""What a node does, here in this process: Ray only calls it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.batch import write_sound
from emofuse.cluster import node
from emofuse.cluster.node import File, Read, Unseen, Work, other_version, read, refusal
from emofuse.core.version import __version__
from emofuse.recognition.bundle import SHIPPED
from emofuse.recognition.worker_settings import WorkerSettings
from emofuse.system.isolated_workers import Handler, Lost, Reply, Request, Task
from emofuse.system.source_digest import source_digest


def echo(setup: Mapping[str, Any]) -> Handler:
    """Replies with the size of a file, or does to its process what the file says."""

    def handle(request: Request) -> Reply:
        text = Path(request["file"]).read_text(encoding="utf-8") if Path(request["file"]).exists() else ""
        if text == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif text == "kill ray":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        elif text == "slow":
            time.sleep(0.1)
        elif text == "disk full":
            return {"error": "OSError: [Errno 28] No space left on device", "disk_full": True}
        return {"file": request["file"], "length": len(text), "pid": os.getpid(), "more": setup.get("more")}

    return handle


@pytest.fixture(autouse=True)
def _end_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(Path.cwd())  # and back at the end
    yield
    node._kept.end()


def work(folder: Path, target: str = f"{__name__}:echo", **more: Any) -> Work:
    settings = WorkerSettings.of(None)
    return Work(target, settings, True, {"more": 1}, settings.identity(), str(folder), **more)


def files(folder: Path, **contents: str) -> list[File]:
    out = []
    for key, (name, text) in enumerate(contents.items()):
        (folder / name).write_text(text, encoding="utf-8")
        out.append(File(Task(key, {"file": name}), len(text)))
    return out


def test_files_are_read_where_the_driver_works_and_the_worker_is_kept(tmp_path: Path) -> None:
    given = files(tmp_path, a="1", b="crash", c="123")
    first = read(work(tmp_path), given)
    assert isinstance(first, Read) and first.seconds is None
    results = dict(first.results)
    assert results[1] == Lost("the process that read it crashed (SIGSEGV)")
    assert isinstance(results[2], dict) and (results[2]["length"], results[2]["file"]) == (3, "c")
    second = read(work(tmp_path), given[2:])
    assert isinstance(second, Read) and second.seconds is not None
    (again,) = second.results
    assert isinstance(again[1], dict) and (again[1]["pid"], again[1]["more"]) == (results[2]["pid"], 1)
    third = read(replace(work(tmp_path), more={"more": 2}), given[2:])
    assert isinstance(third, Read) and third.results[0][1]["more"] == 2  # type: ignore[index]


def test_files_that_are_not_there_or_other_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (given,) = files(tmp_path, a="1234")
    missing = File(Task(1, {"file": "b"}), 7)
    outcome = read(work(tmp_path), [replace(given, size_bytes=5), missing])
    assert isinstance(outcome, Read)
    assert outcome.results == [
        (0, Unseen("the file there has 4 bytes, not 5")),
        (1, Unseen("there is no such file")),
    ]
    assert node._kept.workers is not None and not node._kept.workers.workers, (
        "a worker was started for nothing"
    )
    outcome = read(work(tmp_path), [replace(missing, whatever=True)])
    assert isinstance(outcome, Read) and outcome.results[0][1]["length"] == 0  # type: ignore[index]


def test_what_cannot_load_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = files(tmp_path, a="1")
    assert "could not start" in str(read(work(tmp_path, "tests.nowhere:nothing"), given))


def test_other_versions_are_named() -> None:
    assert other_version(__version__, source_digest()) is None
    assert str(other_version("9.9", "")).startswith(
        f"it has emofuse {__version__}, not 9.9: install the same"
    )
    assert "has other code" in str(other_version(__version__, "another"))


def test_other_libraries_and_recognizers_are_named(tmp_path: Path) -> None:
    asked = work(tmp_path)
    assert refusal(asked) is None
    libraries = str(asked.identity["version of a library"]).replace('"soxr": "', '"soxr": "9')
    text = str(refusal(replace(asked, identity={**asked.identity, "version of a library": libraries})))
    assert text.startswith("it has soxr ") and "install the same on all nodes" in text
    other = replace(asked, identity={**asked.identity, "recogniser": "0"})
    assert refusal(other) == f"{SHIPPED} is another recognizer there than on this machine"
    absent = replace(asked, settings=replace(asked.settings, bundle=tmp_path / "none"), is_shipped=False)
    assert str(refusal(absent)).startswith(f"it has no {tmp_path / 'none' / 'bundle.json'}: put it there")
    assert refusal(replace(asked, identity={**asked.identity, "profile": "0"})) == (
        "it has another profile than this machine"
    )


def test_the_shipped_recognizer_may_be_anywhere(tmp_path: Path) -> None:
    elsewhere = replace(work(tmp_path).settings, bundle=Path("/on/the/driver"))
    assert refusal(replace(work(tmp_path), settings=elsewhere)) is None


def test_a_folder_of_results_that_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_LOOK_S", 0.01)
    (tmp_path / "results").mkdir()
    asked = work(tmp_path, marker="results/.marker")
    assert refusal(asked) == (
        f"it does not see the folder of the results, {tmp_path / 'results'}: all nodes must share it"
    )
    (tmp_path / "results" / ".marker").touch()
    assert refusal(asked) is None
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".marker"]


def test_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sound = write_sound(tmp_path / "a.wav", 1)
    asked = work(tmp_path, "emofuse.recognition.batch_worker:load_reader")
    outcome = read(asked, [File(Task(4, {"file": "a.wav"}), sound.stat().st_size)])
    assert isinstance(outcome, Read)
    ((key, reply),) = outcome.results
    assert key == 4 and isinstance(reply, dict) and (reply["source"], reply["error"]) == ("a.wav", None)
