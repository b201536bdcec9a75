"""Every format by one way in; tests/test_broken_files.py reads damaged files of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.coding.read import annotation_files, is_annotation_file, read_annotations
from emofuse.core.errors import AnnotationError
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment
from tests.support import timelines


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    timeline = timelines.timeline(people=("Anna",), segments=(Segment(1, 2, "happy", 0.5, person="Anna"),))
    for suffix in (".eaf", ".TextGrid", ".csv"):
        spans = read_annotations(write_timeline(timeline, tmp_path / f"a{suffix}")).spans
        (span,) = [one for one in spans if one.label == "happy"]
        assert (span.start_s, span.end_s) == (1.0, 2.0)
    with pytest.raises(
        AnnotationError, match=r"a\.docx: annotations are read from files with the suffix \.eaf"
    ):
        read_annotations(tmp_path / "a.docx")
    with pytest.raises(AnnotationError, match=r"none\.eaf: No such file"):
        read_annotations(tmp_path / "none.eaf")


def test_files_of_folders(tmp_path: Path) -> None:
    for name in ("b/x.eaf", "a/y.CSV", "a/z.mp4", "w.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [
        path.relative_to(tmp_path).as_posix() for path in annotation_files([tmp_path, tmp_path / "q.eaf"])
    ]
    assert found == ["a/y.CSV", "b/x.eaf", "w.tsv", "q.eaf"]
    assert not is_annotation_file(tmp_path / "a" / "z.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="the folder has no annotations"):
        list(annotation_files([tmp_path / "empty"]))
