"""A page for each recipe that comes with emofuse: its file, and every setting of it. docs/recipes/."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

import emofuse.core.recipes
from emofuse.core.recipes.load import load_recipe, shipped_recipes
from extensions.generated import write_pages

FOLDER: Final = "recipes"


def write_recipe_pages(app: Sphinx) -> None:
    """Make docs/recipes/ anew."""
    names = shipped_recipes()
    pages = {f"{name}.md": recipe_page(name) for name in names}
    write_pages(Path(app.srcdir) / FOLDER, {"index.md": _index(names), **pages})


def _index(names: tuple[str, ...]) -> str:
    lines = [
        "# Recipes", "",
        "A recipe is everything that a run depends on. `emofuse recipes NAME` prints every setting; a recipe "
        'of your own is a TOML file with `extends = "default"` and your changes. What each reads, and how it '
        "fuses: [recipes](../train.md#recipes).", "",
        "| recipe | in a sentence |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| [`{name}`]({name}.md) | {load_recipe(name).description} |" for name in names]
    lines += ["", ":::{toctree}", ":hidden:", "", *names, ":::", ""]
    return "\n".join(lines)


def recipe_page(name: str) -> str:
    """The Markdown of a recipe's page."""
    recipe = load_recipe(name)
    file = resources.files(emofuse.core.recipes) / f"{name}.toml"
    settings = json.dumps(recipe.model_dump(mode="json"), indent=2)
    return "\n".join([
        f"# {name}", "", recipe.description, "",
        "## Its file", "", "```toml", file.read_text(encoding="utf-8").strip(), "```", "",
        "## Every setting", "", f"As `emofuse recipes {name}` prints them:", "",
        "```json", settings, "```", "",
    ])  # fmt: skip


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before any is read."""
    app.connect("builder-inited", write_recipe_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
