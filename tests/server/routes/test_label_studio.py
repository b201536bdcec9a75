"""Label Studio's side, played against a real service: what its server sends to machine learning backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.exports.label_studio import labeling_config
from emofuse.server.app import create_app
from emofuse.server.settings import ServerSettings
from tests.support.file_server import FileServer
from tests.support.service import FOREVER_S, TOKEN, RunningService

STUDIO_TOKEN = "token-of-label-studio"
CONFIG = labeling_config(EMOTIONS, "audio")
PROJECT = "7.1700000000"


@pytest.fixture(scope="module")
def studio() -> Iterator[FileServer]:
    """Label Studio itself, as far as a backend sees it: it has uploads."""
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, video_clips: dict[str, Path]) -> Path:
    """The document root of Label Studio's local storage, beside which other files lie."""
    root = tmp_path_factory.mktemp("storage") / "root"
    (root / "study").mkdir(parents=True)
    (root / "study" / "a talk.mp4").write_bytes(video_clips["sad"].read_bytes())
    (root.parent / "secret.mp4").write_bytes(video_clips["sad"].read_bytes())
    return root


@pytest.fixture(scope="module")
def backend(
    studio: FileServer, tmp_path_factory: pytest.TempPathFactory, storage: Path
) -> Iterator[RunningService]:
    data = tmp_path_factory.mktemp("backend") / "data"
    settings: dict[str, Any] = {
        "token": TOKEN, "folders": [str(storage)],
        "label_studio": {"url": studio.url, "token": STUDIO_TOKEN},
    }  # fmt: skip
    with RunningService(data, **settings) as running:
        yield running


@pytest.fixture
def asks(backend: RunningService) -> Iterator[httpx.Client]:
    """Label Studio authenticates itself by basic authentication, as its settings of a model have it."""
    address = f"{backend.url}/label-studio/"
    with httpx.Client(base_url=address, auth=("anybody", TOKEN), timeout=FOREVER_S) as client:
        yield client


def predict(asks: httpx.Client, *addresses: str, config: str = CONFIG) -> httpx.Response:
    """What ``MLApi.make_predictions`` sends."""
    tasks = [
        {"id": number, "data": {"audio": address}, "meta": {}, "annotations": [], "predictions": []}
        for number, address in enumerate(addresses, 1)
    ]
    params = {"login": None, "password": None, "context": None}
    body = {
        "tasks": tasks, "model_version": None, "project": PROJECT, "label_config": config, "params": params,
    }  # fmt: skip
    return asks.post("predict", json=body)


def assert_regions(found: dict[str, Any], n_least: int = 1) -> None:
    """By the rules of Label Studio's SDK for this configuration."""
    assert 0 <= found["score"] <= 1 and found["model_version"]
    assert len(found["result"]) >= n_least
    for region in found["result"]:
        value = region["value"]
        assert (
            0 <= value["start"] < value["end"] <= region["original_length"] and region["to_name"] == "audio"
        )
        if region["type"] == "labels":
            assert region["from_name"] == "emotion"
            assert set(value["labels"]) <= {*EMOTIONS, "abstained"}


def test_a_project_is_connected(asks: httpx.Client) -> None:
    assert asks.get("health").json() == {"status": "UP", "model_class": "emofuse"}
    body = {
        "project": PROJECT, "schema": CONFIG, "hostname": "http://169.254.169.254", "access_token": "x",
        "extra_params": None,
    }  # fmt: skip
    answer = asks.post("setup", json=body)
    assert answer.status_code == 200 and answer.json() == {"model_version": "out-of-the-box"}
    assert asks.get("versions").json() == {"versions": ["out-of-the-box"]}
    refused = asks.post("setup", json={**body, "schema": "<View/>"})
    assert refused.status_code == 422 and "has no <Labels" in refused.json()["detail"]


def test_an_upload_is_fetched_and_predicted(
    asks: httpx.Client, studio: FileServer, backend: RunningService, video_clips: dict[str, Path]
) -> None:
    studio.serve("/data/upload/7/a%20clip.mp4", video_clips["happy"].read_bytes())
    answer = predict(asks, "/data/upload/7/a%20clip.mp4")
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["results"]
    assert_regions(found)
    assert studio.requests[-1][1]["Authorization"] == f"Token {STUDIO_TOKEN}"
    assert backend.leftovers("incoming") == []
    assert STUDIO_TOKEN not in backend.log()


def test_local_storage_is_read_below_the_folder(asks: httpx.Client, studio: FileServer) -> None:
    before = len(studio.requests)
    answer = predict(asks, "/data/local-files/?d=study/a%20talk.mp4", config=CONFIG)
    (found,) = answer.json()["results"]
    assert_regions(found)
    people = [one for one in found["result"] if one["type"] == "textarea"]
    assert people and {tuple(one["value"]["text"]) for one in people} == {("person 1",)}
    assert len(studio.requests) == before  # nothing was fetched
    few = '<View><Labels name="emotion" toName="audio"><Label value="bored"/></Labels>'
    answer = predict(
        asks,
        "/data/local-files/?d=study/a%20talk.mp4",
        config=f'{few}<Audio name="audio" value="$audio"/></View>',
    )
    assert answer.json()["results"][0]["result"] == []


def test_one_bad_task_does_not_take_the_others_along(
    asks: httpx.Client, studio: FileServer, backend: RunningService
) -> None:
    studio.serve("/data/upload/7/notes.wav", b"these are notes")
    asked = [
        "/data/upload/7/notes.wav",
        "/data/local-files/?d=study/a%20talk.mp4",
        "http://169.254.169.254/a.wav",
    ]
    answer = predict(asks, *asked)
    assert answer.status_code == 200
    broken, good, elsewhere = answer.json()["results"]
    assert broken["result"] == [] and "notes.wav" in broken["error"]
    assert_regions(good)
    assert elsewhere["result"] == [] and "not one of Label Studio's own" in elsewhere["error"]
    alone = predict(asks, asked[0])
    assert alone.status_code == 422 and alone.json()["title"] == "Recording not readable"
    assert backend.leftovers("incoming") == []


@pytest.mark.parametrize("name", ["../secret.mp4", "study/../study/a talk.mp4", "/etc/passwd", "study"])
def test_local_files_never_lead_out_of_the_folder(asks: httpx.Client, name: str) -> None:
    answer = predict(asks, f"/data/local-files/?d={name}")
    # it is not in the folder, so Label Studio is asked, which has no such file
    assert answer.status_code == 422 and "answered 404" in answer.json()["detail"]


def test_webhooks_are_taken(asks: httpx.Client) -> None:
    answer = asks.post("webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 7}})
    assert answer.status_code == 200 and answer.json() == {"status": "ok"}


@pytest.mark.parametrize("body", [{}, {"tasks": [{}], "label_config": CONFIG}, {"tasks": "x"}, []])
def test_broken_requests(asks: httpx.Client, body: Any) -> None:
    assert asks.post("predict", json=body).status_code == 422


def test_the_token_is_wanted(backend: RunningService) -> None:
    address = f"{backend.url}/label-studio/health"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, auth=("emofuse", "wrong")).status_code == 401
    assert httpx.get(address, headers={"Authorization": "Basic !!"}).status_code == 401
    assert httpx.get(address, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    # basic authentication is for Label Studio alone
    assert httpx.get(f"{backend.url}/v1/jobs", auth=("emofuse", TOKEN)).status_code == 401


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    paths = create_app(ServerSettings(tmp_path)).openapi()["paths"]
    assert not [path for path in paths if "label-studio" in path]
