from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from emofuse.exports.write import FORMATS
from emofuse.recognition.bundle import load_bundle
from tests.support.service import RunningService


def test_health_says_no_more_than_that(service: RunningService) -> None:
    answer = service.client.get("/v1/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_models_are_those_of_the_library(service: RunningService) -> None:
    bundle = load_bundle()
    answer = service.client.get("/v1/models").json()
    assert answer["models"] == [
        {
            "name": "out-of-the-box", "modalities": list(bundle.modalities),
            "emotions": list(bundle.emotions), "license": bundle.licence,
        }
    ]  # fmt: skip
    assert answer["formats"] == FORMATS


def test_figures_can_be_read_and_name_nobody(service: RunningService, clip: Path) -> None:
    assert service.predict(clip).status_code == 200
    service.client.get("/v1/nothing/secret-name")
    service.client.request("BREW", "/v1/jobs")
    answer = service.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    requests = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["emofuse_requests"].samples
        if sample.name == "emofuse_requests_total"
    }
    assert requests["POST", "/v1/predictions", "200"] >= 1
    assert requests["GET", "none", "404"] >= 1
    assert any(method == "other" for method, _, _ in requests)
    workers = {sample.labels["state"]: sample.value for sample in families["emofuse_workers"].samples}
    assert workers["busy"] + workers["idle"] == 1
    assert {sample.labels["state"] for sample in families["emofuse_jobs"].samples} == {
        "queued", "running", "done", "failed", "cancelled",
    }  # fmt: skip
    assert families["process_resident_memory_bytes"].samples[0].value > 0
    for secret in ("secret-name", clip.name, str(service.data), "127.0.0.1"):
        assert secret not in answer.text
