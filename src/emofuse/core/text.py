"""Make text safe for every format and every terminal.

File names, names of people and messages of libraries may contain anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_TEXT: Final = re.compile(r"[\x00\ud800-\udfff\ufffe\uffff]")
_LONE: Final = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates other than those that stand for bytes of a file name."""
_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls that move a cursor or end a line, and those that change the direction of text."""


def encodable(text: str) -> str:
    """The text with U+FFFD for what is not a character: NUL, unpaired surrogates, U+FFFE and U+FFFF."""
    return _NOT_TEXT.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text on one line, in characters that XML allows: line breaks and controls become spaces."""
    return encodable(_BREAKS.sub(" ", text).strip())


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8, and what else is no character, are escaped."""
    name = _LONE.sub(_escape, name)
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable_data(value: Any) -> Any:
    """Plain data for JSON, each text of it printable: names of files may be anywhere in it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_data(key): printable_data(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable_data(one) for one in value]
    return value


def shown(text: str) -> str:
    """The text with terminal control characters and bytes that are not UTF-8 escaped."""
    return _STEERING.sub(_escape, printable(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
