"""Tables of action units: one row per take, as published, or one per frame, as written by programs.

Action units are those of the Facial Action Coding System (Ekman & Friesen 1978): AU12 is the lip corner
puller. In OpenFace's naming ``AU12_r`` is an intensity from 0 to 5 and ``AU12_c`` a presence from 0 to 1; in
py-feat's, ``AU12`` is from 0 to 1. A recognizer reads one or the other, not both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from emofuse.core.errors import FeatureError
from emofuse.core.records import Float32
from emofuse.features.face.openface_tables import (
    LARGEST,
    ClipUnits,
    is_frame_table,
    read_csv,
    read_frame_table,
    read_header,
    table_files,
)
from emofuse.features.store import ModalityFeatures

_RAVDESS_CODE: Final = re.compile(r"\d\d((-\d\d){6})")


@dataclass(frozen=True, slots=True)
class ActionUnitTable:
    """Action units averaged over each take.

    ``rows``: take → (n_units,) float32, in the order of ``names``.
    """

    names: tuple[str, ...]
    rows: Mapping[str, Float32]
    path: Path
    faceless: frozenset[str] = frozenset()
    """Takes in the table without a frame in which a face was detected well."""

    def in_order(self, names: tuple[str, ...]) -> ActionUnitTable:
        """The same table with the columns that a recognizer was trained on, in its order.

        Raises:
            FeatureError: a column is missing.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise FeatureError(
                f"{self.path}: the recognizer also reads {', '.join(missing)}; the table has "
                f"{', '.join(self.names)}"
            )
        if names == self.names:
            return self
        order = [self.names.index(name) for name in names]
        rows = {take: row[order] for take, row in self.rows.items()}
        return ActionUnitTable(names, rows, self.path, self.faceless)

    def row(self, take: str) -> Float32 | None:
        """(n_units,) float32 of one take, or None if the table has no such row."""
        return self.rows.get(take)

    def why_missing(self, take: str | None) -> str:
        """Why a take has no row, as a message."""
        if take in self.faceless:
            return f"no frame with a well-detected face of take {take} in {self.path.name}"
        return f"no row for take {take} in {self.path.name}"


def read_action_units(path: Path | str) -> ActionUnitTable:
    """Read the action units of many takes.

    Args:
        path: a CSV file whose column ``code`` holds RAVDESS codes and whose other columns hold numbers, one
            row per take; or a table of OpenFace or py-feat with one row per frame, or a folder of these, one
            per recording. A recording is identified by its file name without suffix, a RAVDESS code by its
            take; of several recordings of one take, the first by name is read (see
            :mod:`emofuse.features.face.openface_tables`).

    Raises:
        FeatureError: a file cannot be read, or a cell is invalid: the message names line and column.
    """
    path = Path(path)
    if path.is_dir():
        return _joined(path, [_frames(file) for file in table_files(path)])
    lines = read_csv(path)
    header = read_header(path, lines)
    if is_frame_table(header):
        return _joined(path, [(path, read_frame_table(path, header, lines))])
    return _parse(path, header, lines)


def unit_part(take: str | None, table: ActionUnitTable | None) -> ModalityFeatures:
    """What a network reads of a take, or the reason why there is nothing."""
    if table is None:
        return ModalityFeatures(None, "this recognizer reads action units from a table, and none was given")
    row = None if take is None else table.row(take)
    if row is None:
        return ModalityFeatures(None, table.why_missing(take))
    return ModalityFeatures(row, None, (), {"n_units": len(row)})


def _frames(path: Path) -> tuple[Path, ClipUnits]:
    lines = read_csv(path)
    header = read_header(path, lines)
    if not is_frame_table(header):
        raise FeatureError(
            f"{path}: not a table of frames as written by OpenFace or py-feat: there is no column frame, "
            "confidence or FaceScore"
        )
    return path, read_frame_table(path, header, lines)


def _joined(path: Path, tables: Sequence[tuple[Path, ClipUnits]]) -> ActionUnitTable:
    first, names = tables[0][0], tables[0][1].names
    rows: dict[str, Float32] = {}
    faceless: set[str] = set()
    for file, table in tables:
        if set(table.names) != set(names):
            other = sorted(set(table.names).symmetric_difference(names))
            raise FeatureError(f"{file}: its action units are not those of {first.name}: {', '.join(other)}")
        order = [table.names.index(name) for name in names]
        for clip, row in table.rows.items():
            rows.setdefault(_take_of(clip), row[order].astype(np.float32))
        faceless.update(map(_take_of, table.faceless))
    return ActionUnitTable(names, rows, path, frozenset(faceless - rows.keys()))


def _take_of(clip: str) -> str:
    """The take of a recording, from its name: a RAVDESS code without its modality."""
    code = _RAVDESS_CODE.fullmatch(clip)
    return clip if code is None else code[1][1:]


def _parse(path: Path, header: Sequence[str], lines: Iterator[list[str]]) -> ActionUnitTable:
    if header.count("code") != 1 or len(header) < 2 or len(set(header)) != len(header):
        raise FeatureError(
            f"{path}: line 1 must name a column 'code' and columns of numbers, each once, or the columns of "
            "OpenFace or py-feat"
        )
    code_column = header.index("code")
    names = tuple(name for name in header if name != "code")
    rows: dict[str, Float32] = {}
    for line, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise FeatureError(f"{path}: line {line} has {len(cells)} columns, the first line {len(header)}")
        take = _take(path, line, cells[code_column].strip())
        if take in rows:
            raise FeatureError(f"{path}: line {line}, column code: take {take} appears twice")
        values = cells[:code_column] + cells[code_column + 1 :]
        rows[take] = np.array(
            [_number(path, line, name, text) for name, text in zip(names, values, strict=True)], np.float32
        )
    if not rows:
        raise FeatureError(f"{path}: the table of action units has no rows")
    return ActionUnitTable(names, rows, path)


def _take(path: Path, line: int, code: str) -> str:
    """The take of a file's code: the code without its first field, the modality."""
    modality, _, take = code.partition("-")
    if not modality or not take:
        raise FeatureError(
            f"{path}: line {line}, column code: {code!r} is not a code such as 01-01-03-01-02-01-07"
        )
    return take


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a number") from None
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a finite number")
    return value
