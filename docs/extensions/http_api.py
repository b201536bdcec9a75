"""The routes of the service and what they take and answer, from docs/openapi.json: docs/http-api/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

from extensions.generated import write_pages

FOLDER: Final = "http-api"
METHODS: Final = ("get", "post", "put", "patch", "delete")
_PAGE: Final = re.compile(r"\bdocs/([\w-]+\.md)\b")

Data = Mapping[str, Any]


def write_http_pages(app: Sphinx) -> None:
    """Make docs/http-api/ anew."""
    docs = Path(app.srcdir)
    api = json.loads((docs / "openapi.json").read_text(encoding="utf-8"))
    write_pages(docs / FOLDER, {"index.md": routes_page(api), "schemas.md": schemas_page(api)})


def routes_page(api: Data) -> str:
    """Every route, under the subject that its tag names."""
    lines = [
        "# HTTP API", "", _text(api["info"]["description"]).strip(), "",
        "For programs: [openapi.json](../openapi.json). With examples: [the service](../server.md).", "",
        ":::{toctree}", ":hidden:", "", "schemas", ":::", "",
    ]  # fmt: skip
    by_tag: dict[str, list[str]] = {}
    for path, operations in api["paths"].items():
        for method in METHODS:
            if (operation := operations.get(method)) is not None:
                by_tag.setdefault(operation["tags"][0], []).extend(_route(method, path, operation))
    for tag, routes in by_tag.items():
        lines += [f"## {tag.capitalize()}", "", *routes]
    return "\n".join(lines)


def _route(method: str, path: str, operation: Data) -> Iterator[str]:
    yield from (f"### {method.upper()} {path}", "", f"**{operation['summary']}.**", "")
    yield from (_text(operation.get("description", "")), "")
    if parameters := operation.get("parameters"):
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            need = "required. " if one.get("required") else ""
            words = f"{need}{_cell(one.get('description'))}"
            yield f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {words} |"
        yield ""
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        schema = media.get("schema", {})
        fields = schema.get("properties")
        yield from (f"Body, `{kind}`{':' if fields else f': {_type(schema)}'}", "")
        if fields:
            yield from _fields(schema)
    yield from ("| answer | what it is |", "|---|---|")
    for status, response in operation["responses"].items():
        kinds = [
            f"`{kind}`" + (f": {_type(media['schema'])}" if media.get("schema") else "")
            for kind, media in response.get("content", {}).items()
        ]
        yield f"| {status} | {'; '.join([_cell(response['description']), *kinds])} |"
    yield ""


def schemas_page(api: Data) -> str:
    """Every schema that a route names."""
    lines = ["# Schemas of the HTTP API", ""]
    for name, schema in sorted(api["components"]["schemas"].items()):
        lines += [f"## {name}", "", _text(schema.get("description", "")), ""]
        lines += _fields(schema) if schema.get("properties") else [f"{_type(schema)}", ""]
        for example in schema.get("examples", ()):
            lines += ["```json", json.dumps(example, indent=1, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _fields(schema: Data) -> list[str]:
    required = schema.get("required", ())
    lines = ["| field | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        need = "" if name in required else "optional. "
        lines.append(f"| `{name}` | {_type(field)} | {need}{_cell(field.get('description'))} |")
    return [*lines, ""]


def _type(schema: Data) -> str:
    """A schema in a few words, as Markdown."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return f"[{name}](schemas.md#{name.lower()})"
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{value}`" for value in values)
    kind = schema.get("type", "any")
    if kind == "array":
        parts = schema.get("prefixItems", [schema.get("items", {})])
        return f"list of {', '.join(map(_type, parts))}"
    inside = schema.get("additionalProperties")
    if kind == "object" and isinstance(inside, Mapping):
        return f"object of {_type(inside)}"
    return "a file" if schema.get("format") == "binary" else {"string": "text"}.get(kind, kind)


def _cell(text: str | None) -> str:
    """Text of a cell of a table: one line."""
    return " ".join(_text(text or "").split()).replace("|", r"\|")


def _text(text: str) -> str:
    return _PAGE.sub(r"[\1](../\1)", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before any is read."""
    app.connect("builder-inited", write_http_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
