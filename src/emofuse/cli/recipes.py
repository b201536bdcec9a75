"""``emofuse recipes``: the recipes that come with emofuse, and their settings."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[R]", help="Show every setting of this one.")] = None,
) -> None:
    """List the recipes that come with emofuse, or show every setting of one.

    A recipe of your own is a TOML file; `extends = "default"` at its top takes another one and changes what
    you name.

    Example: `emofuse recipes default`
    """
    from emofuse.core.recipes.load import load_recipe, shipped_recipes

    if name is not None:
        typer.echo(json.dumps(load_recipe(name).model_dump(mode="json"), indent=2))
        return
    for one in shipped_recipes():
        typer.echo(f"{one:12} {load_recipe(one).description}")
