"""Studies of 2, 12 and 50 labels from their table to the report, the predictions and every export.

One path for all of them: nothing here, and nothing in the package, knows how many labels there are.
"""

from __future__ import annotations

import csv
import html
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emofuse import EmotionClassifier
from emofuse.cli.app import app
from emofuse.core.colors import label_colors
from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import ExperimentError
from emofuse.core.label_names import in_order
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.run_files import read_run
from emofuse.exports.overlay_drawing import plain_labels
from emofuse.exports.write import FORMATS
from emofuse.features.extraction import extract
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.dataset import read_dataset
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support import small_corpora
from tests.support.typed import not_none

LABELS = {
    2: ("stressed", "not stressed"),
    12: (
        "très content", "mécontent", "Ärger", "怒り", "à l’aise", "🙂", "A/B", "-1", "100 %", "[bold]",
        "<b>&amp;", "stress_s",
    ),
    50: tuple(f"label {number:02d}" for number in range(50)),
}  # fmt: skip
VOICE = 'extends = "default"\nname = "small-voice"\nmodalities = ["voice"]\n' + small_corpora.VOICE
FUSION = "\n[fusion]\ninner_folds = 2\n"
SPEAKERS = 4


@dataclass(frozen=True)
class Study:
    """A corpus of recordings, and what was made of it."""

    folder: Path
    labels: tuple[str, ...]
    """As the table has them."""

    @property
    def table(self) -> Path:
        return self.folder / "clips.csv"

    def command(self, *args: object) -> Any:
        result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "150"})
        assert result.exit_code == 0, result.output
        return result


def write_study(folder: Path, labels: tuple[str, ...], takes: int) -> None:
    """WAV files, their table, and a table of action units in place of videos."""
    clips: list[list[str]] = [["path", "emotion", "speaker", "take"]]
    units: list[list[Any]] = [["code", *small_corpora.ACTION_UNITS]]
    for speaker in range(1, SPEAKERS + 1):
        for index, label in enumerate(labels):
            for number in range(takes):
                take = f"s{speaker}-{index:02d}-{number}"
                samples = small_corpora.speech(index % 8, number + 10 * (index // 8), speaker)
                small_corpora.write_wav(folder / f"{take}.wav", samples)
                clips.append([f"{take}.wav", label, f"person {speaker}", take])
                rng = np.random.default_rng([index, number, speaker])
                means = 2 + 1.5 * np.cos(np.arange(len(small_corpora.ACTION_UNITS)) * (index + 1))
                units.append([f"01-{take}", *np.abs(means + 0.5 * rng.standard_normal(len(means))).round(4)])
    for name, rows in (("clips.csv", clips), (small_corpora.TABLE, units)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


@pytest.fixture(scope="module", params=sorted(LABELS))
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Evaluated with voice and face, and trained on the voice, by the commands."""
    folder, labels = tmp_path_factory.mktemp("study"), LABELS[request.param]
    write_study(folder, labels, takes=4 if len(labels) == 2 else 1)
    fusion = small_corpora.AU_RECIPE.replace("[fusion]", '[fusion]\nclassifiers = ["lr", "pool"]')
    (folder / "fusion.toml").write_text(fusion)
    (folder / "voice.toml").write_text(VOICE + FUSION)
    one = Study(folder, labels)
    one.command("evaluate", one.table, "--recipe", folder / "fusion.toml", "--protocol", "actors-2",
                "--jobs", 1, "--out", folder / "run")  # fmt: skip
    one.command("train", one.table, "--recipe", folder / "voice.toml", "--jobs", 1,
                "--out", folder / "bundle")  # fmt: skip
    return one


def test_the_run_tells_the_labels_apart_that_the_table_has(study: Study) -> None:
    run = read_run(study.folder / "run")
    assert run.emotions == in_order(study.labels)
    n, scores = len(study.labels), run.scores["fused"]
    assert scores.probabilities.shape == (len(scores.truth), n)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-6)
    wanted = {clip.take: clip.emotion for clip in load_corpus(study.table).clips}
    assert [run.emotions[index] for index in scores.truth] == [wanted[take] for take in scores.takes]
    groups = run.results["groups"]["fused"]
    assert [group["value"] for group in groups if group["kind"] == "emotion"] == list(run.emotions)


def test_report_and_cards_name_all_labels(study: Study) -> None:
    page = (study.folder / "run" / "report.html").read_text(encoding="utf-8")
    colors = label_colors(in_order(study.labels))
    for label in study.labels:
        assert html.escape(label, quote=False) in page
        assert f"--c:{colors[label]}" in page
    assert f"chance: {100 / len(study.labels):.1f} %" in page
    card = (study.folder / "run" / "model-card.md").read_text(encoding="utf-8")
    assert f"Chance is {100 / len(study.labels):.1f} % UAR" in card


def test_the_recognizer_answers_with_the_labels(study: Study) -> None:
    bundle = load_bundle(study.folder / "bundle")
    assert bundle.emotions == in_order(study.labels)
    clip = study.folder / "s1-00-0.wav"
    printed = study.command("predict", clip, "--bundle", study.folder / "bundle", "--format", "json")
    (found,) = json.loads(printed.stdout)
    assert tuple(found["probabilities"]) == bundle.emotions
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    shown = study.command("predict", clip, "--bundle", study.folder / "bundle").stdout
    assert found["emotion"] in shown


def test_tables_have_a_column_for_each_label(study: Study) -> None:
    suffix = {2: ".jsonl", 12: ".csv", 50: ".parquet"}[len(study.labels)]
    out = study.folder / f"table{suffix}"
    clips = [study.folder / "s1-00-0.wav", study.folder / "s2-01-0.wav"]
    study.command("predict", *clips, "--bundle", study.folder / "bundle", "--jobs", 1, "--out", out)
    rows: list[dict[str, Any]]
    if suffix == ".parquet":
        rows = pq.read_table(out).to_pylist()
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
        rows = [{cell_text(name): cell for name, cell in row.items()} for row in rows]
    columns = ("file", "emotion", *in_order(study.labels))
    assert [tuple(row)[: len(columns)] for row in rows] == [columns] * 2
    for row in rows:
        assert sum(float(row[label]) for label in study.labels) == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def exports(study: Study) -> dict[str, Path]:
    """A recording of several clips, as a timeline in every format."""
    parts = [small_corpora.speech(index % 2, index, 1) for index in range(8)]
    recording = small_corpora.write_wav(study.folder / "long.wav", np.concatenate(parts))
    files = {kind: study.folder / f"long{suffix}" for kind, suffix in FORMATS.items()}
    outs = [part for path in files.values() for part in ("--out", path)]
    study.command("timeline", recording, "--bundle", study.folder / "bundle", "--window", 1, *outs)
    return files


def test_every_export_has_the_labels(study: Study, exports: dict[str, Path]) -> None:
    labels = in_order(study.labels)
    data = json.loads(exports["json"].read_text(encoding="utf-8"))
    assert data["emotions"] == list(labels)
    expressed = {segment["emotion"] for segment in data["segments"]} - {None}
    assert expressed <= set(labels)
    windows = list(csv.DictReader(io.StringIO(exports["windows-csv"].read_text(encoding="utf-8"))))
    for row in windows:
        shares = [row[f"fused_{label}"] for label in labels]
        assert all(len(share) == 8 for share in shares if share), shares  # six decimals, never a time
    texts = {kind: exports[kind].read_text(encoding="utf-8-sig") for kind in ("csv", "vtt", "textgrid")}
    texts["eaf"] = "\n".join(ET.parse(exports["eaf"]).getroot().itertext())
    texts["vtt"] = html.unescape(texts["vtt"])
    for label in expressed:
        for kind, text in texts.items():
            written = f"'{label}" if kind == "csv" and label.startswith("-") and label != "-1" else label
            assert written in text, (kind, label)
    svg = exports["svg"].read_text(encoding="utf-8")
    assert set(labels) <= set(ET.fromstring(svg).itertext())
    assert all(color in svg for color in label_colors(labels).values())
    assert cv2.imread(str(exports["png"])) is not None
    page = exports["html"].read_text(encoding="utf-8")
    assert all(html.escape(label, quote=False) in page for label in labels)


def test_a_classifier_has_the_labels_as_its_classes(tmp_path: Path) -> None:
    write_study(tmp_path, LABELS[12][2:5], takes=1)
    (tmp_path / "voice.toml").write_text(VOICE + FUSION)
    clips = load_corpus(tmp_path / "clips.csv").clips
    paths, labels = [clip.path for clip in clips], [str(clip.emotion) for clip in clips]
    groups = [clip.speaker for clip in clips]
    recipe = load_recipe(tmp_path / "voice.toml")
    fitted = EmotionClassifier(recipe).fit(paths, labels, groups)
    assert fitted.classes_.tolist() == sorted(set(labels))
    assert set(fitted.predict(paths[:2])) <= set(labels)


def test_letters_that_a_font_lacks_have_a_stand_in() -> None:
    plain = plain_labels(LABELS[12])
    assert plain["très content"] == "tres content"
    assert plain["怒り"] == "label 4"
    assert len(set(plain.values())) == 12


def test_a_single_label_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    write_study(tmp_path, ("bored",), takes=1)
    (tmp_path / "voice.toml").write_text(VOICE)
    corpus = load_corpus(tmp_path / "clips.csv")
    with pytest.raises(ExperimentError, match="all clips have the label bored: there is nothing to tell"):
        read_dataset(corpus, load_recipe(tmp_path / "voice.toml"), tmp_path / "work", Resources())


def test_a_face_that_knows_the_eight_emotions_alone_is_refused_early(tmp_path: Path) -> None:
    write_study(tmp_path, LABELS[2], takes=1)
    match = "was trained on FER\\+ and cannot answer 'not stressed'.*any-labels"
    with pytest.raises(ExperimentError, match=match):
        read_dataset(
            load_corpus(tmp_path / "clips.csv"), load_recipe("out-of-the-box"), tmp_path / "w", Resources()
        )


def test_faces_have_any_labels_by_what_that_network_sees(
    tmp_path: Path, video_folder: Path, video_clips: dict[str, Path], store: Any
) -> None:
    """Its features, not its answers: the same ones in training and in prediction."""
    kinds = {video_clips["happy"].stat().st_ino: "très gai", video_clips["sad"].stat().st_ino: "abattu"}
    rows = [
        (clip, kinds[clip.stat().st_ino], clip.parent.name)
        for clip in sorted(video_folder.glob("*/02-*.mp4"))
    ]
    with (tmp_path / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker"), *rows])
    (tmp_path / "faces.toml").write_text(
        'extends = "any-labels"\nname = "faces"\nmodalities = ["face"]\n[face.features]\nn_frames = 2\n'
        "[face.network.ensemble]\ncomponents = 4\n[fusion]\ninner_folds = 2\n"
    )
    corpus, recipe = load_corpus(tmp_path / "clips.csv"), load_recipe(tmp_path / "faces.toml")
    bundle = train(corpus, recipe, tmp_path / "bundle", Resources(store=store))
    assert bundle.emotions == ("abattu", "très gai")
    assert bundle.licence == "CC BY-NC-SA 4.0; clips: not stated"
    assert "FER2013" in (tmp_path / "bundle" / "LICENSE.txt").read_text(encoding="utf-8")
    recognizer = Recognizer.load(tmp_path / "bundle")
    for name, label in (("happy", "très gai"), ("sad", "abattu")):
        found = recognizer.predict(video_clips[name])
        assert found.used == ("face",)
        assert found.emotion == label
        read = extract(video_clips[name], recipe, voice=False)
        again = recognizer.predict_features(read)
        np.testing.assert_allclose(not_none(found.probabilities), not_none(again.probabilities), atol=1e-6)
