from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import ExperimentError, RecipeError
from emofuse.core.recipes.load import load_recipe, shipped_recipes


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_evaluate_prints_the_figures_and_draws_the_report(
    tmp_path: Path, au_run: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    """Goes on in a finished run: nothing is trained anew."""
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


def test_train_says_how_to_try_it(
    tmp_path: Path, au_folder: Path, au_toml: Path, store: Any, au_bundle: Path
) -> None:
    refused = run("train", au_folder, "-r", au_toml, "-o", au_bundle, "-j", 1, "--cache", store.root)
    assert "is not empty" in str(refused.exception)
    assert (au_bundle / "bundle.json").is_file()
    assert isinstance(run("train", au_folder, "-r", "nope", "-o", tmp_path / "b").exception, RecipeError)


def test_recipes_are_listed_and_shown() -> None:
    listed = run("recipes")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == len(shipped_recipes())
    for name in shipped_recipes():
        assert f"{name} " in listed.stdout
        assert json.loads(run("recipes", name).stdout) == load_recipe(name).model_dump(mode="json")
    assert isinstance(run("recipes", "nope").exception, RecipeError)


def test_demo_keeps_to_its_settings(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"seed": 1, "actors": 2, "takes": 1}')
    result = run("demo", "--out", tmp_path)
    assert isinstance(result.exception, ExperimentError)
    assert "holds a demo with other settings" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]
