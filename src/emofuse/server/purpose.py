"""What a service is used for: said once, kept in the data folder, and part of every job and export.

A reader of emotions is used on people: who runs it says what for before the first recording is read.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Final

from emofuse.core.text import one_line
from emofuse.server.problems import Problem
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json

LONGEST: Final = 500
"""Characters of a purpose."""
_FILE: Final = "purpose.json"


def checked_purpose(text: str) -> str:
    """The text on one line.

    Raises:
        ValueError: it is empty or too long.
    """
    text = one_line(text)
    if not text or len(text) > LONGEST:
        raise ValueError(f"a purpose has 1 to {LONGEST} characters, got {len(text)}")
    return text


class Purpose:
    """The purpose of a data folder."""

    def __init__(self, data: Path) -> None:
        self._path = data / _FILE
        self._lock = threading.Lock()

    def get(self) -> str | None:
        """The purpose; None: none has been set."""
        try:
            return str(read_json(self._path)["purpose"])
        except FileNotFoundError:
            return None

    def set(self, text: str) -> str:
        """Set the purpose of what is read from now on; earlier jobs keep theirs.

        Returns:
            The text as it is kept: on one line.

        Raises:
            ValueError: it is empty or too long.
            OSError: it cannot be written.
        """
        text = checked_purpose(text)
        with self._lock:
            write_atomically(self._path, json.dumps({"purpose": text}).encode())
        return text

    def required(self) -> str:
        """The purpose.

        Raises:
            Problem: 409, none has been set.
        """
        purpose = self.get()
        if purpose is None:
            raise Problem(
                409, "No purpose",
                'Nobody has said what this service is used for: PUT /v1/purpose {"purpose": "…"}, or start '
                "it with --purpose.",
            )  # fmt: skip
        return purpose
