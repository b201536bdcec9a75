"""The texts of the pages that people read, all in one file: ``page/texts.json``.

Its section ``viewer`` is that of the viewer of timelines (``fragments``: what Python writes, ``script``: what
its script writes), ``service`` that of the page of ``emofuse serve``. A text may have places, ``{name}``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def texts() -> dict[str, Any]:
    """All sections; not to be changed."""
    found: dict[str, Any] = json.loads(asset("texts.json"))
    return found


def fragment_text(key: str, **values: object) -> str:
    """A text of the viewer's fragments, its places filled; ``n`` chooses between ``one`` and ``other``."""
    text: str | dict[str, str] = texts()["viewer"]["fragments"][key]
    if isinstance(text, dict):
        text = text["one" if values["n"] == 1 else "other"]
    return text.format(**values)


def asset(name: str) -> str:
    """A file of the viewer, as text."""
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")
