"""The page of one recording: what it shows, and all that can be changed about it, in a real browser."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support import chromium
from tests.support.accessibility import grave_problems
from tests.support.service import RunningService
from tests.support.service_page import foreign, problems, type_text

ENTER = "\r"
NAMES = "[...document.querySelectorAll('table.people [data-person]')].map((row) => row.dataset.person)"


@pytest.fixture
def job(service: RunningService, conversation: Path) -> str:
    """A film of two people that is read."""
    done = service.wait_for(service.add_job(conversation)["id"], "done", "failed")
    assert done["state"] == "done", done
    return str(done["id"])


def opened(page: chromium.Page, service: RunningService, job: str, **how: Any) -> None:
    page.open_address("about:blank")  # or the browser would only go on in the page that is open
    page.open_address(f"{service.url}/#/recording/{job}", **how)
    page.until("document.querySelector('#undo') && document.querySelector('table.people')")
    page.until("document.querySelector('[data-part=media]').readyState > 0")


def kept(service: RunningService, job: str) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get(f"/v1/jobs/{job}/annotations").json()
    return found


def table(service: RunningService, job: str, kind: str = "csv") -> pd.DataFrame:
    answer = service.client.get(f"/v1/jobs/{job}/results/{kind}")
    assert answer.status_code == 200, answer.text
    return pd.read_csv(io.BytesIO(answer.content))


def fill(page: chromium.Page, *, closes: bool = True, **values: str) -> None:
    """Fill in the dialog that is open, and save."""
    page.until("document.querySelector('dialog[open] form')")
    for name, value in values.items():
        page.run(
            f"(() => {{ const field = document.querySelector('dialog[open] [name={name}]');"
            f" field.value = {json.dumps(value)}; }})()"
        )
    page.run("document.querySelector('dialog[open] form').requestSubmit()")
    if closes:
        page.until("!document.querySelector('dialog[open]')")


def refused(page: chromium.Page, text: str) -> None:
    """The dialog says why, and is still there with what was typed."""
    page.until(f"document.querySelector('dialog[open] .wrong')?.textContent.includes({json.dumps(text)})")


def said(page: chromium.Page, text: str) -> None:
    page.until(f"document.getElementById('message').textContent.includes({json.dumps(text)})")


def press(page: chromium.Page, key: str) -> None:
    """Press a button of the people or marks by its key."""
    page.run(
        f"[...document.querySelectorAll('[data-key]')]"
        f".find((one) => one.dataset.key === {json.dumps(key)}).click()"
    )


def test_curves_are_drawn_and_clicks_seek(page: chromium.Page, service: RunningService, job: str) -> None:
    opened(page, service, job)
    page.until(
        "(() => { const base = document.querySelector('[data-part=base]'), pen = base.getContext('2d');"
        " const data = pen.getImageData(0, 0, base.width, base.height).data, colors = new Set();"
        " for (let i = 0; i < data.length; i += 4)"
        " colors.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);"
        " return colors.size > 20; })()"
    )
    for share in (0.25, 0.75):
        x, y = page.run(
            "(() => { const tracks = document.querySelector('[data-part=tracks]');"
            " tracks.scrollIntoView({ block: 'center' }); const box = tracks.getBoundingClientRect();"
            f" return [box.x + {share} * box.width, box.y + 150]; }})()"
        )
        page.click(x, y)
        page.until("!document.querySelector('[data-part=media]').seeking")
        at, length = page.run(
            "(() => { const film = document.querySelector('[data-part=media]');"
            " return [film.currentTime, film.duration]; })()"
        )
        assert abs(at / length - share) < 0.15
    assert foreign(page, service) == set() and problems(page, service) == []


def test_people_are_named_and_merged(page: chromium.Page, service: RunningService, job: str) -> None:
    opened(page, service, job)
    first, second = page.run(NAMES)[:2]
    press(page, f"rename {first}")
    fill(page, name="Zoë <b>")
    said(page, "Zoë <b>")
    page.until(f"{NAMES}.includes('Zoë <b>')")
    assert "Zoë <b>" in set(table(service, job)["person"])
    # two of one name are refused, in words, and nothing is lost
    press(page, f"rename {second}")
    fill(page, name="Zoë <b>", closes=False)
    refused(page, "merge them, or choose different names")
    page.key("Escape", 27)
    page.until("!document.querySelector('dialog[open]')")
    assert kept(service, job)["names"] == {first: "Zoë <b>"}
    press(page, f"merge {second}")
    fill(page, into=first)
    said(page, "are now one person")
    page.until(f"{NAMES}.length === 1")
    assert set(table(service, job)["person"].dropna()) == {"Zoë <b>"}
    press(page, f"split {second}")
    said(page, "stands alone again")
    page.until(f"{NAMES}.length === 2")
    for n_left in (1, 2, 2):
        page.run("document.getElementById('undo').click()")
        said(page, "Undone")
        page.until(f"{NAMES}.length === {n_left} && !document.getElementById('redo').disabled")
        page.run("document.getElementById('message').textContent = ''")
    assert kept(service, job)["names"] == kept(service, job)["merges"] == {}
    page.run("document.getElementById('redo').click()")
    said(page, "Done again")
    assert kept(service, job)["names"] == {first: "Zoë <b>"}
    # the refused change was answered 422: browsers report that
    assert [one for one in problems(page, service) if "422" not in json.dumps(one)] == []


def test_spans_are_left_out_and_marked_with_the_keyboard_alone(
    page: chromium.Page, service: RunningService, job: str
) -> None:
    """On a narrow, dark screen that nothing reaches beyond; all is there after a reload, with undo."""
    opened(page, service, job, size=(360, 740), dark=True)
    assert grave_problems(page) == []
    page.run("document.querySelector('[data-part=tracks]').focus()")
    for key in ("Home", "ArrowRight", "ArrowRight", "i", "ArrowRight", "ArrowRight", "o", "x"):
        page.key(key, {"Home": 36, "ArrowRight": 39}.get(key, 0))
    page.until("document.querySelector('dialog[open] [name=reason]')")
    assert page.run("[...document.querySelectorAll('dialog input')].slice(0, 2).map((one) => one.value)") == [
        "0:02.0",
        "0:04.0",
    ]
    assert grave_problems(page) == []
    page.run("document.querySelector('dialog[open] [name=reason]').focus()")
    type_text(page, "a phone")
    page.key("Enter", 13, text=ENTER)
    said(page, "left out")
    page.until("document.querySelectorAll('table.marks [data-mark]').length === 1")
    page.run("document.querySelector('[data-part=tracks]').focus()")
    page.key("Escape", 27)
    page.key("m")
    page.until("document.activeElement.name === 'text'")
    type_text(page, "question 1")
    page.key("Enter", 13, text=ENTER)
    said(page, "marker is set")
    found = kept(service, job)
    assert [(one["start_s"], one["end_s"], one["reason"]) for one in found["excluded"]] == [
        (2.0, 4.0, "a phone")
    ]
    assert [(one["start_s"], one["text"]) for one in found["markers"]] == [(4.0, "question 1")]
    windows = table(service, job, "windows-csv")
    assert not ((windows["start_s"] < 4) & (windows["end_s"] > 2)).any() and len(windows)
    assert set(table(service, job, "markers-csv")["text"]) == {"a phone", "question 1"}
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert grave_problems(page) == []
    opened(page, service, job, size=(360, 740), dark=True)
    assert page.run("document.querySelectorAll('table.marks [data-mark]').length") == 2
    page.run("document.querySelector('[data-part=tracks]').focus()")
    page.key("z", 90, modifiers=2)
    said(page, "Undone")
    page.until("document.querySelectorAll('table.marks [data-mark]').length === 1")
    assert kept(service, job)["markers"] == []
    press(page, "remove excluded 0")
    said(page, "Removed")
    assert kept(service, job)["excluded"] == []
    assert foreign(page, service) == set() and problems(page, service) == []


def test_a_change_of_somebody_else_is_not_overwritten(
    page: chromium.Page, service: RunningService, job: str
) -> None:
    opened(page, service, job)
    other = {"markers": [{"start_s": 1.0, "text": "theirs"}]}
    assert service.client.patch(f"/v1/jobs/{job}/annotations", json=other).status_code == 200
    page.run("document.getElementById('add-marker').click()")
    fill(page, text="mine", closes=False)
    refused(page, "Somebody else changed")
    assert [one["text"] for one in kept(service, job)["markers"]] == ["theirs"]
    page.until("document.querySelectorAll('table.marks [data-mark]').length === 1")
    fill(page, closes=False)  # what was typed is still there
    said(page, "marker is set")
    assert sorted(one["text"] for one in kept(service, job)["markers"]) == ["mine", "theirs"]


def test_a_wrong_time_is_said_where_it_was_typed(
    page: chromium.Page, service: RunningService, job: str
) -> None:
    opened(page, service, job)
    for start, end, problem in (("4,30", "abc", "in minutes and seconds"), ("0:05", "0:02", "ends before")):
        page.run("document.getElementById('leave-out').click()")
        fill(page, start_s=start, end_s=end, reason="a phone", closes=False)
        refused(page, problem)
        assert page.run("document.querySelector('dialog[open] [name=reason]').value") == "a phone"
        page.key("Escape", 27)
        page.until("!document.querySelector('dialog[open]')")
    assert kept(service, job)["excluded"] == [] and problems(page, service) == []


def test_consent_and_the_time_it_is_kept_are_changed(
    page: chromium.Page, service: RunningService, job: str
) -> None:
    opened(page, service, job)
    assert "erased in 7 days" in page.run("document.querySelector('.keeping').textContent")
    page.run("document.querySelectorAll('.keeping button')[0].click()")
    fill(page, consent="form 7")
    page.until("document.querySelector('.keeping').textContent.includes('form 7')")
    page.run("document.querySelectorAll('.keeping button')[1].click()")
    fill(page, keep="")
    page.until("document.querySelector('.keeping').textContent.includes('until somebody erases it')")
    found = service.job(job)
    assert (found["consent"], found["keep_until"]) == ("form 7", None)
    assert problems(page, service) == []


def test_every_export_is_offered(page: chromium.Page, service: RunningService, job: str) -> None:
    opened(page, service, job)
    links = page.run("[...document.querySelectorAll('.formats a')].map((one) => one.href)")
    listed = service.client.get(f"/v1/jobs/{job}/results").json()["results"]
    assert sorted(link.removeprefix(service.url) for link in links) == sorted(one["url"] for one in listed)
    for link in links:
        status, size = page.run(
            f"fetch({json.dumps(link)}).then(async (reply) => [reply.status, (await reply.blob()).size])"
        )
        assert status == 200 and size > 30
    assert grave_problems(page) == [] and problems(page, service) == []
