"""People's own baselines with the recognizer that comes with emofuse, against the formula of its fusion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from emofuse import Profile, Recognizer
from emofuse.core.errors import ProfileError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Features
from emofuse.corpus.ravdess import parse_name
from emofuse.features.own_baseline import Kind, OwnBaseline, Reading, baselines_of
from emofuse.recognition.baseline_model import INFORMATION
from emofuse.training.ship.check import read_stacks
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load()


def reading(seed: int) -> Reading:
    rng = np.random.default_rng(seed)
    voice, face, fused = np.exp(log_softmax(rng.normal(0, 1.5, (3, 8)), axis=1))
    return Reading(voice, face, fused)


BASELINES: dict[Kind, OwnBaseline] = {
    "voice": OwnBaseline(8, np.linspace(-1, 1, 8), 0.7),
    "face": OwnBaseline(18, np.linspace(2, -2, 8), 0.6),
}


def profile(recognizer: Recognizer, baselines: dict[Kind, OwnBaseline] | None = None) -> Profile:
    fingerprint = recognizer.baselines.fingerprint
    return Profile(fingerprint, {}, 8, baselines=BASELINES if baselines is None else baselines)


def test_both_are_shifted_before_they_are_fused(recognizer: Recognizer) -> None:
    plain = reading(0)
    strengths = recognizer.baselines.strengths(BASELINES)
    assert strengths == pytest.approx({"voice": 0.8, "face": 0.9})
    found = recognizer.baselines.against(plain, BASELINES, strengths)
    voice = log_softmax(np.log(not_none(plain.voice)) - 0.8 * BASELINES["voice"].mean)
    face = log_softmax(np.log(not_none(plain.face)) - 0.9 * BASELINES["face"].mean)
    facts = recognizer.bundle.provenance
    weights, likelihood = facts["weights"], np.array(facts["face"]["likelihood"])
    # a face that is not read against all of its mean is partly fused by its likelihood
    plain_face = weights["face"] * np.log(likelihood @ np.exp(face))
    both = 0.1 * np.exp(log_softmax(weights["voice"] * voice + plain_face))
    both += 0.9 * np.exp(log_softmax(weights["voice"] * voice + weights["face_against_baseline"] * face))
    np.testing.assert_allclose(not_none(found.voice), np.exp(voice), atol=1e-9)
    np.testing.assert_allclose(not_none(found.face), np.exp(face), atol=1e-9)
    np.testing.assert_allclose(not_none(found.fused), both, atol=1e-5)


def test_one_modality_alone_is_its_own_fusion(recognizer: Recognizer) -> None:
    plain = reading(1)
    alone = Reading(plain.voice, None, plain.voice)
    found = recognizer.baselines.against(alone, BASELINES, {"voice": 0.8, "face": 0.9})
    assert found.face is None
    expected = BASELINES["voice"].subtract(not_none(plain.voice), 0.8)
    np.testing.assert_array_equal(not_none(found.voice), expected)
    np.testing.assert_array_equal(not_none(found.fused), expected)


@pytest.mark.parametrize("strengths", [{}, {"voice": 0.0}, {"voice": 0.0, "face": 0.0}])
def test_where_nothing_is_subtracted_nothing_changes(
    recognizer: Recognizer, strengths: dict[str, float]
) -> None:
    plain = reading(2)
    assert recognizer.baselines.against(plain, BASELINES, strengths) is plain  # type: ignore[arg-type]


def test_a_surer_bundle_says_so(recognizer: Recognizer) -> None:
    facts = recognizer.bundle.provenance
    stated = {**facts, "voice": {**facts["voice"], INFORMATION: 1.4}}
    surer = Recognizer(replace(recognizer.bundle, provenance=stated))
    assert surer.baselines.strengths(BASELINES) == pytest.approx(
        {"voice": 0.8 * (0.5 - 0.45) / (0.55 - 0.45), "face": 0.9}
    )


def test_another_bundles_profile_is_refused(recognizer: Recognizer) -> None:
    good = profile(recognizer)
    recognizer.check_profile(good)
    with pytest.raises(ProfileError, match="another recognizer"):
        recognizer.check_profile(replace(good, recogniser="0" * 16))
    short: dict[Kind, OwnBaseline] = {"voice": OwnBaseline(3, np.zeros(7), 0.5)}
    with pytest.raises(ProfileError, match="does not fit the recognizer's emotions"):
        recognizer.check_profile(profile(recognizer, short))


def test_a_prediction_with_a_profile_holds_both_readings(recognizer: Recognizer) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (20, 48, 48)).astype(np.uint8)
    features = Features(None, stack, voice_missing="left out")
    plain = recognizer.predict_features(features)
    found = recognizer.predict_features(features, profile=profile(recognizer))
    expected = BASELINES["face"].subtract(not_none(plain.face), 0.9)
    np.testing.assert_allclose(not_none(found.face), expected)
    np.testing.assert_allclose(not_none(found.probabilities), expected)
    assert found.used == ("face",)
    assert found.notes == (
        "own baseline, voice: 80 % of the mean of 8 clips subtracted; "
        "face: 90 % of the mean of 18 clips subtracted",
    )
    kept = found.meta["own_baseline"]
    assert kept["subtracted"] == {"voice": 0.8, "face": 0.9}
    assert kept["plain"]["voice"] is None
    assert [kept["plain"]["fused"][name] for name in EMOTIONS] == not_none(plain.probabilities).tolist()


def test_nobody_is_enrolled_without_recordings(recognizer: Recognizer) -> None:
    with pytest.raises(ProfileError, match="nobody can be enrolled: no recordings were given"):
        recognizer.enroll([])


@pytest.mark.ravdess
def test_the_face_of_actor_1_against_his_other_sequences(recognizer: Recognizer, ravdess: Path) -> None:
    """The face has not seen him. Measured: 22 of 52 right as it is, 32 against his other takes."""
    stacks = read_stacks(ravdess / "faces" / "Actor_01.npz", recognizer.recipe.face.features)
    read = {
        name: recognizer.predict_features(Features(None, stack, voice_missing="left out"))
        for name, stack in stacks.items()
    }
    plain = right = 0
    for name, one in read.items():
        own = parse_name(name)
        others = [
            Reading(None, other.face, other.face)
            for code, other in read.items()
            if parse_name(code).take != own.take
        ]
        baselines = baselines_of(others)
        found = recognizer.baselines.against(
            Reading(None, one.face, one.face), baselines, recognizer.baselines.strengths(baselines)
        )
        plain += one.emotion == own.emotion
        right += EMOTIONS[int(not_none(found.fused).argmax())] == own.emotion
    assert right >= max(28, plain)
