"""Tables of action units: one row a take, as OpenFace writes them and others publish them.

Action units are the Facial Action Coding System's (Ekman & Friesen 1978): AU12 is the puller of the lip
corner. In OpenFace's naming ``AU12_r`` is an intensity from 0 to 5 and ``AU12_c`` a presence from 0 to 1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from emofuse.errors import FeatureError
from emofuse.records import Float32

_LARGEST: Final = 1e30
"""Beyond this a float32 is about to be infinite."""


@dataclass(frozen=True, slots=True)
class ActionUnitTable:
    """Action units averaged over each take.

    ``rows``: take → (n_units,) float32, in the order of ``names``.
    """

    names: tuple[str, ...]
    rows: Mapping[str, Float32]
    path: Path

    def in_order(self, names: tuple[str, ...]) -> ActionUnitTable:
        """The same table with the columns that a recogniser was trained on, in its order.

        Raises:
            FeatureError: a column is missing.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise FeatureError(f"{self.path}: the recogniser also reads {', '.join(missing)}")
        if names == self.names:
            return self
        order = [self.names.index(name) for name in names]
        return ActionUnitTable(names, {take: row[order] for take, row in self.rows.items()}, self.path)

    def row(self, take: str) -> Float32 | None:
        """(n_units,) float32 of one take, or None where the table has no such row."""
        return self.rows.get(take)


def read_action_units(path: Path | str) -> ActionUnitTable:
    """Read a CSV whose column ``code`` holds RAVDESS codes and whose other columns hold numbers.

    Raises:
        FeatureError: the file cannot be read, or a line and column that the text names is not what it
            should be.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise FeatureError(f"{path}: the table of action units cannot be read: {problem}") from None


def _parse(path: Path, lines: Iterable[list[str]]) -> ActionUnitTable:
    names: tuple[str, ...] | None = None
    place = 0
    rows: dict[str, Float32] = {}
    for line, cells in enumerate(lines, start=1):
        if names is None:
            header = [cell.strip() for cell in cells]
            if header.count("code") != 1 or len(header) < 2 or len(set(header)) != len(header):
                raise FeatureError(
                    f"{path}: line 1 must name a column 'code' and columns of numbers, each once"
                )
            place = header.index("code")
            names = tuple(name for name in header if name != "code")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names) + 1:
            raise FeatureError(
                f"{path}: line {line} has {len(cells)} columns, the first line {len(names) + 1}"
            )
        take = _take(path, line, cells[place].strip())
        if take in rows:
            raise FeatureError(f"{path}: line {line}, column code: take {take} is there twice")
        values = cells[:place] + cells[place + 1 :]
        rows[take] = np.array(
            [_number(path, line, name, text) for name, text in zip(names, values, strict=True)], np.float32
        )
    if names is None or not rows:
        raise FeatureError(f"{path}: the table of action units has no rows")
    return ActionUnitTable(names, rows, path)


def _take(path: Path, line: int, code: str) -> str:
    """A code names a file; without its first field, the modality, it names the take."""
    modality, _, take = code.partition("-")
    if not modality or not take:
        raise FeatureError(
            f"{path}: line {line}, column code: {code!r} is no code such as 01-01-03-01-02-01-07"
        )
    return take


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a number") from None
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a finite number")
    return value
