"""The few pieces of Markdown the cards are made of. Text from a run is escaped, ready Markdown is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["block", "code", "document", "esc", "items", "table"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~]|&(?=#?\w+;))")

_BAR = re.compile(r"(?<!\\)\|")


def esc(text: object) -> str:
    """Text as it is to be read, on one line, whatever Markdown would make of its characters.

    >>> print(esc("a|b <i>"))
    a\\|b \\<i\\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def code(text: object) -> str:
    """Text as code within a line."""
    plain = " ".join(str(text).split())
    ticks = _more_than("`", plain, least=1)
    pad = " " if "`" in plain else ""
    return f"{ticks}{pad}{plain}{pad}{ticks}"


def block(text: str) -> str:
    """Text as a block of code, lines kept."""
    fence = _more_than("`", text, least=3)
    return f"{fence}\n{text}\n{fence}"


def items(lines: Iterable[str]) -> str:
    """A list; lines are ready Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table of ready Markdown; the first ``words`` columns stand left, figures right."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    # tables are cut at bars before code is looked for
    safe = ([_BAR.sub(r"\\|", cell) for cell in cells] for cells in (head, rule, *rows))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in safe)


def document(parts: Iterable[str]) -> str:
    """Parts with an empty line between them; empty parts are passed over."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _more_than(tick: str, text: str, least: int) -> str:
    """Ticks that no run of ticks in the text can close."""
    runs = [len(run) for run in re.findall(f"{tick}+", text)]
    return tick * max([least, *(run + 1 for run in runs)])
