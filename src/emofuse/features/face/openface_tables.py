"""Tables with one row a frame and face, as OpenFace and py-feat write them, pooled to one row a clip.

OpenFace 2 (https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format) names its columns ``frame``,
``face_id``, ``timestamp``, ``confidence``, ``success`` and, with ``-aus``, ``AU01_r`` … ``AU45_r`` and
``AU01_c`` … ``AU45_c``, with blanks before the names in some versions; its FaceLandmarkImg has ``face`` in
place of the first three. There is one file a recording. py-feat (https://py-feat.org/api/feat/data/) writes
``AU01`` … ``AU43`` from 0 to 1 beside ``FaceRectX``, ``FaceRectWidth``, ``FaceScore``, emotions, landmarks,
``frame``, ``input`` (the recording) and, in later versions, ``Identity``; where no face was found the
cells are empty or ``nan``. Its files may hold many recordings.

A clip's row is the mean over the frames in which its most present face was seen well, as the published
table of RAVDESS was made.
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

LEAST_CONFIDENCE: Final = 0.7
"""OpenFace's confidence below which a frame is left out, even where it calls it a success."""
LEAST_FACE_SCORE: Final = 0.5
"""The same of py-feat, whose own detector reports nothing below 0.5 unless it is told to."""

_UNIT: Final = re.compile(r"AU\d{2}(_[rc])?")
_OF_FRAMES: Final = {"frame", "face", "timestamp", "confidence", "success", "FaceScore", "FaceRectX"}
_CLIP: Final = ("code", "input", "file", "filename", "clip")
_PERSON: Final = ("face_id", "face", "Identity")
_LARGEST: Final = 1e30
"""Beyond this a float32 is about to be infinite."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClipUnits:
    """The action units of the clips of one table.

    ``rows``: name of the clip → (n_units,) float64, in the order of ``names``; ``faceless``: the clips in
    no frame of which a face was seen well.
    """

    names: tuple[str, ...]
    rows: dict[str, Float64]
    faceless: tuple[str, ...]


@dataclass(slots=True)
class _Person:
    """What is known so far of one face of one clip. Of several rows for a frame the largest face counts."""

    total: Float64
    n_frames: int = 0
    weight: float = 0.0
    frame: str | None = None
    values: Float64 | None = None
    size: float = 0.0

    def see(self, frame: str | None, size: float, values: Float64) -> None:
        if self.values is not None and frame is not None and frame == self.frame:
            if size > self.size:
                self.size, self.values = size, values
            return
        self.fold()
        self.frame, self.size, self.values = frame, size, values

    def fold(self) -> None:
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
            person.fold()
        if not self.people:
            return None
        most = max(self.people.values(), key=lambda person: (person.n_frames, person.weight))
        return most.total / most.n_frames


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row what is read stands; None: the table has no such column."""

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
    """Whether a line of column names, blanks stripped, is that of a table with one row a frame."""
    return bool(_OF_FRAMES.intersection(header))


def table_files(folder: Path) -> list[Path]:
    """The tables in a folder, in the order of their names.

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
        raise FeatureError(f"{folder}: no .csv file in this folder: OpenFace writes one a recording")
    return found


def read_frame_table(path: Path, header: Sequence[str], lines: Iterator[list[str]]) -> ClipUnits:
    """Pool a table of frames to one row a clip.

    Args:
        path: of the file, for messages; its stem names the clip where no column does.
        header: the column names, blanks stripped.
        lines: the cells of the lines after it.

    Raises:
        FeatureError: there are no action units in it, or a line and column that the text names is not what
            it should be.
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
        if not _seen_well(columns, number, cells):
            continue
        values = np.array([_number(path, number, name, cells[i]) for name, i in columns.units.items()])
        if np.isnan(values).any():
            continue
        if np.abs(values).max() > _LARGEST:
            raise FeatureError(f"{path}: line {number}: an action unit is not a finite number")
        person = "" if columns.person is None else cells[columns.person].strip()
        frame = None if columns.frame is None else cells[columns.frame].strip()
        known = clip.people.setdefault(person, _Person(np.zeros(len(values))))
        known.see(frame, _size(columns, number, cells), values)
    if not clips:
        raise FeatureError(f"{path}: the table of action units has no rows")
    means = {name: clip.mean() for name, clip in clips.items()}
    return ClipUnits(
        tuple(columns.units),
        {name: mean for name, mean in means.items() if mean is not None},
        tuple(name for name, mean in means.items() if mean is None),
    )


def read_header(path: Path, lines: Iterator[list[str]]) -> list[str]:
    """The column names of a table, blanks stripped.

    Raises:
        FeatureError: the table is empty.
    """
    header = [cell.strip() for cell in next(lines, [])]
    if not any(header):
        raise FeatureError(f"{path}: the table of action units has no rows")
    return header


def _columns(path: Path, header: Sequence[str]) -> _Columns:
    def place(*names: str) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    units = [name for name in header if _UNIT.fullmatch(name)]
    if not units:
        raise FeatureError(
            f"{path}: line 1 names no action units (AU01_r, AU01_c, AU01): was OpenFace run without -aus?"
        )
    if len(set(units)) != len(units):
        raise FeatureError(f"{path}: line 1 names an action unit twice")
    clip, width, height = place(*_CLIP), place("FaceRectWidth"), place("FaceRectHeight")
    return _Columns(
        path=path,
        width=len(header),
        units={name: header.index(name) for name in units},
        clip=clip,
        clip_is_path=clip is not None and header[clip] != "code",
        person=place(*_PERSON),
        frame=place("frame", "timestamp"),
        success=place("success"),
        confidence=place("confidence"),
        face_score=place("FaceScore"),
        sides=None if width is None or height is None else (width, height),
    )


def _clip_name(columns: _Columns, cells: Sequence[str]) -> str:
    """Of a path, as any system writes it, the name without folders and suffix."""
    name = "" if columns.clip is None else cells[columns.clip].strip()
    if not name:
        return columns.path.stem
    return PureWindowsPath(name).stem if columns.clip_is_path else name


def _seen_well(columns: _Columns, number: int, cells: Sequence[str]) -> bool:
    for name, place, least in (
        ("success", columns.success, 1.0),
        ("confidence", columns.confidence, LEAST_CONFIDENCE),
        ("FaceScore", columns.face_score, LEAST_FACE_SCORE),
    ):
        # not a number: nothing was seen
        if place is not None and not _number(columns.path, number, name, cells[place]) >= least:
            return False
    return True


def _size(columns: _Columns, number: int, cells: Sequence[str]) -> float:
    """What tells the faces of one frame apart: the area, else how sure the program is."""
    if columns.sides is not None:
        width, height = (_number(columns.path, number, "FaceRect", cells[i]) for i in columns.sides)
        return width * height if math.isfinite(width * height) else 0.0
    if columns.confidence is not None:
        return _number(columns.path, number, "confidence", cells[columns.confidence])
    return 0.0


def _number(path: Path, line: int, name: str, text: str) -> float:
    """A number; not-a-number for an empty cell, and for what C++ calls so on Windows."""
    text = text.strip()
    if not text or "nan" in text.lower():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise FeatureError(f"{path}: line {line}, column {name}: {text!r} is not a number") from None


def read_csv(path: Path) -> Iterator[list[str]]:
    """The lines of a table, as cells. The file is open until the last is read.

    Raises:
        FeatureError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.reader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise FeatureError(f"{path}: the table of action units cannot be read: {problem}") from None
