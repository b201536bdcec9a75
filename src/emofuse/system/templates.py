"""Text from templates: Jinja2 environments in which what a run or a corpus says cannot become markup.

In HTML and in Markdown alike every value is escaped unless it is :class:`markupsafe.Markup`, which is ready
markup; macros and ``{% set %}`` blocks return that. Bytes of file names that are not UTF-8 are escaped. A
name that is not in the context is an error. Templates lie in the folder ``templates`` of the package that
uses them.

Jinja2 is imported when the first template is rendered: prediction never needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from emofuse.core import number_format
from emofuse.core.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["escape_markdown", "render_html", "render_markdown"]

_FILTERS: Final = {
    "count": number_format.count,
    "interval": number_format.interval,
    "number": number_format.number,
    "percent": number_format.percent,
    "points": number_format.points,
    "spelled": number_format.spelled,
    "with_interval": number_format.with_interval,
}
"""Filters of both environments."""

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~]|&(?=#?\w+;))")
"""What Markdown may read as markup."""

_BAR: Final = re.compile(r"(?<!\\)\|")


def render_html(package: str, name: str, **context: object) -> str:
    """HTML of a template.

    Args:
        package: the package whose folder ``templates`` holds the template.
        name: the template's file name.
        context: what the template may name.

    Raises:
        jinja2.UndefinedError: the template names what is not in the context.
    """
    return printable(_html_environment(package).get_template(name).render(context))


def render_markdown(package: str, name: str, **context: object) -> str:
    """Markdown of a template; arguments and errors as in :func:`render_html`.

    Three filters are for Markdown alone: ``code`` makes code within a line, ``code_block`` a block of code,
    and ``code_cell`` code within a cell of a table. Values must not be joined to ready markup with ``~`` or
    ``join``, which would escape them as HTML.
    """
    return printable(_markdown_environment(package).get_template(name).render(context))


def escape_markdown(text: object) -> str:
    r"""Text as it is to be read, on one line, whatever Markdown would make of its characters.

    >>> print(escape_markdown("a|b <i>"))
    a\|b \<i\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


@cache
def _html_environment(package: str) -> Environment:
    return _environment(package)


@cache
def _markdown_environment(package: str) -> Environment:
    environment = _environment(package, finalize=_markdown)
    environment.filters.update(code=_code, code_block=_code_block, code_cell=_code_cell)
    return environment


def _environment(package: str, finalize: Callable[[object], object] | None = None) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader(package), autoescape=True, finalize=finalize)
    environment.undefined = StrictUndefined
    # A line that holds only a tag leaves nothing behind; every other line stays.
    environment.trim_blocks = environment.lstrip_blocks = environment.keep_trailing_newline = True
    environment.filters.update(_FILTERS)
    return environment


def _markdown(value: object) -> Markup:
    """What an expression puts into Markdown: ready markup as it is, anything else escaped."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) else Markup(escape_markdown(value))


def _code(text: object) -> Markup:
    """Text as code within a line."""
    from markupsafe import Markup

    plain = " ".join(str(text).split())
    ticks = _longer_than_any_run(plain, least=1)
    pad = " " if "`" in plain else ""
    return Markup(f"{ticks}{pad}{plain}{pad}{ticks}")


def _code_cell(text: object) -> Markup:
    """Text as code within a cell of a table, which is cut at bars before code is looked for."""
    from markupsafe import Markup

    return Markup(_BAR.sub(r"\\|", _code(text)))


def _code_block(text: str) -> Markup:
    """Text as a block of code, with its line breaks."""
    from markupsafe import Markup

    fence = _longer_than_any_run(text, least=3)
    return Markup(f"{fence}\n{text}\n{fence}")


def _longer_than_any_run(text: str, *, least: int) -> str:
    """Backticks that no run of backticks in the text can close."""
    runs = [len(run) for run in re.findall("`+", text)]
    return "`" * max([least, *(run + 1 for run in runs)])
