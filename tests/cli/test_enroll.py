from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from emofuse import Profile, Recognizer
from emofuse.cli.app import app
from emofuse.core.errors import ProfileError, WeightsError
from emofuse.core.labels import EMOTIONS
from emofuse.features.face.identity import distance
from tests.support import drawn_people, small_corpora
from tests.support.real_people import embedded, noisy, read_clip, read_stills
from tests.support.stand_in_landmarker import stand_in
from tests.support.typed import not_none


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def given(ensemble_bundle: Path, few_folder: Path) -> list[object]:
    """The recognizer and its table of action units."""
    return ["--bundle", ensemble_bundle, "--action-units", few_folder / small_corpora.TABLE]


@pytest.fixture(scope="module")
def recordings(few_folder: Path) -> list[Path]:
    return sorted((few_folder / "Actor_03").glob("*.wav"))


def predicted(*args: object) -> dict[str, Any]:
    result = run("predict", *args, "-f", "json")
    assert result.exit_code == 0, result.output
    prediction: dict[str, Any]
    (prediction,) = json.loads(result.stdout)
    return prediction


def test_predictions_use_the_profile_of_an_enrolled_person(
    given: list[object], recordings: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "people" / "Zoë.profile"
    result = run("enroll", *recordings[:4], *given, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out}: 4 of 4 recordings read (voice 4, face 4, both 4)" in result.stdout
    assert "personal data" in result.stdout
    assert "no audio, no video and no labels" in result.stdout
    assert "license: CC BY-NC-SA 4.0" in result.stderr
    assert "skipped" not in result.output
    profile = Profile.load(out)
    assert profile.clips == 4
    enrolled = predicted(recordings[6], *given, "--profile", out)
    unenrolled = predicted(recordings[6], *given)
    assert enrolled["probabilities"] != unenrolled["probabilities"]
    bundle, _, table = given[1:]
    recognizer = Recognizer.load(Path(str(bundle)), action_units=Path(str(table)))
    expected = recognizer.predict(recordings[6], profile=profile)
    np.testing.assert_allclose(
        [enrolled["probabilities"][e] for e in EMOTIONS], not_none(expected.probabilities)
    )


def test_an_unreadable_file_is_skipped_and_reported(
    given: list[object], recordings: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    out = tmp_path / "p.profile"
    result = run("enroll", recordings[0], broken, recordings[1], *given, "-o", out)
    assert result.exit_code == 1
    assert "2 of 3 recordings read" in result.stdout
    (line,) = [text for text in result.stderr.splitlines() if "skipped" in text]
    assert line.startswith(f"emofuse: skipped {broken}: ")
    assert Profile.load(out).clips == 2


def test_no_profile_is_written_if_no_file_is_readable(given: list[object], tmp_path: Path) -> None:
    out = tmp_path / "p.profile"
    out.write_bytes(b"of another day")
    result = run("enroll", tmp_path / "none.wav", *given, "--out", out)
    assert result.exit_code == 1
    assert isinstance(result.exception, ProfileError)
    assert "none.wav" in str(result.exception)
    assert out.read_bytes() == b"of another day"


def test_an_invalid_profile_fails_before_a_file_is_read(
    given: list[object], recordings: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "p.profile").write_text("anna")
    for name, says in (("p.profile", "is not a profile"), ("other", "create one with emofuse enroll")):
        result = run("predict", recordings[0], *given, "--profile", tmp_path / name, "-f", "json")
        assert isinstance(result.exception, ProfileError)
        assert says in str(result.exception)
        assert result.stdout == ""


def test_a_profile_of_another_recognizer_is_refused(
    video_bundle: Path, given: list[object], recordings: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "p.profile"
    assert run("enroll", recordings[0], *given, "-o", out).exit_code == 0
    result = run("predict", recordings[0], "--bundle", video_bundle, "--profile", out)
    assert isinstance(result.exception, ProfileError)
    assert "made with another recognizer" in str(result.exception)


def test_videos_of_a_person_without_a_table(
    ensemble_bundle: Path, video_clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a landmarker: the face over the bridge; without one: the voice alone, and how to get it."""
    out, films = tmp_path / "p.profile", [video_clips["happy"], video_clips["sad"]]
    with monkeypatch.context() as patch:
        stand_in(patch)
        result = run("enroll", *films, "--bundle", ensemble_bundle, "--out", out)
        assert result.exit_code == 0, result.output
        assert "2 of 2 recordings read (voice 2, face over the bridge 2)" in result.stdout
        assert "were not read" not in result.output
        prediction = predicted(films[0], "--bundle", ensemble_bundle, "--profile", out)
        assert prediction["used"] == ["voice", "face"] and prediction["meta"]["face_from"] == "bridge"
        result = run("predict", films[0], "--bundle", ensemble_bundle, "--profile", out, "-f", "csv")
        assert "came over the bridge" in result.stdout
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    prediction = predicted(films[0], "--bundle", ensemble_bundle, "--profile", out)  # exit status 0
    assert prediction["used"] == ["voice"] and "face_from" not in prediction["meta"]
    assert any("pip install 'emofuse[blendshapes]'" in note for note in prediction["notes"])
    result = run("enroll", *films, "--bundle", ensemble_bundle, "--out", out)
    assert result.exit_code == 0
    assert "2 of 2 recordings read (voice 2, face 0, both 0)" in result.stdout
    assert "emofuse weights fetch face-landmarker" in result.stderr
    assert "weights" not in run("enroll", *films, "-b", ensemble_bundle, "-o", out, "--quiet").output


def test_the_recognizer_that_comes_with_emofuse_keeps_its_own_baseline(
    recordings: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "p.profile"
    result = run("enroll", *recordings[:3], "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out}: 3 of 3 recordings read (voice 3)" in result.stdout
    assert "own baseline, voice: " in result.stdout
    assert "It holds mean log-probabilities" in result.stdout
    profile = Profile.load(out)
    assert (dict(profile.moments), set(profile.baselines)) == ({}, {"voice"})
    found = predicted(recordings[5], "--profile", out)
    assert any(note.startswith("own baseline, voice: ") for note in found["notes"])
    plain = predicted(recordings[5])
    assert found["meta"]["own_baseline"]["plain"]["voice"] == pytest.approx(plain["voice"])
    subtracted = found["meta"]["own_baseline"]["subtracted"]["voice"]
    expected = profile.baselines["voice"].subtract(
        np.array([plain["voice"][name] for name in EMOTIONS]), subtracted
    )
    np.testing.assert_allclose([found["probabilities"][name] for name in EMOTIONS], expected, atol=1e-6)


def test_help_names_the_options() -> None:
    text = " ".join(run("enroll", "--help").stdout.split())
    assert "--bundle" in text
    assert "--out" in text
    assert "Recordings of one person" in text
    assert "--profile" in run("predict", "--help").stdout


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_a_face_is_kept_only_on_request_and_finds_its_person(ravdess: Path, tmp_path: Path) -> None:
    films = sorted(ravdess.glob("video/Actor_01/01-*.mp4"))[:2]
    plain = run("enroll", *films, "--out", tmp_path / "plain.profile")
    assert plain.exit_code == 0, plain.output
    assert "biometric" not in plain.output and Profile.load(tmp_path / "plain.profile").face is None
    asked = run("enroll", *films, "--with-face", "--out", tmp_path / "Anna.profile")
    assert asked.exit_code == 0, asked.output
    assert "an embedding of the face: biometric data" in " ".join(asked.stdout.split())
    face = not_none(Profile.load(tmp_path / "Anna.profile").face)
    pictures = read_stills(ravdess)
    near, far = (distance(face, embedded(picture)) for picture in pictures[:2])
    assert near < 0.4 and far > 0.6
    # a second person, of whom there are only pictures
    other = replace(Profile.load(tmp_path / "Anna.profile"), face=embedded(pictures[6]))
    other.save(tmp_path / "Bert.profile")
    rng = np.random.default_rng(0)
    size = (pictures[0].shape[1], pictures[0].shape[0])
    clip = [np.asarray(cv2.resize(bgr, size), np.uint8) for bgr in read_clip(films[1])[:12]]
    frames = [*clip, *(noisy(pictures[who], rng) for who in (6, 11) for _ in range(8))]
    film = drawn_people.write_video(
        tmp_path / "three.mp4", frames, ticks=[6000 * i for i in range(len(frames))]
    )
    both = ["--profile", tmp_path / "Anna.profile", "--profile", tmp_path / "Bert.profile"]
    result = run("timeline", film, *both, "--out", tmp_path / "named.json")
    assert result.exit_code == 0, result.output
    named = json.loads((tmp_path / "named.json").read_text(encoding="utf-8"))
    assert named["people"] == ["Anna", "Bert", "person 3"]
    result = run("timeline", film, *both[:2], "--out", tmp_path / "one.json")
    assert result.exit_code == 0, result.output
    one = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))
    assert one["people"] == ["person 1", "person 2", "person 3"]


@pytest.mark.usefixtures("no_identity")
def test_a_face_needs_the_network_before_anything_is_read(recordings: list[Path], tmp_path: Path) -> None:
    result = run("enroll", recordings[0], "--with-face", "--out", tmp_path / "p")
    assert isinstance(result.exception, WeightsError)
    assert "pip install 'emofuse[identity]'" in str(result.exception)
    assert not (tmp_path / "p").exists()
