"""Studies of 2, 12 and 50 labels from their table to reports, predictions, exports, enrollment and live mode.

One path for all of them: nothing here, and nothing in the package, knows how many labels there are.
"""

from __future__ import annotations

import csv
import html
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from emofuse import EmotionClassifier
from emofuse.core.colors import label_colors
from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.run_files import read_run
from emofuse.exports.overlay_drawing import Drawing, plain_labels
from emofuse.exports.write import FORMATS
from emofuse.features.extraction import extract
from emofuse.features.profile import Profile
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.segments import SegmentRules
from emofuse.timeline.windows import WindowRules
from emofuse.training.dataset import read_dataset
from emofuse.training.resources import Resources
from emofuse.training.train_bundle import train
from tests.support import drawn_people, media_files, small_corpora
from tests.support.label_studies import FUSION, LABELS, VOICE, Study, write_study
from tests.support.lsl import loopback
from tests.support.typed import not_none

SURE = ("--window", 1, "--abstain-below", 0)
"""Options of timelines, in which a recognizer that has learned little abstains nowhere."""
RECEIVER = """
import json, subprocess, sys, xml.etree.ElementTree as ET
import pylsl

name, *command = sys.argv[1:]
live = subprocess.Popen(command, stdout=subprocess.DEVNULL)
(info,) = pylsl.resolve_byprop("name", name, timeout=120)
inlet = pylsl.StreamInlet(info)
inlet.open_stream(timeout=60)
root = ET.fromstring(inlet.info(timeout=60).as_xml())
values = [float("nan")]
while values[0] != values[0]:  # until somebody speaks
    values, _ = inlet.pull_sample(timeout=60)
live.terminate()
live.wait()
print(json.dumps({"labels": [one.findtext("label") for one in root.iter("channel")], "values": values}))
"""


@pytest.fixture(scope="module", params=sorted(LABELS))
def study(request: pytest.FixtureRequest, label_study: Callable[[int], Study]) -> Study:
    """Its recognizer reads the voice."""
    return label_study(request.param)


@pytest.fixture(scope="module")
def run_folder(study: Study) -> Path:
    """An evaluation with voice and face."""
    fusion = small_corpora.AU_RECIPE.replace("[fusion]", '[fusion]\nclassifiers = ["lr", "pool"]')
    recipe, out = study.folder / "fusion.toml", study.folder / "run"
    recipe.write_text(fusion)
    study.command(
        "evaluate", study.table, "--recipe", recipe, "--protocol", "actors-2", "--jobs", 1, "--out", out
    )
    return out


def test_the_run_tells_the_labels_apart_that_the_table_has(study: Study, run_folder: Path) -> None:
    run = read_run(run_folder)
    assert run.emotions == study.emotions
    n, scores = len(study.labels), run.scores["fused"]
    assert scores.probabilities.shape == (len(scores.truth), n)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-6)
    wanted = {clip.take: clip.emotion for clip in load_corpus(study.table).clips}
    assert [run.emotions[index] for index in scores.truth] == [wanted[take] for take in scores.takes]
    groups = run.results["groups"]["fused"]
    assert [group["value"] for group in groups if group["kind"] == "emotion"] == list(run.emotions)


def test_report_and_cards_name_all_labels(study: Study, run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text(encoding="utf-8")
    colors = label_colors(study.emotions)
    for label in study.labels:
        assert html.escape(label, quote=False) in page
        assert f"--c:{colors[label]}" in page
    assert f"chance: {100 / len(study.labels):.1f} %" in page
    card = (run_folder / "model-card.md").read_text(encoding="utf-8")
    assert f"Chance is {100 / len(study.labels):.1f} % UAR" in card


def test_the_recognizer_answers_with_the_labels(study: Study) -> None:
    bundle = load_bundle(study.bundle)
    assert bundle.emotions == study.emotions
    clip = study.folder / "s1-00-0.wav"
    printed = study.command("predict", clip, "--bundle", study.bundle, "--format", "json")
    (found,) = json.loads(printed.stdout)
    assert tuple(found["probabilities"]) == bundle.emotions
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    shown = study.command("predict", clip, "--bundle", study.bundle).stdout
    assert found["emotion"] in shown


def test_tables_have_a_column_for_each_label(study: Study) -> None:
    suffix = {2: ".jsonl", 12: ".csv", 50: ".parquet"}[len(study.labels)]
    out = study.folder / f"table{suffix}"
    clips = [study.folder / "s1-00-0.wav", study.folder / "s2-01-0.wav"]
    study.command("predict", *clips, "--bundle", study.bundle, "--jobs", 1, "--out", out)
    rows: list[dict[str, Any]]
    if suffix == ".parquet":
        rows = pq.read_table(out).to_pylist()
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
        rows = [{cell_text(name): cell for name, cell in row.items()} for row in rows]
    columns = ("file", "emotion", *study.emotions)
    assert [tuple(row)[: len(columns)] for row in rows] == [columns] * 2
    for row in rows:
        assert sum(float(row[label]) for label in study.labels) == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def exports(study: Study) -> dict[str, Path]:
    """A recording of somebody who speaks, as a timeline in every format."""
    speech = drawn_people.draw_person(1).speech(8.0)
    recording = media_files.write_wav(study.folder / "long.wav", speech, drawn_people.RATE)
    files = {kind: study.folder / f"long{suffix}" for kind, suffix in FORMATS.items()}
    outs = [part for path in files.values() for part in ("--out", path)]
    study.command("timeline", recording, "--bundle", study.bundle, *SURE, *outs)
    return files


def test_every_export_has_the_labels(study: Study, exports: dict[str, Path]) -> None:
    labels = study.emotions
    data = json.loads(exports["json"].read_text(encoding="utf-8"))
    assert data["emotions"] == list(labels)
    expressed = {segment["emotion"] for segment in data["segments"]} - {None}
    assert expressed and expressed <= set(labels)
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


def test_an_enrolled_person_is_read_with_the_labels(
    study: Study, exports: dict[str, Path], tmp_path: Path
) -> None:
    profile, (clip, *others) = tmp_path / "one.profile", study.clips(1)
    study.command("enroll", *others[:7], "--bundle", study.bundle, "--out", profile)
    printed = study.command(
        "predict", clip, "--bundle", study.bundle, "--profile", profile, "--format", "json"
    )
    (found,) = json.loads(printed.stdout)
    assert tuple(found["probabilities"]) == study.emotions
    recognizer = Recognizer.load(study.bundle)
    expected = recognizer.predict(clip, profile=Profile.load(profile))
    assert expected.probabilities is not None
    np.testing.assert_allclose(list(found["probabilities"].values()), expected.probabilities, atol=1e-6)
    out = tmp_path / "enrolled.json"
    study.command("timeline", study.folder / "long.wav", "--bundle", study.bundle, *SURE,
                  "--profile", profile, "--out", out)  # fmt: skip
    enrolled, plain = (json.loads(path.read_text(encoding="utf-8")) for path in (out, exports["json"]))
    assert enrolled["emotions"] == list(study.emotions)
    assert [window["end_s"] for window in enrolled["windows"]] == [
        window["end_s"] for window in plain["windows"]
    ]
    for window in enrolled["windows"]:
        assert tuple(window["fused"] or study.emotions) == study.emotions


def test_live_windows_and_their_stream_have_the_labels(
    study: Study, exports: dict[str, Path], tmp_path: Path
) -> None:
    """Lines of JSON, and the channels of the Lab Streaming Layer, which another process receives."""
    recording, lines = exports["json"].with_suffix(".wav"), tmp_path / "lines.jsonl"
    name = f"labels {len(study.labels)}"
    live = [sys.executable, "-m", "emofuse", "live", recording, "--loop", "--bundle", study.bundle,
            "--window", 1, "--hop", 0.5, "--format", "json", "--save-to", lines, "--lsl", name]  # fmt: skip
    receiver = subprocess.run(
        [sys.executable, "-c", RECEIVER, name, *map(str, live)], env=loopback(tmp_path), capture_output=True,
        text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert receiver.returncode == 0, receiver.stderr
    received = json.loads(receiver.stdout)
    assert received["labels"] == [*study.emotions, "speech", "face_present", "person"]
    windows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    read = [window["fused"] for window in windows if window["fused"] is not None]
    assert read and all(tuple(shares) == study.emotions for shares in read)
    assert all(window["emotion"] in study.emotions for window in windows if window["fused"])
    values = np.array(received["values"], dtype=float)[: len(study.labels)]
    known = [list((window["fused"] or dict.fromkeys(study.emotions, np.nan)).values()) for window in windows]
    assert any(np.allclose(values, shares, atol=1e-5, equal_nan=True) for shares in known)


def frames_of(path: Path) -> list[tuple[float, Any]]:
    """Time and picture of every frame."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)
        ]


def test_the_overlay_shows_the_labels(study: Study, tmp_path: Path) -> None:
    """What is drawn on frames of the film is what the timeline says at their times."""
    samples = drawn_people.draw_person(1).speech(4.0)
    gray = np.full((360, 640, 3), 128, np.uint8)
    n_frames = int(drawn_people.FPS * samples.shape[1] / drawn_people.RATE)
    film = drawn_people.write_video(tmp_path / "talk.mp4", [gray] * n_frames, audio=samples)
    drawn = tmp_path / "drawn.mp4"
    study.command("timeline", film, "--bundle", study.bundle, *SURE, "--out", drawn)
    timeline = Recognizer.load(study.bundle).timeline(
        film, rules=WindowRules(window_s=1.0), segment_rules=SegmentRules(abstain_below=0.0)
    )
    assert timeline.emotions == study.emotions
    assert any(segment.emotion for segment in timeline.segments)
    plain, found = map(frames_of, (film, drawn))
    assert len(found) == len(plain) == n_frames
    for (time_s, expected), (shown_s, image) in list(zip(plain, found, strict=True))[:: n_frames // 3]:
        before = expected.copy()
        Drawing(timeline, 640, 360).draw(expected, time_s)
        assert shown_s == time_s and np.abs(expected.astype(int) - before).max() > 60
        assert np.abs(expected.astype(int) - image).mean() < 3


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
