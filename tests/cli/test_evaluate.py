from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from emofuse.cli.app import app


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_evaluate_prints_the_results_and_writes_the_report(
    tmp_path: Path, au_run: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    """The run is already complete: nothing is trained again."""
    out = shutil.copytree(au_run, tmp_path / "run")
    result = run(
        "evaluate", au_folder, "-r", au_toml, "-p", "actors-2", "-o", out, "-j", 1, "--cache", store.root
    )
    assert result.exit_code == 0, result.output
    assert (out / "predictions.csv").read_bytes() == (au_run / "predictions.csv").read_bytes()
    assert (out / "report.html").is_file()
    assert "report.html" in result.stdout
    accuracy = json.loads((out / "results.json").read_text())["systems"]["fused"]["accuracy"]
    assert f"{100 * accuracy:.1f}" in result.stdout
    (out / "report.html").unlink()
    again = run("report", out)
    assert again.exit_code == 0, again.output
    assert (out / "report.html").is_file()
