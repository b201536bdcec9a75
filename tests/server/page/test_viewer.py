"""The viewer on the service's page: under its strict policy, with a film, and across a change of names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import chromium
from tests.support.accessibility import grave_problems
from tests.support.service import RunningService
from tests.support.service_page import foreign, problems


@pytest.fixture(scope="module")
def job(service: RunningService, conversation: Path) -> Any:
    """Two drawn people, read."""
    return service.wait_for(service.add_job(conversation)["id"], "done")


MOUNT = """
(async () => {
  const asked = async (path) => (await fetch(path)).json();
  const [texts, { view }] = await Promise.all([asked("/page/texts.json"), asked(`/v1/jobs/${ID}/view`)]);
  const root = document.createElement("div");
  document.getElementById("view").replaceChildren(root);
  globalThis.viewer = emofuseViewer.mount(root, view, { texts: texts.viewer, media: `/v1/jobs/${ID}/media` });
})()
"""
MEDIA = "viewer.parts.media"


def mount(page: chromium.Page, service: RunningService, job: Any) -> None:
    page.open_address("about:blank")  # what differs after # alone would not be loaded again
    page.open_address(f"{service.url}/#/about")
    page.until("globalThis.emofuseViewer && document.getElementById('notice')")
    page.run(MOUNT.replace("${ID}", job["id"]))
    page.until(f"{MEDIA}.readyState >= 2")


def drawn(page: chromium.Page) -> list[int]:
    """Where the edges of boxes are that are drawn over the film, half way down."""
    found: list[int] = page.run(
        "(() => { const { width, height } = viewer.parts.faces, pen = viewer.parts.faces.getContext('2d');"
        " const { data } = pen.getImageData(0, Math.round(height / 2), width, 1), found = [];"
        " const alpha = (x) => data[4 * x + 3];"
        " for (let x = 1; x < width; x++) if (alpha(x) > 60 && alpha(x - 1) <= 60) found.push(x);"
        " return found; })()"
    )
    return found


def test_a_film_plays_with_boxes_under_the_strict_policy(
    page: chromium.Page, service: RunningService, job: Any
) -> None:
    mount(page, service, job)
    assert page.run(f"{MEDIA}.videoWidth") > 0
    page.run("viewer.seek(2)")
    page.until(f"!{MEDIA}.seeking && !viewer.parts.faces.hidden")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert len(drawn(page)) == 4, "two faces, a left and a right edge of each"
    # the colors of the emotions are there, and the bars of the values have their widths
    assert page.run("getComputedStyle(viewer.parts.legend.querySelector('.key')).backgroundColor") != (
        "rgba(0, 0, 0, 0)"
    )
    bars = page.run("[...viewer.parts.legend.querySelectorAll('.level i')].map((one) => one.offsetWidth)")
    assert max(bars) > 10 and len(set(bars)) > 2
    assert page.run("viewer.parts.legend.querySelector('.level').offsetHeight") == 4
    page.run(f"{MEDIA}.play()")
    page.until(f"{MEDIA}.currentTime > 2.5")
    page.run(f"{MEDIA}.pause()")
    assert page.run("viewer.cursor") > 2.2
    assert grave_problems(page) == []
    assert problems(page, service) == [] and foreign(page, service) == set()


def test_names_change_while_it_stays_where_it_is(
    page: chromium.Page, service: RunningService, job: Any
) -> None:
    mount(page, service, job)
    second = page.run("viewer.model.people[1]")
    page.run(f"viewer.choosePerson({json.dumps(second)}), viewer.seek(3), viewer.select(1, 2), 0")
    change = {"names": {second: "Berta"}, "excluded": [{"start_s": 8, "end_s": 9, "reason": "a <phone>"}]}
    answer = service.client.patch(f"/v1/jobs/{job['id']}/annotations", json=change)
    assert answer.status_code == 200, answer.text
    page.run(
        f"fetch('/v1/jobs/{job['id']}/view').then((one) => one.json()).then((one) => viewer.update(one.view))"
    )
    assert page.run("[viewer.person, viewer.cursor, viewer.selection]") == [
        "Berta", 3, {"start": 1, "end": 2},
    ]  # fmt: skip
    assert page.run("viewer.parts.people.querySelector('[data-person=Berta]').dataset.index") == "1"
    assert "a <phone>" in page.run("viewer.parts.marks.querySelector('[data-mark=\"excluded 0\"]').innerText")
    page.until("viewer.tracks.area.rows.at(-1).what === 'marks'")
    assert problems(page, service) == []
