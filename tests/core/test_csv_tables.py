from __future__ import annotations

import csv
import doctest
import io
import random

import pytest

from emofuse.core import csv_tables
from emofuse.core.csv_tables import cell_text, csv_cell, write_csv

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(A1)", "'=HYPERLINK(A1)"),
        ("+49 30 1.wav", "'+49 30 1.wav"),
        ("-rf", "'-rf"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1+1", "'＝1+1"),
        (" =1+1", "' =1+1"),
        ("\u00a0=1+1", "'\u00a0=1+1"),
        ("\t=1+1", "\t'=1+1"),
        ("\r=1+1", "\\r=1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("'=1+1", "''=1+1"),
        ("-1+2", "'-1+2"),
        ("-1,5", "'-1,5"),
        ("-0.25", "-0.25"),
        ("+3", "+3"),
        ("-1e-05", "-1e-05"),
        ("-.5", "-.5"),
        ("12.000000", "12.000000"),
        ("'tis-so.wav", "'tis-so.wav"),
        ("a-b=c.wav", "a-b=c.wav"),
        ("a; b", "a; b"),
        ("", ""),
        ("—", "—"),
        ("red\x1b[31m.wav", "red\\x1b[31m.wav"),
        ("caf\udce9.wav", "caf\\xe9.wav"),
        ("\ud800", "\\ud800"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_formulas_are_marked_and_numbers_are_not(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_no_cell_begins_like_a_formula_and_every_text_comes_back() -> None:
    rng = random.Random(0)
    for _ in range(20_000):
        text = "".join(rng.choice("=+-@'; \t\na1.,＝") for _ in range(rng.randint(0, 6)))
        cell = csv_cell(text)
        assert cell_text(cell) == text
        if csv_tables._NUMBER.fullmatch(cell):
            continue
        for semicolons in cell.split(";"):
            for part in semicolons.split("\t"):
                assert not part.strip(" \n").startswith(FORMULAS), (text, cell)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_are_read_back(line_end: str) -> None:
    rows = [["=a", "-1.5"], ["x,y", ""], ['"quoted"', "two\nlines"], ["\r\x07", "\udcff"]]
    file = io.StringIO(newline="")
    write_csv(file, ["file", "@valence"], rows, line_end=line_end)
    file.seek(0)
    header, *found = csv.reader(file)
    assert header == ["file", "'@valence"]
    assert found == [["'=a", "-1.5"], ["x,y", ""], ['"quoted"', "two\nlines"], ["\\r\\x07", "\\xff"]]
    file.getvalue().encode()


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(csv_tables).attempted == 2
    assert doctest.testmod(csv_tables).failed == 0
