from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emofuse.cli import app
from emofuse.errors import WeightsError
from emofuse.weights import WEIGHTS


def test_list_says_whether_they_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    known = WEIGHTS["deepface-emotion"]
    result = CliRunner().invoke(app, ["weights", "list"])
    assert result.exit_code == 0
    assert f"weights folder: {tmp_path}" in result.stdout
    assert "deepface-emotion (not here)" in result.stdout
    assert known.sha256 in result.stdout
    assert known.licence in result.stdout
    (tmp_path / known.file_name).write_bytes(b"")
    assert "deepface-emotion (here)" in CliRunner().invoke(app, ["weights", "list"]).stdout


def test_fetch_of_an_unknown_name() -> None:
    result = CliRunner().invoke(app, ["weights", "fetch", "deepface"])
    assert isinstance(result.exception, WeightsError)
    assert "use one of deepface-emotion" in str(result.exception)


def test_fetch_needs_a_name() -> None:
    assert CliRunner().invoke(app, ["weights", "fetch"]).exit_code == 2
