from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.server.problems import Problem
from emofuse.server.purpose import LONGEST, Purpose


def test_a_purpose_outlives_the_service(tmp_path: Path) -> None:
    assert Purpose(tmp_path).get() is None
    assert Purpose(tmp_path).set("  a study\nof interviews ") == "a study of interviews"
    assert Purpose(tmp_path).required() == "a study of interviews"


@pytest.mark.parametrize("text", ["", " \n", "a" * (LONGEST + 1)])
def test_a_purpose_is_a_text(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="1 to 500 characters"):
        Purpose(tmp_path).set(text)
    assert Purpose(tmp_path).get() is None


def test_without_one_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="Nobody has said what") as raised:
        Purpose(tmp_path).required()
    assert raised.value.status == 409
