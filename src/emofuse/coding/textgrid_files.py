"""Praat's TextGrids: text files, long or short, in UTF-8 or UTF-16 (Praat manual, "TextGrid file formats").

Praat reads of a text file only what stands free between blanks: numbers, texts in double quotes and flags in
angle brackets. The names and brackets of the long format are comments to it, so both formats are one.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emofuse.coding.spans import MOST_SPANS, CodedFile, CodedSpan
from emofuse.system.json_files import read_bounded

LARGEST_BYTES: Final = 64 * 2**20
_TOKEN: Final = re.compile(
    r'"((?:[^"]|"")*)"(?!\S)|(<[^<>\s]*>)(?!\S)|([+-]?[0-9.][0-9.eE+-]*)(?!\S)|!.*|\S+'
)
"""A text, a flag, a number, a comment, or anything else."""
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_textgrid(path: Path) -> CodedFile:
    """Read a TextGrid. Intervals without text are not coded; points have no length and are left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a TextGrid, not a text file, or a damaged one.
    """
    tokens = _Tokens(_decoded(read_bounded(path, LARGEST_BYTES)))
    if not tokens.text("the kind of file").startswith("ooTextFile") or tokens.text("the class") != "TextGrid":
        raise ValueError("it is not a TextGrid that was saved as a text file")
    tokens.number("the start"), tokens.number("the end")
    if tokens.flag() != "<exists>":
        return CodedFile(path, (), ("it has no tiers",))
    spans: list[CodedSpan] = []
    points = 0
    for _ in range(tokens.count("tiers")):
        kind, name = tokens.text("the class of a tier"), tokens.text("the name of a tier")
        tokens.number("the start of a tier"), tokens.number("the end of a tier")
        size = tokens.count("intervals or points")
        if kind == "IntervalTier":
            for _ in range(size):
                start_s, end_s = tokens.number("a start"), tokens.number("an end")
                label = tokens.text("a label").strip()
                if label:
                    spans.append(_span(name, start_s, end_s, label))
        elif kind == "TextTier":
            points += size
            for _ in range(size):
                tokens.number("a time"), tokens.text("a mark")
        else:
            raise ValueError(f"a tier is a {kind[:40]!r}, and neither an IntervalTier nor a TextTier")
    notes = (f"{points} points have no length, and are left out",) if points else ()
    return CodedFile(path, tuple(spans), notes)


def _span(tier: str, start_s: float, end_s: float, label: str) -> CodedSpan:
    if not start_s < end_s:
        raise ValueError(f"tier {tier[:40]!r}: an interval ends at {end_s:g} s, not after {start_s:g} s")
    return CodedSpan(tier, start_s, end_s, label)


def _decoded(data: bytes) -> str:
    if data.startswith(b"ooBinaryFile"):
        raise ValueError("it is a binary TextGrid: save it from Praat as a text file")
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(
            "it is not text in UTF-8 or UTF-16: save it from Praat again, in one of these"
        ) from None


class _Tokens:
    """What Praat reads of a text file, one after the other."""

    def __init__(self, content: str) -> None:
        self._found = self._tokens(content)

    @staticmethod
    def _tokens(content: str) -> Iterator[str | float]:
        for found in _TOKEN.finditer(content):
            text, flag, number = found.groups()
            if text is not None:
                yield '"' + text.replace('""', '"')
            elif flag is not None:
                yield flag
            elif number is not None:
                try:
                    yield float(number)
                except ValueError:
                    continue  # such as the 1. of a list

    def _next(self, what: str) -> str | float:
        try:
            return next(self._found)
        except StopIteration:
            raise ValueError(f"it ends where {what} should be: it is cut off, or not a TextGrid") from None

    def text(self, what: str) -> str:
        value = self._next(what)
        if not isinstance(value, str) or not value.startswith('"'):
            raise ValueError(f"it has {str(value)[:40]} where {what} should be, a text in quotes")
        return value[1:]

    def number(self, what: str) -> float:
        value = self._next(what)
        if not isinstance(value, float) or not math.isfinite(value):
            raise ValueError(f"it has {str(value)[:40]!r} where {what} should be, a number")
        return value

    def flag(self) -> str:
        value = self._next("<exists>")
        return value if isinstance(value, str) else ""

    def count(self, what: str) -> int:
        value = self.number(f"the number of {what}")
        if not 0 <= value <= MOST_SPANS or value != int(value):
            raise ValueError(f"{value:g} is not a number of {what}")
        return int(value)
