"""Folders of recordings: complete, resumable, and each failure alone."""

from __future__ import annotations

import csv
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import BatchError, ExportError, JournalError
from emofuse.exports import summary_rows
from emofuse.folders.timelines import TimelineOptions, write_timelines
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.summary import summary_columns
from emofuse.timeline.windows import WindowRules
from tests.support import drawn_people, media_files

N = 5


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("emofuse").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three voices, one of which has the name of a formula; a video; and a file that is none."""
    root = tmp_path_factory.mktemp("folder") / "talks"
    (root / "more").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "=1.wav", "more/a.wav"), 1):
        media_files.write_wav(root / name, drawn_people.draw_person(number).speech(4.0), drawn_people.RATE)
    one = drawn_people.draw_person(1)
    drawn_people.write_video(root / "film.mp4", one.speaking(60), audio=one.speech(4.0))
    (root / "more" / "broken.mp4").write_bytes(b"not a video")
    return root


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: cell_text(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def results(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_recording_has_its_files_and_all_have_one_summary(recordings: Path, tmp_path: Path) -> None:
    conditions = tmp_path / "conditions.csv"
    conditions.write_text("file,condition\nmore/a.wav,before\nfilm,after\n", encoding="utf-8")
    reports: list[tuple[int, int, int]] = []
    done = write_timelines(
        recordings, tmp_path / "out", suffixes=(".json", ".summary.csv"), jobs=2, conditions=conditions,
        on_progress=lambda *counts: reports.append(counts),
    )  # fmt: skip
    assert (done.files, done.failed, done.resumed) == (N, 1, 0)
    assert reports[0] == (0, 0, N) and reports[-1] == (N, 1, N)
    (error,) = done.errors
    assert "broken.mp4: not a media file" in error
    readable = {"a.wav", "=1.wav", "more/a.wav", "film.mp4"}
    assert results(tmp_path / "out") == {
        *(f"{name}{suffix}" for name in readable for suffix in (".json", ".summary.csv")),
        "summary.csv",
        "files.csv",
        "conditions.csv",
        "conditions.svg",
    }
    means = table(tmp_path / "out" / "conditions.csv")
    assert [(row["condition"], row["level"], row["person"]) for row in means] == [
        ("before", "everybody", ""), ("before", "person", "a voice in more/a.wav"),
        ("after", "everybody", ""), ("after", "person", "person 1 in film.mp4"),
        ("", "everybody", ""), ("", "person", "a voice in =1.wav"), ("", "person", "a voice in a.wav"),
    ]  # fmt: skip
    assert "fewer than 5 people" in (tmp_path / "out" / "conditions.svg").read_text(encoding="utf-8")
    rows = table(tmp_path / "out" / "files.csv")
    assert {row["file"] for row in rows} == readable | {"more/broken.mp4"}
    failed = [row for row in rows if row["error"]]
    assert [row["file"] for row in failed] == ["more/broken.mp4"] and failed[0]["duration_s"] == ""
    by_file = {row["file"]: row for row in rows}
    assert by_file["film.mp4"]["condition"] == "after" and by_file["film.mp4"]["n_people"] == "1"
    assert by_file["a.wav"]["condition"] == "" and by_file["a.wav"]["duration_s"] == "4.000"


def test_the_summary_holds_the_rows_of_single_timelines(recordings: Path, tmp_path: Path) -> None:
    how = TimelineOptions(rules=WindowRules(2.0, 1.0), start_s=0.5)
    write_timelines(recordings, tmp_path, suffixes=(".csv",), options=how)
    summary = table(tmp_path / "summary.csv")
    recognizer = Recognizer.load()
    assert list(summary[0]) == ["file", *summary_columns(recognizer.emotions)]
    for name in ("film.mp4", "=1.wav"):
        timeline = recognizer.timeline(recordings / name, rules=how.rules, start_s=0.5)
        expected = list(summary_rows(timeline))
        found = [row for row in summary if row["file"] == name]
        assert len(found) == len(expected)
        for row, one in zip(found, expected, strict=True):
            assert row["person"] == (one["person"] or "")
            for column in summary_columns(recognizer.emotions)[2:]:
                value = float(row[column]) if row[column] else None
                assert (value is None) == (one[column] is None), column
                if value is not None:
                    np.testing.assert_allclose(value, one[column], atol=1e-3)


def test_an_interrupted_run_is_resumed(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def after_two(done: int, *_: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    def read(**more: Any) -> Any:
        return write_timelines(recordings, out, suffixes=(".csv",), **more)

    with pytest.raises(KeyboardInterrupt):
        read(on_progress=after_two)
    assert not (out / "summary.csv").exists()
    with pytest.raises(JournalError, match="another set of options"):
        write_timelines(recordings, out, suffixes=(".json",))
    journal = [json.loads(line) for line in (out / "timelines.partial.jsonl").read_text().splitlines()]
    first, second = (entry["file"] for entry in journal if "file" in entry)
    os.utime(recordings / first)  # a recording that changes is read again, and so is one without its file
    (out / f"{second}.csv").unlink()
    with pytest.raises(KeyboardInterrupt):
        read(on_progress=after_two)
    resumed = read()
    assert (resumed.files, resumed.failed, resumed.resumed) == (N, 1, 2)
    assert "timelines.partial.jsonl" not in results(out)
    whole = tmp_path / "whole"
    write_timelines(recordings, whole, suffixes=(".csv",))
    assert results(whole) == results(out)
    for name in results(whole):
        assert (whole / name).read_bytes() == (out / name).read_bytes(), name


def test_a_recording_that_takes_too_long_fails_alone(recordings: Path, tmp_path: Path) -> None:
    done = write_timelines(recordings / "film.mp4", tmp_path, suffixes=(".csv",), timeout_s=0.001)
    assert (done.files, done.failed) == (1, 1) and "took longer than" in done.errors[0]


def test_what_cannot_be_done_is_refused_early(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no such format: \.doc"):
        write_timelines(recordings, tmp_path / "out", suffixes=(".doc",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BatchError, match="there is no recording"):
        write_timelines(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()
