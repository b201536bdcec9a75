"""Package attributes that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562), whose modules are imported when they are used.

    ``dir`` shows the public names, whether they have been used or not, and the modules imported so far.

    Args:
        package: the package's ``__name__``.
        homes: public name → dotted path of the module, below the package, that defines it.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def names() -> list[str]:
        module = sys.modules[package]
        parts = {
            name
            for name, value in vars(module).items()
            if isinstance(value, ModuleType) and value.__name__ == f"{package}.{name}"
        }
        special = {name for name in vars(module) if name.startswith("__")}
        return sorted({*module.__all__, *parts, *special})

    return get, names
