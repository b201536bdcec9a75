"""The page, driven in a real browser against a real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emofuse.server.client import Client
from tests.support import chromium, small_corpora
from tests.support.service import TOKEN, RunningService

FILES = "#files"


@pytest.fixture(scope="module")
def film(home: Path) -> Path:
    """Somebody who speaks; its name is one that HTML and headers could stumble on."""
    return small_corpora.write_clip(home / "who's <there> & why é.mp4", emotion=2)


def problems(page: chromium.Page, service: RunningService) -> list[Any]:
    """Errors in the browser's console: of scripts, of the content security policy, of requests."""
    entries = [event["params"]["entry"] for event in page.events if event.get("method") == "Log.entryAdded"]
    # what the page before asked for may fail only now
    errors = [
        one for one in entries if one["level"] == "error" and one.get("url", "").startswith(service.url)
    ]
    return errors + [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]


def requested(page: chromium.Page) -> set[str]:
    return {
        event["params"]["request"]["url"].partition("?")[0]
        for event in page.events
        if event.get("method") == "Network.requestWillBeSent"
    }


def type_text(page: chromium.Page, text: str) -> None:
    for letter in text:
        page.key(letter)


def focused(page: chromium.Page) -> str:
    return str(page.run("document.activeElement.id || document.activeElement.className"))


def test_a_clip_is_dropped_and_its_timeline_is_seen(
    page: chromium.Page, service: RunningService, film: Path
) -> None:
    page.open_address(service.url + "/")
    page.until("!document.getElementById('drop').hidden")
    x, y = page.run(
        "(() => { const box = document.getElementById('drop').getBoundingClientRect();"
        " return [box.x + 20, box.y + 20]; })()"
    )
    page.drop(x, y, film)
    item = (
        "[...document.querySelectorAll('[data-state=done]')]"
        f".find((one) => one.querySelector('.name').textContent === {json.dumps(film.name)})"
    )
    page.until(item)
    links = page.run(f"[...{item}.querySelectorAll('.formats a')].map((a) => a.href)")
    with Client(service.url) as client:
        assert [link.rpartition("/")[2] for link in links] == list(client.models().formats)
    # progress came by events
    assert any(url.endswith("/events") for url in requested(page))
    assert all(url.startswith((service.url, "data:", "blob:")) for url in requested(page))
    assert problems(page, service) == []
    page.run(f"{item}.querySelector('.timeline').click()")
    page.until("document.getElementById('tracks') && !document.getElementById('live').hidden")
    assert page.run("document.querySelector('h1').textContent") == film.name
    assert page.run("document.querySelectorAll('table tr').length") > 1
    # the recording plays beside it
    page.until("document.getElementById('media').readyState > 0 && !document.getElementById('media').hidden")
    assert page.run("document.getElementById('media').videoWidth") > 0
    assert problems(page, service) == []


def test_the_page_works_with_the_keyboard_alone(page: chromium.Page, tmp_path: Path, film: Path) -> None:
    """Purpose, upload, exports, erasing; on a narrow, dark screen that nothing reaches beyond."""
    with RunningService(tmp_path / "data", purpose=None) as service:
        page.open_address(service.url + "/", size=(360, 740), dark=True)
        page.until("!document.getElementById('purpose-form').hidden")
        page.key("Tab", 9)
        assert focused(page) == "purpose"
        type_text(page, "a study of interviews")
        page.key("Enter", 13, text="\r")
        page.until("!document.getElementById('drop').hidden")
        assert page.run("document.getElementById('purpose-text').textContent") == "a study of interviews"
        page.until("document.activeElement.id === 'files'")
        page.choose(FILES, film)
        page.until("document.querySelector('[data-state=done]')")
        page.key("Tab", 9)
        assert "timeline" in focused(page)
        page.key("Tab", 9)  # the summary of the exports
        page.key("Enter", 13, text="\r")
        page.until("document.querySelector('details').open")
        assert page.run("document.documentElement.scrollWidth") <= 360
        background = page.run("getComputedStyle(document.body).backgroundColor")
        assert sum(int(part) for part in background[4:-1].split(",")) < 150
        page.run("document.querySelector('.actions button').focus()")
        page.key("Enter", 13, text="\r")
        page.until("!document.querySelector('#queue li')")
        assert focused(page) == "queue-title"
        assert service.client.get("/v1/jobs").json()["jobs"] == []
        assert problems(page, service) == []


def test_the_token_is_asked_for_and_is_not_kept(page: chromium.Page, guarded: RunningService) -> None:
    page.open_address(guarded.url + "/")
    page.until("!document.getElementById('sign-in').hidden")
    assert page.run("document.getElementById('service').hidden")
    for token, wanted in (("wrong", "sign-in"), (TOKEN, "service")):
        page.run("document.getElementById('token').value = ''; document.getElementById('token').focus()")
        type_text(page, token)
        page.key("Enter", 13, text="\r")
        page.until(
            f"document.getElementById('message').textContent || !document.getElementById('{wanted}').hidden"
        )
    page.until("!document.getElementById('service').hidden")
    assert page.run("document.getElementById('token').value") == ""
    assert TOKEN not in page.run("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})")
    page.open_address(guarded.url + "/")  # the cookie stands for it
    page.until("!document.getElementById('service').hidden")


def test_what_is_no_recording_is_said_so(
    page: chromium.Page, service: RunningService, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("no sound at all")
    page.open_address(service.url + "/")
    page.until("!document.getElementById('drop').hidden")
    page.choose(FILES, notes)
    refused = (
        "[...document.querySelectorAll('#queue li')].find((item) => item.textContent.includes('not sent'))"
    )
    page.until(refused)
    assert "notes.mp4" in page.run(f"{refused}.querySelector('.detail').textContent")


def test_the_shell_is_open_and_strict(guarded: RunningService) -> None:
    import httpx

    for path, kind in (
        ("/", "text/html"),
        ("/page/page.js", "text/javascript"),
        ("/page/page.css", "text/css"),
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
