from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.core.errors import ExperimentError
from emofuse.evaluation.cross_results import chance, read_cross
from tests.evaluation.test_cross_picture import cell


def test_chance_is_one_of_the_labels() -> None:
    assert chance(cell("pair", ["A"], "B", 0.5)) == 0.25


@pytest.mark.parametrize("text", ["{}", '{"schema": 2, "cells": []}', '{"schema": 1}', "[]", "{", "\x00"])
def test_what_is_no_matrix_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExperimentError, match="run emofuse cross first"):
        read_cross(tmp_path)
    (tmp_path / "cross.json").write_text(text)
    with pytest.raises(ExperimentError, match=r"cross\.json"):
        read_cross(tmp_path)


def test_what_is_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "cross.json").write_text(json.dumps({"schema": 1, "cells": []}))
    assert read_cross(tmp_path)["cells"] == []
