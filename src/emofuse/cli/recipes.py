"""``emofuse recipes``: list the recipes that come with emofuse, or print one."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[R]", help="Recipe to show.")] = None,
) -> None:
    """List the recipes that come with emofuse, or show every setting of one.

    A recipe of your own is a TOML file. With `extends = "default"` at the top, it names only what differs
    from another recipe.

    Example: `emofuse recipes default`
    """
    from emofuse.core.recipes.load import load_recipe, shipped_recipes

    if name is not None:
        typer.echo(json.dumps(load_recipe(name).model_dump(mode="json"), indent=2))
        return
    for shipped in shipped_recipes():
        typer.echo(f"{shipped:12} {load_recipe(shipped).description}")
