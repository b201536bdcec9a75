"""The page's recorder: a clip of camera and microphone becomes a job."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from emofuse.server.client import Client
from tests.support import chromium
from tests.support.accessibility import grave_problems
from tests.support.fake_devices import allow
from tests.support.service import RunningService
from tests.support.service_page import focused, foreign, problems, until
from tests.support.typed import not_none

STATUS = "document.querySelector('.record-status').textContent"


def opened(page: chromium.Page, service: RunningService, **how: object) -> None:
    page.open_address("about:blank")
    page.open_address(f"{service.url}/", **how)  # type: ignore[arg-type]
    until(page, "document.querySelector('[data-record=film]') && !document.getElementById('drop').hidden")


def press(page: chromium.Page, selector: str) -> None:
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def record(page: chromium.Page, kind: str, seconds: int) -> None:
    press(page, f"[data-record={kind}]")
    until(page, "document.querySelector('[data-record=start]')")
    press(page, "[data-record=start]")
    until(page, f"parseInt(document.querySelector('.record-time')?.textContent.slice(2)) >= {seconds}")
    press(page, "[data-record=stop]")
    until(page, "document.querySelector('[data-record=use]')")


@pytest.mark.parametrize(("kind", "video"), [("film", True), ("sound", False)])
def test_what_is_recorded_is_read(
    equipped: chromium.Page, service: RunningService, tmp_path: Path, kind: str, video: bool
) -> None:
    """The browser's file says no duration: it is read to its end all the same, and can be sought."""
    page = equipped
    opened(page, service)
    record(page, kind, 5)
    assert grave_problems(page) == []
    press(page, "[data-record=use]")
    done = "document.querySelector('#queue li[data-state=done]')"
    until(page, f"{done} && {done}.textContent.includes('recording 20')")
    job_id = page.run(f"{done}.dataset.id")
    with Client(service.url) as client:
        job = client.job(job_id)
        assert job.name.startswith("recording 20") and job.name.endswith(".webm")
        path = tmp_path / "recorded.webm"
        path.write_bytes(service.client.get(f"/v1/jobs/{job_id}/media").content)
        with av.open(str(path)) as container:
            assert container.duration is None
            assert bool(container.streams.video) == video and container.streams.audio
            packets = [packet for packet in container.demux() if packet.pts is not None]
            last_s = max(float(not_none(one.pts) * one.time_base) for one in packets)
        assert 4.0 < last_s < 60
        assert job.progress.total_s == pytest.approx(last_s, abs=0.5)
        assert job.outcome["n_people"] == int(video)
        page.run(f"window.player = document.createElement('video'); player.src = '/v1/jobs/{job_id}/media'")
        until(page, "player.readyState > 0")
        page.run("player.currentTime = 3")
        until(page, "!player.seeking")
        assert page.run("player.currentTime") == pytest.approx(3, abs=0.1)
        client.erase(job_id)
    assert problems(page, service) == [] and foreign(page, service) == set()


def test_a_recording_is_discarded_and_the_devices_are_let_go(
    equipped: chromium.Page, service: RunningService
) -> None:
    """Keyboard alone, on a narrow, dark screen."""
    page = equipped
    opened(page, service, size=(360, 740), dark=True)
    page.run("document.querySelector('[data-record=film]').focus()")
    page.key("Enter", 13, text="\r")
    until(page, "document.activeElement.dataset.record === 'start'")
    page.run("window.tracks = document.querySelector('.record-stage video').srcObject.getTracks(); true")
    page.key("Enter", 13, text="\r")
    until(page, "document.activeElement.dataset.record === 'stop'")
    until(page, "document.querySelector('.record-time').textContent > '0:01'")
    assert page.run("document.documentElement.scrollWidth") <= 360
    page.key("Enter", 13, text="\r")
    until(page, "document.activeElement.dataset.record === 'use'")
    assert page.run("tracks.every((track) => track.readyState === 'ended')")
    assert grave_problems(page) == []
    assert page.run("document.documentElement.scrollWidth") <= 360
    for _ in range(2):
        page.key("Tab", 9)
    page.key("Enter", 13, text="\r")
    until(page, "!document.querySelector('.record-stage video')")
    assert page.run("document.activeElement.dataset.record") == "film"
    # leaving the view while it records
    press(page, "[data-record=sound]")
    until(page, "document.activeElement.dataset.record === 'start'")
    page.run("document.querySelector('[data-record=start]').click(); location.hash = '#/about'")
    until(page, "document.querySelector('.view-about')")
    with Client(service.url) as client:
        assert not [job for job in client.jobs() if job.name.startswith("recording 20")]
    assert problems(page, service) == []


def test_a_refused_microphone_is_said(equipped: chromium.Page, service: RunningService) -> None:
    try:
        allow(equipped, service.url)
        opened(equipped, service)
        press(equipped, "[data-record=sound]")
        until(equipped, f"{STATUS}.startsWith('The microphone was refused.')")
        assert equipped.run("!document.querySelector('[data-record=film]').closest('[hidden]')")
    finally:
        allow(equipped, service.url, "camera", "microphone")
    assert focused(equipped) != ""
