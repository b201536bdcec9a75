"""A recognizer of action units on videos, without a table of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emofuse import Profile, Recognizer
from emofuse.core.recipes.fusion import MIN_LOG_PROBABILITY
from emofuse.core.records import Features, Prediction
from emofuse.features.extraction import extract
from emofuse.features.face.bridge import BRIDGE_NOTE, bridged_scaler, to_action_units
from emofuse.features.speaker_normalization import blend, speaker_scaler
from emofuse.recognition.bridged_face import HOW, NO_FACE_IN_PROFILE, NO_PROFILE, face_reading
from emofuse.recognition.enrolled_model import BRIDGED_FACE
from tests.support import small_corpora
from tests.support.stand_in_landmarker import StandInLandmarker, stand_in
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def clips(home: Path) -> list[Path]:
    """Videos of one drawn person; the last one's audio is silent."""
    return [
        small_corpora.write_clip(
            home / "bridge" / f"{emotion}.mp4", emotion=emotion, actor=3, silent=emotion == 7
        )
        for emotion in (1, 2, 4, 7)
    ]


@pytest.fixture
def recognizer(ensemble_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Recognizer:
    """Without a table, and with a landmarker."""
    stand_in(monkeypatch)
    return Recognizer.load(ensemble_bundle)


@pytest.fixture
def profile(recognizer: Recognizer, clips: list[Path]) -> Profile:
    return recognizer.enroll(clips[:3])


def read(recognizer: Recognizer, path: Path) -> Features:
    """The features of a clip, put together by hand."""
    from emofuse.media.decoding import decode

    frames = not_none(decode(path, audio=False, n_frames=20, square=True).frames)
    landmarker = StandInLandmarker()
    values = np.stack([landmarker.faces(image)[0].values for image in frames.images])
    voice = extract(path, recognizer.recipe, face=False).voice
    return Features(not_none(voice), to_action_units(values, recognizer.bundle.action_units))


def test_voice_and_face_are_read_for_an_enrolled_person(
    recognizer: Recognizer, profile: Profile, clips: list[Path]
) -> None:
    found = recognizer.predict(clips[2], profile=profile)
    assert found.used == ("voice", "face")
    assert BRIDGE_NOTE in found.notes and found.face_missing is None
    assert found.meta["face_from"] == "bridge" and found.meta["frames_with_face"] == 20
    assert found.to_dict()["meta"]["face_from"] == "bridge"
    # what the networks read, from the formulas
    model = recognizer._model.enrolled
    rows = [read(recognizer, path) for path in clips[:3]]
    faces = np.sqrt(np.stack([not_none(row.face) for row in rows]))
    known = profile.moments[BRIDGED_FACE]
    assert known.n == 3
    np.testing.assert_allclose(known.mean, faces.mean(0), rtol=1e-5)
    own = (faces[2] - faces.mean(0)) / bridged_scaler(known, model._priors["face"], 3.0).scale
    (logs,) = model._networks["face"].run(["log_probabilities"], {"inputs": own[None].astype(np.float32)})
    even = np.full((1, 8), 1 / 8)
    wanted = blend(even, np.exp(logs.astype(np.float64)), 3 / (3 + 3))[0]
    np.testing.assert_allclose(not_none(found.face), wanted, atol=1e-5)
    # voice and face at once: each half as the networks of one of them read it
    both = model._priors["both"]
    n_voice = len(both.mean) - len(recognizer.bundle.action_units)
    voice = not_none(rows[2].voice)
    half = speaker_scaler(profile.moments["voice"], both.of_columns(slice(n_voice)), 3.0).apply(voice[None])
    other = bridged_scaler(known, both.of_columns(slice(n_voice, None)), 3.0).apply(faces[2:])
    inputs = {"inputs": np.concatenate([half, other], axis=1)}
    voice_logs = model._networks["voice"].run(
        ["log_probabilities"],
        {"inputs": speaker_scaler(profile.moments["voice"], model._priors["voice"], 3.0).apply(voice[None])},
    )[0]
    both_logs = model._networks["both"].run(["log_probabilities"], inputs)[0]
    joined = np.maximum(np.concatenate([voice_logs, logs, both_logs], axis=1), MIN_LOG_PROBABILITY)
    fused = not_none(model._fusion).run(["probabilities"], {"inputs": joined.astype(np.float32)})[0]
    unenrolled = not_none(recognizer.predict(clips[2]).probabilities)
    wanted = blend(unenrolled[None], fused.astype(np.float64), 3 / (3 + 3))[0]
    np.testing.assert_allclose(not_none(found.probabilities), wanted, atol=1e-4)


def test_without_a_profile_the_voice_alone_is_read(recognizer: Recognizer, clips: list[Path]) -> None:
    found = recognizer.predict(clips[0])
    assert found.used == ("voice",) and found.face is None
    assert NO_PROFILE in found.notes and BRIDGE_NOTE not in found.notes
    assert "face_from" not in found.meta
    np.testing.assert_array_equal(found.probabilities, found.voice)
    silent = recognizer.predict(clips[3])
    assert silent.error is not None and "silent" in silent.error


def test_a_silent_video_of_an_enrolled_person_is_read_by_the_face(
    recognizer: Recognizer, profile: Profile, clips: list[Path]
) -> None:
    found = recognizer.predict(clips[3], profile=profile)
    assert found.used == ("face",) and BRIDGE_NOTE in found.notes
    np.testing.assert_array_equal(found.probabilities, found.face)
    # and gives a standard of the face, but none of the voice
    faces = recognizer.enroll(clips[3:])
    assert {name: known.n for name, known in faces.moments.items()} == {
        "voice": 0, "face": 0, "both": 0, BRIDGED_FACE: 1,
    }  # fmt: skip
    both = recognizer.predict(clips[0], profile=faces)
    assert both.used == ("voice", "face") and both.probabilities is not None


def test_a_voice_without_video_needs_no_bridge(
    recognizer: Recognizer, profile: Profile, few_folder: Path
) -> None:
    wav = next((few_folder / "Actor_02").glob("*.wav"))
    found = recognizer.predict(wav, profile=profile)
    assert found.used == ("voice",) and found.face_missing == "no video stream"
    assert BRIDGE_NOTE not in found.notes


def alone(recognizer: Recognizer, profile: Profile, path: Path) -> Prediction:
    """The prediction for an enrolled person, by the voice alone."""
    features = extract(path, recognizer.recipe, face=False)
    return recognizer.predict_features(features, profile=profile)


@pytest.mark.parametrize("lacks", ["mediapipe", "model"])
def test_without_what_it_needs_the_voice_alone_is_read_and_a_note_says_how_to_get_it(
    recognizer: Recognizer, profile: Profile, clips: list[Path], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, lacks: str,
) -> None:  # fmt: skip
    monkeypatch.undo()  # no stand-in
    if lacks == "mediapipe":
        from tests.features.face.test_blendshapes import stand_in as passes_for_the_model

        passes_for_the_model(tmp_path, monkeypatch)
        monkeypatch.setitem(sys.modules, "mediapipe", None)
    else:
        monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    found = recognizer.predict(clips[0], profile=profile)
    assert found.error is None and found.used == ("voice",)
    (note,) = [note for note in found.notes if "faces in video were not read" in note]
    assert HOW in note and "emofuse weights fetch face-landmarker" in note
    np.testing.assert_array_equal(found.probabilities, alone(recognizer, profile, clips[0]).probabilities)
    assert not_none(recognizer.enrollment_note) == note
    # enrolled by the voice alone
    voices = recognizer.enroll(clips[:2])
    assert {name: known.n for name, known in voices.moments.items()} == {"voice": 2, "face": 0, "both": 0}


def test_a_table_is_read_in_its_place(
    recognizer: Recognizer, profile: Profile, ensemble_bundle: Path, few_folder: Path, clips: list[Path]
) -> None:
    tabled = Recognizer.load(ensemble_bundle, action_units=few_folder / small_corpora.TABLE)
    assert tabled.enrollment_note is None and recognizer.enrollment_note is None
    recordings = sorted((few_folder / "Actor_02").glob("*.wav"))
    # a profile over the bridge is no standard for a row of a table
    with_profile, without = (tabled.predict(recordings[0], profile=p) for p in (profile, None))
    np.testing.assert_allclose(not_none(with_profile.face), not_none(without.face), atol=1e-9)
    assert "face_from" not in with_profile.meta
    # nor the other way around
    of_table = tabled.enroll(recordings[:4])
    assert BRIDGED_FACE not in of_table.moments
    found = recognizer.predict(clips[0], profile=of_table)
    assert found.used == ("voice",) and NO_FACE_IN_PROFILE in found.notes


def test_a_saved_profile_holds_the_faces(
    recognizer: Recognizer, profile: Profile, clips: list[Path], tmp_path: Path
) -> None:
    profile.save(tmp_path / "p.profile")
    saved = Profile.load(tmp_path / "p.profile")
    one, other = (recognizer.predict(clips[1], profile=p) for p in (profile, saved))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one == replace(other, meta=one.meta) and one.meta == other.meta


def test_features_over_the_bridge_need_a_profile(
    recognizer: Recognizer, profile: Profile, clips: list[Path]
) -> None:
    reading = face_reading(recognizer.bundle, None, profile=profile, enrolling=False)
    features = reading.finished(extract(clips[0], reading.recipe))
    with_profile = recognizer.predict_features(features, profile=profile)
    np.testing.assert_allclose(
        not_none(with_profile.probabilities),
        not_none(recognizer.predict(clips[0], profile=profile).probabilities),
    )
    without = recognizer.predict_features(features)
    assert without.used == ("voice",) and BRIDGE_NOTE not in without.notes
    assert "person's own" in not_none(without.face_missing)


def test_recognizers_that_need_no_bridge_read_as_ever(
    video_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    recognizer = Recognizer.load(video_bundle)
    reading = face_reading(recognizer.bundle, None, profile=None, enrolling=True)
    assert reading.recipe is recognizer.recipe and not reading.units and reading.note is None


def test_a_profile_of_other_columns_is_refused(
    recognizer: Recognizer, profile: Profile, clips: list[Path]
) -> None:
    from emofuse.core.errors import ProfileError
    from emofuse.features.speaker_normalization import Moments

    moments = {**profile.moments, BRIDGED_FACE: Moments.of(np.zeros((2, 3)))}
    with pytest.raises(ProfileError, match="does not fit the recognizer's face-bridge"):
        recognizer.predict(clips[0], profile=replace(profile, moments=moments))


def test_frames_without_a_face_are_said(
    recognizer: Recognizer, profile: Profile, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandInLandmarker, "faces", lambda *_: [])
    found = recognizer.predict(clips[0], profile=profile)
    assert found.used == ("voice",) and found.face_missing == "no face found in 20 frames"
