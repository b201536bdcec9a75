"""Pages of a site on disk: what they load, where they link, and which of it is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "input": "src", "link": "href",
    "object": "data", "script": "src", "source": "src", "track": "src", "video": "src",
}  # fmt: skip
"""Elements that load something without being clicked, and the attribute that says what."""
_NOT_LOADED = {"next", "prev", "index", "search", "canonical", "genindex", "author", "license", "help"}
"""Kinds of ``<link>`` that only say where something is."""
_IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class SitePage:
    """What one page says."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self._inside = SitePage(), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.page.ids |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        if (address := given.get(_LOADED.get(tag, ""))) is not None:
            is_loaded = tag != "link" or not set(given.get("rel", "").split()) & _NOT_LOADED
            (self.page.loads if is_loaded else self.page.links).append(address)
        for candidate in given.get("srcset", "").split(","):
            self.page.loads += candidate.split()[:1]
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        self.page.loads += _in_style(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.page.loads += _in_style(data)
        elif self._inside != "script":
            self.page.text += data


def _in_style(css: str) -> list[str]:
    return [url or sheet for url, sheet in _IN_STYLE.findall(css) if not url.startswith(("data:", "#"))]


@cache
def read_page(path: Path) -> SitePage:
    """Read one page of HTML."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def pages(site: Path) -> list[Path]:
    """All pages of a site."""
    return sorted(site.rglob("*.html"))


def from_other_hosts(site: Path) -> list[str]:
    """What pages and style sheets load from elsewhere."""
    loaded = [(page, address) for page in pages(site) for address in read_page(page).loads]
    for sheet in site.rglob("*.css"):
        loaded += [(sheet, address) for address in _in_style(sheet.read_text(encoding="utf-8"))]
    return [
        f"{page.relative_to(site)}: {address}"
        for page, address in loaded
        if urlsplit(address).netloc and not address.startswith("data:")
    ]


def broken_links(site: Path) -> Iterator[str]:
    """Links, pictures, scripts and anchors within a site that lead nowhere."""
    for page in pages(site):
        found = read_page(page)
        for address in {*found.links, *found.loads}:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                yield f"{page.relative_to(site)}: {address}: no such file"
            elif target.suffix == ".html" and unquote(parts.fragment) not in {"", *read_page(target).ids}:
                yield f"{page.relative_to(site)}: {address}: no such anchor"
