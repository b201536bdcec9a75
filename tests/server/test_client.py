"""The client, on a real service: everything that it can ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.core.errors import RequestError
from emofuse.exports.write import FORMATS
from emofuse.recognition.recognizer import Recognizer
from emofuse.server.client import Client
from tests.support.service import PURPOSE, TOKEN, RunningService


@pytest.fixture
def client(service: RunningService) -> Client:
    return Client(service.url)


def test_a_prediction_is_that_of_the_library(client: Client, clip: Path) -> None:
    with client:
        answer = client.predict(clip)
    expected = Recognizer.load().predict(clip)
    assert answer.source == clip.name and answer.purpose == PURPOSE
    assert answer.emotion == expected.emotion and answer.used == list(expected.used)
    assert expected.probabilities is not None and answer.probabilities is not None
    found = [answer.probabilities[emotion] for emotion in expected.emotions]
    assert found == pytest.approx(expected.probabilities.tolist(), abs=1e-6)


def test_a_job_from_its_upload_to_its_exports(client: Client, clip: Path, tmp_path: Path) -> None:
    with client:
        job = client.submit(clip, window_s=2.0)
        assert (job.name, job.options) == (clip.name, {"window_s": 2.0})
        states = [event.state for event in client.events(job.id)]
        assert states[-1] == "done" and set(states) <= {"queued", "running", "done"}
        assert job.id in {one.id for one in client.jobs(state="done")}
        assert client.job(job.id).outcome["duration_s"] == pytest.approx(3.0, abs=0.1)
        for name in client.models().formats:
            assert client.export(job.id, name, tmp_path / name)
        timeline = json.loads((tmp_path / "json").read_bytes())
        assert timeline["purpose"] == PURPOSE
        assert [window["end_s"] - window["start_s"] for window in timeline["windows"]][:1] == [2.0]
        client.erase(job.id)
        with pytest.raises(RequestError, match="There is no job of that id") as missing:
            client.job(job.id)
        assert missing.value.status == 404
        with pytest.raises(RequestError, match="No such job"):
            list(client.events(job.id))


def test_a_person_is_erased_with_a_recording_that_has_a_consent(client: Client, clip: Path) -> None:
    with client:
        person = client.enroll("Anna", [clip])
        job = client.wait(client.submit(clip, person=person.id, consent="form 12").id)
        assert job.consent == "form 12"
        assert client.change_job(job.id, keep=None).keep_until is None
        assert client.change_job(job.id, consent="form 13").consent == "form 13"
        client.erase_person(person.id, recordings=True)
        with pytest.raises(RequestError, match="There is no job of that id"):
            client.job(job.id)


def test_a_study_from_its_recordings_to_its_tables(client: Client, clip: Path, tmp_path: Path) -> None:
    with client:
        job = client.wait(client.submit(clip).id)
        study = client.add_study("talks", [{"job": job.id, "condition": "before", "participant": "Anna"}])
        assert study.participants == ["Anna"] and study.id in {one.id for one in client.studies()}
        assert client.study(study.id) == study
        table = client.study_result(study.id, "summary", tmp_path / "summary.csv")
        assert b"Anna,before" in table and (tmp_path / "summary.csv").read_bytes() == table
        assert client.change_study(study.id, {"name": "talks, all"}, version=0).name == "talks, all"
        with pytest.raises(RequestError, match="at version 1 by now") as refused:
            client.change_study(study.id, {"recordings": []}, version=0)
        assert refused.value.status == 412
        client.erase_study(study.id)
        with pytest.raises(RequestError, match="There is no study of that id"):
            client.study(study.id)


def test_annotations_are_in_the_exports(client: Client, clip: Path) -> None:
    with client:
        job = client.wait(client.submit(clip).id)
        client.annotate(job.id, {"markers": [{"start_s": 1.0, "text": "a pause"}]})
        assert "a pause" in client.export(job.id, "json").decode()
        assert client.view(job.id)["annotations_version"] == 1
        assert client.job(job.id).annotations_version == 1


def test_a_running_job_is_cancelled(client: Client, long_recording: Path) -> None:
    with client:
        job = client.submit(long_recording, hop_s=0.1)
        events = client.events(job.id)
        assert next(event for event in events if event.state == "running" and event.progress.done_s > 0)
        assert client.cancel(job.id).state == "cancelled"
        assert client.wait(job.id).state == "cancelled"
        client.erase(job.id)


def test_a_recording_in_a_folder_of_the_service(client: Client) -> None:
    with client:
        job = client.wait(client.submit_from_folder("study/talk.wav").id)
        assert (job.state, job.name) == ("done", "talk.wav")
        with pytest.raises(RequestError) as refused:
            client.submit_from_folder("../clip.wav")
        assert refused.value.status == 404


def test_people(client: Client, clip: Path) -> None:
    with client:
        person = client.enroll("Anna", [clip])
        assert [one.name for one in client.people()] == ["Anna"]
        assert client.predict(clip, person=person.id).emotion is not None
        client.erase_person(person.id)
        assert client.people() == []


def test_what_the_service_is(client: Client) -> None:
    with client:
        assert client.health().status == "ok" and client.purpose() == PURPOSE
        models = client.models()
        assert set(models.formats) <= set(FORMATS) and models.models[0].emotions[0] == "neutral"


def test_a_token(guarded: RunningService, clip: Path) -> None:
    with Client(guarded.url) as stranger:
        assert stranger.health().status == "ok"
        with pytest.raises(RequestError, match="Send the token") as refused:
            stranger.predict(clip)
        assert (refused.value.status, refused.value.title) == (401, "Unauthorized")
    with Client(guarded.url, token=TOKEN) as client:
        assert client.jobs() == []


def test_what_is_no_recording(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no sound at all")
    with client:
        for call in (client.predict, client.submit):
            with pytest.raises(RequestError) as refused:
                call(path)
            assert refused.value.status is not None and 400 <= refused.value.status < 500
            assert "notes.txt" in refused.value.detail and str(tmp_path) not in refused.value.detail


def test_a_service_that_is_not_there() -> None:
    with Client("http://127.0.0.1:9", timeout_s=5) as client:
        with pytest.raises(RequestError, match="start it with emofuse serve") as unreached:
            client.health()
        assert unreached.value.status is None
        with pytest.raises(RequestError, match="start it with emofuse serve"), client.live():
            pass
        with pytest.raises(RequestError, match="start it with"):
            list(client.events("0" * 32, patience_s=0.0))
