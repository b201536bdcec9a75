"""Studies on the page: recordings are put together, conditions and people named, tables taken away."""

from __future__ import annotations

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from emofuse.folders.study import RESULTS
from emofuse.server.client import Client
from tests.support import chromium, drawn_people, media_files
from tests.support.accessibility import grave_problems
from tests.support.service import RunningService
from tests.support.service_page import focused, foreign, problems, type_text


@pytest.fixture(scope="module")
def jobs(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A film and two voices that were read, by the names of their files."""
    folder = tmp_path_factory.mktemp("recordings")
    one = drawn_people.draw_person(1)
    drawn_people.write_video(folder / "study film.mp4", one.speaking(90), audio=one.speech(6.0))
    media_files.write_wav(folder / "study talk 1.wav", one.speech(4.0), drawn_people.RATE)
    shutil.copy(folder / "study talk 1.wav", folder / "study =talk 2.wav")
    found = {path.name: service.add_job(path)["id"] for path in folder.iterdir()}
    for job_id in found.values():
        assert service.wait_for(job_id, "done", "failed")["state"] == "done"
    return found


@pytest.fixture
def study(service: RunningService, jobs: dict[str, str]) -> Any:
    """A study of all of them in one condition."""
    recordings = [{"job": job_id, "condition": "before"} for job_id in jobs.values()]
    with Client(service.url) as client:
        for job_id in jobs.values():
            client.annotate(job_id, {"names": None, "markers": [{"start_s": 2.0, "text": "question"}]})
        made = client.add_study("interviews", recordings)
        yield made
        if made.id in {one.id for one in client.studies()}:
            client.erase_study(made.id)


def open_view(page: chromium.Page, service: RunningService, address: str, **how: Any) -> None:
    page.open_address("about:blank")  # another view of the same page would not load it again
    page.open_address(f"{service.url}/#/{address}", **how)


def field(label: str) -> str:
    return f"document.querySelector({json.dumps(f'input[aria-label={json.dumps(label)}]')})"


def write(page: chromium.Page, label: str, text: str) -> None:
    """Write in a field, in place of what is in it, and press Enter."""
    page.until(field(label))
    page.run(f"{field(label)}.focus(); {field(label)}.select()")
    type_text(page, text)
    page.key("Enter", 13, text="\r")


def shown_results(page: chromium.Page) -> str:
    page.until("document.querySelectorAll('#study-shown img').length === 2")
    page.until("[...document.querySelectorAll('#study-shown img')].every((one) => one.naturalWidth > 100)")
    return str(page.run("document.getElementById('study-shown').textContent"))


def test_a_study_is_made_with_the_keyboard_alone(
    page: chromium.Page, service: RunningService, jobs: dict[str, str]
) -> None:
    open_view(page, service, "studies")
    page.until("document.getElementById('study-name')")
    assert grave_problems(page) == []
    page.run("document.getElementById('view').focus()")
    page.key("Tab", 9)
    assert focused(page) == "study-name"
    type_text(page, "by hand")
    page.key("Enter", 13, text="\r")
    page.until("document.querySelectorAll('#add li').length >= 3")
    assert page.run("document.querySelector('h1').textContent") == "by hand"
    assert page.run("document.getElementById('add-chosen').disabled")
    assert grave_problems(page) == []
    page.run("document.querySelector('#add summary').focus()")
    page.key("Tab", 9)
    assert focused(page) == "add-search"
    type_text(page, "study TALK")
    page.until("document.querySelectorAll('#add li:not([hidden])').length === 1")
    page.run("document.getElementById('add-search').select()")
    type_text(page, "study ")
    page.key("Tab", 9)
    assert focused(page) == "add-all"
    page.key(" ", 32)
    for _ in range(20):  # past the boxes
        page.key("Tab", 9)
        if focused(page) == "add-condition":
            break
    type_text(page, "before")
    page.key("Enter", 13, text="\r")
    page.until("document.querySelectorAll('tr[data-job]').length === 3")
    with Client(service.url) as client:
        (made,) = (client.study(one.id) for one in client.studies() if one.name == "by hand")
        assert {(one.job, one.condition) for one in made.recordings} == {
            (one, "before") for one in jobs.values()
        }
        page.until("document.getElementById('study-shown').textContent.includes('everybody')")
        assert focused(page) == "add-search"
        client.erase_study(made.id)
    assert problems(page, service) == [] and foreign(page, service) == set()


def test_conditions_and_people_are_named(page: chromium.Page, service: RunningService, study: Any) -> None:
    """What is written is kept, is in the tables, and is there after the page is loaded again."""
    open_view(page, service, f"study/{study.id}")
    shown_results(page)
    write(page, "Condition of study talk 1.wav", "after")
    write(page, "Name of person 1 in study film.mp4", "Anna")
    write(page, "Who speaks in study talk 1.wav", "Anna")
    page.until("document.getElementById('study-facts').textContent.includes('1 person · 2 conditions')")
    page.until("document.querySelector('#means table')?.textContent.includes('Anna')")
    text = shown_results(page)
    assert "after" in text and "a voice in study =talk 2.wav" in text
    with Client(service.url) as client:
        found = client.study(study.id)
        entries = {one.file: (one.condition, one.participant) for one in found.recordings}
        assert entries == {
            "study film.mp4": ("before", None),
            "study talk 1.wav": ("after", "Anna"),
            "study =talk 2.wav": ("before", None),
        }
        assert found.participants == ["Anna"]
        table = list(
            csv.DictReader(io.StringIO(client.study_result(study.id, "conditions").decode(), newline=""))
        )
    assert ("after", "Anna") in {(row["condition"], row["person"]) for row in table}
    # the page shows the figures of the table
    cells = page.run(
        "[...document.querySelectorAll('#means tbody tr')]"
        ".map((row) => [...row.children].map((one) => one.textContent))"
    )
    assert [row[0] for row in cells] == [row["condition"] for row in table]
    assert [row[5] for row in cells] == [f"{100 * float(row['share_happy']):.0f} %" for row in table]
    options = "[...document.querySelectorAll('#participants option')].map((one) => one.value)"
    assert page.run(options) == ["Anna"]
    open_view(page, service, f"study/{study.id}")
    page.until(field("Name of person 1 in study film.mp4"))
    assert page.run(f"{field('Name of person 1 in study film.mp4')}.value") == "Anna"
    assert page.run(f"{field('Condition of study talk 1.wav')}.value") == "after"
    assert problems(page, service) == [] and foreign(page, service) == set()


def test_what_is_written_while_something_is_kept_is_not_lost(
    page: chromium.Page, service: RunningService, study: Any
) -> None:
    """The next field keeps the focus, and what is in it, when the change of the one before is shown."""
    open_view(page, service, f"study/{study.id}")
    page.until(field("Condition of study film.mp4"))
    page.run(
        f"{field('Condition of study film.mp4')}.select(); {field('Condition of study film.mp4')}.focus()"
    )
    type_text(page, "after")
    page.key("Tab", 9)
    type_text(page, "Ann")
    page.until("document.getElementById('message').textContent === 'Saved.'")
    page.until("document.getElementById('study-facts').textContent.includes('2 conditions')")
    type_text(page, "a")
    assert (
        page.run("document.activeElement.getAttribute('aria-label')") == "Name of person 1 in study film.mp4"
    )
    assert page.run("document.activeElement.value") == "Anna"
    page.key("Tab", 9)
    page.until("document.getElementById('study-facts').textContent.includes('1 person')")
    with Client(service.url) as client:
        assert client.study(study.id).participants == ["Anna"]


def test_every_table_can_be_taken_away(page: chromium.Page, service: RunningService, study: Any) -> None:
    open_view(page, service, f"study/{study.id}")
    page.until("document.querySelectorAll('.study-files a').length === 7")
    links = page.run(
        "[...document.querySelectorAll('.study-files a')]"
        ".map((one) => [one.dataset.result, one.href, one.download])"
    )
    assert [link[0] for link in links] == list(RESULTS)
    for result, address, name in links:
        answer = service.client.get(address)
        assert answer.status_code == 200 and f'filename="{name}"' in answer.headers["content-disposition"]
        if name.endswith(".svg"):
            assert ET.fromstring(answer.text).tag.endswith("svg")
            continue
        rows = list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))
        assert rows and None not in rows[0], result
        assert {row["purpose"] for row in rows if "purpose" in row} <= {"tests"}
    page.run("for (const one of document.querySelectorAll('#study-shown details')) one.open = true")
    offsets = "[...document.querySelectorAll('#curves tbody tr')].map((row) => row.children[2].textContent)"
    page.until("document.querySelector('#curves tbody tr')")
    assert page.run(offsets) == [f"{offset} s" for offset in range(-5, 16)]


def test_a_change_of_somebody_else_is_seen_and_nothing_is_lost(
    page: chromium.Page, service: RunningService, study: Any
) -> None:
    open_view(page, service, f"study/{study.id}")
    page.until(field("Condition of study film.mp4"))
    with Client(service.url) as client:
        client.change_study(study.id, {"name": "interviews, checked"})
        write(page, "Condition of study film.mp4", "after")
        page.until("document.getElementById('message').textContent.startsWith('Somebody else changed')")
        assert page.run("document.querySelector('h1').textContent") == "interviews, checked"
        assert {one.condition for one in client.study(study.id).recordings} == {"before"}
        write(page, "Condition of study film.mp4", "after")
        page.until("document.getElementById('message').textContent === 'Saved.'")
        assert client.study(study.id).conditions.count("after") == 1
        # a name that cannot be is refused, and what was there is shown again
        page.run(f"{field('Condition of study film.mp4')}.maxLength = 999")
        write(page, "Condition of study film.mp4", "x" * 201)
        page.until("document.getElementById('message').textContent.includes('200')")
        assert page.run(f"{field('Condition of study film.mp4')}.value") == "after"


def test_on_a_phone_in_the_dark(page: chromium.Page, service: RunningService, study: Any) -> None:
    """Nothing reaches beyond the screen; a recording is taken out, and the study is erased."""
    open_view(page, service, f"study/{study.id}", size=(360, 740), dark=True)
    shown_results(page)
    page.run("for (const one of document.querySelectorAll('details')) one.open = true")
    page.until("document.querySelector('#means table')")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.run("document.querySelector('.study-keeping').textContent").startswith(
        "3 recordings are erased"
    )
    page.run("document.getElementById('keep-all').click()")
    page.until("document.querySelector('.study-keeping').hidden")
    assert focused(page) == "recordings-title"
    with Client(service.url) as client:
        assert {one.keep_until for one in client.study(study.id).recordings} == {None}
        for one in study.recordings:
            assert client.change_job(one.job, keep="7d").keep_until
    assert "dark=true" in page.run("document.querySelector('#study-shown img').currentSrc")
    assert grave_problems(page) == []
    page.run("document.querySelector('button[aria-label=\"Take out: study film.mp4\"]').click()")
    page.until("document.querySelectorAll('tr[data-job]').length === 2")
    assert focused(page) == "recordings-title"
    page.until("document.getElementById('message').textContent.startsWith('study film.mp4 is no longer')")
    page.run("document.querySelector('.study-end button:last-child').click()")
    page.until("document.querySelector('dialog[open]')")
    assert grave_problems(page) == []
    page.run("document.querySelector('dialog[open] button:last-of-type').click()")
    page.until("location.hash === '#/studies' && document.getElementById('studies')")
    page.until(f"!document.querySelector('[data-id=\"{study.id}\"]')")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert grave_problems(page) == []
    with Client(service.url) as client:
        assert study.id not in {one.id for one in client.studies()}
        assert all(client.job(one.job).state == "done" for one in study.recordings)
    assert problems(page, service) == [] and foreign(page, service) == set()
