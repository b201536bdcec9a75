"""The recordings of the page: purpose, token, queue, in a real browser against a real service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.server.client import Client
from tests.support import chromium, small_corpora
from tests.support.accessibility import grave_problems
from tests.support.service import PURPOSE, TOKEN, RunningService
from tests.support.service_page import focused, foreign, problems, requested, type_text

FILES = "#files"


@pytest.fixture(scope="module")
def film(home: Path) -> Path:
    """Somebody who speaks; its name is one that HTML and headers could stumble on."""
    return small_corpora.write_clip(home / "who's <there> & why é.mp4", emotion=2)


def test_a_clip_is_dropped_and_its_timeline_is_seen(
    page: chromium.Page, service: RunningService, film: Path
) -> None:
    page.open_address(service.url + "/")
    page.until("document.getElementById('drop') && !document.getElementById('drop').hidden")
    x, y = page.run(
        "(() => { const box = document.getElementById('drop').getBoundingClientRect();"
        " return [box.x + 20, box.y + 20]; })()"
    )
    page.drop(x, y, film)
    item = (
        "[...document.querySelectorAll('#queue [data-state=done]')]"
        f".find((one) => one.querySelector('.name').textContent === {json.dumps(film.name)})"
    )
    page.until(item)
    assert "erased in 7 days" in page.run(f"{item}.textContent")
    # progress came by events
    assert any(url.endswith("/events") for url in requested(page))
    assert foreign(page, service) == set()
    assert grave_problems(page) == []
    page.run(f"{item}.querySelector('a.open').click()")
    page.until("document.querySelector('.view-recording h1')")
    assert page.run("document.querySelector('h1').textContent") == film.name
    links = page.run("[...document.querySelectorAll('.formats a')].map((a) => a.href)")
    with Client(service.url) as client:
        assert sorted(link.rpartition("/")[2] for link in links) == sorted(client.models().formats)
    assert problems(page, service) == []


def test_the_page_works_with_the_keyboard_alone(page: chromium.Page, tmp_path: Path, film: Path) -> None:
    """Purpose, upload, erasing; on a narrow, dark screen that nothing reaches beyond."""
    with RunningService(tmp_path / "data", purpose=None) as service:
        page.open_address(service.url + "/", size=(360, 740), dark=True)
        page.until(
            "document.getElementById('purpose-form') && !document.getElementById('purpose-form').hidden"
        )
        assert grave_problems(page) == []
        page.run("document.getElementById('view').focus()")
        page.key("Tab", 9)
        assert focused(page) == "purpose"
        type_text(page, "a study of interviews")
        page.key("Enter", 13, text="\r")
        page.until("!document.getElementById('drop').hidden")
        assert page.run("document.getElementById('purpose-text').textContent") == "a study of interviews"
        page.until("document.activeElement.id === 'files'")
        page.choose(FILES, film)
        page.until("document.querySelector('[data-state=done] a.open')")
        for _ in range(5):  # past both buttons of the recorder, consent, and the name
            page.key("Tab", 9)
        assert "open" in focused(page)
        assert page.run("document.documentElement.scrollWidth") <= 360
        background = page.run("getComputedStyle(document.body).backgroundColor")
        assert sum(int(part) for part in background[4:-1].split(",")) < 150
        assert grave_problems(page) == []
        page.key("Tab", 9)
        page.key("Enter", 13, text="\r")
        page.until("document.querySelector('dialog[open]')")
        page.key("Tab", 9)
        page.key("Enter", 13, text="\r")
        page.until("!document.querySelector('#queue li')")
        assert focused(page) == "queue-title"
        assert service.client.get("/v1/jobs").json()["jobs"] == []
        assert problems(page, service) == []


def test_what_is_dropped_before_the_purpose_is_said_is_not_lost(
    page: chromium.Page, tmp_path: Path, film: Path
) -> None:
    with RunningService(tmp_path / "data", purpose=None) as service:
        page.open_address("about:blank")
        page.open_address(service.url + "/")
        page.until("document.getElementById('purpose')?.offsetParent")
        page.drop(300, 300, film)
        page.until("document.getElementById('message').textContent.includes('First say what')")
        assert focused(page) == "purpose" and service.client.get("/v1/jobs").json()["jobs"] == []
        type_text(page, "a pilot study")
        page.key("Enter", 13, text="\r")
        page.until("document.querySelector('#queue [data-id]')")
        (job,) = service.client.get("/v1/jobs").json()["jobs"]
        assert (job["name"], job["purpose"]) == (film.name, "a pilot study")


def test_consent_is_noted_with_what_is_sent(page: chromium.Page, service: RunningService, film: Path) -> None:
    page.open_address("about:blank")
    page.open_address(service.url + "/")
    page.until("document.getElementById('consent') && !document.getElementById('drop').hidden")
    page.run("document.getElementById('consent').value = 'form 12 & signed'")
    page.choose(FILES, film)
    page.until("document.getElementById('message').textContent.includes('is here')")
    job = service.client.get("/v1/jobs").json()["jobs"][0]
    service.wait_for(job["id"], "done")
    page.until(
        f"document.querySelector('[data-id=\"{job['id']}\"]').textContent.includes('form 12 & signed')"
    )
    assert service.job(job["id"])["consent"] == "form 12 & signed"
    assert not any("form" in url for url in requested(page))
    assert problems(page, service) == []


def test_what_the_law_asks_for_is_said(page: chromium.Page, service: RunningService) -> None:
    page.open_address("about:blank")
    page.open_address(service.url + "/#/about")
    page.until("document.getElementById('notice')")
    text = page.run("document.getElementById('view').innerText")
    for promise in ("Article 5(1)(f)", "2 December 2027", "GDPR, Article 9", "CC BY-NC-SA 4.0"):
        assert promise in text
    assert "to be checked by a lawyer" in text
    assert "mean recall" in page.run("document.querySelector('#card pre').textContent")
    assert f"What for: {PURPOSE}" in page.run("document.getElementById('notice').value")
    assert grave_problems(page) == [] and problems(page, service) == []


def test_the_token_is_asked_for_and_is_not_kept(page: chromium.Page, guarded: RunningService) -> None:
    page.open_address(guarded.url + "/")
    page.until("document.getElementById('token')")
    assert not page.run("document.getElementById('drop')")
    assert grave_problems(page) == []
    for token, then in (
        ("wrong", "document.getElementById('message').textContent.includes('not the token')"),
        (TOKEN, "document.getElementById('drop') && !document.getElementById('sign-out').hidden"),
    ):
        page.run("document.getElementById('token').value = ''; document.getElementById('token').focus()")
        type_text(page, token)
        page.key("Enter", 13, text="\r")
        page.until(then)
    assert not page.run("document.getElementById('token')")
    assert TOKEN not in page.run("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})")
    page.open_address(guarded.url + "/")  # the cookie stands for it
    page.until("document.getElementById('drop')")
    page.run("document.getElementById('sign-out').click()")
    page.until("document.getElementById('token')")


def test_what_is_no_recording_is_said_so(
    page: chromium.Page, service: RunningService, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("no sound at all")
    page.open_address(service.url + "/")
    page.until("document.getElementById('drop') && !document.getElementById('drop').hidden")
    page.choose(FILES, notes)
    refused = (
        "[...document.querySelectorAll('#queue li')].find((item) => item.textContent.includes('not copied'))"
    )
    page.until(refused)
    assert "notes.mp4" in page.run(f"{refused}.querySelector('.detail').textContent")
