"""CSV tables that spreadsheets read as data: no cell is a formula, and none steers a terminal.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``, even in quotes, and file names, names
of people and notes can begin with anything. Such text gets an apostrophe before it, which spreadsheets take
for the mark of text. Numbers stay as they are, and so does all other text. :func:`cell_text` takes the marks
away: the first apostrophe of a cell in which only apostrophes and spaces follow up to such a character.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from itertools import chain
from typing import IO, Final

from emofuse.core.text import shown

_START: Final = r"'*[^\S\t]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
"""What spreadsheets take for a formula, or trim to one; East Asian versions read the wide forms too."""
_FORMULA: Final = re.compile(rf"(^|[;\t])(?={_START})")
"""Where a cell may begin: where decimals have a comma, ``;`` separates cells, whoever wrote the file."""
_MARKED: Final = re.compile(rf"(^|[;\t])'(?={_START})")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def csv_cell(text: str) -> str:
    """A text as the cell of a table: formulas are marked, controls and bytes that are not UTF-8 escaped.

    >>> csv_cell("=1+1.wav"), csv_cell("-0.25"), csv_cell("a-b.wav")
    ("'=1+1.wav", '-0.25', 'a-b.wav')
    """
    text = shown(text)
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text)


def cell_text(cell: str) -> str:
    """The text of a cell, without the marks of :func:`csv_cell`; what was escaped stays escaped.

    >>> cell_text("'=1+1.wav"), cell_text("'tis.wav")
    ('=1+1.wav', "'tis.wav")
    """
    return _MARKED.sub(r"\1", cell)


def write_csv(
    file: IO[str], names: Iterable[str], rows: Iterable[Iterable[str]], *, line_end: str = "\n"
) -> None:
    """Write a table as CSV (RFC 4180).

    Args:
        file: opened with ``newline=""``.
        names: of the columns.
        rows: texts, and numbers as they are to be read.
        line_end: of each row; RFC 4180 asks for ``\\r\\n``, and most programs write ``\\n``.
    """
    writer = csv.writer(file, lineterminator=line_end)
    writer.writerows([csv_cell(text) for text in row] for row in chain([names], rows))
