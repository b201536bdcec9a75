from __future__ import annotations

import io
from pathlib import Path

import pytest

from emofuse.system.csv_files import LONGEST_LINE, bounded_lines, read_csv_table

KNOWN = ("path", "label")


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("path,label\n", ","),
        ("path;label\n", ";"),
        ("path\tlabel\n", "\t"),
        ('"a,b";path;label\n', ";"),
        ("path;note, with commas, of any kind\n", ";"),
        ("path\n", ","),
        ("", ","),
        ("sep=|\npath|label\n", "|"),
        ("SEP=;\r\npath;label\r\n", ";"),
    ],
)
def test_the_separator_is_that_of_the_first_line(tmp_path: Path, text: str, delimiter: str) -> None:
    assert read_csv_table(table(tmp_path, text), KNOWN).delimiter == delimiter


def test_rows_have_the_line_on_which_they_end(tmp_path: Path) -> None:
    found = read_csv_table(table(tmp_path, 'path;label\n\n"a\nb";1\n;\nc;2\n'), KNOWN)
    assert found.columns == KNOWN
    assert [(line, dict(row)) for line, row in found.rows()] == [
        (4, {"path": "a\nb", "label": "1"}),
        (6, {"path": "c", "label": "2"}),
    ]


@pytest.mark.parametrize("text", ['"path,label', 'path,label\na,"b'])
def test_open_quotes_are_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="unexpected end of data"):
        list(read_csv_table(table(tmp_path, text), KNOWN).rows())


def test_a_line_without_end_is_not_read(tmp_path: Path) -> None:
    text = "a,b\n" + "x" * (LONGEST_LINE - 2) + "\nlast"
    assert [len(line) for line in bounded_lines(io.StringIO(text))][::2] == [4, 4]
    with pytest.raises(ValueError, match="a line has more than 1048576 characters"):
        list(bounded_lines(io.StringIO("a,b\n" + "x" * (LONGEST_LINE + 1))))
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(2**40)  # sparse
    with (tmp_path / "t.csv").open() as text_file, pytest.raises(ValueError, match="a line has more than"):
        next(bounded_lines(text_file))
