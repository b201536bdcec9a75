"""The page's people: enrolled from files and from what the camera gives, and erased."""

from __future__ import annotations

import json
from pathlib import Path

from emofuse.server.client import Client
from tests.support import chromium
from tests.support.accessibility import grave_problems
from tests.support.service import RunningService
from tests.support.service_page import focused, foreign, problems, until

SAYS = "document.getElementById('message').textContent"


def opened(page: chromium.Page, service: RunningService, **how: object) -> None:
    page.open_address("about:blank")
    page.open_address(f"{service.url}/#/people", **how)  # type: ignore[arg-type]
    until(page, "document.getElementById('person-form')")


def press(page: chromium.Page, selector: str) -> None:
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def record(page: chromium.Page, seconds: float = 3.0) -> None:
    """Record some seconds with camera and microphone, and use them."""
    press(page, "[data-record=film]")
    until(page, "document.querySelector('[data-record=start]')")
    press(page, "[data-record=start]")
    until(page, f"parseInt(document.querySelector('.record-time')?.textContent.slice(2)) >= {seconds:g}")
    press(page, "[data-record=stop]")
    until(page, "document.querySelector('[data-record=use]')")
    press(page, "[data-record=use]")


def test_somebody_is_enrolled_with_the_face_and_found_live(
    equipped: chromium.Page, service: RunningService, speaker_film: Path
) -> None:
    """From a file and from what the camera gives; afterwards live mode knows who is there."""
    page = equipped
    opened(page, service)
    assert grave_problems(page) == []
    press(page, "#person-enroll")  # the browser asks for the name first
    assert page.run("!document.getElementById('person-name').validity.valid")
    page.run("document.getElementById('person-name').focus()")
    page.send("Input.insertText", text="Nora <b> & Co")
    press(page, "#person-enroll")
    until(page, f"{SAYS} === 'Add a recording first.'")
    page.choose("#person-files", speaker_film)
    until(page, "document.querySelectorAll('.person-clips .name').length === 1")
    record(page)
    until(page, "document.querySelectorAll('.person-clips .name').length === 2")
    page.choose("#person-files", speaker_film)
    until(page, "document.querySelectorAll('.person-clips .name').length === 3")
    page.run("[...document.querySelectorAll('.person-clips button')].at(-1).click()")
    assert page.run("document.querySelectorAll('.person-clips .name').length") == 2
    press(page, "#person-face")
    press(page, "#person-enroll")
    until(page, f"{SAYS}.includes('is enrolled from 2 recordings')")
    assert focused(page) == "people-title"
    assert grave_problems(page) == []
    with Client(service.url) as client:
        (person,) = [one for one in client.people() if one.name == "Nora <b> & Co"]
        assert person.clips == 2 and person.has_face
        assert "2 recordings, with the face" in page.run(
            f"document.querySelector('[data-id=\"{person.id}\"]').textContent"
        )
        page.run("location.hash = '#/live'")
        until(page, "document.querySelector('[name=person]')")
        press(page, f"[name=person][value='{person.id}']")
        press(page, "#live-start")
        until(page, "document.querySelector('.live-card')")
        press(page, "#live-end")
        until(page, "document.getElementById('live-table')")
        assert problems(page, service) == [] and foreign(page, service) == set()
        client.erase_person(person.id)


def test_erasing_somebody_with_all_that_was_read_of_them(
    page: chromium.Page, service: RunningService, clip: Path
) -> None:
    """By keyboard, on a narrow, dark screen: kept, erased alone, erased with the recordings."""
    with Client(service.url) as client:
        jobs = {}
        for name in ("Erased alone", "Erased with all"):
            person = client.enroll(name, [clip])
            jobs[name] = client.submit(clip, person=person.id).id
        for job_id in jobs.values():
            service.wait_for(job_id, "done")
        opened(page, service, size=(360, 740), dark=True)
        button = (
            "[...document.querySelectorAll('#people button')].find((one) => one.ariaLabel.endsWith('%s'))"
        )
        for name, keys in (
            ("Erased with all", ["Enter"]),  # on "Keep", which has the focus after the choice
            ("Erased alone", ["Tab", "Tab", "Enter"]),
            ("Erased with all", [" ", "Tab", "Tab", "Enter"]),
        ):
            found = button % name
            until(page, found)
            page.run(f"{found}.focus()")
            page.key("Enter", 13, text="\r")
            until(page, "document.querySelector('dialog[open]')")
            assert focused(page) == "erase-recordings"
            assert grave_problems(page) == []
            assert page.run("document.documentElement.scrollWidth") <= 360
            for key in keys if keys != ["Enter"] else ["Tab", "Enter"]:
                code = {"Tab": 9, "Enter": 13, " ": 32}[key]
                page.key(key, code, **({"text": "\r"} if key == "Enter" else {}))
            until(page, "!document.querySelector('dialog')")
            if keys != ["Enter"]:
                until(page, f"!({found})")
                until(page, f"{SAYS} === {json.dumps(f'{name} is erased.')}")
        left = {job.id for job in client.jobs()}
        assert jobs["Erased alone"] in left and jobs["Erased with all"] not in left
        assert not {"Erased alone", "Erased with all"} & {one.name for one in client.people()}
        client.erase(jobs["Erased alone"])
    assert problems(page, service) == []


def test_a_recording_that_cannot_be_used_is_named(
    page: chromium.Page, service: RunningService, clip: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("no sound at all")
    opened(page, service)
    page.run("document.getElementById('person-name').value = 'Half'")
    page.choose("#person-files", notes)
    press(page, "#person-enroll")
    until(page, f"{SAYS}.includes('notes.mp4')")
    assert page.run("document.querySelectorAll('.person-clips .name').length") == 1  # nothing is lost
    page.choose("#person-files", clip)
    press(page, "#person-enroll")
    until(
        page,
        f"{SAYS}.includes('Half is enrolled from 1 recording. Not used: notes.mp4')"
        f" && {SAYS}.includes('Choose Half where you drop')",
    )
    with Client(service.url) as client:
        (person,) = [one for one in client.people() if one.name == "Half"]
        client.erase_person(person.id)
