"""One clip, three entry points, the same probabilities; and predictions without a voice or a face."""

from __future__ import annotations

import csv
import io
import json
import pickle
import shutil
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse import Recognizer, recording, to_pandas
from emofuse.cli.app import app
from emofuse.core.errors import BundleError, FeatureError, MediaError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Features, Recording, TimedFrames, Waveform
from emofuse.corpus.load import load_corpus
from emofuse.features.extraction import MODALITIES
from emofuse.features.voice.segment import resample
from emofuse.media.decoding import Media, decode, probe
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.bundle import load_bundle
from emofuse.timeline.model_interface import EmotionModel
from emofuse.training.dataset import read_dataset
from emofuse.training.fusion import fit_fusion
from emofuse.training.jobs import load_outputs, run_network_job
from emofuse.training.plan import make_plan, network_jobs
from emofuse.training.resources import Resources
from tests.support import drawn_people, small_corpora
from tests.support.typed import not_none


def through_torch(
    corpus: Path, toml: Path, store: Any, work: Path, take: str
) -> tuple[str, list[np.ndarray]]:
    """Outputs of PyTorch and scikit-learn for a take, fitted as ``train`` does: fused, voice, face."""
    recipe = load_recipe(toml)
    dataset = read_dataset(
        load_corpus(corpus),
        recipe,
        work,
        Resources(store=store),
    )
    rows = np.array([i for i, one in enumerate(dataset.takes) if one.take == take])
    assert len(rows) == 1
    everybody = range(len(dataset.takes))
    plan = make_plan("all", dataset.inputs, everybody, rows.tolist(), recipe)
    for job in network_jobs(plan, dataset.inputs, recipe):
        run_network_job(job, dataset.inputs, recipe, work)
    fusion = fit_fusion(plan, dataset.inputs, recipe, work)
    members = [member.index for member in plan.members]
    voice, face = (load_outputs(plan, m, rows, members, work) for m in MODALITIES)
    fused = fusion.predict(fusion.chosen, recipe, [voice, face])[0]
    return fusion.chosen, [fused, np.exp(voice.log_probabilities[0]), np.exp(face.log_probabilities[0])]


def through_command(*args: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["predict", *map(str, args), "--format", "json"])
    assert result.exit_code == 0, result.output
    answers: list[dict[str, Any]] = json.loads(result.stdout)
    assert len(answers) == 1
    return answers[0]


def agree(expected: list[np.ndarray], predicted: Any, printed: dict[str, Any]) -> None:
    for name, wanted in zip(("probabilities", "voice", "face"), expected, strict=True):
        np.testing.assert_allclose(getattr(predicted, name), wanted, atol=1e-4)
        np.testing.assert_allclose([printed[name][e] for e in EMOTIONS], wanted, atol=1e-4)
        assert np.ptp(wanted) > 1e-3  # 1/8 everywhere would agree with anything


def test_three_ways_agree_on_probabilities(
    tmp_path: Path, au_folder: Path, au_toml: Path, au_bundle: Path, store: Any
) -> None:
    take = small_corpora.take_code(3, 1, 2)
    chosen, expected = through_torch(au_folder, au_toml, store, tmp_path, take)
    file = au_folder / "Actor_02" / f"03-{take}.wav"
    table = au_folder / small_corpora.TABLE
    assert load_bundle(au_bundle).provenance["fusion"] == chosen
    predicted = Recognizer.load(au_bundle, action_units=table).predict(file)
    assert predicted.used == ("voice", "face")
    printed = through_command(file, "--bundle", au_bundle, "--action-units", table)
    agree(expected, predicted, printed)


def test_three_ways_agree_on_joined_features(
    tmp_path: Path, video_folder: Path, video_toml: Path, video_bundle: Path, store: Any
) -> None:
    take = small_corpora.take_code(0, 0, 1)
    _, expected = through_torch(video_folder, video_toml, store, tmp_path, take)
    file = video_folder / "Actor_01" / f"01-{take}.mp4"
    predicted = Recognizer.load(video_bundle).predict(file)
    assert predicted.used == ("voice", "face")
    agree(expected, predicted, through_command(file, "-b", video_bundle))


@pytest.fixture(scope="module")
def recognizer(video_bundle: Path) -> Recognizer:
    return Recognizer.load(video_bundle)


def test_face_alone(recognizer: Recognizer, video_clips: dict[str, Path]) -> None:
    prediction = recognizer.predict(video_clips["silent"])
    assert prediction.used == ("face",)
    assert prediction.voice is None
    assert prediction.voice_missing == "the audio stream is silent"
    assert prediction.face is not None
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities, prediction.face)
    both = recognizer.predict(video_clips["happy"])
    assert both.face is not None
    # the same frames, up to encoder differences beside other audio
    np.testing.assert_allclose(both.face, prediction.face, atol=1e-5)
    assert both.used == ("voice", "face")


def test_voice_alone(recognizer: Recognizer, tmp_path: Path) -> None:
    path = small_corpora.write_wav(tmp_path / "Stimme ☺ お.wav", small_corpora.speech(4, 0, 1))
    prediction = recognizer.predict(path)
    assert prediction.used == ("voice",)
    assert prediction.face_missing == "no video stream"
    assert prediction.source == str(path)
    assert prediction.voice is not None
    np.testing.assert_allclose(not_none(prediction.probabilities), prediction.voice)
    assert prediction.emotion == EMOTIONS[int(prediction.voice.argmax())]


def test_a_span_is_read_like_a_file_with_only_the_span(recognizer: Recognizer, tmp_path: Path) -> None:
    sound = [small_corpora.speech(emotion, 0, 1) for emotion in (1, 6)]
    whole = small_corpora.write_wav(tmp_path / "both.wav", np.concatenate(sound))
    alone = small_corpora.write_wav(tmp_path / "second.wav", sound[1])
    start = len(sound[0]) / small_corpora.RATE
    span, file = recognizer.predict(whole, start_s=start), recognizer.predict(alone)
    np.testing.assert_allclose(not_none(span.probabilities), not_none(file.probabilities), atol=1e-4)


def test_nothing_to_read(recognizer: Recognizer, tmp_path: Path) -> None:
    path = small_corpora.write_wav(tmp_path / "silence.wav", np.zeros(16000))
    prediction = recognizer.predict(path)
    assert prediction.probabilities is None
    assert prediction.emotion is None
    assert prediction.error == "no voice (the audio stream is silent), no face (no video stream)"


def test_a_bad_file_does_not_stop_the_others(
    recognizer: Recognizer, video_clips: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(video_clips["happy"].read_bytes()[:3000])
    with pytest.raises(MediaError):
        recognizer.predict(broken)
    first, second, third = recognizer.predict_files([broken, video_clips["happy"], tmp_path / "none.wav"])
    assert first.probabilities is None
    assert str(broken) in (first.error or "")
    assert second.error is None
    assert second.probabilities is not None
    assert "none.wav" in (third.error or "")


def test_predictions_do_not_depend_on_what_came_before(
    video_bundle: Path, recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    recognizer.predict(video_clips["sad"])
    fresh = Recognizer.load(video_bundle, threads=2).predict(video_clips["happy"])
    np.testing.assert_allclose(
        not_none(recognizer.predict(video_clips["happy"]).probabilities),
        not_none(fresh.probabilities),
        atol=1e-5,
    )


def test_action_units_without_a_row(au_bundle: Path, au_folder: Path, tmp_path: Path) -> None:
    path = small_corpora.write_wav(tmp_path / "someone.wav", small_corpora.speech(4, 0, 1))
    with_table = Recognizer.load(au_bundle, action_units=au_folder / small_corpora.TABLE).predict(path)
    assert with_table.face_missing == f"no row for take someone in {small_corpora.TABLE}"
    assert with_table.used == ("voice",)
    without = Recognizer.load(au_bundle).predict(path)
    assert without.face_missing is not None
    assert "none was given" in without.face_missing
    with pytest.raises(FeatureError):
        Recognizer.load(au_bundle, action_units=tmp_path / "none.csv")


@pytest.mark.parametrize("columns", ["AU01_r,AU02_r", "AU01_r,AU02_r,AU04_r,AU06_r,AU12_r,AU26_r"])
def test_a_table_of_other_action_units_is_refused(au_bundle: Path, tmp_path: Path, columns: str) -> None:
    path = small_corpora.write_wav(tmp_path / "someone.wav", small_corpora.speech(4, 0, 1))
    table = tmp_path / "t.csv"
    code = f"01-{small_corpora.take_code(4, 0, 1)}"
    table.write_text(f"code,{columns}\n{code},{','.join('1' * len(columns.split(',')))}\n")
    with pytest.raises(FeatureError, match=r"t\.csv: the recognizer also reads .*AU25_c"):
        Recognizer.load(au_bundle, action_units=table).predict(path)


def test_action_units_are_found_by_their_names(au_bundle: Path, au_folder: Path, tmp_path: Path) -> None:
    """The order of columns, and additional columns, change nothing."""
    take = small_corpora.take_code(4, 0, 1)
    path = au_folder / "Actor_01" / f"03-{take}.wav"
    with (au_folder / small_corpora.TABLE).open(newline="") as file:
        lines = [
            [*reversed(row[1:]), "9" if i else "AU45_r", row[0]] for i, row in enumerate(csv.reader(file))
        ]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    one = Recognizer.load(au_bundle, action_units=au_folder / small_corpora.TABLE).predict(path)
    other = Recognizer.load(au_bundle, action_units=tmp_path / "t.csv").predict(path)
    assert one.used == other.used == ("voice", "face")
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    manifest = json.loads((au_bundle / "bundle.json").read_text())
    assert tuple(manifest["action_units"]) == small_corpora.ACTION_UNITS


def test_an_altered_network_is_found_when_loading(video_bundle: Path, tmp_path: Path) -> None:
    import shutil

    for name in ("voice.onnx", "face.onnx", "fusion-0.onnx"):
        copy = shutil.copytree(video_bundle, tmp_path / name)
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(BundleError, match=f"{name} is altered"):
            Recognizer.load(copy)


def test_features_give_the_predictions_of_files(
    recognizer: Recognizer, video_bundle: Path, video_clips: dict[str, Path]
) -> None:
    from emofuse.features.extraction import extract

    features = extract(video_clips["happy"], load_bundle(video_bundle).recipe)
    prediction = recognizer.predict_features(features)
    np.testing.assert_array_equal(
        prediction.probabilities, recognizer.predict(video_clips["happy"]).probabilities
    )
    silent = Features(None, features.face, voice_missing="switched off", notes=("a note",))
    assert recognizer.predict_features(silent).notes == ("a note",)
    assert recognizer.predict_features(silent).voice_missing == "switched off"


@pytest.fixture(scope="module")
def film(video_clips: dict[str, Path]) -> Media:
    """Every frame and every sample of a video."""
    return decode(video_clips["happy"], n_frames=probe(video_clips["happy"]).n_frames)


def test_bytes_and_file_objects_are_read_as_the_file_is(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    wanted = recognizer.predict(video_clips["happy"])
    from_bytes = recognizer.predict(video_clips["happy"].read_bytes())
    assert from_bytes.source == "<bytes>"
    with video_clips["happy"].open("rb") as file:
        from_file = recognizer.predict(file)
        assert not file.closed
    assert from_file.source == str(video_clips["happy"])
    buffer = recognizer.predict(io.BytesIO(video_clips["happy"].read_bytes()), start_s=0.5)
    np.testing.assert_array_equal(
        buffer.probabilities, recognizer.predict(video_clips["happy"], start_s=0.5).probabilities
    )
    for other in (from_bytes, from_file):
        np.testing.assert_array_equal(other.probabilities, wanted.probabilities)


@pytest.mark.parametrize("span", [(None, None), (0.4, None), (0.3, 1.7)])
def test_arrays_give_the_predictions_of_the_file(
    recognizer: Recognizer,
    video_clips: dict[str, Path],
    film: Media,
    span: tuple[float | None, float | None],
) -> None:
    sound, frames = film.audio, film.frames
    assert sound is not None and frames is not None
    wanted = recognizer.predict(video_clips["happy"], start_s=span[0], end_s=span[1])
    assert wanted.used == ("voice", "face")
    ways = {
        "records": recognizer.predict(sound, frames=frames, start_s=span[0], end_s=span[1]),
        "recording": recognizer.predict(Recording(sound, frames), start_s=span[0], end_s=span[1]),
        "arrays": recognizer.predict(
            sound.samples,
            sample_rate_hz=sound.sample_rate_hz,
            frames=np.stack(frames.images),
            frame_times_s=frames.times_s.tolist(),
            start_s=span[0],
            end_s=span[1],
        ),
    }
    for name, prediction in ways.items():
        assert prediction.used == ("voice", "face"), name
        np.testing.assert_allclose(
            not_none(prediction.probabilities), not_none(wanted.probabilities), atol=1e-6, err_msg=name
        )
        np.testing.assert_allclose(not_none(prediction.face), not_none(wanted.face), atol=1e-6, err_msg=name)
        assert prediction.meta == wanted.meta, name
        assert prediction.notes == wanted.notes, name


def test_audio_alone_frames_alone_and_colors(
    recognizer: Recognizer, video_clips: dict[str, Path], film: Media
) -> None:
    whole = recognizer.predict(video_clips["happy"])
    sound, frames = film.audio, film.frames
    assert sound is not None and frames is not None
    audio_only = recognizer.predict(sound.samples[0], sample_rate_hz=float(sound.sample_rate_hz))
    assert audio_only.used == ("voice",) and audio_only.face_missing == "no video stream"
    assert audio_only.source == "<arrays>"
    np.testing.assert_allclose(not_none(audio_only.probabilities), not_none(whole.voice), atol=1e-6)
    grey = list(frames.images)
    for frames_only in (frames, recording(frames=grey, frame_times_s=frames.times_s)):
        video_only = recognizer.predict(frames_only)
        assert video_only.used == ("face",) and video_only.voice_missing == "no audio stream"
        np.testing.assert_allclose(not_none(video_only.probabilities), not_none(whole.face), atol=1e-6)
    coloured = [np.repeat(image[..., None], 3, axis=2) for image in grey]
    for colour in ("rgb", "bgr"):
        video_only = recognizer.predict(frames=coloured, fps=30000 / 1001, colour=colour)
        np.testing.assert_allclose(not_none(video_only.probabilities), not_none(whole.face), atol=1e-6)


def test_integers_are_scaled_as_in_files(recognizer: Recognizer, tmp_path: Path) -> None:
    samples = small_corpora.speech(4, 0, 1)
    path = small_corpora.write_wav(tmp_path / "a.wav", samples)
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    prediction = recognizer.predict(whole, sample_rate_hz=small_corpora.RATE)
    np.testing.assert_array_equal(prediction.probabilities, recognizer.predict(path).probabilities)
    wide = recognizer.predict(whole.astype(np.int32) << 16, sample_rate_hz=small_corpora.RATE)
    np.testing.assert_array_equal(prediction.probabilities, wide.probabilities)


def test_arguments_must_belong_together(recognizer: Recognizer, video_clips: dict[str, Path]) -> None:
    sound = Waveform(np.zeros((1, 16000), np.float32), 16000)
    frames = TimedFrames((np.zeros((8, 8), np.uint8),), np.zeros(1), 1)
    with pytest.raises(FeatureError, match="give samples with sample_rate_hz, frames"):
        recognizer.predict()
    with pytest.raises(FeatureError, match="samples need their rate"):
        recognizer.predict(np.zeros(16000))
    with pytest.raises(FeatureError, match="Waveform has its own rate"):
        recognizer.predict(sound, sample_rate_hz=16000)
    with pytest.raises(FeatureError, match="frames go with a Waveform or an array"):
        recognizer.predict(video_clips["happy"], frames=frames)
    with pytest.raises(FeatureError, match="go with frames, and none were given"):
        recognizer.predict(video_clips["happy"], fps=25)
    with pytest.raises(TypeError, match="a path, bytes or a binary file object, got int"):
        recognizer.predict(3)  # type: ignore[arg-type]


def test_samples_in_lists_tensors_and_memory_are_read(recognizer: Recognizer) -> None:
    torch = pytest.importorskip("torch")
    samples = small_corpora.speech(4, 0, 1)
    wanted = recognizer.predict(samples, sample_rate_hz=small_corpora.RATE)
    given: Any
    for given in (samples.tolist(), torch.from_numpy(samples), memoryview(samples), array("f", samples)):
        found = recognizer.predict(given, sample_rate_hz=small_corpora.RATE)
        assert found == wanted, type(given)
    for given in (samples.tolist(), torch.from_numpy(samples)):
        with pytest.raises(FeatureError, match="samples need their rate: give sample_rate_hz"):
            recognizer.predict(given)
    with pytest.raises(TypeError, match=r"got float; of samples and frames, emofuse\.recording makes one"):
        recognizer.predict(0.5)  # type: ignore[arg-type]


def test_frames_in_lists_and_tensors_are_read(recognizer: Recognizer) -> None:
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).integers(0, 256, (5, 60, 80, 3), np.uint8)
    wanted = recognizer.predict(frames=images, fps=25)
    given: Any
    for given in (
        list(images),
        list(torch.from_numpy(images)),
        torch.from_numpy(images),
        memoryview(images.data),
    ):
        assert recognizer.predict(frames=given, fps=25) == wanted
    for given, message in (
        (
            torch.from_numpy(images).permute(0, 3, 1, 2),
            r"got \(3, 60, 80\) in frame 0: the channels come last",
        ),
        (torch.from_numpy(images).float(), "frames must be uint8"),
        (images.tolist(), "frames must be uint8"),
        ((image for image in images), "frames must be an array of numbers, got generator"),
        ("clip.mp4", "frames must be an array of numbers, got str"),
        (3, r"frames must be .*got \(\)"),
        ([[[1, 2], [3]]], "frame 0 must be an array, and NumPy makes none of this list"),
    ):
        with pytest.raises(FeatureError, match=message):
            recognizer.predict(frames=given, fps=25)


def test_the_content_of_a_file_may_lie_in_any_memory(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    data = video_clips["happy"].read_bytes()
    wanted = recognizer.predict(data)
    name = np.str_(video_clips["happy"])
    assert recognizer.predict(name) == recognizer.predict(video_clips["happy"])
    assert recognizer.predict(bytearray(data)) == recognizer.predict(memoryview(data)) == wanted
    assert wanted.source == "<bytes>"


def test_a_pickle_holds_the_folder(
    recognizer: Recognizer, video_bundle: Path, video_clips: dict[str, Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder, licence = recognizer.bundle.folder, recognizer.licence
    assert repr(recognizer) == f"<Recognizer: {folder}; voice and face; license: {licence}>"
    data = pickle.dumps(recognizer)
    assert len(data) < 50_000
    again = pickle.loads(data)  # noqa: S301 - our own
    assert again.predict(video_clips["happy"]) == recognizer.predict(video_clips["happy"])
    assert repr(again) == repr(recognizer)
    moved = Recognizer.load(shutil.copytree(video_bundle, tmp_path / "moved"), threads=2, decoder_threads=1)
    data = pickle.dumps(moved)
    again = pickle.loads(data)  # noqa: S301 - our own
    assert (again._threads, again.decoder_threads) == (2, 1)
    caplog.clear()
    pickle.loads(data)  # noqa: S301 - our own
    assert "no commercial use" not in caplog.text
    (tmp_path / "moved" / "voice.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"voice\.onnx is altered"):
        pickle.loads(data)  # noqa: S301 - our own


def test_the_shipped_recognizer_is_pickled_by_name() -> None:
    shipped = Recognizer.load()
    assert repr(shipped) == (
        "<Recognizer: the one that comes with emofuse; voice and face; license: CC BY-NC-SA 4.0>"
    )
    data = pickle.dumps(shipped)
    assert b"out-of-the-box" not in data
    assert pickle.loads(data).bundle == shipped.bundle  # noqa: S301 - our own


def test_the_license_is_logged_once_and_not_by_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, emofuse\n"
        "def folder(_):\n"
        "    return emofuse.Recognizer.load().bundle.folder\n"
        "if __name__ == '__main__':\n"
        "    emofuse.Recognizer.load(), emofuse.Recognizer.load()\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        print(len(pool.map(folder, range(2), chunksize=1)))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    assert done.stderr.count("no commercial use") == 1


def test_many_give_the_predictions_of_each_alone(
    recognizer: Recognizer, video_clips: dict[str, Path], film: Media, tmp_path: Path
) -> None:
    voices = [small_corpora.write_wav(tmp_path / f"{e}.wav", small_corpora.speech(e, 0, 1)) for e in range(4)]
    sources: list[Any] = [
        *video_clips.values(),
        video_clips["sad"].read_bytes(),
        Recording(film.audio, film.frames, "mine"),
        *voices,
    ]
    together = list(recognizer.predict_files(iter(sources)))
    for source, prediction in zip(sources, together, strict=True):
        alone = recognizer.predict(source)
        assert prediction.source == alone.source
        np.testing.assert_allclose(
            not_none(prediction.probabilities), not_none(alone.probabilities), atol=1e-5
        )
    assert together[4].source == "mine"
    bad, good = recognizer.predict_files([Waveform(np.full((1, 9000), np.nan, np.float32), 16000), voices[0]])
    assert "NaN" in (bad.error or "") and bad.source == "<arrays>"
    assert good.error is None


def test_many_include_refused_names_and_report_progress(
    recognizer: Recognizer, video_clips: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").mkdir()
    (tmp_path / "b.mp4").write_bytes(video_clips["happy"].read_bytes())
    listing = find_recordings(tmp_path)
    reports: list[tuple[int, int, int]] = []
    refused, read = recognizer.predict_many(listing, on_progress=lambda *counts: reports.append(counts))
    assert refused.error == f"{tmp_path / 'a.mp4'}: is a folder, not a media file"
    assert read.error is None and read.source == str(tmp_path / "b.mp4")
    assert reports == [(1, 1, 2), (2, 1, 2)]


def test_a_programming_error_is_named_by_its_type(
    recognizer: Recognizer, video_clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("frames")

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "predict_features", fail)
        (failed,) = recognizer.predict_files([video_clips["happy"]])
    assert failed.error == "KeyError: 'frames'"


def test_a_recognizer_is_what_windows_need(recognizer: Recognizer) -> None:
    model: EmotionModel = recognizer
    assert model.recipe is recognizer.bundle.recipe
    assert (model.emotions, model.licence) == (recognizer.bundle.emotions, recognizer.bundle.licence)


def test_predictions_as_a_table(recognizer: Recognizer, video_clips: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    predictions = list(
        recognizer.predict_files([video_clips["happy"], video_clips["silent"], tmp_path / "bad.mp4"])
    )
    table = to_pandas(predictions)
    assert list(table["file"]) == [p.source for p in predictions]
    np.testing.assert_array_equal(table.loc[0, list(EMOTIONS)].astype(float), predictions[0].probabilities)
    np.testing.assert_array_equal(
        table.loc[1, [f"face_{e}" for e in EMOTIONS]].astype(float), predictions[1].face
    )
    assert table["used"].fillna("").tolist() == ["voice+face", "face", ""]
    assert table.loc[1, [f"voice_{e}" for e in EMOTIONS]].isna().all()
    assert table.loc[2, ["emotion", "confidence", *EMOTIONS]].isna().all()
    assert "bad.mp4" in str(table.loc[2, "error"])
    assert table[:2].groupby("emotion")["confidence"].count().sum() == 2
    assert to_pandas(predictions[0])["file"].tolist() == [predictions[0].source]
    empty = to_pandas([])
    assert list(empty.columns) == list(table.columns) and len(empty) == 0
    assert empty.dtypes["happy"] == table.dtypes["happy"] == np.float64


def test_prediction_needs_no_training_framework(video_bundle: Path, video_clips: dict[str, Path]) -> None:
    code = (
        "import sys\n"
        "from emofuse import Recognizer\n"
        f"print(Recognizer.load({str(video_bundle)!r}).predict({str(video_clips['happy'])!r}).used)\n"
        "heavy = {'torch', 'sklearn', 'librosa', 'pandas', 'matplotlib', 'optuna', 'scipy', 'h5py', 'onnx'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["('voice', 'face')", ""]


def test_one_recording_is_not_mistaken_for_many(recognizer: Recognizer, video_clips: dict[str, Path]) -> None:
    for one in (video_clips["happy"], str(video_clips["happy"]), b"RIFF"):
        with pytest.raises(TypeError, match="got one"):
            list(recognizer.predict_files(one))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="got one"):
            recognizer.enroll(one)  # type: ignore[arg-type]


def test_a_prediction_without_speech_has_a_note() -> None:
    shipped = Recognizer.load()
    note = "hardly any speech was detected: the result for the voice may be meaningless"
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 16000).astype(np.float32)
    assert note in shipped.predict(noise, sample_rate_hz=16000).notes
    spoken = drawn_people.draw_person(1).speech(3.0)
    assert note not in shipped.predict(spoken, sample_rate_hz=drawn_people.RATE).notes
    narrow = resample(spoken[0], drawn_people.RATE, 8000)
    assert note not in shipped.predict(narrow, sample_rate_hz=8000).notes
