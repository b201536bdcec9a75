"""Every kind of file, made by ffmpeg, sox or Python, and read by ``predict`` and ``timeline``.

What is expected follows from how a file is made; see :mod:`tests.zoo.kind`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.zoo.kind import Kind
from tests.zoo.material import Material, have_programs, make_material
from tests.zoo.reading import Reader, reader
from tests.zoo.zoo import KINDS

LONGEST_S: Final = 10.0
"""Of processor time, to read one file by both."""
MOST_MB: Final = 300.0
"""Memory of ``predict``."""
FRAME_S: Final = 0.3
"""Five frames per second are searched for faces, and a picture may come a little late."""
_LONG: Final = re.compile(r"voice read from the first 10 of (the first )?\d+ s; a timeline reads all")
"""Said of recordings of more than 10 s."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the zoo is read in forked processes")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    program = have_programs()
    if program is not None:
        pytest.skip(f"there is no {program} program")
    recordings = os.environ.get("EMOFUSE_RAVDESS")
    return make_material(tmp_path_factory.mktemp("material"), Path(recordings) if recordings else None)


@pytest.fixture(scope="module")
def warm() -> Iterator[Reader]:
    with reader() as one:
        yield one


def test_there_are_many_kinds_and_each_has_a_name() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names)) > 60


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kind(kind: Kind, material: Material, warm: Reader, tmp_path: Path) -> None:
    missing = kind.missing()
    if missing is not None:
        pytest.skip(missing)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = warm.read(kind.write(material, tmp_path, scratch), timeline=kind.timeline)
    assert "bug" not in found, found["bug"]
    answers = [found["predict"], *([found["timeline"]] if kind.timeline else [])]
    assert sum(answer["seconds"] for answer in answers) < LONGEST_S
    predict = found["predict"]
    assert predict["peak_mb"] is None or predict["peak_mb"] < MOST_MB
    if kind.refused is not None:
        for answer in answers:
            assert answer["error"] is not None and re.search(kind.refused, answer["error"])
        return
    heard = kind.heard(*material.speech_s)
    _check_prediction(kind, predict, heard is not None)
    if kind.timeline:
        _check_timeline(kind, found["timeline"], heard)


def _check_prediction(kind: Kind, found: dict[str, Any], heard: bool) -> None:
    assert found["face"] == (kind.people > 0)
    assert found["voice"] or not heard
    if found["voice"] or found["face"]:
        assert found["error"] is None
    told = [note for note in found["notes"] if not _LONG.fullmatch(note)]
    assert found["notes"] == told or (kind.duration_s or 0) > 9.9
    if kind.notes is not None:
        _check_notes(told, kind.notes + kind.predict_notes)


def _check_timeline(kind: Kind, found: dict[str, Any], heard: tuple[float, float] | None) -> None:
    assert found["error"] is None
    if kind.notes is not None:
        _check_notes(found["notes"], kind.notes)
    if kind.duration_s is not None:
        assert found["duration_s"] == pytest.approx(kind.duration_s, abs=kind.tolerance_s)
    assert found["heard"] == (heard is not None)
    if heard is not None:
        assert found["loud_s"] == pytest.approx(heard, abs=kind.tolerance_s)
    assert found["people"] == kind.people
    assert (found["size"] and tuple(found["size"])) == kind.size
    if kind.people:
        assert found["seen_s"] == pytest.approx(kind.seen_s, abs=FRAME_S + kind.tolerance_s)
    if kind.read_s is not None:
        assert found["read_s"] == pytest.approx(kind.read_s, abs=kind.tolerance_s)


def _check_notes(found: Sequence[str], expected: Sequence[str]) -> None:
    assert len(found) == len(expected), found
    for note, pattern in zip(found, expected, strict=True):
        assert re.fullmatch(pattern, note), found
