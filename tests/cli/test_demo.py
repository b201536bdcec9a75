from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import ExperimentError


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_demo_refuses_a_folder_with_other_settings(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"seed": 1, "actors": 2, "takes": 1}')
    result = run("demo", "--out", tmp_path)
    assert isinstance(result.exception, ExperimentError)
    assert "holds a demo with other settings" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]
