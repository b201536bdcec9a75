from __future__ import annotations

import io
import json
import re
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import pandas as pd
import pympi
import pytest
import textgrid
import webvtt

from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.write import FORMATS
from tests.support.service import PURPOSE, RunningService


@pytest.fixture(scope="module")
def film(service: RunningService, conversation: Path) -> dict[str, Any]:
    """A job of two people that is done."""
    with conversation.open("rb") as content:
        name = "Grüße; 'two' talk.mp4"
        answer = service.client.post("/v1/jobs", files={"file": (name, content)})
    job = service.wait_for(answer.json()["id"], "done", "failed")
    assert job["state"] == "done", job
    return job


def result(service: RunningService, job: dict[str, Any], kind: str) -> httpx.Response:
    answer = service.client.get(f"/v1/jobs/{job['id']}/results/{kind}")
    assert answer.status_code == 200, answer.text
    return answer


def test_results_are_listed(service: RunningService, film: dict[str, Any]) -> None:
    answer = service.client.get(f"/v1/jobs/{film['id']}/results")
    assert answer.status_code == 200
    listed = answer.json()
    assert [one["format"] for one in listed["results"]] == list(FORMATS)
    assert listed["annotations_version"] == 0 and listed["media"] == f"/v1/jobs/{film['id']}/media"
    for one in listed["results"]:
        found = service.client.get(one["url"])
        assert found.status_code == 200, found.text
        assert found.headers["content-type"].partition(";")[0] == one["media_type"]
        assert len(found.content) == int(found.headers["content-length"]) > 30


def test_every_format_is_read_by_another_program(
    service: RunningService, film: dict[str, Any], tmp_path: Path
) -> None:
    found = {kind: result(service, film, kind).content for kind in FORMATS}
    for kind, data in found.items():
        (tmp_path / f"a{FORMATS[kind]}").write_bytes(data)
    document = json.loads(found["json"])
    jsonschema.validate(document, timeline_schema())
    assert (document["purpose"], len(document["people"])) == (PURPOSE, 2)
    for kind in ("csv", "windows-csv", "summary-csv", "frames-csv"):
        frame = pd.read_csv(io.BytesIO(found[kind]))
        assert len(frame) and set(frame["purpose"]) == {PURPOSE}
    assert pd.read_csv(io.BytesIO(found["markers-csv"])).empty
    assert len(pd.read_parquet(io.BytesIO(found["parquet"]))) == len(document["windows"])
    assert len(webvtt.read(str(tmp_path / "a.vtt")).captions) >= len(document["segments"])
    assert dict(pympi.Eaf(str(tmp_path / "a.eaf")).properties)["purpose"] == PURPOSE
    assert "purpose" in [tier.name for tier in textgrid.TextGrid.fromFile(str(tmp_path / "a.TextGrid"))]
    assert ET.fromstring(found["svg"]).tag.endswith("svg")
    image = cv2.imdecode(np.frombuffer(found["png"], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape[1] == 2400
    assert b"<!doctype html>" in found["html"][:20]
    for data in found.values():  # no format says where the service keeps its files
        assert str(service.data).encode() not in data


def test_files_have_safe_names(service: RunningService, film: dict[str, Any], clip: Path) -> None:
    answer = result(service, film, "csv")
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%3B%20%27two%27%20talk.csv"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name, wanted in (
        ("..\\..\\.bashrc", "bashrc.csv"), ("/etc/passwd", "passwd.csv"), ("...", "recording.csv"),
    ):  # fmt: skip
        with clip.open("rb") as content:
            job = service.client.post("/v1/jobs", files={"file": (name, content)}).json()
        service.wait_for(job["id"], "done")
        disposition = result(service, job, "csv").headers["content-disposition"]
        assert disposition == f'attachment; filename="{wanted}"'


def test_results_are_made_once_for_each_version(service: RunningService, clip: Path) -> None:
    job = service.wait_for(service.add_job(clip)["id"], "done")
    exports = service.data / "jobs" / job["id"] / "exports"
    first = result(service, job, "csv")
    (made,) = exports.iterdir()
    stamp = made.stat().st_mtime_ns
    assert result(service, job, "csv").content == first.content
    assert made.stat().st_mtime_ns == stamp and first.headers["etag"] == '"0-csv"'
    for version in (1, 2, 3):
        change = {"markers": [{"start_s": 1, "text": f"mark {version}"}]}
        assert service.client.patch(f"/v1/jobs/{job['id']}/annotations", json=change).status_code == 200
        rows = pd.read_csv(io.BytesIO(result(service, job, "markers-csv").content))
        assert rows["text"].tolist() == [f"mark {version}"]
    assert sorted(path.name for path in exports.iterdir()) == [
        f"{version}-markers-csv.markers.csv" for version in (2, 3)
    ]
    assert service.client.delete(f"/v1/jobs/{job['id']}", params={"erase": "true"}).status_code == 204
    assert service.client.get(f"/v1/jobs/{job['id']}/results/csv").status_code == 404
    assert not exports.parent.exists()


def test_the_view_is_what_the_page_draws(service: RunningService, conversation: Path) -> None:
    job = service.wait_for(service.add_job(conversation)["id"], "done")
    address = f"/v1/jobs/{job['id']}/view"
    plain = service.client.get(address)
    assert plain.status_code == 200 and plain.headers["content-encoding"] == "gzip"
    assert plain.headers["etag"] == '"0"' and plain.headers["content-type"] == "application/json"
    whole = service.client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in whole.headers and whole.json() == plain.json()
    assert service.client.get(address, headers={"If-None-Match": '"0"'}).status_code == 304
    answer = plain.json()
    assert answer["annotations_version"] == 0 and answer["original_people"] == answer["view"]["people"]
    assert len(answer["view"]["faces"]) == 2 and str(service.data) not in plain.text
    first, second = answer["original_people"]
    change = {
        "names": {second: "Anna"},
        "merges": {first: second},
        "markers": [{"start_s": 1, "text": "<b>"}],
    }
    assert service.client.patch(f"/v1/jobs/{job['id']}/annotations", json=change).status_code == 200
    changed = service.client.get(address, headers={"If-None-Match": '"0"'})
    assert changed.status_code == 200 and changed.headers["etag"] == '"1"'
    answer = changed.json()
    assert (answer["annotations_version"], answer["original_people"]) == (1, [second])
    assert answer["view"]["people"] == ["Anna"]
    assert 'data-person="Anna"' in answer["view"]["html"]["people"]
    assert 'data-mark="markers 0"' in answer["view"]["html"]["marks"]
    assert "&lt;b&gt;" in answer["view"]["html"]["marks"]
    assert not re.search(r"\sstyle=|\son\w+=|<script", json.dumps(answer["view"]["html"]))


def test_many_ask_at_once_for_one_that_is_made_once(service: RunningService, clip: Path) -> None:
    job = service.wait_for(service.add_job(clip)["id"], "done")
    found: list[bytes] = []

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=180) as client:
            found.append(client.get(f"/v1/jobs/{job['id']}/results/html").content)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1 and found[0].startswith(b"<!doctype html>")


def test_what_there_is_not(service: RunningService, film: dict[str, Any], long_recording: Path) -> None:
    for missing in ("docx", "mp4", "JSON", "csv%00", "..%2fupload", "upload"):
        answer = service.client.get(f"/v1/jobs/{film['id']}/results/{missing}")
        assert answer.status_code == 404, (missing, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    job = service.add_job(long_recording, hop_s=0.1)
    for address in ("results", "results/csv", "view"):
        answer = service.client.get(f"/v1/jobs/{job['id']}/{address}")
        assert answer.status_code == 409 and answer.json()["title"] == "Job not done"
    assert service.client.get(f"/v1/jobs/{job['id']}/media").status_code == 200
    service.client.delete(f"/v1/jobs/{job['id']}", params={"erase": "true"})
    for address in ("results", "results/csv", "media", "view"):
        assert service.client.get(f"/v1/jobs/{job['id']}/{address}").status_code == 404


def test_a_damaged_result_is_told_without_a_path(service: RunningService, clip: Path) -> None:
    job = service.wait_for(service.add_job(clip)["id"], "done")
    stored = service.data / "jobs" / job["id"] / "result" / "timeline.npz"
    stored.write_bytes(stored.read_bytes()[:-40])
    for answer in (
        service.client.get(f"/v1/jobs/{job['id']}/results/csv"),
        service.client.patch(f"/v1/jobs/{job['id']}/annotations", json={"markers": []}),
    ):
        assert answer.status_code in {200, 409}
        assert str(service.data) not in answer.text
    answer = service.client.patch(
        f"/v1/jobs/{job['id']}/annotations", json={"markers": [{"start_s": 1, "text": "x"}]}
    )
    assert answer.status_code == 409 and "damaged" in answer.json()["detail"]


# --- the recording


def test_the_recording_comes_back_in_parts(
    service: RunningService, film: dict[str, Any], conversation: Path
) -> None:
    address, data = f"/v1/jobs/{film['id']}/media", conversation.read_bytes()
    whole = service.client.get(address)
    assert whole.content == data and whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    assert "sandbox" in whole.headers["content-security-policy"]
    for wanted, first, last in (
        ("bytes=0-0", 0, 1), ("bytes=1000-1999", 1000, 2000), ("bytes=-500", -500, None),
        (f"bytes={len(data) - 1}-", len(data) - 1, None),
    ):  # fmt: skip
        part = service.client.get(address, headers={"Range": wanted})
        assert (part.status_code, part.content) == (206, data[first:last])
        start = first if first >= 0 else len(data) + first
        assert part.headers["content-range"].startswith(f"bytes {start}-")
    assert service.client.get(address, headers={"Range": f"bytes={len(data)}-"}).status_code == 416
    assert service.client.get(address, headers={"Range": "bytes=nonsense"}).status_code in {200, 400, 416}


def test_a_recording_in_a_folder(service: RunningService, films: Path) -> None:
    answer = service.client.post("/v1/jobs", json={"folder": 0, "path": "study/talk.wav"})
    assert answer.status_code == 202, answer.text
    job = service.wait_for(answer.json()["id"], "done")
    address = f"/v1/jobs/{job['id']}/media"
    data = (films / "study" / "talk.wav").read_bytes()
    for _ in range(3):
        assert service.client.get(address).content == data
    assert service.client.get(address, headers={"Range": "bytes=10-19"}).content == data[10:20]
    # no descriptor is left open
    open_files = [str(link.readlink()) for link in Path(f"/proc/{service.process.pid}/fd").iterdir()
                  if link.exists()]  # fmt: skip
    assert not [one for one in open_files if one.endswith("talk.wav")]
    other = films / "study" / "other.wav"
    (films / "study" / "talk.wav").rename(other)
    try:
        assert service.client.get(address).status_code == 404
        (films / "study" / "talk.wav").symlink_to("/etc/passwd")
        assert service.client.get(address).status_code == 404
    finally:
        (films / "study" / "talk.wav").unlink()
        other.rename(films / "study" / "talk.wav")


def test_what_is_no_media_file_is_never_shown_by_a_browser(service: RunningService, clip: Path) -> None:
    """A recording may be called anything, and be a page as well."""
    with clip.open("rb") as content:
        job = service.client.post("/v1/jobs", files={"file": ("talk.html", content)}).json()
    answer = service.client.get(f"/v1/jobs/{job['id']}/media")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    service.wait_for(job["id"], "done")
    assert service.client.get(f"/v1/jobs/{job['id']}/results/talk.html").content == clip.read_bytes()


def test_the_page_of_a_result_plays_its_recording(
    service: RunningService, conversation: Path, page: Any
) -> None:
    job = service.wait_for(service.add_job(conversation)["id"], "done")
    answer = result(service, job, "html")
    assert answer.headers["content-disposition"].startswith("inline")
    page.events.clear()
    page.send("Page.navigate", url=f"{service.url}/v1/jobs/{job['id']}/results/html")
    page.until("document.querySelector('[data-part=media]')?.readyState >= 1")
    assert page.run("document.querySelector('[data-part=media]').duration") == pytest.approx(15, abs=0.2)
    assert page.run("getComputedStyle(document.querySelector('.still')).display === 'none'"), (
        "the script runs"
    )
    assert f"Purpose: {PURPOSE}" in page.run("document.body.innerText")
    errors = [one for one in page.events if one["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}]
    assert errors == []
