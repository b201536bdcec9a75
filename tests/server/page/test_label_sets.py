"""The service and its page with recognizers of 2, 12 and 50 labels: all follow the labels of the bundle."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.colors import label_colors
from emofuse.core.csv_tables import cell_text
from emofuse.core.labels import EMOTIONS
from emofuse.exports.json_schema import timeline_schema
from emofuse.server.client import Client
from tests.server.conftest import OFTEN
from tests.support import chromium, drawn_people, media_files
from tests.support.accessibility import grave_problems
from tests.support.label_studies import LABELS, Study
from tests.support.service import FOREVER_S, RunningService
from tests.support.service_page import foreign, problems, until

WIDE, PHONE = (1280, 900), (360, 740)
SHOWN_LIVE = 12
"""Rows of the live table, before all are asked for."""
ROWS = "[...document.querySelectorAll('.live-values tbody tr')]"
TEXT = "((one) => one.textContent)"
BEYOND = (
    "[...document.querySelectorAll('%s')]"
    ".filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
)
COLORS = "[...document.querySelectorAll('%s')].map((one) => getComputedStyle(one).backgroundColor)"


@pytest.fixture(scope="module", params=sorted(LABELS))
def study(request: pytest.FixtureRequest, label_study: Callable[[int], Study]) -> Study:
    return label_study(request.param)


@pytest.fixture(scope="module")
def service(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with the recognizer of the study."""
    data = tmp_path_factory.mktemp("labels") / "service"
    with RunningService(data, bundle=str(study.bundle), quotas=OFTEN) as running:
        yield running


@pytest.fixture(scope="module")
def talk(study: Study, service: RunningService) -> str:
    """The id of a recording of somebody who speaks."""
    speech = drawn_people.draw_person(1).speech(8.0)
    path = media_files.write_wav(study.folder / "talk.wav", speech, drawn_people.RATE)
    job = service.add_job(path, window_s=1.0, abstain_below=0)
    assert service.wait_for(job["id"], "done", "failed")["state"] == "done"
    return str(job["id"])


def show(page: chromium.Page, service: RunningService, address: str, **how: Any) -> None:
    page.open_address("about:blank")  # another view of the same page would not load it again
    page.open_address(f"{service.url}/#/{address}", **how)


def table(data: bytes) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    return [{cell_text(name): cell for name, cell in row.items()} for row in rows]


def css_colors(study: Study) -> list[str]:
    """The colors of the labels, as a browser computes them."""
    named = label_colors(study.emotions).values()
    return [f"rgb({', '.join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))})" for color in named]


def nothing_reaches_beyond(page: chromium.Page, *selectors: str) -> bool:
    """Whether neither the page nor what these select is wider than its place."""
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    for selector in selectors:
        assert page.run(f"document.querySelectorAll({json.dumps(selector)}).length") > 0
        assert page.run(BEYOND % selector) == []
    return True


def downloaded(page: chromium.Page, folder: Path) -> bytes:
    """The table of a live session, as the browser saves it."""
    folder.mkdir()
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.run("document.getElementById('live-table').click()")
    end = time.monotonic() + FOREVER_S
    while not (found := list(folder.glob("*.csv"))):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found[0].read_bytes()


def test_every_answer_has_the_labels(study: Study, service: RunningService, talk: str) -> None:
    labels = list(study.emotions)
    with Client(service.url) as client:
        models = client.models()
        assert models.models[0].emotions == labels
        answer = client.predict(study.clips(1)[0])
        assert answer.emotion in labels and answer.voice is not None
        assert list(answer.probabilities or {}) == list(answer.voice) == labels
        person = client.enroll("Anna", study.clips(1)[:8])
        enrolled = client.predict(study.clips(1)[-1], person=person.id)
        assert list(enrolled.probabilities or {}) == labels
        client.erase_person(person.id)
        assert client.view(talk)["view"]["emotions"] == labels
        exported = {name: client.export(talk, name) for name in models.formats}
        assert json.loads(exported["json"])["emotions"] == labels
        assert all(f"fused_{label}" in table(exported["windows-csv"])[0] for label in labels)
    style = service.client.get("/page/emotions.css").text
    for number, color in enumerate(label_colors(labels).values()):
        assert f"--e{number}:{color};" in style and f".e{number}{{" in style
    assert f"--e{len(labels)}:" not in style


def test_a_recording_has_legend_colors_and_tables_of_the_labels(
    page: chromium.Page, study: Study, service: RunningService, talk: str
) -> None:
    show(page, service, f"recording/{talk}", size=WIDE)
    until(page, "document.querySelector('.legend')")
    assert page.run(f"[...document.querySelectorAll('.legend .name')].map({TEXT})") == list(study.emotions)
    assert page.run(COLORS % ".legend .key") == css_colors(study)
    beyond = (".legend button", ".values p", "table.people", "table.segments")
    assert nothing_reaches_beyond(page, *beyond)
    # the legend leaves the chart in view, however many labels there are
    assert page.run("document.querySelector('.chart').getBoundingClientRect().top") < WIDE[1]
    assert grave_problems(page) == [] and problems(page, service) == []
    show(page, service, f"recording/{talk}", size=PHONE, dark=True)
    until(page, "document.querySelector('.legend')")
    assert nothing_reaches_beyond(page, *beyond)
    assert page.run("document.querySelector('.chart').getBoundingClientRect().top") < 2 * PHONE[1]
    assert grave_problems(page) == [] and foreign(page, service) == set()


def test_a_study_has_a_column_for_every_label(
    page: chromium.Page, study: Study, service: RunningService, talk: str
) -> None:
    """Also for one that ends like the name of a bound: stress_low."""
    with Client(service.url) as client:
        client.annotate(talk, {"markers": [{"start_s": 2.0, "text": "question"}]})
        made = client.add_study("talks", [{"job": talk, "condition": "before", "participant": "Anna"}])
        summary = table(client.study_result(made.id, "summary"))
        assert all(f"share_{label}" in summary[0] for label in study.labels)
    show(page, service, f"study/{made.id}", size=PHONE)
    until(page, "document.querySelectorAll('#study-shown img').length === 2")
    until(page, "[...document.querySelectorAll('#study-shown img')].every((one) => one.naturalWidth > 100)")
    page.run("for (const one of document.querySelectorAll('#study-shown details')) one.open = true")
    until(page, "document.querySelector('#curves tbody tr')")
    heads = "[...document.querySelectorAll('#%s thead th')].map((one) => one.textContent)"
    assert page.run(heads % "means")[3:] == [*study.emotions, "not sure"]
    assert page.run(heads % "curves")[4:] == list(study.emotions)
    assert page.run("document.documentElement.scrollWidth") <= PHONE[0]
    assert grave_problems(page) == [] and problems(page, service) == []
    with Client(service.url) as client:
        client.erase_study(made.id)


def test_somebody_is_enrolled_on_the_page_and_read_live(
    equipped: chromium.Page, study: Study, service: RunningService, tmp_path: Path
) -> None:
    page, n_labels = equipped, len(study.labels)
    show(page, service, "people", size=PHONE)
    until(page, "document.getElementById('person-form')")
    page.run("document.getElementById('person-name').value = 'Anna'")
    for clip in study.clips(1)[:3]:
        page.choose("#person-files", clip)
    until(page, "document.querySelectorAll('.person-clips .name').length === 3")
    page.run("document.getElementById('person-enroll').click()")
    until(page, "document.getElementById('message').textContent.includes('is enrolled from 3 recordings')")
    page.run("location.hash = '#/live'")
    until(page, "document.querySelector('[name=person]')")
    page.run("document.querySelector('[name=person]').click()")
    page.run("document.getElementById('live-camera').value = ''")
    page.run("document.getElementById('live-start').click()")
    until(page, f"{ROWS}.some((row) => row.cells[2].textContent !== '–')")
    assert page.run(f"{ROWS}.map((row) => row.cells[0].textContent)") == list(study.emotions)
    assert page.run(f"{ROWS}.filter((row) => !row.hidden).length") == min(n_labels, SHOWN_LIVE)
    top = page.run("document.querySelector('.live-emotion').textContent").rpartition(", ")[0]
    assert top in study.labels
    assert page.run(f"{ROWS}.some((row) => !row.hidden && row.cells[0].textContent === {json.dumps(top)})")
    assert page.run(COLORS % ".live-key") == css_colors(study)
    assert nothing_reaches_beyond(page, ".live-card", ".live-values th")
    assert bool(page.run("document.querySelector('.live-all') !== null")) == (n_labels > SHOWN_LIVE)
    if n_labels > SHOWN_LIVE:
        page.run("document.querySelector('.live-all').click()")
        assert page.run(f"{ROWS}.every((row) => !row.hidden)")
        assert nothing_reaches_beyond(page, ".live-card", ".live-values th")
    assert grave_problems(page) == []
    page.run("document.getElementById('live-end').click()")
    until(page, "document.getElementById('live-table')")
    rows = table(downloaded(page, tmp_path / "table"))
    read = [row for row in rows if row[f"voice_{study.labels[0]}"]]
    assert read
    for row in read:
        assert sum(float(row[f"voice_{label}"]) for label in study.labels) == pytest.approx(1, abs=1e-4)
    assert problems(page, service) == [] and foreign(page, service) == set()


def listed(schema: Any) -> Iterator[set[str]]:
    """The words that a schema lists as allowed values or as names, examples excepted."""
    if isinstance(schema, list):
        for one in schema:
            yield from listed(one)
    if isinstance(schema, dict):
        for key, part in schema.items():
            if key in ("enum", "required") and isinstance(part, list):
                yield set(map(str, part))
            elif key == "properties":
                yield set(part)
            if key not in ("example", "examples"):
                yield from listed(part)


def test_no_schema_lists_labels() -> None:
    described = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text(encoding="utf-8"))
    for schema in (described, timeline_schema()):
        words = list(listed(schema))
        assert len(words) > 5 and not any(found & set(EMOTIONS) for found in words)
