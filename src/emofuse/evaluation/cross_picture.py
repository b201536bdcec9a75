"""A picture of the matrix across corpora: a table per condition, a cell per training and test, shaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from emofuse.evaluation.cross_results import CellEntry, CrossResults, chance, headline
from emofuse.exports.picture import as_document
from emofuse.exports.raster import rasterize
from emofuse.folders.drawing import QUIET, counted, shortened, text_element
from emofuse.system.atomic_write import write_atomically

PICTURES: Final = {"matrix.svg": False, "matrix-dark.svg": True}
"""By name: whether it is for a dark page."""
PNG: Final = "matrix.png"
_LEFT: Final = 190
_CELL: Final = (152, 62)
"""Width and height."""
_GAP: Final = 6
_HEAD: Final = 78
"""Above the rows of a table: its condition, and the names of the test corpora."""
_NAME: Final = 22
"""Characters of a name that fit."""
_FROM_TO: Final = {
    False: ((0xF1, 0xF4, 0xF9), (0x62, 0x98, 0xDA)),
    True: ((0x1E, 0x26, 0x31), (0x2C, 0x66, 0xAE)),
}
"""The colors of chance and of no error, on a light page and on a dark one."""
_INK: Final = {False: "#14181d", True: "#f6f8fb"}
"""Letters, which all of these colors are far from."""
_FRAME: Final = {False: "#14181d", True: "#f2f5f9"}
"""Around what stays within a corpus."""
_ALARM: Final = {False: "#b3261e", True: "#ff8a70"}
"""Around what a pretrained part had seen before."""
_SCALE: Final = 2
OTHERS: Final = "all others"


def write_pictures(run: Path, results: CrossResults) -> None:
    """Write matrix.svg, matrix-dark.svg and matrix.png into a folder."""
    import cv2

    for name, dark in PICTURES.items():
        write_atomically(run / name, draw_matrix(results, dark=dark).encode())
    pixels = cv2.imencode(".png", rasterize(draw_matrix(results), _SCALE))[1].tobytes()
    write_atomically(run / PNG, pixels)


def draw_matrix(results: CrossResults, *, dark: bool = False) -> str:
    """An SVG document: mean recall of every cell, with its interval over test speakers.

    Args:
        results: what cross.json holds.
        dark: whether it is for a dark page.
    """
    names = [corpus["name"] for corpus in results["corpora"]]
    parts: list[str] = []
    top = 0.0
    for condition, meaning in results["conditions"].items():
        cells = [cell for cell in results["cells"] if cell["condition"] == condition]
        rows = _rows(cells, names)
        after = " (transductive)" if "transductive" in meaning else ""
        parts += _table(cells, rows, names, f"normalization: {condition}{after}", top, dark=dark)
        top += _HEAD + len(rows) * (_CELL[1] + _GAP) + 14
    width = max(_LEFT + len(names) * (_CELL[0] + _GAP) + 10, 640)
    for line in _legend(results):
        top += 18
        parts.append(text_element(10, top, line, QUIET))
    chart = (
        f'<svg viewBox="0 0 {width} {top + 16:g}" role="img" font-family="inherit" font-size="12" '
        'aria-label="Mean recall of trainings and tests across corpora; the table has the same figures">'
        f"<defs></defs>{''.join(parts)}</svg>"
    )
    return as_document(chart, (), dark=dark)


def _rows(cells: Sequence[CellEntry], names: Sequence[str]) -> list[tuple[str, dict[str, CellEntry]]]:
    """What each row is called, and its cells by test corpus."""
    rows: dict[str, dict[str, CellEntry]] = {name: {} for name in names}
    for cell in cells:
        row = OTHERS if cell["kind"] == "rest" else cell["train"][0]
        rows.setdefault(row, {})[cell["test"]] = cell
    return list(rows.items())


def _table(
    cells: Sequence[CellEntry],
    rows: Sequence[tuple[str, dict[str, CellEntry]]],
    names: Sequence[str],
    title: str,
    top: float,
    *,
    dark: bool,
) -> Iterator[str]:
    width, height = _CELL
    yield text_element(10, top + 24, title, bold=True, size=14)
    yield text_element(10, top + 62, "trained on", QUIET)
    yield text_element(_LEFT, top + 44, "tested on", QUIET)
    for column, name in enumerate(names):
        x = _LEFT + column * (width + _GAP)
        yield text_element(x + width / 2, top + 62, shortened(name, _NAME), anchor="middle", bold=True)
    trained = {cell["train"][0] for cell in cells if cell["kind"] == "recognizer"}
    for number, (row, found) in enumerate(rows):
        y = top + _HEAD + number * (height + _GAP)
        yield text_element(10, y + height / 2 + 4, shortened(row, _NAME + 4), bold=row not in trained)
        for column, name in enumerate(names):
            if name in found:
                yield from _cell(found[name], _LEFT + column * (width + _GAP), y, dark=dark)


def _cell(cell: CellEntry, x: float, y: float, *, dark: bool) -> Iterator[str]:
    width, height = _CELL
    found = headline(cell)
    frame = _ALARM[dark] if cell["seen_before"] else _FRAME[dark] if cell["kind"] == "within" else None
    if frame is not None:
        yield _rectangle(x - 2, y - 2, width + 4, height + 4, frame)
    if found is None:
        yield _rectangle(x, y, width, height, _hex(_FROM_TO[dark][0]))
        yield text_element(x + width / 2, y + height / 2 + 4, "not measured", _INK[dark], anchor="middle")
        return
    share = max(0.0, (found["uar"] - chance(cell)) / (1 - chance(cell)))
    color = tuple(round(a + share * (b - a)) for a, b in zip(*_FROM_TO[dark], strict=True))
    ink = _INK[dark]
    yield _rectangle(x, y, width, height, _hex(color))
    middle = x + width / 2
    yield text_element(middle, y + 24, f"{100 * found['uar']:.1f}", ink, anchor="middle", size=18, bold=True)
    bounds = found["uar_ci95"]
    interval = "one speaker" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"
    yield text_element(middle, y + 40, interval, ink, anchor="middle", size=12)
    note = f"{len(cell['labels'])} labels" + (", seen before!" if cell["seen_before"] else "")
    yield text_element(middle, y + 55, note, ink, anchor="middle", size=11)


def _legend(results: CrossResults) -> Iterator[str]:
    yield "Mean recall (UAR) in %, with its 95 % interval over test speakers, among the labels that both"
    yield "sides have. Shaded by what is above chance. Framed: the same corpus, other speakers in training."
    if any(cell["seen_before"] for cell in results["cells"]):
        yield "seen before!: a part that is not trained here was trained on the test corpus: no test of it."
    unknown = [part["part"] for part in results["pretrained"] if part["corpora"] is None]
    if unknown:
        yield f"What it was trained on is not published in full: {shortened(', '.join(unknown), 60)}."
    for corpus in results["corpora"]:
        people = counted(corpus["speakers"], "speaker")
        yield f"{shortened(corpus['name'], _NAME)}: {corpus['takes']} takes of {people}."


def _rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"/>'


def _hex(color: Sequence[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in color)
