from __future__ import annotations

import json

from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import RecipeError
from emofuse.core.recipes.load import load_recipe, shipped_recipes


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_recipes_are_listed_and_shown() -> None:
    listed = run("recipes")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == len(shipped_recipes())
    for name in shipped_recipes():
        assert f"{name} " in listed.stdout
        assert json.loads(run("recipes", name).stdout) == load_recipe(name).model_dump(mode="json")
    assert isinstance(run("recipes", "nope").exception, RecipeError)
