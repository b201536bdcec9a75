from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.core.errors import BatchError
from emofuse.folders.conditions import read_conditions

NAMES = ("a/one.mp4", "a/two.wav", "b/two.mp4", "three.wav", "three.mp4")


def table(folder: Path, text: str) -> Path:
    path = folder / "conditions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_recordings_are_named_by_path_name_or_stem(tmp_path: Path) -> None:
    path = table(
        tmp_path, "\ufeffcondition,file,who\nsad film,a/one.mp4,x\nbaseline,b\\two.mp4,\nafter,two.wav,y\n"
    )
    assert read_conditions(path, NAMES) == {
        "a/one.mp4": "sad film", "b/two.mp4": "baseline", "a/two.wav": "after",
    }  # fmt: skip
    assert read_conditions(table(tmp_path, "file,condition\none,x\n"), NAMES) == {"a/one.mp4": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\na,b\n", "has no column condition"),
        ("", "has no column file and no column condition"),
        ("file,condition\ntwo,x\n", "'two' is several recordings: a/two.wav, b/two.mp4"),
        ("file,condition\nthree,x\n", "'three' is several recordings"),
        ("file,condition\nfour,x\n", "there is no recording 'four'"),
        ("file,condition\n4,x\n5,x\n6,x\n7,x\n", "there is no recording '4', '5', '6' and 1 more"),
        ("file,condition\none,x\na/one.mp4,y\n", "a/one.mp4 has two conditions"),
        ('file,condition\n"one,x\n', "cannot be read as a CSV table"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BatchError, match=message) as caught:
        read_conditions(table(tmp_path, text), NAMES)
    assert "\n" not in str(caught.value)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="there is no such file"):
        read_conditions(tmp_path / "missing.csv", NAMES)
