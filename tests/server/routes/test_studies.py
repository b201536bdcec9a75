"""Studies over HTTP: their tables are those of the command, and follow whatever is changed or erased."""

from __future__ import annotations

import csv
import io
import shutil
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.csv_tables import cell_text
from emofuse.folders.study import RESULTS
from tests.support import drawn_people, media_files
from tests.support.service import PURPOSE, RunningService
from tests.support.svg import texts

CONDITIONS = ("before", "after the film", "=1+1")
N_RECORDINGS = 20
NOBODY = "0" * 32


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty recordings: copies of three short voices and of a film of two seconds."""
    folder = tmp_path_factory.mktemp("study") / "talks"
    folder.mkdir()
    for number in range(1, 4):
        media_files.write_wav(
            folder / f"talk {number}.wav", drawn_people.draw_person(number).speech(3.0), drawn_people.RATE
        )
    one = drawn_people.draw_person(1)
    drawn_people.write_video(folder / "film 1.mp4", one.speaking(30), audio=one.speech(2.0))
    for number in range(4, N_RECORDINGS):
        source = folder / ("film 1.mp4" if number == 4 else f"talk {number % 3 + 1}.wav")
        shutil.copy(source, folder / f"{source.stem.split()[0]} {number}{source.suffix}")
    return folder


@pytest.fixture(scope="module")
def jobs(service: RunningService, talks: Path) -> dict[str, str]:
    """The job of each recording, by its name; in an order that is not that of names."""
    found = {path.name: service.add_job(path)["id"] for path in sorted(talks.iterdir(), reverse=True)}
    for job_id in found.values():
        assert service.wait_for(job_id, "done", "failed")["state"] == "done"
    return found


def condition(number: int) -> str | None:
    """Every fourth recording has none."""
    return (*CONDITIONS, None)[number % 4]


def entries(jobs: dict[str, str]) -> list[dict[str, Any]]:
    return [{"job": job_id, "condition": condition(n)} for n, job_id in enumerate(jobs.values())]


def add(service: RunningService, name: str, recordings: list[dict[str, Any]]) -> dict[str, Any]:
    answer = service.client.post("/v1/studies", json={"name": name, "recordings": recordings})
    assert answer.status_code == 201, answer.text
    study: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/studies/{study['id']}"
    return study


def patch(service: RunningService, study_id: str, change: Any, **headers: str) -> httpx.Response:
    return service.client.patch(f"/v1/studies/{study_id}", json=change, headers=headers)


def result(service: RunningService, study_id: str, name: str, **query: str) -> httpx.Response:
    answer = service.client.get(f"/v1/studies/{study_id}/results/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer


def rows(service: RunningService, study_id: str, name: str) -> list[dict[str, str]]:
    text = result(service, study_id, name).text
    reader = csv.DictReader(io.StringIO(text, newline=""))
    return [{key: cell_text(cell) for key, cell in row.items()} for row in reader]


def annotate(service: RunningService, job_id: str, change: dict[str, Any]) -> None:
    answer = service.client.patch(f"/v1/jobs/{job_id}/annotations", json=change)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def own(service: RunningService, talks: Path) -> dict[str, str]:
    """Jobs of a film and of two voices with the same name, which only this test changes."""
    found = {}
    for key, name in (("film", "film 1.mp4"), ("first", "talk 1.wav"), ("second", "talk 1.wav")):
        found[key] = service.add_job(talks / name)["id"]
    for job_id in found.values():
        assert service.wait_for(job_id, "done", "failed")["state"] == "done"
    return found


def test_the_tables_are_those_of_the_command(
    service: RunningService, talks: Path, jobs: dict[str, str], tmp_path: Path
) -> None:
    """Twenty recordings with conditions: byte for byte what ``emofuse timeline DIR --conditions`` writes."""
    table = tmp_path / "conditions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        named = [(name, condition(n)) for n, name in enumerate(jobs) if condition(n) is not None]
        csv.writer(file).writerows([("file", "condition"), *named])
    words = ["timeline", str(talks), "--out-dir", str(tmp_path / "out"), "--format", "windows.csv"]
    done = CliRunner().invoke(app, [*words, "--conditions", str(table), "--purpose", PURPOSE])
    assert done.exit_code == 0, done.output
    study = add(service, "twenty", entries(jobs))
    assert len(study["recordings"]) == N_RECORDINGS and set(study["conditions"]) == set(CONDITIONS)
    for name in ("summary", "files", "conditions", "conditions.svg"):
        file_name = name if name.endswith(".svg") else f"{name}.csv"
        answer = result(service, study["id"], name)
        assert answer.content == (tmp_path / "out" / file_name).read_bytes(), name
        disposition = answer.headers["content-disposition"]
        assert f'filename="twenty-{file_name}"' in disposition, disposition
    windows = rows(service, study["id"], "windows")
    for path in talks.iterdir():
        with (tmp_path / "out" / f"{path.name}.windows.csv").open(encoding="utf-8", newline="") as file:
            alone = list(csv.DictReader(file))
        found = [row for row in windows if row["file"] == path.name]
        assert [{key: row[key] for key in alone[0]} for row in found] == alone


def test_names_of_people_make_participants(service: RunningService, own: dict[str, str]) -> None:
    recordings = [
        {"job": own["film"], "condition": "x"},
        {"job": own["first"], "condition": "x", "participant": "Bert"},
        {"job": own["second"], "condition": "y", "participant": " Anna "},
    ]
    study = add(service, "who is who", recordings)
    assert [one["file"] for one in study["recordings"]] == ["film 1.mp4", "talk 1.wav", "talk 1 (2).wav"]
    assert study["recordings"][0]["people"] == [{"person": "person 1", "name": "person 1"}]
    assert study["participants"] == ["Anna", "Bert"] and study["conditions"] == ["x", "y"]
    annotate(
        service, own["film"], {"names": {"person 1": "Anna"}, "markers": [{"start_s": 0.5, "text": "go"}]}
    )
    study = service.client.get(f"/v1/studies/{study['id']}").json()
    assert study["recordings"][0]["people"] == [{"person": "person 1", "name": "Anna"}]
    assert study["recordings"][0]["n_markers"] == 1 and study["version"] == 0
    people = {(row["condition"], row["person"]) for row in rows(service, study["id"], "conditions")}
    assert people == {("x", ""), ("x", "Anna"), ("x", "Bert"), ("y", ""), ("y", "Anna")}
    assert {row["marker"] for row in rows(service, study["id"], "markers")} == {"go"}
    picture = result(service, study["id"], "markers.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "go · x" in texts(ET.fromstring(picture.text))
    dark = result(service, study["id"], "markers.svg", dark="true")
    assert "go · x" in texts(ET.fromstring(dark.text)) and dark.text != picture.text
    files = {row["file"] for row in rows(service, study["id"], "summary")}
    assert files == {"film 1.mp4", "talk 1.wav", "talk 1 (2).wav"}


def test_results_are_made_once_and_again_after_a_change(service: RunningService, own: dict[str, str]) -> None:
    study = add(service, "once", [{"job": own["film"]}])
    first = result(service, study["id"], "summary")
    (made,) = (service.data / "studies" / study["id"] / "results").iterdir()
    before = made.stat().st_mtime_ns
    again = result(service, study["id"], "summary")
    assert again.headers["etag"] == first.headers["etag"] and made.stat().st_mtime_ns == before
    for number in range(7):
        annotate(service, own["film"], {"names": {"person 1": f"Anna {number}"}})
        changed = result(service, study["id"], "summary")
        assert changed.headers["etag"] != first.headers["etag"] and f"Anna {number}" in changed.text
    assert len(list((service.data / "studies" / study["id"] / "results").iterdir())) == 4
    annotate(service, own["film"], {"excluded": [{"start_s": 0.5, "end_s": 1.0, "reason": "noise"}]})
    (row,) = rows(service, study["id"], "summary")
    assert float(row["excluded_s"]) == 0.5


def test_a_recording_that_is_erased_leaves_its_studies(service: RunningService, own: dict[str, str]) -> None:
    studies = [add(service, name, [{"job": one} for one in own.values()]) for name in ("one", "two")]
    other = add(service, "three", [{"job": own["second"]}])
    for study in (*studies, other):
        result(service, study["id"], "summary")
    assert service.client.delete(f"/v1/jobs/{own['film']}", params={"erase": "true"}).status_code == 204
    for study in studies:
        folder = service.data / "studies" / study["id"]
        assert not (folder / "results").exists()
        assert own["film"] not in (folder / "study.json").read_text(encoding="utf-8")
        found = service.client.get(f"/v1/studies/{study['id']}").json()
        assert [one["job"] for one in found["recordings"]] == [own["first"], own["second"]]
        assert found["version"] == 1
        assert {row["file"] for row in rows(service, study["id"], "files")} == {
            "talk 1.wav",
            "talk 1 (2).wav",
        }
    assert service.client.get(f"/v1/studies/{other['id']}").json()["version"] == 0
    assert list((service.data / "studies" / other["id"] / "results").iterdir())
    for study in (*studies, other):
        assert service.client.delete(f"/v1/studies/{study['id']}").status_code == 204
        assert not (service.data / "studies" / study["id"]).exists()
    assert service.job(own["first"])["state"] == "done"  # recordings stay


def test_recordings_that_are_not_read_are_named(
    service: RunningService, own: dict[str, str], tmp_path: Path
) -> None:
    speech = np.tile(drawn_people.draw_person(1).speech(3.0), 100)
    media_files.write_wav(tmp_path / "long.wav", speech, drawn_people.RATE)
    waiting = service.add_job(tmp_path / "long.wav", consent="form 12")["id"]
    study = add(service, "not all", [{"job": own["first"]}, {"job": waiting, "condition": "late"}])
    assert study["recordings"][1]["state"] in ("queued", "running")
    service.client.delete(f"/v1/jobs/{waiting}")
    (late,) = (row for row in rows(service, study["id"], "files") if row["condition"] == "late")
    assert late["error"] == "it was not read: it was cancelled" and late["consent"] == "form 12"
    assert len({row["file"] for row in rows(service, study["id"], "summary")}) == 1
    service.client.delete(f"/v1/jobs/{waiting}", params={"erase": "true"})


def test_a_change_of_something_old_is_refused_and_none_is_lost(
    service: RunningService, own: dict[str, str]
) -> None:
    study = add(service, "versions", [])
    address = f"/v1/studies/{study['id']}"
    version = service.client.get(address).headers["etag"]
    statuses: list[int] = []

    def change(number: int) -> None:
        with httpx.Client(base_url=service.url, timeout=180) as client:
            headers = {"If-Match": version}
            statuses.append(client.patch(address, json={"name": f"n{number}"}, headers=headers).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]
    refused = patch(service, study["id"], {"name": "late"}, **{"If-Match": version})
    assert (refused.status_code, refused.headers["etag"]) == (412, '"1"')
    answer = patch(service, study["id"], {"recordings": [{"job": own["film"]}]})
    assert answer.status_code == 200 and answer.headers["etag"] == '"2"'
    assert answer.json()["name"].startswith("n")  # what a change does not mention stays
    same = patch(service, study["id"], {"recordings": [{"job": own["film"]}]}, **{"If-Match": '"2"'})
    assert same.json()["version"] == 2
    assert patch(service, study["id"], {"recordings": None}, **{"If-Match": "*"}).json()["version"] == 2
    listed = {one["id"]: one for one in service.client.get("/v1/studies").json()["studies"]}
    assert listed[study["id"]]["n_recordings"] == 1 and listed[study["id"]]["version"] == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": " \t"}, "it is blank"), ({"name": "x" * 201}, "200"),
        ({"name": "x", "recordings": [{}]}, "job"), ({"name": "x", "recordings": [{"job": "x"}]}, "pattern"),
        ({"name": "x", "recordings": [{"job": NOBODY}]}, "recordings.0.job: there is no job"),
        ({"name": "x", "recordings": [{"job": NOBODY}] * 2}, "a recording is in a study once"),
        ({"name": "x", "recordings": [{"job": NOBODY, "condition": "x" * 201}]}, "200"),
        ({"name": "x", "recordings": [{"job": NOBODY, "participant": " "}]}, "it is blank"),
        ({"name": "x", "more": 1}, "more"), ([], "body"),
    ],
)  # fmt: skip
def test_what_is_not_a_study_is_refused(service: RunningService, body: Any, message: str) -> None:
    before = service.client.get("/v1/studies").json()
    answer = service.client.post("/v1/studies", json=body)
    assert answer.status_code == 422 and message in answer.text, answer.text
    assert service.client.get("/v1/studies").json() == before


@pytest.mark.parametrize("study_id", [NOBODY, "x", "..%2f..%2fetc", ".lock"])
def test_what_is_not_there_is_not_found(service: RunningService, study_id: str) -> None:
    address = f"/v1/studies/{study_id}"
    assert service.client.get(address).status_code == 404
    assert service.client.get(f"{address}/results/summary").status_code == 404
    assert patch(service, study_id, {"name": "x"}).status_code == 404
    assert service.client.delete(address).status_code == 404


def test_results_there_are(service: RunningService, own: dict[str, str]) -> None:
    study = add(service, "a/../b: <é>", [{"job": own["film"]}])
    assert [one["result"] for one in study["results"]] == list(RESULTS)
    for one in study["results"]:
        answer = service.client.get(one["url"])
        assert answer.status_code == 200 and "/" not in one["name"], one
        assert answer.headers["content-type"].partition(";")[0] == one["media_type"]
    answer = service.client.get(f"/v1/studies/{study['id']}/results/all")
    assert answer.status_code == 404 and "use summary, files" in answer.json()["detail"]
    assert str(service.data) not in answer.text
