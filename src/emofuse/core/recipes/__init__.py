"""Recipes: everything a run depends on, as frozen, validated data with a stable hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emofuse.core.lazy import lazy_names

if TYPE_CHECKING:
    from emofuse.core.recipes.load import load_recipe, parse_recipe, shipped_recipes
    from emofuse.core.recipes.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "parse_recipe", "shipped_recipes"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"Recipe": "recipe", "load_recipe": "load", "parse_recipe": "load", "shipped_recipes": "load"},
)
