"""Docstrings and signatures: their style, and for each name whether it exists and where it is described."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, Final

from docutils import nodes
from numpy.typing import ArrayLike
from pydantic import BaseModel
from sphinx.addnodes import desc, desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util.typing import stringify_annotation

PACKAGES: Final = ("emofuse", "emofuse.exports", "emofuse.corpus", "emofuse.core.recipes")
"""Where public names are."""
MODULES: Final = (
    "emofuse.cluster.connection",
    "emofuse.cluster.executor",
    "emofuse.cluster.workers",
    "emofuse.core.errors",
    "emofuse.core.metrics",
    "emofuse.core.rating_metrics",
    "emofuse.evaluation.cross_validation",
    "emofuse.server.client",
    "emofuse.timeline.annotated",
    "emofuse.timeline.annotations",
    "emofuse.training.resources",
    "emofuse.training.train_bundle",
)
"""Other modules of which the reference describes something."""

_ARRAY: Final = re.compile(
    r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[([^\[\]]+)\]\]"
)

_MADE: Final = re.compile(r"(?<== )<[^<>]*(?:<[^<>]*>[^<>]*)*>")
"""A default that cannot be written as code."""


def import_all(_app: Sphinx) -> None:
    """Import what is described, with the names that only type checkers import: signatures use them."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for public in package.__all__:
            getattr(package, public)
    for name in MODULES:
        importlib.import_module(name)
    filled: set[str] = set()
    while missing := {name for name in sys.modules if name.startswith("emofuse.")} - filled:
        for name in sorted(missing):
            _import_for_types(sys.modules[name])
        filled |= missing


def _import_for_types(module: ModuleType) -> None:
    """Run the imports below ``if TYPE_CHECKING:`` in a module that has been imported.

    Names that exist for type checkers alone, in stubs of other packages, are left out.
    """
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    with contextlib.suppress(ImportError):
                        exec(compile(ast.Module([statement], []), str(module.__file__), "exec"), vars(module))


def read_google_style(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make fields of the sections ``Args``, ``Returns`` and ``Raises``.

    The extension napoleon would also take what comes before a colon in the docstring of an attribute for its
    type: here it is a sentence.
    """
    kind = "method" if what in ("attribute", "data", "property") else what
    style = Config(napoleon_use_rtype=False)
    lines[:] = GoogleDocstring(list(lines), style, app, kind, name, obj, options).lines()


def readable_signature(
    _app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """``NDArray[X]`` and ``ArrayLike`` by name, ``...`` for defaults that no code writes."""
    if inspect.isclass(obj) and issubclass(obj, BaseModel):
        fields = obj.model_fields.items()
        given = [name if field.is_required() else f"{name}=..." for name, field in fields]
        return f"(*, {', '.join(given)})", None
    like = stringify_annotation(ArrayLike, "smart")
    arrays = [
        one and _ARRAY.sub(r"~numpy.typing.NDArray[\1]", one.replace(like, "~numpy.typing.ArrayLike"))
        for one in (signature, returns)
    ]
    return arrays[0] and _MADE.sub("...", arrays[0]), arrays[1]


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a name of Python that is described under another name, such as its public one.

    A name that exists, and that the reference does not describe, stays text. One that does not exist is left
    to Sphinx, which warns.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    for full in _candidates(node):
        thing = _thing(full)
        if thing is None:
            continue
        for name in (_public_name(thing, full), full):
            if name is not None and name in domain.objects:
                described = pending_xref("", refdomain="py", reftype="obj", reftarget=name)
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, described, content)
        return content
    return None


def _candidates(node: pending_xref) -> list[str]:
    """What a name may be in full: as it is, or in the class or module where it is mentioned or defined."""
    target = node["reftarget"].removesuffix("()")
    prefixes = [node.get("py:module"), *_homes(node), *PACKAGES, *MODULES, "typing"]
    return [target, *(f"{prefix}.{target}" for prefix in dict.fromkeys(prefixes) if prefix)]


def _homes(node: pending_xref) -> Iterator[str]:
    """The classes and modules that define what is described where a name is mentioned."""
    above: nodes.Node | None = node.parent
    while above is not None:
        if isinstance(above, desc) and isinstance(above[0], desc_signature) and "fullname" in above[0]:
            described = _thing(f"{above[0]['module']}.{above[0]['fullname']}")
            if inspect.isclass(described):
                yield f"{described.__module__}.{described.__qualname__}"
            if module := getattr(described, "__module__", None):
                yield module
        above = above.parent


@cache
def _thing(full: str) -> Any:
    """What a dotted name stands for, or its class, if it is a field of that; None: nothing."""
    parts = full.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for n in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        for position, part in enumerate(parts[n:], n + 1):
            inner = getattr(thing, part, None)
            if inner is None:
                fields = inspect.get_annotations(thing) if inspect.isclass(thing) else {}
                return thing if position == len(parts) and part in fields else None
            thing = inner
        return thing
    return None


def _public_name(thing: Any, full: str) -> str | None:
    """The name under which the reference describes a thing."""
    outer, _, name = full.rpartition(".")
    owner = _thing(outer) if outer else None
    for package in PACKAGES:
        module = importlib.import_module(package)
        if name in module.__all__ and getattr(module, name) is thing:
            return f"{package}.{name}"
        if inspect.isclass(owner) and getattr(module, owner.__name__, None) is owner:
            return f"{package}.{owner.__name__}.{name}"
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Import before anything is read; take part in signatures and references."""
    app.connect("builder-inited", import_all)
    app.connect("autodoc-process-docstring", read_google_style)
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
