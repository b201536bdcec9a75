from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import RecipeError


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_train_refuses_a_full_folder_and_an_unknown_recipe(
    tmp_path: Path, au_folder: Path, au_toml: Path, store: Any, au_bundle: Path
) -> None:
    refused = run("train", au_folder, "-r", au_toml, "-o", au_bundle, "-j", 1, "--cache", store.root)
    assert "is not empty" in str(refused.exception)
    assert (au_bundle / "bundle.json").is_file()
    assert isinstance(run("train", au_folder, "-r", "nope", "-o", tmp_path / "b").exception, RecipeError)
