from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.recognition.recognizer import Recognizer
from tests.support.service import PURPOSE, RunningService, form


def test_a_form_is_answered_as_the_library_answers(service: RunningService, clip: Path) -> None:
    answer = service.predict(clip)
    assert answer.status_code == 200
    expected = Recognizer.load().predict(clip).to_dict()
    got = answer.json()
    assert got.pop("purpose") == PURPOSE
    assert got.pop("source") == clip.name
    expected.pop("source")
    assert got == expected
    assert service.leftovers("incoming") == []


def test_a_raw_body_is_read_and_its_name_comes_in_a_header(service: RunningService, clip: Path) -> None:
    for given, shown in (
        ('attachment; filename="a talk.wav"', "a talk.wav"),
        ("attachment; filename*=UTF-8''f%C3%BCnf.wav", "fünf.wav"),
        ("attachment; filename=../../../etc/passwd", "passwd"),
        ("attachment; filename=", "recording"),
        ("nonsense", "recording"),
    ):
        headers = {"Content-Disposition": given, "Content-Type": "application/octet-stream"}
        answer = service.client.post("/v1/predictions", content=clip.read_bytes(), headers=headers)
        assert answer.status_code == 200
        assert answer.json()["source"] == shown


def test_a_span_is_read(service: RunningService, clip: Path) -> None:
    whole, part = service.predict(clip).json(), service.predict(clip, start_s=0.5, end_s=2.0).json()
    assert part["meta"]["sound_s"] == pytest.approx(1.5, abs=0.05)
    assert part["probabilities"] != whole["probabilities"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_s": 3, "end_s": 2}, "the end must come after the start"),
        ({"start_s": "nan"}, "finite number"),
        ({"audio_stream": 0}, "greater than or equal to 1"),
        ({"person": "somebody"}, "pattern"),
        ({"colour": "red"}, "Extra inputs"),
        ({"person": "0" * 32}, "Nobody is enrolled"),
    ],
)
def test_options_that_cannot_be(
    service: RunningService, clip: Path, options: dict[str, object], message: str
) -> None:
    answer = service.predict(clip, **options)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in answer.text


def test_what_is_no_recording_is_said_to_be_none(service: RunningService) -> None:
    kind, body = form(("file", "notes.txt", b"no recording at all"))
    answer = service.client.post("/v1/predictions", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:emofuse:problem:recording-not-readable"
    assert problem["detail"].startswith("notes.txt: ")
    assert str(service.data) not in answer.text
    assert service.leftovers("incoming") == []


def test_without_a_purpose_nothing_is_read(tmp_path: Path, clip: Path) -> None:
    with RunningService(tmp_path / "data", purpose=None) as fresh:
        assert fresh.predict(clip).status_code == 409
        with clip.open("rb") as content:
            answer = fresh.client.post("/v1/jobs", content=content)
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:emofuse:problem:no-purpose"
        assert fresh.client.get("/v1/purpose").json() == {"purpose": None}
        assert fresh.client.put("/v1/purpose", json={"purpose": " \n "}).status_code == 422
        answer = fresh.client.put("/v1/purpose", json={"purpose": "a study\nof interviews"})
        assert answer.json() == {"purpose": "a study of interviews"}
        assert fresh.predict(clip).json()["purpose"] == "a study of interviews"
        assert fresh.leftovers() == []


def test_too_many_that_wait_are_asked_to_come_again(tmp_path: Path, clip: Path) -> None:
    with RunningService(tmp_path / "data", quotas={"open_requests": 0}) as busy:
        answer = busy.predict(clip)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert busy.leftovers() == []
