from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.coding.recordings import read_recordings
from emofuse.core.errors import AnnotationError, TimelineError
from emofuse.exports.write import write_timeline
from tests.support import timelines
from tests.support.annotation_files import write_csv, write_eaf

SPAN = (1.0, 2.0, "happy")


def timeline(path: Path, source: str) -> Path:
    return write_timeline(timelines.timeline(source=source), path)


def coders(folder: Path, *annotations: str | Path) -> dict[str, list[str]]:
    found, _ = read_recordings(folder, annotations)
    return {one.name: [coding.coder for coding in one.codings] for one in found}


def test_the_names_of_files_are_the_coders(tmp_path: Path) -> None:
    one = timeline(tmp_path / "t.json", "films/talk.mp4")
    names = ("talk.csv", "talk.eva.csv", "talk_tim.csv", "somebody.csv")
    files = [write_csv(tmp_path / name, [SPAN]) for name in names]
    assert coders(one, *files) == {"talk.mp4": ["coder", "eva", "tim", "somebody"]}
    assert coders(one, f"Eva M.={files[0]}", *files[1:2]) == {"talk.mp4": ["Eva M.", "eva"]}


def test_folders_are_the_coders_of_files_named_as_recordings(tmp_path: Path) -> None:
    one = timeline(tmp_path / "t.json", "talk.mp4")
    for coder in ("eva", "tim"):
        (tmp_path / coder).mkdir()
        write_csv(tmp_path / coder / "talk.csv", [SPAN])
    assert coders(one, tmp_path / "eva", tmp_path / "tim") == {"talk.mp4": ["eva", "tim"]}


def test_coders_in_one_file(tmp_path: Path) -> None:
    text = "start,end,label,coder\n0,1,happy,eva\n0,1,sad,tim\n1,2,sad,eva\n"
    (tmp_path / "talk.csv").write_text(text)
    found, _ = read_recordings(timeline(tmp_path / "t.json", "talk.mp4"), [tmp_path / "talk.csv"])
    assert [(one.coder, len(one.spans)) for one in found[0].codings] == [("eva", 2), ("tim", 1)]


def test_a_folder_of_timelines_takes_the_files_of_each(tmp_path: Path) -> None:
    for name in ("a.mp4", "a b.mp4", "c.wav", "d.wav"):
        timeline(tmp_path / "read" / f"{name}.json", name)
    (tmp_path / "read" / "other.json").write_text("{}")
    for name in ("a.eva", "a b.eva", "a b.tim"):
        write_csv(tmp_path / f"{name}.csv", [SPAN])
    media = tmp_path / "c.eaf"
    write_eaf(media, {"x": [SPAN]})
    assert coders(tmp_path / "read", *sorted(tmp_path.glob("*.csv")), media) == {
        "a.mp4": ["eva"], "a b.mp4": ["eva", "tim"], "c.wav": ["coder"],
    }  # fmt: skip
    _, remarks = read_recordings(tmp_path / "read", [media])
    assert remarks == ("3 recordings have no annotations, and are left out",)


def test_a_table_of_many_recordings(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        timeline(tmp_path / "read" / f"{name}.json", name)
    text = "file,start,end,eva,tim\nx/a.wav,0,1,happy,sad\nx/b.wav,0,1,sad,\nx/none.wav,0,1,sad,sad\n"
    (tmp_path / "db.csv").write_text(text)
    assert coders(tmp_path / "read", tmp_path / "db.csv") == {"a.mp4": ["eva", "tim"], "b.mp4": ["coder"]}
    found, remarks = read_recordings(tmp_path / "read", [tmp_path / "db.csv"])
    assert remarks == (f"{tmp_path / 'db.csv'}: 2 spans belong to no recording, and are left out",)
    assert len(found) == 2


def test_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    one = timeline(tmp_path / "t.json", "talk.mp4")
    file = write_csv(tmp_path / "talk.eva.csv", [SPAN])
    with pytest.raises(AnnotationError, match="'eva' has annotated it already"):
        read_recordings(one, [file, file])
    with pytest.raises(AnnotationError, match="a coder cannot be called emofuse"):
        read_recordings(one, [f"emofuse={file}"])
    (tmp_path / "read").mkdir()
    with pytest.raises(TimelineError, match="there is no timeline below it"):
        read_recordings(tmp_path / "read", [file])
    for name in ("x", "y"):
        timeline(tmp_path / "read" / f"{name}.json", f"{name}.mp4")
    with pytest.raises(AnnotationError, match=r"no annotation file is of x\.mp4, y\.mp4"):
        read_recordings(tmp_path / "read", [file])
    timeline(tmp_path / "read" / "again.json", "x.mp4")
    with pytest.raises(TimelineError, match=r"recordings of one name, x\.mp4"):
        read_recordings(tmp_path / "read", [file])
