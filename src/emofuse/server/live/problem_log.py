"""The log of problems that a session gets at its end."""

from __future__ import annotations

from typing import Any, Final

_MOST: Final = 100


class ProblemLog:
    """Problems by kind: what, when first, and how often. Memory is bounded, the count is not."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._others = 0

    def add(self, what: str, problem: str, time_s: float | None = None) -> None:
        """Note a problem: of ``audio``, a ``picture`` or a ``message``, at a time of the client's clock."""
        row = self._rows.get((what, problem))
        if row is not None:
            row["count"] += 1
        elif len(self._rows) < _MOST:
            self._rows[what, problem] = {"what": what, "problem": problem, "first_s": time_s, "count": 1}
        else:
            self._others += 1

    def rows(self) -> list[dict[str, Any]]:
        """All, in the order in which they came."""
        rows = list(self._rows.values())
        if self._others:
            rows.append({"what": "message", "problem": "others", "first_s": None, "count": self._others})
        return rows
