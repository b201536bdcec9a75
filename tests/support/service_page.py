"""What tests of the service's page share: what goes wrong in the browser, and what it asks for."""

from __future__ import annotations

import time
from typing import Any

from tests.support import chromium
from tests.support.service import FOREVER_S, RunningService


def problems(page: chromium.Page, service: RunningService) -> list[Any]:
    """Errors in the browser's console: of scripts, of the content security policy, of requests."""
    entries = [event["params"]["entry"] for event in page.events if event.get("method") == "Log.entryAdded"]
    # what the page before asked for may fail only now
    errors = [
        one for one in entries if one["level"] == "error" and one.get("url", "").startswith(service.url)
    ]
    return errors + [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]


def foreign(page: chromium.Page, service: RunningService) -> set[str]:
    """Addresses beyond the service that the page asked for."""
    return {url for url in requested(page) if not url.startswith((service.url, "data:", "blob:"))}


def requested(page: chromium.Page) -> set[str]:
    """All addresses that the page asked for."""
    return {
        event["params"]["request"]["url"].partition("?")[0]
        for event in page.events
        if event.get("method") == "Network.requestWillBeSent"
    }


def until(page: chromium.Page, condition: str) -> None:
    """Wait for what happens in the end, also on a crowded machine."""
    end = time.monotonic() + FOREVER_S
    while not page.run(f"Boolean({condition})"):
        assert time.monotonic() < end, (condition, page.run("document.body.innerText"))
        time.sleep(0.1)


def type_text(page: chromium.Page, text: str) -> None:
    """Type on the keyboard."""
    for letter in text:
        page.key(letter)


def focused(page: chromium.Page) -> str:
    """The id or the class of what has the focus."""
    return str(page.run("document.activeElement.id || document.activeElement.className"))
