"""Values cannot become markup, in HTML or in Markdown, and a misspelled name is an error."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from markupsafe import Markup

from emofuse.system import templates
from emofuse.system.templates import render_html, render_markdown

HOSTILE = "<script>x</script> **bold** [a](b) | `c`` ```\n# heading &lt; R&D \"q\" 'z'"
ONE_LINE = " ".join(HOSTILE.split())

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Makes a package with these templates, and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**files: str) -> str:
        name = f"package_of_{tmp_path.name}"
        (tmp_path / name / "templates").mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        for stem, text in files.items():
            (tmp_path / name / "templates" / stem).write_text(text, encoding="utf-8")
        return name

    return make


def read(markdown: str) -> list[tuple[str, str]]:
    """Type and text of every piece of text in a document."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    found = [child for token in tokens for child in token.children or [token] if child.content]
    return [(token.type, token.content) for token in found]


def test_html_escapes_values_and_leaves_ready_markup(package: Package) -> None:
    name = package(page='<p title="{{ value }}">{{ value }}</p>{{ ready }}')
    text = render_html(name, "page", value=HOSTILE, ready=Markup("<b>x</b>"))
    assert "<script>" not in text
    assert '"q"' not in text
    assert "&lt;script&gt;x&lt;/script&gt; **bold** [a](b) | `c`` ```\n# heading &amp;lt; R&amp;D" in text
    assert text.endswith("</p><b>x</b>")


def test_markdown_escapes_values_and_leaves_ready_markup(package: Package) -> None:
    name = package(card="{{ value }} {{ ready }}\n")
    text = render_markdown(name, "card", value=HOSTILE, ready=Markup("**x**"))
    (first, *_, last) = read(text)
    assert first == ("text", ONE_LINE + " ")
    assert last == ("text", "x")


def test_markdown_code_ends_where_it_should(package: Package) -> None:
    name = package(card="{{ value|code }}\n\n{{ value|code_block }}\n")
    assert read(render_markdown(name, "card", value=HOSTILE)) == [
        ("code_inline", ONE_LINE),
        ("fence", HOSTILE + "\n"),
    ]


def test_a_markdown_cell_stays_one_cell(package: Package) -> None:
    name = package(card="| a | b |\n|---|---|\n| {{ value }} | {{ value|code_cell }} |\n")
    assert read(render_markdown(name, "card", value=HOSTILE)) == [
        ("text", "a"),
        ("text", "b"),
        ("text", ONE_LINE),
        ("code_inline", ONE_LINE),
    ]


def test_macros_and_blocks_escape_once(package: Package) -> None:
    source = (
        "{% macro strong(text) %}**{{ text }}**{% endmacro %}"
        "{% set block %}{{ value }}{% endset %}"
        "{{ strong(value) }} {{ block }}"
    )
    once = templates.escape_markdown(HOSTILE)
    name = package(card=source, page=source)
    assert render_markdown(name, "card", value=HOSTILE) == f"**{once}** {once}"
    page = render_html(name, "page", value="<&>")
    assert page == "**&lt;&amp;&gt;** &lt;&amp;&gt;"


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_a_name_that_is_not_there_is_an_error(package: Package, render: Callable[..., str]) -> None:
    name = package(page="{{ corpus.naem }}")
    with pytest.raises(UndefinedError, match="naem"):
        render(name, "page", corpus={"name": "x"})


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_figures_are_written_by_filters(package: Package, render: Callable[..., str]) -> None:
    name = package(page="{{ x|percent }} {{ none|percent }} {{ x|with_interval(none) }} {{ 1440|count }}")
    assert render(name, "page", x=0.5, none=None) == "50.0 – 50.0 1,440"


def test_prediction_loads_no_template_engine() -> None:
    code = (
        "import sys, emofuse, emofuse.recognition.recognizer, emofuse.system.templates\n"
        "sys.exit(bool({'jinja2', 'markupsafe'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(templates) == doctest.TestResults(failed=0, attempted=1)
