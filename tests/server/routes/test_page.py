"""The files of the page are open, and strict."""

from __future__ import annotations

import re

import httpx

from emofuse.server.routes.page import _names
from tests.support.service import RunningService

ASKED = re.compile(r"""\b(?:t|part)\(["`]([\w.${}\[\] |"-]+?)["`]""")
"""A text that a script asks for: ``t("home.drop")``."""


def test_the_shell_is_open_and_strict(guarded: RunningService) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/page/main.js", "text/javascript"),
        ("/page/page.css", "text/css"),
        ("/page/viewer.css", "text/css"),
        ("/page/viewer.js", "text/javascript"),
        ("/page/texts.json", "application/json"),
    ):
        answer = httpx.get(guarded.url + path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
    shell = httpx.get(guarded.url + "/").text
    assert "style=" not in shell and "onclick" not in shell and "<script>" not in shell
    assert "://" not in shell
    for path in ("/page/", "/page/page.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py"):
        assert httpx.get(guarded.url + path).status_code in (401, 404)


def places(part: object, at: str = "") -> list[str]:
    """Where the texts of the file lie: ``home.drop``."""
    if isinstance(part, dict) and "other" not in part:
        return [found for key, one in part.items() for found in places(one, f"{at}.{key}" if at else key)]
    return [at]


def test_all_words_of_the_page_are_in_one_file(guarded: RunningService) -> None:
    """Every text that a script asks for is there, and none is there for nothing."""
    known = places(httpx.get(guarded.url + "/page/texts.json").json()["service"])
    scripts = [httpx.get(f"{guarded.url}/page/{name}").text for name in _names() if name.endswith(".js")]
    asked = {found[1] for script in scripts for found in ASKED.finditer(script)}
    # the value of an expression in it is any one key
    patterns = [
        re.compile(re.sub(r"\\\$\\\{.*?\\\}", r"[\\w-]+", re.escape(one)) + r"(\.|$)") for one in asked
    ]
    assert len(asked) > 50
    for one, pattern in zip(asked, patterns, strict=True):
        assert any(pattern.match(place) for place in known), f"there is no text {one}"
    for place in known:
        assert any(pattern.match(place) for pattern in patterns), f"nothing asks for the text {place}"
