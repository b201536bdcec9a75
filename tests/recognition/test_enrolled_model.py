"""Enrollment from files, and whether prediction with a profile agrees with evaluation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse import Profile, Recognizer
from emofuse.core.errors import BundleError, ProfileError
from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Features
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.enrollment_curve import query_enrolled
from emofuse.evaluation.results import MAIN_SYSTEMS
from emofuse.features.extraction import MODALITIES
from emofuse.features.speaker_normalization import Moments, blend
from emofuse.recognition.bundle import load_bundle
from emofuse.training.dataset import read_dataset
from emofuse.training.ensemble_jobs import enrollment_draws
from emofuse.training.fusion import fit_fusion
from emofuse.training.jobs import load_outputs, run_network_job
from emofuse.training.plan import make_plan, network_jobs
from emofuse.training.resources import Resources
from tests.support import small_corpora
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def recognizer(ensemble_bundle: Path, few_folder: Path) -> Recognizer:
    return Recognizer.load(ensemble_bundle, action_units=few_folder / small_corpora.TABLE)


@pytest.fixture(scope="module")
def recordings(few_folder: Path) -> list[Path]:
    """The recordings of the second actor."""
    return sorted((few_folder / "Actor_02").glob("*.wav"))


@pytest.fixture(scope="module")
def profile(recognizer: Recognizer, recordings: list[Path]) -> Profile:
    return recognizer.enroll(recordings[:4])


def test_prediction_with_a_profile_is_what_evaluation_computes(
    tmp_path: Path, few_folder: Path, ensemble_toml: Path, recognizer: Recognizer, store: Any
) -> None:
    """Fitted as ``train`` does, for the same person after the same enrolled clips."""
    recipe = load_recipe(ensemble_toml)
    dataset = read_dataset(
        load_corpus(few_folder),
        recipe,
        tmp_path,
        Resources(store=store),
    )
    inputs = dataset.inputs
    test = np.flatnonzero(inputs.speakers == "02")
    plan = make_plan("all", inputs, range(len(dataset.takes)), test.tolist(), recipe)
    for job in network_jobs(plan, inputs, recipe):
        run_network_job(job, inputs, recipe, tmp_path)
    fusion = fit_fusion(plan, inputs, recipe, tmp_path)
    pair = [load_outputs(plan, m, test, plan.scoring, tmp_path) for m in MODALITIES]
    outputs = [
        *(np.exp(a.log_probabilities) for a in pair),
        fusion.predict(fusion.chosen, recipe, pair),
    ]
    plain: dict[Any, Any] = {
        name: dict(zip(test.tolist(), p, strict=True)) for name, p in zip(MAIN_SYSTEMS, outputs, strict=True)
    }
    measured = query_enrolled(plan, inputs, recipe, tmp_path, plain)
    paths = {row: dataset.takes[row].voice.path for row in test.tolist()}  # type: ignore[union-attr]
    moved = 0.0
    for _, clips, draw, enrolled, scored in enrollment_draws(test, inputs, recipe)[1::2]:
        profile = recognizer.enroll(paths[row] for row in enrolled.tolist())
        assert {name: known.n for name, known in profile.moments.items()} == dict.fromkeys(
            ("voice", "face", "both"), clips
        )
        for row in scored.tolist()[:3]:
            here = (measured.rows == row) & (measured.clips == clips) & (measured.draws == draw)
            predicted = recognizer.predict(paths[row], profile=profile)
            assert predicted.used == ("voice", "face")
            for name, found in zip(
                MAIN_SYSTEMS, (predicted.voice, predicted.face, predicted.probabilities), strict=True
            ):
                (wanted,) = measured.probabilities[name][here]
                np.testing.assert_allclose(not_none(found), wanted, atol=1e-4)
                moved = max(moved, float(np.abs(wanted - plain[name][row]).max()))
            without = recognizer.predict(paths[row])
            np.testing.assert_allclose(not_none(without.probabilities), plain["fused"][row], atol=1e-4)
    assert moved > 0.01  # a profile that changed nothing would agree with anything


def test_a_bundle_holds_the_networks_for_enrolled_people(ensemble_bundle: Path) -> None:
    assert sorted(load_bundle(ensemble_bundle).files) == [
        "LICENSE.txt", "enrolled-both.npz", "enrolled-both.onnx", "enrolled-face.npz", "enrolled-face.onnx",
        "enrolled-fusion.onnx", "enrolled-voice.npz", "enrolled-voice.onnx", "face.onnx", "fusion-0.onnx",
        "voice.onnx",
    ]  # fmt: skip
    assert not ensemble_bundle.with_name(ensemble_bundle.name + ".work").exists()


def test_a_saved_profile_gives_the_same_predictions(
    tmp_path: Path, recognizer: Recognizer, profile: Profile, recordings: list[Path], ensemble_bundle: Path,
    few_folder: Path,
) -> None:  # fmt: skip
    profile.save(tmp_path / "p.profile")
    fresh = Recognizer.load(ensemble_bundle, action_units=few_folder / small_corpora.TABLE)
    one = recognizer.predict(recordings[6], profile=profile)
    other = fresh.predict(recordings[6], profile=Profile.load(tmp_path / "p.profile"))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert (tmp_path / "p.profile").stat().st_size < 500_000


def test_an_empty_profile_changes_nothing(
    recognizer: Recognizer, profile: Profile, recordings: list[Path]
) -> None:
    nobody = replace(
        profile, moments={name: Moments.of(np.zeros((0, len(k.mean)))) for name, k in profile.moments.items()}
    )
    one = recognizer.predict(recordings[6], profile=nobody)
    other = recognizer.predict(recordings[6])
    for name in ("probabilities", "voice", "face"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9)


def test_the_unenrolled_share_depends_on_the_number_of_clips(
    recognizer: Recognizer, profile: Profile, recordings: list[Path]
) -> None:
    """The weight of the unenrolled prediction follows from the number of clips and ``prior_clips``."""
    unenrolled = recognizer.predict(recordings[6])
    assert unenrolled.voice is not None
    enrolled = recognizer._model.enrolled
    row = read(recognizer, recordings[6]).voice
    assert row is not None
    from emofuse.features.speaker_normalization import speaker_scaler

    known = profile.moments["voice"]
    standard = speaker_scaler(known, enrolled._priors["voice"], enrolled.prior_clips)
    (logs,) = enrolled._networks["voice"].run(["log_probabilities"], {"inputs": standard.apply(row[None])})
    found = recognizer.predict(recordings[6], profile=profile).voice
    wanted = blend(unenrolled.voice[None], np.exp(logs.astype(np.float64)), 3 / (4 + 3))[0]
    np.testing.assert_allclose(not_none(found), wanted, atol=1e-6)


def read(recognizer: Recognizer, path: Path) -> Features:
    from emofuse.features.extraction import extract
    from emofuse.recognition.given_recording import take_of

    return extract(path, recognizer.bundle.recipe, take=take_of(str(path)), table=recognizer.action_units)


def test_a_clip_without_a_face_is_read_by_the_voice(
    recognizer: Recognizer, profile: Profile, recordings: list[Path], tmp_path: Path
) -> None:
    elsewhere = Path(shutil.copy(recordings[6], tmp_path / "someone.wav"))  # no row of action units
    alone = recognizer.predict(elsewhere, profile=profile)
    assert alone.used == ("voice",)
    np.testing.assert_array_equal(alone.probabilities, alone.voice)
    np.testing.assert_allclose(
        not_none(alone.voice), not_none(recognizer.predict(recordings[6], profile=profile).voice), atol=1e-6
    )
    # a person enrolled by voice alone is unenrolled by face
    voice_only = recognizer.enroll([elsewhere])
    assert {name: known.n for name, known in voice_only.moments.items()} == {"voice": 1, "face": 0, "both": 0}
    both, unenrolled = (recognizer.predict(recordings[3], profile=p) for p in (voice_only, None))
    np.testing.assert_allclose(not_none(both.face), not_none(unenrolled.face), atol=1e-9)
    np.testing.assert_allclose(not_none(both.probabilities), not_none(unenrolled.probabilities), atol=1e-9)
    assert both.voice is not None and unenrolled.voice is not None
    assert not np.allclose(np.log(both.voice), np.log(unenrolled.voice), atol=0.01)


def test_a_recording_that_cannot_be_read_is_named(
    recognizer: Recognizer, recordings: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    silent = small_corpora.write_wav(tmp_path / "silence.wav", np.zeros(16000))
    found = recognizer.enroll([recordings[0], broken, silent, tmp_path / "none.wav", recordings[1]])
    assert found.clips == 2
    assert len(found.skipped) == 3
    for path, reason in zip(("broken.wav", "silence.wav", "none.wav"), found.skipped, strict=True):
        assert path in reason
    alone = recognizer.enroll(recordings[:2])
    np.testing.assert_array_equal(found.moments["both"].mean, alone.moments["both"].mean)
    with pytest.raises(ProfileError, match=r"nobody can be enrolled: .*broken\.wav"):
        recognizer.enroll([broken, silent])
    with pytest.raises(ProfileError, match="no recordings were given"):
        recognizer.enroll([])


def test_the_order_of_recordings_and_their_names_change_nothing(
    recognizer: Recognizer, recordings: list[Path]
) -> None:
    one, other = recognizer.enroll(recordings[:5]), recognizer.enroll(reversed(recordings[:5]))
    for name, known in one.moments.items():
        np.testing.assert_allclose(known.mean, other.moments[name].mean, atol=1e-9)
        np.testing.assert_allclose(known.deviations, other.moments[name].deviations, rtol=1e-6, atol=1e-9)


def test_a_profile_of_another_recognizer_is_refused(
    recognizer: Recognizer, profile: Profile, recordings: list[Path]
) -> None:
    other = replace(profile, recogniser="0" * 16)
    asks: list[Callable[[], object]] = [
        lambda: recognizer.predict(recordings[0], profile=other),
        lambda: next(recognizer.predict_files(recordings[:1], profile=other)),
    ]
    for ask in asks:
        with pytest.raises(ProfileError, match="made with another recognizer"):
            ask()


@pytest.mark.parametrize("spoil", ["absent", "short"])
def test_a_profile_that_does_not_fit_is_refused(
    recognizer: Recognizer, profile: Profile, recordings: list[Path], spoil: str
) -> None:
    moments = dict(profile.moments)
    if spoil == "absent":
        del moments["both"]
    else:
        moments["both"] = Moments.of(np.zeros((3, 7)))
    with pytest.raises(ProfileError, match="does not fit the recognizer's both"):
        recognizer.predict(recordings[0], profile=replace(profile, moments=moments))


def test_a_recognizer_without_networks_for_enrolled_people_refuses_their_profile(
    video_bundle: Path, video_clips: dict[str, Path], profile: Profile
) -> None:
    recognizer = Recognizer.load(video_bundle)
    with pytest.raises(ProfileError, match="made with another recognizer"):
        recognizer.predict(video_clips["happy"], profile=profile)


@pytest.mark.parametrize("name", ["enrolled-voice.onnx", "enrolled-face.npz", "enrolled-fusion.onnx"])
def test_an_altered_file_is_found(
    ensemble_bundle: Path, recordings: list[Path], tmp_path: Path, name: str
) -> None:
    copy = shutil.copytree(ensemble_bundle, tmp_path / "b")
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is altered"):
        Recognizer.load(copy).enroll(recordings[:1])


def test_a_damaged_speaker_prior(ensemble_bundle: Path, recordings: list[Path], tmp_path: Path) -> None:
    """Even if its sha256 is that in the manifest."""
    import hashlib

    copy = shutil.copytree(ensemble_bundle, tmp_path / "b")
    (copy / "enrolled-voice.npz").write_bytes(b"PK nothing")
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["files"]["enrolled-voice.npz"]["sha256"] = hashlib.sha256(b"PK nothing").hexdigest()
    manifest["files"]["enrolled-voice.npz"]["bytes"] = len(b"PK nothing")
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"enrolled-voice\.npz is damaged"):
        Recognizer.load(copy).enroll(recordings[:1])


def test_enrolling_needs_no_training_framework(
    ensemble_bundle: Path, recordings: list[Path], few_folder: Path
) -> None:
    table = few_folder / small_corpora.TABLE
    code = (
        "import sys\n"
        "from emofuse import Recognizer\n"
        f"r = Recognizer.load({str(ensemble_bundle)!r}, action_units={str(table)!r})\n"
        f"p = r.enroll([{str(recordings[0])!r}])\n"
        f"print(p.clips, r.predict({str(recordings[1])!r}, profile=p).used)\n"
        "heavy = {'torch', 'sklearn', 'librosa', 'pandas', 'matplotlib', 'optuna', 'scipy', 'h5py', 'onnx'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 ('voice', 'face')", ""]
