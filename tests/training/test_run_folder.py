from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import ExperimentError
from emofuse.training.run_folder import (
    MARKS_FILE,
    read_marks,
    read_run_arrays,
    read_run_json,
    read_run_weights,
)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"PK\x03\x04", b"\xff" * 100, (2**60).to_bytes(8, "little") + b"{}"],
)
@pytest.mark.parametrize("read", [read_run_json, read_run_arrays, read_run_weights])
def test_damaged_files_of_a_run_are_named_in_one_line(tmp_path: Path, content: bytes, read: Any) -> None:
    path = tmp_path / "fold-1"
    path.write_bytes(content)
    with pytest.raises(
        ExperimentError, match=r"fold-1 cannot be read \(.*\): remove it and repeat"
    ) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(ExperimentError, match="fold-1 cannot be read"):
        read(path)


def test_marks_are_an_object(tmp_path: Path) -> None:
    (tmp_path / MARKS_FILE).write_text("[1]")
    with pytest.raises(ExperimentError, match=r"run\.json is damaged"):
        read_marks(tmp_path)
