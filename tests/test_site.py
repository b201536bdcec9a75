"""The documentation site is built whole and without a warning, says everything, and asks no other host."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import emofuse
from emofuse.cli.app import app
from emofuse.core import errors
from emofuse.core.recipes.load import shipped_recipes
from tests.cli.test_app import COMMANDS
from tests.support import accessibility, chromium, service_page
from tests.support.site_pages import broken_links, from_other_hosts, read_page

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PUBLIC = ("emofuse", "emofuse.corpus", "emofuse.core.recipes", "emofuse.exports")
"""The packages whose names docs/architecture.md calls public."""

needs_browser = pytest.mark.skipif(chromium.find() is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for all processes of a test run, with its warnings as errors."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with (folder.with_suffix(".lock")).open("w") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = folder.with_suffix(".work")
            options = ("-W", "--keep-going", "-q", "-d", folder.with_suffix(".trees"))
            done = subprocess.run(
                [sys.executable, "-m", "sphinx", *options, DOCS, work],
                capture_output=True, text=True, encoding="utf-8", check=False,
            )  # fmt: skip
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            work.rename(folder)
    return folder


def test_every_public_name_is_described(site: Path) -> None:
    described = set().union(*(read_page(page).ids for page in (site / "api").glob("*.html")))
    names = {f"{package}.{name}" for package in PUBLIC for name in importlib.import_module(package).__all__}
    root = {f"{package}.{name}" for package in PUBLIC for name in emofuse.__all__}
    aliases = {name for name in names & root if name.rpartition(".")[0] != "emofuse"}
    assert sorted(names - aliases - described) == []
    kinds = {
        f"emofuse.core.errors.{name}" for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.EmofuseError) and name != "EmofuseError"
    }  # fmt: skip
    assert len(kinds) > 20
    assert sorted(kinds - described) == []


def test_signatures_show_types_that_lead_to_their_page(site: Path) -> None:
    page = (site / "api" / "recognizer.html").read_text(encoding="utf-8")
    signature = re.search(r'id="emofuse.Recognizer.predict">(.*?)</dt>', page, re.DOTALL)
    assert signature is not None
    assert 'href="#emofuse.Profile"' in signature[1]
    assert 'href="#emofuse.Prediction"' in signature[1]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_a_page_with_all_of_its_help(command: tuple[str, ...], site: Path) -> None:
    page = read_page(site / "commands" / f"{'-'.join(command)}.html")
    shown = CliRunner().invoke(app, [*command, "--help"], terminal_width=250).stdout
    given: Any = typer.main.get_command(app)
    for word in command:
        given = given.commands[word]
    options = {option for one in given.params for option in one.opts if option.startswith("--")}
    anchors = {name.replace(f"cmdoption-emofuse-{'-'.join(command)}-", "--") for name in page.ids}
    assert sorted(option for option in options if option not in anchors) == []
    words, on_page = (set(re.findall(r"[a-zA-Z]{3,}", text)) for text in (shown, page.text))
    assert sorted(words - on_page - {"Example", "bool", "docs"}) == []  # labels, the type of flags, a folder


def test_every_recipe_has_a_page(site: Path) -> None:
    for name in shipped_recipes():
        assert "as emofuse recipes" in read_page(site / "recipes" / f"{name}.html").text.lower(), name


def test_every_route_is_described(site: Path) -> None:
    routes = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))["paths"]
    text = " ".join(read_page(site / "http-api" / "index.html").text.split())
    for path, operations in routes.items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}" in text, path
            assert operation["summary"] in text, path


def test_every_page_of_docs_is_in_the_table_of_contents(site: Path) -> None:
    sources = [*DOCS.glob("*.md"), *DOCS.glob("notebooks/*.ipynb")]
    pages = {source.relative_to(DOCS).with_suffix(".html").as_posix() for source in sources}
    assert len(pages) > 15
    front = (site / "index.html").read_text(encoding="utf-8")
    contents = front.partition('<div class="sidebar-tree">')[2].partition("</aside>")[0]
    linked = set(re.findall(r'href="([^"#]+\.html)"', contents))
    assert sorted(pages - linked - {"README.html", "index.html"}) == []
    table = (DOCS / "README.md").read_text(encoding="utf-8")
    unlisted = {name for name in pages if f"({name.replace('.html', '.md')})" not in table}
    assert sorted(name for name in unlisted if "/" not in name) == ["README.html"]


def test_no_link_is_broken(site: Path) -> None:
    assert list(broken_links(site)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y"></a><a href="c.html"></a><img src="d.png">'
    )
    (tmp_path / "b.html").write_text(
        '<p id="z"><a href="a.html#x"></a><a href="https://example.org/e#f"></a>'
    )
    assert sorted(broken_links(tmp_path)) == [
        "a.html: b.html#y: no such anchor", "a.html: c.html: no such file", "a.html: d.png: no such file",
    ]  # fmt: skip


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    assert from_other_hosts(site) == []


def test_what_is_loaded_from_another_host_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<script src="//cdn.example.org/x.js"></script><img src="data:image/png;base64,AA" '
        'style="background: url(https://example.org/b.png)"><a href="https://example.org/">a link</a>'
        "<style>@import 'https://example.org/fonts.css';</style>"
    )
    (tmp_path / "b.css").write_text(
        "@font-face { src: url('https://example.org/f.woff2') } p { src: url(#a) }"
    )
    assert [line.rpartition("/")[2] for line in from_other_hosts(tmp_path)] == [
        "x.js", "b.png", "fonts.css", "f.woff2",
    ]  # fmt: skip


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_ask_for_nothing_else_and_can_be_read_by_all(site: Path, tmp_path: Path, dark: bool) -> None:
    with chromium.browser(tmp_path / "browser") as page:
        for name in ("index.html", "timeline.html", "api/labels.html", "commands/timeline.html"):
            page.open(site / name, dark=dark)
            assert page.run("document.querySelector('h1').innerText")
            assert [
                url for url in service_page.requested(page) if not url.startswith(("file:", "data:"))
            ] == []
            assert accessibility.grave_problems(page) == [], name


@needs_browser
def test_the_search_works_without_a_network(site: Path, tmp_path: Path) -> None:
    with chromium.browser(tmp_path / "browser") as page:
        page.open_address(f"{(site / 'search.html').as_uri()}?q=heuristic_valence_arousal")
        page.until("document.querySelector('#search-results li a') !== null")
        found: Any = page.run("[...document.querySelectorAll('#search-results li a')].map((a) => a.href)")
        assert any("api/labels.html#emofuse.heuristic_valence_arousal" in one for one in found)
        assert all(url.startswith(("file:", "data:")) for url in service_page.requested(page))
