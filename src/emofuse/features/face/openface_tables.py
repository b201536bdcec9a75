"""Tables with one row per frame and face, as written by OpenFace and py-feat, pooled to one row per clip.

OpenFace 2 (https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format) names its columns ``frame``,
``face_id``, ``timestamp``, ``confidence``, ``success`` and, with ``-aus``, ``AU01_r`` … ``AU45_r`` and
``AU01_c`` … ``AU45_c``, with spaces before the names in some versions; its FaceLandmarkImg has ``face`` in
place of the first three. There is one file per recording. py-feat (https://py-feat.org/api/feat/data/) writes
``AU01`` … ``AU43`` from 0 to 1 beside ``FaceRectX``, ``FaceRectWidth``, ``FaceScore``, emotions, landmarks,
``frame``, ``input`` (the recording) and, in later versions, ``Identity``; where no face was found, the
cells are empty or ``nan``. Its files may hold many recordings.

A clip's row is the mean over the frames in which its most frequent face was detected well, as in the
published table for RAVDESS.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import FeatureError
from emofuse.system.csv_files import bounded_lines

LEAST_CONFIDENCE: Final = 0.7
"""OpenFace's confidence below which a frame is left out, even if marked as a success."""
LEAST_FACE_SCORE: Final = 0.5
"""The same for py-feat, whose own detector reports nothing below 0.5 by default."""

_UNIT: Final = re.compile(r"AU\d{2}(_[rc])?")
_FRAME_COLUMNS: Final = {"frame", "face", "timestamp", "confidence", "success", "FaceScore", "FaceRectX"}
_CLIP: Final = ("code", "input", "file", "filename", "clip")
_PERSON: Final = ("face_id", "face", "Identity")
LARGEST: Final = 1e30
"""Values beyond this are close to the largest float32."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClipUnits:
    """The action units of the clips of one table.

    ``rows``: name of the clip → (n_units,) float64, in the order of ``names``; ``faceless``: the clips
    without a frame in which a face was detected well.
    """

    names: tuple[str, ...]
    rows: dict[str, Float64]
    faceless: tuple[str, ...]


@dataclass(slots=True)
class _Person:
    """Running sums of one face of one clip. Of several rows for a frame, the largest face counts."""

    total: Float64
    n_frames: int = 0
    weight: float = 0.0
    frame: str | None = None
    values: Float64 | None = None
    size: float = 0.0

    def add(self, frame: str | None, size: float, values: Float64) -> None:
        if self.values is not None and frame is not None and frame == self.frame:
            if size > self.size:
                self.size, self.values = size, values
            return
        self.flush()
        self.frame, self.size, self.values = frame, size, values

    def flush(self) -> None:
        if self.values is not None:
            self.total += self.values
            self.n_frames += 1
            self.weight += self.size
        self.values = None


@dataclass(slots=True)
class _Clip:
    people: dict[str, _Person] = field(default_factory=dict)

    def mean(self) -> Float64 | None:
        for person in self.people.values():
            person.flush()
        if not self.people:
            return None
        main = max(self.people.values(), key=lambda person: (person.n_frames, person.weight))
        return main.total / main.n_frames


@dataclass(frozen=True, slots=True)
class _Columns:
    """Indices of the columns that are read; None: the table has no such column."""

    path: Path
    width: int
    units: dict[str, int]
    clip: int | None
    clip_is_path: bool
    person: int | None
    frame: int | None
    success: int | None
    confidence: int | None
    face_score: int | None
    sides: tuple[int, int] | None


def is_frame_table(header: Sequence[str]) -> bool:
    """Whether a header, spaces stripped, is that of a table with one row per frame."""
    return bool(_FRAME_COLUMNS.intersection(header))


def table_files(folder: Path) -> list[Path]:
    """The tables in a folder, sorted by name.

    Raises:
        FeatureError: there is none, or the folder cannot be listed.
    """
    try:
        found = sorted(
            path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.name[0] != "."
        )
    except OSError as error:
        raise FeatureError(f"{folder}: the folder cannot be listed: {error.strerror or error}") from None
    if not found:
        raise FeatureError(f"{folder}: no .csv file in this folder: OpenFace writes one per recording")
    return found


def read_frame_table(path: Path, header: Sequence[str], lines: Iterator[list[str]]) -> ClipUnits:
    """Pool a table of frames to one row per clip.

    Args:
        path: of the file, for messages; its stem names the clip if no column does.
        header: the column names, spaces stripped.
        lines: the cells of the lines after it.

    Raises:
        FeatureError: there are no action units in it, or a cell is invalid: the message names line and
            column.
    """
    columns = _columns(path, header)
    clips: dict[str, _Clip] = {}
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != columns.width:
            raise FeatureError(
                f"{path}: line {number} has {len(cells)} columns, the first line {columns.width}"
            )
        clip = clips.setdefault(_clip_name(columns, cells), _Clip())
        if not _detected_well(columns, number, cells):
            continue
        values = np.array([_number(path, number, name, cells[i]) for name, i in columns.units.items()])
        if np.isnan(values).any():
            continue
        if np.abs(values).max() > LARGEST:
            raise FeatureError(f"{path}: line {number}: an action unit is not a finite number")
        person = "" if columns.person is None else cells[columns.person].strip()
        frame = None if columns.frame is None else cells[columns.frame].strip()
        sums = clip.people.setdefault(person, _Person(np.zeros(len(values))))
        sums.add(frame, _size(columns, number, cells), values)
    if not clips:
        raise FeatureError(f"{path}: the table of action units has no rows")
    means = {name: clip.mean() for name, clip in clips.items()}
    return ClipUnits(
        tuple(columns.units),
        {name: mean for name, mean in means.items() if mean is not None},
        tuple(name for name, mean in means.items() if mean is None),
    )


def read_header(path: Path, lines: Iterator[list[str]]) -> list[str]:
    """The column names of a table, spaces stripped.

    Raises:
        FeatureError: the table is empty.
    """
    header = [cell.strip() for cell in next(lines, [])]
    if not any(header):
        raise FeatureError(f"{path}: the table of action units has no rows")
    return header


def _columns(path: Path, header: Sequence[str]) -> _Columns:
    def index(*names: str) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    units = [name for name in header if _UNIT.fullmatch(name)]
    if not units:
        raise FeatureError(
            f"{path}: line 1 names no action units (AU01_r, AU01_c, AU01): was OpenFace run without -aus?"
        )
    if len(set(units)) != len(units):
        raise FeatureError(f"{path}: line 1 names an action unit twice")
    clip, width, height = index(*_CLIP), index("FaceRectWidth"), index("FaceRectHeight")
    return _Columns(
        path=path,
        width=len(header),
        units={name: header.index(name) for name in units},
        clip=clip,
        clip_is_path=clip is not None and header[clip] != "code",
        person=index(*_PERSON),
        frame=index("frame", "timestamp"),
        success=index("success"),
        confidence=index("confidence"),
        face_score=index("FaceScore"),
        sides=None if width is None or height is None else (width, height),
    )


def _clip_name(columns: _Columns, cells: Sequence[str]) -> str:
    """The clip of a row; for a path, in the syntax of any system, its name without folders and suffix."""
    name = "" if columns.clip is None else cells[columns.clip].strip()
    if not name:
        return columns.path.stem
    return PureWindowsPath(name).stem if columns.clip_is_path else name


def _detected_well(columns: _Columns, number: int, cells: Sequence[str]) -> bool:
    for name, column, least in (
        ("success", columns.success, 1.0),
        ("confidence", columns.confidence, LEAST_CONFIDENCE),
        ("FaceScore", columns.face_score, LEAST_FACE_SCORE),
    ):
        # not a number: no face was detected
        if column is not None and not _number(columns.path, number, name, cells[column]) >= least:
            return False
    return True


def _size(columns: _Columns, number: int, cells: Sequence[str]) -> float:
    """By what the faces of one frame are ranked: the area, else the confidence."""
    if columns.sides is not None:
        width, height = (_number(columns.path, number, "FaceRect", cells[i]) for i in columns.sides)
        return width * height if math.isfinite(width * height) else 0.0
    if columns.confidence is not None:
        return _number(columns.path, number, "confidence", cells[columns.confidence])
    return 0.0


def _number(path: Path, line: int, name: str, text: str) -> float:
    """A number; NaN for an empty cell, and for the spellings of NaN by C++ on Windows."""
    text = text.strip()
    if not text or "nan" in text.lower():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a number") from None


def read_csv(path: Path) -> Iterator[list[str]]:
    """The lines of a table, as cells. The file stays open until the last one is read.

    Raises:
        FeatureError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.reader(bounded_lines(file))
    except (OSError, ValueError, csv.Error) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise FeatureError(f"{path}: the table of action units cannot be read: {problem}") from None
