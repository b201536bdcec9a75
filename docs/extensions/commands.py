"""A page for each command, made of what ``--help`` says: docs/commands/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from sphinx.application import Sphinx

from emofuse.cli.app import app as command_line
from extensions.generated import write_pages

FOLDER: Final = "commands"
WIDTH: Final = 100
"""Characters of a line of usage."""
MOST_GUIDES: Final = 4

_EXAMPLE: Final = re.compile(r"(?m)^([A-Z][\w ,]*): `(emofuse [^`]+)`$")
_PAGE: Final = re.compile(r"\bdocs/([\w-]+\.md)\b")
_FACTS: Final = re.compile(r"^(.*?)(?:(?:^|  )\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\])?$", re.DOTALL)
"""The help of an option, and in brackets its default, its range and whether it is required."""


@dataclass(frozen=True)
class Command:
    """A command with its words, such as ``("corpus", "check")``."""

    words: tuple[str, ...]
    context: Any

    @property
    def title(self) -> str:
        """As it is typed."""
        return " ".join(("emofuse", *self.words))

    @property
    def page(self) -> str:
        """The name of its page, without suffix."""
        return "-".join(self.words)

    @property
    def summary(self) -> str:
        """The first paragraph of its help."""
        return " ".join(self.context.command.help.split("\n\n")[0].split())


def commands() -> list[Command]:
    """All commands, in the order of ``emofuse --help``."""
    root: Any = typer.main.get_command(command_line)
    return list(_below(root, root.make_context("emofuse", [], resilient_parsing=True), ()))


def _below(group: Any, context: Any, words: tuple[str, ...]) -> Iterator[Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        inner = type(context)(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from _below(command, inner, (*words, name))
        else:
            yield Command((*words, name), inner)


def write_command_pages(app: Sphinx) -> None:
    """Make docs/commands/ anew."""
    docs = Path(app.srcdir)
    guides = {path.name: path.read_text(encoding="utf-8") for path in sorted(docs.glob("*.md"))}
    del guides["index.md"], guides["README.md"]
    found = commands()
    pages = {f"{one.page}.md": command_page(one, guides) for one in found}
    write_pages(docs / FOLDER, {"index.md": _index(found), **pages})


def _index(found: list[Command]) -> str:
    lines = ["# Command line", ""]
    lines += [
        "Type `emofuse COMMAND --help` for the same text in a terminal. The exit status is 0, or 1 after an "
        "error, 2 where the command line itself is wrong, 130 after Ctrl-C and 143 after SIGTERM.",
        "", "| command | what it does |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| [`{one.title}`]({one.page}.md) | {_text(one.summary)} |" for one in found]
    lines += ["", ":::{toctree}", ":hidden:", "", *(f"{one.title} <{one.page}>" for one in found), ":::", ""]
    return "\n".join(lines)


def command_page(command: Command, guides: dict[str, str]) -> str:
    """The Markdown of a command's page.

    Args:
        command: whose page it is.
        guides: the pages of docs/ by file name, of which those that show the command are linked.
    """
    context = command.context
    help_text = _text(context.command.help)
    examples = [match[2] for match in _EXAMPLE.finditer(context.command.help)]
    lines = [f"# {command.title}", "", _EXAMPLE.sub("", help_text).strip(), ""]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    if shown := _showing(command, guides):
        lines += [f"Guides: {', '.join(f'[{name}](../{name})' for name in shown)}", ""]
    formatter = context.make_formatter()
    formatter.width = WIDTH
    context.command.format_usage(context, formatter)
    lines += ["## Usage", "", "```text", formatter.getvalue().removeprefix("Usage: ").strip(), "```", ""]
    for title, records in _panels(context).items():
        lines += [f"## {title}", "", f":::{{program}} {command.title}", ":::", ""]
        for names, words, facts in records:
            lines += [f":::{{option}} {names}", words, *(["", f"*{facts}*"] if facts else []), ":::", ""]
    return "\n".join(lines)


def _showing(command: Command, guides: dict[str, str]) -> list[str]:
    """The guides that show a command most often."""
    line = re.compile(rf"(?m)^(?:\$ )?{re.escape(command.title)}(?: |$)")
    counts = {name: len(line.findall(text)) for name, text in guides.items()}
    return sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:MOST_GUIDES]


def _panels(context: Any) -> dict[str, list[tuple[str, str, str]]]:
    """Options by the title under which the help lists them: names, Markdown, default and limits."""
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        usual = "Options" if parameter.param_type_name == "option" else "Arguments"
        title = getattr(parameter, "rich_help_panel", None) or usual
        match = _FACTS.match(record[1])
        assert match is not None
        words, facts = match[1].strip(), (match[2] or "").replace("*", r"\*")
        panels.setdefault(title, []).append((_names(record[0]), _text(words), facts))
    return dict(sorted(panels.items(), key=lambda panel: ["Arguments", "Options"].index(panel[0])
                       if panel[0] in ("Arguments", "Options") else 2))  # fmt: skip


def _names(names: str) -> str:
    """``-o, --out FILE`` with its value after each name, as Sphinx wants it."""
    options, _, value = names.partition(" ") if "," not in names else _parted(names)
    return ", ".join(f"{one} {value}".strip() for one in options.split(", "))


def _parted(names: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"((?:-[^ ,]+, )*-[^ ,]+)(?: (.*))?", names, re.DOTALL)
    return (match[1], " ", match[2] or "") if match else (names, "", "")


def _text(text: str) -> str:
    """Help as Markdown, with links to the pages that it names."""
    return _PAGE.sub(r"[\1](../\1)", text.replace("\b", ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before any is read."""
    app.connect("builder-inited", write_command_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
