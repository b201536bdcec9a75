"""The cards of a report parsed, so that tests can compare them with the results of the run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

from markdown_it import MarkdownIt

from emofuse.evaluation.results import Results
from emofuse.evaluation.run_files import Run


class Card:
    """A card as rendered: the text and the tables under each heading."""

    def __init__(self, source: str) -> None:
        self.text: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.heading, self.first = "", ""
        tokens = MarkdownIt("commonmark").enable("table").parse(source)
        for before, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "tr_open":
                self.tables.setdefault(self.heading, []).append([])
            elif token.type in ("inline", "fence"):
                text = "".join(c.content or " " * (c.type == "softbreak") for c in token.children or [token])
                if before is not None and before.type == "heading_open":
                    self.heading = text
                    self.text.setdefault(text, "")
                elif before is not None and before.type in ("th_open", "td_open"):
                    self.tables[self.heading][-1].append(text)
                else:
                    self.text[self.heading] += text + "\n"
            assert token.type != "html_block"
            assert all(child.type != "html_inline" for child in token.children or ())

    @property
    def headings(self) -> list[str]:
        return list(self.text)[1:]

    @property
    def all(self) -> str:
        return "\n".join(self.text.values())


def changed(run: Run, edit: Callable[[dict[str, Any]], object]) -> Run:
    """The run with changed results."""
    results = copy.deepcopy(dict(run.results))
    edit(results)
    return Run(run.path, cast(Results, results), run.scores, run.details)
