"""One clip, three ways in, the same probabilities; and what happens when a voice or a face is missing."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse import Recognizer
from emofuse.bundle import load_bundle
from emofuse.cli import app
from emofuse.corpus import load_corpus
from emofuse.dataset import read_dataset
from emofuse.errors import BundleError, FeatureError, MediaError
from emofuse.experiment import quiet
from emofuse.fitting import MODALITIES, fit_fusion, make_plan, network_jobs, read_answers, run_network_job
from emofuse.labels import EMOTIONS
from emofuse.recipes import load_recipe
from emofuse.records import Features


def through_torch(
    corpus: Path, toml: Path, store: Any, work: Path, take: str
) -> tuple[str, list[np.ndarray]]:
    """What PyTorch and scikit-learn say of a take, fitted as ``train`` does: fused, voice, face."""
    recipe = load_recipe(toml)
    dataset = read_dataset(load_corpus(corpus), recipe, work, jobs=1, store=store, on_progress=quiet)
    rows = np.array([i for i, one in enumerate(dataset.takes) if one.take == take])
    assert len(rows) == 1
    everybody = range(len(dataset.takes))
    plan = make_plan("all", dataset.inputs, everybody, rows.tolist(), recipe)
    for job in network_jobs(plan, dataset.inputs, recipe):
        run_network_job(job, dataset.inputs, recipe, work)
    fusion = fit_fusion(plan, dataset.inputs, recipe, work)
    members = [member.index for member in plan.members]
    voice, face = (read_answers(plan, m, rows, members, work) for m in MODALITIES)
    fused = fusion.predict(fusion.chosen, recipe, [voice, face])[0]
    return fusion.chosen, [fused, np.exp(voice.log_probabilities[0]), np.exp(face.log_probabilities[0])]


def through_command(*args: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["predict", *map(str, args), "--format", "json"])
    assert result.exit_code == 0, result.output
    answers: list[dict[str, Any]] = json.loads(result.stdout)
    assert len(answers) == 1
    return answers[0]


def agree(torch_says: list[np.ndarray], predicted: Any, printed: dict[str, Any]) -> None:
    for name, wanted in zip(("probabilities", "voice", "face"), torch_says, strict=True):
        np.testing.assert_allclose(getattr(predicted, name), wanted, atol=1e-4)
        np.testing.assert_allclose([printed[name][e] for e in EMOTIONS], wanted, atol=1e-4)
        assert np.ptp(wanted) > 1e-3  # 1/8 everywhere would agree with anything


def test_three_ways_agree_on_probabilities(
    tmp_path: Path, small: ModuleType, au_folder: Path, au_toml: Path, au_bundle: Path, store: Any
) -> None:
    take = small.take_code(3, 1, 2)
    chosen, torch_says = through_torch(au_folder, au_toml, store, tmp_path, take)
    file = au_folder / "Actor_02" / f"03-{take}.wav"
    table = au_folder / small.TABLE
    assert load_bundle(au_bundle).provenance["fusion"] == chosen
    predicted = Recognizer.load(au_bundle, action_units=table).predict(file)
    assert predicted.used == ("voice", "face")
    printed = through_command(file, "--bundle", au_bundle, "--action-units", table)
    agree(torch_says, predicted, printed)


def test_three_ways_agree_on_joined_features(
    tmp_path: Path, small: ModuleType, film_folder: Path, film_toml: Path, film_bundle: Path, store: Any
) -> None:
    take = small.take_code(0, 0, 1)
    _, torch_says = through_torch(film_folder, film_toml, store, tmp_path, take)
    file = film_folder / "Actor_01" / f"01-{take}.mp4"
    predicted = Recognizer.load(film_bundle).predict(file)
    assert predicted.used == ("voice", "face")
    agree(torch_says, predicted, through_command(file, "-b", film_bundle))


@pytest.fixture(scope="module")
def recognizer(film_bundle: Path) -> Recognizer:
    return Recognizer.load(film_bundle)


def test_face_alone(recognizer: Recognizer, films: dict[str, Path]) -> None:
    prediction = recognizer.predict(films["silent"])
    assert prediction.used == ("face",)
    assert prediction.voice is None
    assert prediction.voice_missing == "the audio stream is silent"
    assert prediction.face is not None
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities, prediction.face)
    both = recognizer.predict(films["happy"])
    assert both.face is not None
    # the same pictures, up to what the encoder makes of them beside another sound
    np.testing.assert_allclose(both.face, prediction.face, atol=1e-5)
    assert both.used == ("voice", "face")


def test_voice_alone(recognizer: Recognizer, small: ModuleType, tmp_path: Path) -> None:
    path = small.write_wav(tmp_path / "Stimme ☺ お.wav", small.speak(4, 0, 1))
    prediction = recognizer.predict(path)
    assert prediction.used == ("voice",)
    assert prediction.face_missing == "no video stream"
    assert prediction.source == str(path)
    assert prediction.voice is not None
    np.testing.assert_allclose(prediction.probabilities, prediction.voice)
    assert prediction.emotion == EMOTIONS[int(prediction.voice.argmax())]


def test_a_span_is_read_like_the_file_that_holds_just_it(
    recognizer: Recognizer, small: ModuleType, tmp_path: Path
) -> None:
    sound = [small.speak(emotion, 0, 1) for emotion in (1, 6)]
    whole = small.write_wav(tmp_path / "both.wav", np.concatenate(sound))
    alone = small.write_wav(tmp_path / "second.wav", sound[1])
    start = len(sound[0]) / small.RATE
    span, file = recognizer.predict(whole, start_s=start), recognizer.predict(alone)
    np.testing.assert_allclose(span.probabilities, file.probabilities, atol=1e-4)


def test_nothing_to_read(recognizer: Recognizer, small: ModuleType, tmp_path: Path) -> None:
    path = small.write_wav(tmp_path / "silence.wav", np.zeros(16000))
    prediction = recognizer.predict(path)
    assert prediction.probabilities is None
    assert prediction.emotion is None
    assert prediction.error == "no voice (the audio stream is silent), no face (no video stream)"


def test_a_bad_file_does_not_stop_the_others(
    recognizer: Recognizer, films: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(films["happy"].read_bytes()[:3000])
    with pytest.raises(MediaError):
        recognizer.predict(broken)
    first, second, third = recognizer.predict_files([broken, films["happy"], tmp_path / "none.wav"])
    assert first.probabilities is None
    assert str(broken) in (first.error or "")
    assert second.error is None
    assert second.probabilities is not None
    assert "none.wav" in (third.error or "")


def test_predictions_do_not_depend_on_what_came_before(
    film_bundle: Path, recognizer: Recognizer, films: dict[str, Path]
) -> None:
    recognizer.predict(films["sad"])
    fresh = Recognizer.load(film_bundle, threads=2).predict(films["happy"])
    np.testing.assert_allclose(
        recognizer.predict(films["happy"]).probabilities, fresh.probabilities, atol=1e-5
    )


def test_action_units_without_a_row(
    au_bundle: Path, au_folder: Path, small: ModuleType, tmp_path: Path
) -> None:
    path = small.write_wav(tmp_path / "someone.wav", small.speak(4, 0, 1))
    with_table = Recognizer.load(au_bundle, action_units=au_folder / small.TABLE).predict(path)
    assert with_table.face_missing == f"no row for take someone in {small.TABLE}"
    assert with_table.used == ("voice",)
    without = Recognizer.load(au_bundle).predict(path)
    assert without.face_missing is not None
    assert "none was given" in without.face_missing
    with pytest.raises(FeatureError):
        Recognizer.load(au_bundle, action_units=tmp_path / "none.csv")


@pytest.mark.parametrize("columns", ["AU01_r,AU02_r", "AU01_r,AU02_r,AU04_r,AU06_r,AU12_r,AU26_r"])
def test_a_table_of_other_action_units_is_refused(
    au_bundle: Path, small: ModuleType, tmp_path: Path, columns: str
) -> None:
    path = small.write_wav(tmp_path / "someone.wav", small.speak(4, 0, 1))
    table = tmp_path / "t.csv"
    code = f"01-{small.take_code(4, 0, 1)}"
    table.write_text(f"code,{columns}\n{code},{','.join('1' * len(columns.split(',')))}\n")
    with pytest.raises(FeatureError, match=r"t\.csv: the recogniser also reads .*AU25_c"):
        Recognizer.load(au_bundle, action_units=table).predict(path)


def test_action_units_are_found_by_their_names(
    au_bundle: Path, au_folder: Path, small: ModuleType, tmp_path: Path
) -> None:
    """The order of a table's columns, and further ones, change nothing."""
    take = small.take_code(4, 0, 1)
    path = au_folder / "Actor_01" / f"03-{take}.wav"
    with (au_folder / small.TABLE).open(newline="") as file:
        lines = [
            [*reversed(row[1:]), "9" if i else "AU45_r", row[0]] for i, row in enumerate(csv.reader(file))
        ]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    one = Recognizer.load(au_bundle, action_units=au_folder / small.TABLE).predict(path)
    other = Recognizer.load(au_bundle, action_units=tmp_path / "t.csv").predict(path)
    assert one.used == other.used == ("voice", "face")
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    manifest = json.loads((au_bundle / "bundle.json").read_text())
    assert tuple(manifest["action_units"]) == small.UNITS


def test_an_altered_network_is_found_when_loading(film_bundle: Path, tmp_path: Path) -> None:
    import shutil

    for name in ("voice.onnx", "face.onnx", "fusion-0.onnx"):
        copy = shutil.copytree(film_bundle, tmp_path / name)
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(BundleError, match=f"{name} is altered"):
            Recognizer.load(copy)


def test_features_are_read_as_files_are(
    recognizer: Recognizer, film_bundle: Path, films: dict[str, Path]
) -> None:
    from emofuse.features.extraction import extract

    features = extract(films["happy"], load_bundle(film_bundle).recipe)
    prediction = recognizer.predict_features(features)
    np.testing.assert_array_equal(prediction.probabilities, recognizer.predict(films["happy"]).probabilities)
    silent = Features(None, features.face, voice_missing="switched off", notes=("a note",))
    assert recognizer.predict_features(silent).notes == ("a note",)
    assert recognizer.predict_features(silent).voice_missing == "switched off"


def test_prediction_needs_no_training_framework(film_bundle: Path, films: dict[str, Path]) -> None:
    code = (
        "import sys\n"
        "from emofuse import Recognizer\n"
        f"print(Recognizer.load({str(film_bundle)!r}).predict({str(films['happy'])!r}).used)\n"
        "heavy = {'torch', 'sklearn', 'librosa', 'pandas', 'matplotlib', 'optuna', 'scipy', 'h5py', 'onnx'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["('voice', 'face')", ""]
