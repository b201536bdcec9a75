"""Read recipes from TOML files and plain data.

The recipes that come with the package are the TOML files next to this module. A recipe of your own is a
TOML file anywhere; with ``extends = "default"`` at its top it inherits from another recipe what it does not
set.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from emofuse.core.errors import RecipeError
from emofuse.core.recipes.recipe import Recipe

LARGEST_BYTES: Final = 2**20
"""Of a recipe's file."""


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    here = resources.files(__package__)
    return tuple(sorted(f.name.removesuffix(".toml") for f in here.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by name (one that comes with the package) or by path to a TOML file.

    Raises:
        RecipeError: there is no such recipe, or it has an unknown key or a value that is not allowed.
    """
    return parse_recipe(_read(name_or_path, ()), source=str(name_or_path))


def parse_recipe(data: dict[str, Any], *, source: str = "recipe") -> Recipe:
    """Validate a recipe given as plain data; the error names every key, its value and what is allowed."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "recipe"
        if item["type"] == "extra_forbidden":
            problems.append(f"{key} is not a key of a recipe")
            continue
        message = item["msg"].removeprefix("Value error, ")
        value = item["input"]
        got = "" if isinstance(value, dict) else f" (got {value!r})"
        problems.append(f"{key}: {message}{got}")
    return "; ".join(problems)


def _read(name_or_path: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    key = str(name_or_path)
    if key in seen:
        raise RecipeError(f"{key} extends itself through {' → '.join(seen)}")
    base = Path.cwd()
    if isinstance(name_or_path, str) and name_or_path in shipped_recipes():
        text = (resources.files(__package__) / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise RecipeError(f"no recipe {key!r}: give a TOML file or one of {', '.join(shipped_recipes())}")
        base = path.resolve().parent
        text = _text(path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise RecipeError(f"{key}: not valid TOML: {reason}") from None
    parent = data.pop("extends", None)
    _resolve_weights(data, base)
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise RecipeError(f"{key}: extends must be the name or path of a recipe")
    if parent not in shipped_recipes():
        parent = str(base / parent)
    return _merged(_read(parent, (*seen, key)), data)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise RecipeError(f"{path}: too large for a recipe: more than {LARGEST_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: not a text file in UTF-8") from None


def _resolve_weights(data: dict[str, Any], base: Path) -> None:
    """A weight file's path is relative to the recipe that names it."""
    for where, key in (
        (("face", "network", "emotion_cnn"), "path"),
        (("face", "network"), "expression_weights"),
        (("voice", "features", "embedding"), "file"),
        (("face", "features", "embedding"), "file"),
    ):
        try:
            part = data
            for name in where:
                part = part[name]
            if part[key] != "none":
                part[key] = str((base / part[key]).resolve())
        except (KeyError, TypeError):
            continue


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out
