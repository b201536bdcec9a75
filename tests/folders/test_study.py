from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import AnnotationError, BatchError, ExportError
from emofuse.core.labels import EMOTIONS
from emofuse.exports.write import write_timeline
from emofuse.folders.study import RESULTS, StudyRecording, write_study
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.records import Segment, Timeline
from emofuse.timeline.stored import save_timeline
from tests.support import timelines
from tests.support.svg import texts

SEEDS = (3, 4, 5)


def stored(folder: Path, name: str, timeline: Timeline) -> Path:
    save_timeline(timeline, folder / f"{name}.npz")
    return folder / f"{name}.npz"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: cell_text(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def made(folder: Path, recordings: list[StudyRecording], result: str) -> Path:
    path = folder / f"{result}{RESULTS[result]}"
    write_study(recordings, result, path, emotions=EMOTIONS)
    return path


@pytest.fixture
def talks(tmp_path: Path) -> list[StudyRecording]:
    """Three recordings with people, markers and excluded spans, and one that failed."""
    found = [
        StudyRecording(
            f"{seed}.mp4", stored(tmp_path, str(seed), timelines.marked_timeline(seed)),
            condition=("before", "after")[seed % 2], purpose="a study",
        )
        for seed in SEEDS
    ]  # fmt: skip
    return [
        *found,
        StudyRecording("x.mp4", None, "after", purpose="a study", error="no audio", consent="form 9"),
    ]


@pytest.mark.parametrize(("result", "kind"), [("summary", "summary-csv"), ("windows", "windows-csv")])
def test_tables_hold_the_rows_of_single_recordings(
    talks: list[StudyRecording], tmp_path: Path, result: str, kind: str
) -> None:
    found = rows(made(tmp_path, talks, result))
    for one, seed in zip(talks, SEEDS, strict=False):
        timeline = replace(timelines.marked_timeline(seed), purpose="a study")
        alone = rows(write_timeline(timeline, tmp_path / "one.csv", kind, condition=one.condition))
        own = [row for row in found if row["file"] == one.name]
        assert own == [{"file": one.name, "condition": str(one.condition)} | row for row in alone]
        assert {row["condition"] for row in own} <= {one.condition}
    assert [row["file"] for row in found] == sorted(row["file"] for row in found)


def test_every_recording_has_a_row_in_files(talks: list[StudyRecording], tmp_path: Path) -> None:
    (tmp_path / "4.npz").write_bytes(b"damaged")
    found = rows(made(tmp_path, talks, "files"))
    assert [row["file"] for row in found] == ["3.mp4", "4.mp4", "5.mp4", "x.mp4"]
    assert [row["error"] for row in found] == [
        "", "its timeline is missing or damaged: have it read again", "", "no audio"
    ]  # fmt: skip
    assert [row["consent"] for row in found] == ["", "", "", "form 9"]
    assert {row["file"] for row in rows(made(tmp_path, talks, "summary"))} == {"3.mp4", "5.mp4"}
    assert "consent" not in rows(made(tmp_path, talks[:1], "files"))[0]


def test_names_make_participants_of_people(tmp_path: Path) -> None:
    """The same name in two recordings is one person, and the voice of a recording without a face has one."""
    parts = [timelines.window(start, start + 3, person="person 1") for start in range(8)]
    film = timelines.timeline(
        duration_s=12.0, people=("person 1",), windows=tuple(parts),
        segments=(Segment(0, 10, "happy", 0.9, person="person 1"),),
    )  # fmt: skip
    talk = timelines.timeline(
        duration_s=12.0, windows=tuple(timelines.window(start, start + 3, speech=0.5) for start in range(8)),
        segments=(Segment(0, 10, "sad", 0.9),),
    )  # fmt: skip
    marked = Annotations.from_data({"names": {"person 1": "Anna"}, "markers": [{"start_s": 4, "text": "go"}]})
    recordings = [
        StudyRecording("a.mp4", stored(tmp_path, "film", film), "x", annotations=marked),
        StudyRecording("b.wav", stored(tmp_path, "talk", talk), "x", participant="Anna"),
        StudyRecording("c.mp4", stored(tmp_path, "film", film), "x", participant="Anna"),
    ]
    means = rows(made(tmp_path, recordings, "conditions"))
    assert [(row["person"], row["n_recordings"]) for row in means] == [
        ("", "3"), ("Anna", "2"), ("person 1 in c.mp4", "1")
    ]  # fmt: skip
    assert (means[1]["share_happy"], means[1]["share_sad"]) == ("0.500000", "0.500000")
    (voice,) = (row for row in rows(made(tmp_path, recordings, "summary")) if row["file"] == "b.wav")
    assert voice["person"] == "Anna" and float(voice["talking_s"]) > 0
    curves = rows(made(tmp_path, recordings, "markers"))
    assert {(row["marker"], row["person"]) for row in curves} == {("go", ""), ("go", "Anna")}
    assert "go · x" in texts(ET.parse(made(tmp_path, recordings, "markers.svg")).getroot())
    assert "x" in texts(ET.parse(made(tmp_path, recordings, "conditions.svg")).getroot())


def test_a_study_without_anything_has_tables_without_rows(tmp_path: Path) -> None:
    for result in RESULTS:
        text = made(tmp_path, [], result).read_text(encoding="utf-8")
        assert text.startswith("<svg") if result.endswith(".svg") else text.count("\n") == 1, result


def test_timelines_are_loaded_once_for_all_means(talks: list[StudyRecording], tmp_path: Path) -> None:
    """What is kept of a timeline makes the same files, to the byte; what is damaged is made again."""
    kept = [replace(one, digest=tmp_path / "kept" / f"{one.name}.json") for one in talks]
    means = [result for result in RESULTS if result != "windows"]
    expected = {result: made(tmp_path, talks, result).read_bytes() for result in means}
    for _ in range(2):
        assert {result: made(tmp_path, kept, result).read_bytes() for result in means} == expected
    (tmp_path / "kept" / "3.mp4.json").write_bytes(b"damaged")
    assert made(tmp_path, kept, "summary").read_bytes() == expected["summary"]
    for seed in SEEDS:
        (tmp_path / f"{seed}.npz").unlink()
    assert {result: made(tmp_path, kept, result).read_bytes() for result in means} == expected
    other = [replace(kept[0], condition="other", consent="form 1"), *kept[1:]]
    assert {row["condition"] for row in rows(made(tmp_path, other, "summary")) if row["file"] == "3.mp4"} == {
        "other"
    }


def test_what_cannot_be_put_together(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no result 'all': use summary, files"):
        write_study([], "all", tmp_path / "all", emotions=EMOTIONS)
    paths = [
        stored(tmp_path, "a", timelines.timeline()),
        stored(tmp_path, "b", timelines.timeline(emotions=("calm", "other"))),
    ]
    both = [StudyRecording(f"{n}.wav", path) for n, path in enumerate(paths)]
    with pytest.raises(BatchError, match=r"1\.wav was read by a recognizer with other emotions than 0\.wav"):
        made(tmp_path, both, "summary")
    assert rows(made(tmp_path, both[1:], "summary")) is not None
    wrong = replace(both[0], annotations=Annotations.from_data({"names": {"Zoë": "Anna"}}))
    with pytest.raises(AnnotationError, match="Zoë"):
        made(tmp_path, [wrong], "summary")
