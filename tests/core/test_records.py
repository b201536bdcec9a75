from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, FaceTrack, Features, Prediction, Recording, Take, TimedFrames, Waveform


def prediction(**changes: Any) -> Prediction:
    given: dict[str, Any] = {
        "source": "clip.mp4",
        "emotions": EMOTIONS,
        "probabilities": np.array([0.1, 0, 0.6, 0.1, 0.1, 0.05, 0.05, 0]),
        "used": ("voice", "face"),
        "voice": np.full(8, 1 / 8),
        "face": np.full(8, 1 / 8),
    }
    return Prediction(**given | changes)


def test_prediction_names_the_most_probable() -> None:
    assert prediction().emotion == "happy"
    assert prediction().confidence == pytest.approx(0.6)


def test_prediction_as_plain_data() -> None:
    data = json.loads(json.dumps(prediction(notes=("a",), meta={"n": 1}, face=None).as_dict()))
    assert list(data["probabilities"]) == list(EMOTIONS)
    assert data["probabilities"]["happy"] == pytest.approx(0.6)
    assert data["face"] is None
    assert data["used"] == ["voice", "face"]
    assert data["notes"] == ["a"]
    assert data["meta"] == {"n": 1}
    nothing = prediction(probabilities=None, voice=None, face=None, used=(), error="why")
    assert nothing.emotion is None
    assert nothing.confidence is None
    assert nothing.as_dict()["probabilities"] is None
    assert nothing.as_dict()["error"] == "why"


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": np.full(7, 1 / 7)},
        {"probabilities": np.full(8, 1 / 7)},
        {"probabilities": np.array([np.nan, *[1 / 7] * 7])},
        {"voice": np.full((1, 8), 1 / 8)},
        {"face": np.array([np.inf, *[0.0] * 7])},
        {"probabilities": None},
    ],
)
def test_prediction_checks_itself(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        prediction(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, np.zeros(3), None, None), "voice: exactly one"),
        ((np.zeros(3), np.zeros(3), None, "why"), "face: exactly one"),
        ((np.array([np.nan]), np.zeros(3), None, None), "voice: features must be finite"),
    ],
)
def test_features_have_an_array_or_a_reason(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Features(*arguments)


def test_features_may_be_integers() -> None:
    assert Features(None, np.zeros((2, 4, 4), np.uint8), voice_missing="why").voice is None


def test_waveform() -> None:
    wave = Waveform(np.zeros((2, 8000), np.float32), 16000)
    assert wave.n_channels == 2
    assert wave.duration_s == 0.5
    wrong: list[Any] = [np.zeros(8, np.float32), np.zeros((1, 8))]
    for samples in wrong:
        with pytest.raises(ValueError, match="samples must be"):
            Waveform(samples, 16000)
    with pytest.raises(ValueError, match="sample_rate_hz must be positive"):
        Waveform(np.zeros((1, 8), np.float32), 0)


def test_frames_and_times_belong_together() -> None:
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="1 images but 2 times"):
        TimedFrames((image,), np.array([0.0, 1.0]), 2)
    with pytest.raises(ValueError, match="never decrease"):
        TimedFrames((image, image), np.array([1.0, 0.0]), 2)


def test_face_track_checks_its_shapes() -> None:
    given: dict[str, Any] = {
        "crops": np.zeros((2, 48, 48), np.uint8),
        "times_s": np.zeros(2),
        "boxes": np.zeros((2, 4), np.int32),
        "found": np.ones(2, bool),
        "n_faces": np.ones(2, np.int32),
    }
    FaceTrack(**given)
    for name, wrong in (
        ("crops", np.zeros((2, 48, 48), np.float32)),
        ("crops", np.zeros((3, 48, 48), np.uint8)),
        ("boxes", np.zeros((2, 3), np.int32)),
        ("found", np.ones(1, bool)),
        ("n_faces", np.ones(3, np.int32)),
    ):
        with pytest.raises(ValueError, match="must"):
            FaceTrack(**given | {name: wrong})


def test_take_is_scored_by_the_id_of_its_voice() -> None:
    voice = Clip(Path("v.wav"), "v", "t", "01", "sad", "audio")
    face = Clip(Path("f.mp4"), "f", "t", "01", "sad", "video")
    assert Take("t", "01", "sad", voice, face).clip_id == "v"
    assert Take("t", "01", "sad", None, face).clip_id == "f"
    with pytest.raises(ValueError, match="neither"):
        Take("t", "01", "sad", None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        voice.take = "u"  # type: ignore[misc]


def test_a_recording_needs_audio_or_video() -> None:
    sound = Waveform(np.zeros((1, 8), np.float32), 8000)
    assert Recording(sound).name == "<arrays>"
    assert Recording(sound, name="mine").frames is None
    with pytest.raises(ValueError, match="audio, video or both"):
        Recording(name="mine")


@pytest.mark.parametrize("changed", [
    {"source": "other"}, {"used": ("voice",)}, {"notes": ("a",)}, {"meta": {"a": np.zeros(2)}},
    {"face": None}, {"probabilities": np.eye(8)[1]}, {"error": "why"},
])  # fmt: skip
def test_predictions_compare(changed: dict[str, Any]) -> None:
    one, same = prediction(meta={"a": np.ones(2)}), prediction(meta={"a": np.ones(2)})
    assert one == same
    assert not one != same  # noqa: SIM202 - the operator is the test
    assert one != prediction(**{"meta": {"a": np.ones(2)}} | changed)
    assert one != "prediction"
    assert one in [same]
    assert copy.deepcopy(one) == one
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_other_records_with_arrays_compare() -> None:
    sound = Waveform(np.zeros((1, 9), np.float32), 16_000)
    frames = TimedFrames((np.zeros((8, 8), np.uint8),), np.zeros(1), 1)
    assert Recording(sound, frames) == Recording(dataclasses.replace(sound), dataclasses.replace(frames))
    assert sound != dataclasses.replace(sound, samples=np.ones((1, 9), np.float32))
    assert frames != dataclasses.replace(frames, times_s=np.ones(1))


def test_prediction_is_plain_data_by_either_name() -> None:
    assert prediction().to_dict() == prediction().as_dict()
