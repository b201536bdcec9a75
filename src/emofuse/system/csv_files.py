"""Read CSV tables as spreadsheets write them: with commas, semicolons or tabs, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from emofuse.system.json_files import read_bounded

LARGEST_BYTES: Final = 256 * 2**20
"""Of a table: some million rows."""
LONGEST_LINE: Final = 2**20
"""Characters; tables of OpenFace have less than a hundredth of it."""
_DELIMITERS: Final = (",", ";", "\t")
_BOMS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a file begins with, and its encoding; without any of these it is UTF-8."""
_SEPARATOR_LINE: Final = "sep="
"""How Excel names the separator, on a line before the header."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The columns of a table, and its rows, read one by one."""

    columns: tuple[str, ...]
    delimiter: str
    _text: str
    _first_line: int

    def rows(self) -> Iterator[tuple[int, Mapping[str, str | None]]]:
        """The line on which each row ends, from 1 on, and its cells by column; empty rows are left out.

        Raises:
            ValueError: a cell is not quoted as it should be, or too long.
        """
        reader = csv.DictReader(io.StringIO(self._text, newline=""), delimiter=self.delimiter, strict=True)
        try:
            for row in reader:
                if any(value for value in row.values()):
                    yield reader.line_num + self._first_line - 1, row
        except csv.Error as error:
            raise ValueError(str(error)) from None


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """The lines of a text file, for a table that is read line by line, whatever its size.

    Raises:
        ValueError: a line is too long to be one of a table.
    """
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE} characters")
        yield line


def read_csv_table(path: Path, known: Collection[str]) -> CsvTable:
    """Open a table; its separator is the one by which its first line names the most known columns.

    Args:
        path: of the file.
        known: names of the columns that it may have.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, not text, or its first line is not quoted as it should be.
    """
    text = _decoded(read_bounded(path, LARGEST_BYTES))
    first_line, delimiter = 1, None
    line, _, rest = text.partition("\n")
    named = line.strip().strip('"')
    if named.lower().startswith(_SEPARATOR_LINE) and len(named) <= len(_SEPARATOR_LINE) + 1:
        delimiter, text, first_line = named[len(_SEPARATOR_LINE) :] or "\t", rest, 2
    headers, problem = {}, ""
    for one in [delimiter] if delimiter else _DELIMITERS:
        try:
            headers[one] = tuple(next(_reader(text, one), ()))
        except csv.Error as error:  # with another separator it may be quoted as it should be
            problem = problem or str(error)
    if not headers:
        raise ValueError(problem)
    best = max(headers, key=lambda one: len(set(headers[one]).intersection(known)))
    return CsvTable(headers[best], best, text, first_line)


def _decoded(data: bytes) -> str:
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"it is not text in {encoding.removesuffix('-sig').upper()}") from None


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
