"""Several corpora at once: joined, held out speaker by speaker, and measured apart."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import CorpusError, ExperimentError
from emofuse.core.labels import EMOTIONS, LABEL_SETS
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpora, load_corpus
from emofuse.evaluation.results import read_results
from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.dataset import read_dataset
from emofuse.training.measured import measure_bundle
from emofuse.training.plan import make_plan
from emofuse.training.resources import Resources
from tests.support import small_corpora

SPEAKERS = ("EB0", "IC0", "KS0", "SM0")
SIX = ("neutral", "happy", "sad", "angry", "fearful", "surprised")


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def nemo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of every emotion by four speakers, as nEMO names them."""
    root = tmp_path_factory.mktemp("corpora") / "nemo"
    for index, speaker in enumerate(SPEAKERS):
        for label, emotion in LABEL_SETS["nemo-6"].items():
            for number in (1, 2):
                samples = small_corpora.speech(EMOTIONS.index(emotion), number, 20 + index)
                small_corpora.write_wav(root / f"{speaker}_{label}_{number}.wav", samples)
    return root


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "several.toml"
    path.write_text(small_corpora.AU_RECIPE.replace("trials = 2\n", 'trials = 1\nclassifiers = ["pool"]\n'))
    return path


@pytest.fixture(scope="module")
def emodb_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of four emotions by two speakers, as EMO-DB names them."""
    root = tmp_path_factory.mktemp("corpora") / "emodb"
    for index, speaker in enumerate(("03", "08")):
        for letter, emotion in (("W", "angry"), ("F", "happy"), ("T", "sad"), ("N", "neutral")):
            samples = small_corpora.speech(EMOTIONS.index(emotion), 0, 30 + index)
            small_corpora.write_wav(root / f"{speaker}a01{letter}a.wav", samples)
    return root


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, au_folder: Path, nemo_folder: Path, toml: Path, store: Any
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "run"
    result = run(
        "evaluate", au_folder, nemo_folder, "-r", toml, "-p", "actors-2", "--weight", "nemo=2.5",
        "-o", out, "-j", 1, "--cache", store.root,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out, result


def test_results_have_each_corpus_apart(evaluated: tuple[Path, Result]) -> None:
    results = read_results(evaluated[0] / "results.json")
    assert results["corpus"]["name"] == "RAVDESS + nEMO"
    assert results["corpus"]["licence"] == "CC BY-NC-SA 4.0"
    assert results["corpus"]["parts"] == [
        {"name": "RAVDESS", "clips": 144, "actors": 6, "licence": "CC BY-NC-SA 4.0",
         "emotions": list(EMOTIONS), "weight": 1.0},
        {"name": "nEMO", "clips": 48, "actors": 4, "licence": "CC BY-NC-SA 4.0",
         "emotions": list(SIX), "weight": 2.5},
    ]  # fmt: skip
    assert list(results["corpora"]) == ["voice", "face", "fused"]
    assert [one["name"] for one in results["corpora"]["voice"]] == ["RAVDESS", "nEMO"]
    assert [one["name"] for one in results["corpora"]["face"]] == ["RAVDESS"]  # nEMO has no faces
    nemo = results["corpora"]["fused"][1]
    assert (nemo["n"], nemo["n_actors"], nemo["emotions"]) == (48, 4, list(SIX))
    for fold in results["systems"]["voice"]["folds"]:
        assert {name.partition(":")[0] for name in fold["test_actors"]} == {"RAVDESS", "nEMO"}


def test_its_figures_follow_from_its_predictions(evaluated: tuple[Path, Result]) -> None:
    with (evaluated[0] / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "voice"]
    own = [row for row in rows if row["actor"].startswith("nEMO:")]
    probabilities = np.array([[float(row[name]) for name in EMOTIONS] for row in own])
    probabilities[:, 0] += probabilities[:, 1]
    places = [EMOTIONS.index(name) for name in SIX]
    predicted = np.array(SIX)[probabilities[:, places].argmax(1)]
    accuracy = float(np.mean([row["emotion"] == name for row, name in zip(own, predicted, strict=True)]))
    results = read_results(evaluated[0] / "results.json")
    assert results["corpora"]["voice"][1]["accuracy"] == pytest.approx(accuracy)


def test_report_cards_and_terminal_show_each_corpus(evaluated: tuple[Path, Result]) -> None:
    folder, result = evaluated
    figures = read_results(folder / "results.json")["corpora"]["fused"][1]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="corpora"' in page
    assert "nEMO: CC BY-NC-SA 4.0, in training a clip counts 2.50 times" in " ".join(page.split())
    card = (folder / "model-card.md").read_text(encoding="utf-8")
    assert "## Results by corpus" in card
    assert f"{100 * figures['uar']:.1f}" in card.partition("## Results by corpus")[2]
    assert "North American" not in card  # not RAVDESS alone
    assert "By corpus, among the emotions that it has" in result.output


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory,
    au_folder: Path,
    nemo_folder: Path,
    emodb_folder: Path,
    toml: Path,
    store: Any,
) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "both"
    result = run(
        "train", au_folder, nemo_folder, "-r", toml, "-o", out, "-j", 1, "--cache", store.root,
        "--measure", emodb_folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "EMO-DB, 4 emotions: UAR %" in result.output
    return out


def test_a_bundle_names_each_corpus_and_its_licence(bundle: Path, nemo_folder: Path) -> None:
    found = load_bundle(bundle)
    assert found.licence == "CC BY-NC-SA 4.0"
    assert [(part["name"], part["clips"], part["actors"]) for part in found.provenance["corpora"]] == [
        ("RAVDESS", 144, 6),
        ("nEMO", 48, 4),
    ]
    assert "nEMO:EB0" in found.provenance["speakers"]
    terms = (bundle / "LICENSE.txt").read_text()
    assert "It was trained on: RAVDESS + nEMO." in terms
    assert "RAVDESS (Livingstone" in terms
    assert "nEMO (Christop" in terms
    prediction = Recognizer.load(bundle).predict(nemo_folder / "EB0_anger_1.wav")
    assert prediction.probabilities is not None


def test_a_corpus_that_is_only_measured_is_judged_among_what_occurs(
    bundle: Path, emodb_folder: Path, store: Any
) -> None:
    (written,) = load_bundle(bundle).provenance["measured"]
    assert written == measure_bundle(
        load_bundle(bundle), load_corpus(emodb_folder), 3, Resources(store=store)
    )
    (emodb_folder / "08b01Fa.wav").write_bytes(b"not a recording")
    found = measure_bundle(load_bundle(bundle), load_corpus(emodb_folder), 0, Resources(store=store))
    assert (found["name"], found["n"], found["n_actors"], found["unread"]) == ("EMO-DB", 8, 2, 1)
    assert found["emotions"] == ["neutral", "happy", "sad", "angry"]
    recognizer = Recognizer.load(bundle)
    right = 0
    for letter, emotion in (("W", "angry"), ("F", "happy"), ("T", "sad"), ("N", "neutral")):
        for speaker in ("03", "08"):
            p = recognizer.predict(emodb_folder / f"{speaker}a01{letter}a.wav").probabilities
            assert p is not None
            among = {"neutral": p[0] + p[1], "happy": p[2], "sad": p[3], "angry": p[4]}
            right += max(among, key=lambda name: among[name]) == emotion
    assert found["accuracy"] == pytest.approx(right / 8)
    assert found["uar"] == pytest.approx(right / 8)  # two of each


def test_weights_and_emotions_are_part_of_what_a_run_depends_on(
    tmp_path: Path, au_folder: Path, nemo_folder: Path, toml: Path, store: Any
) -> None:
    recipe, marks = load_recipe(toml), []
    for number, weights in enumerate(({}, {"nemo": 2.0}, {"nemo": 2.0})):
        corpus = load_corpora([au_folder, nemo_folder], weights=weights)
        dataset = read_dataset(corpus, recipe, tmp_path / str(number), Resources(store=store))
        marks.append(dataset.fingerprint)
        supervision = dataset.inputs.supervision
        assert supervision is not None
        of_nemo = np.array([name.startswith("nEMO") for name in dataset.inputs.speakers])
        assert supervision.known[of_nemo].tolist() == [[name in SIX for name in EMOTIONS]] * of_nemo.sum()
        assert supervision.known[~of_nemo].all()
        ratio = supervision.weights[of_nemo].mean() / supervision.weights[~of_nemo].mean()
        assert ratio == pytest.approx(weights.get("nemo", 1.0))
    assert marks[0] != marks[1] == marks[2]
    plan = make_plan("all", dataset.inputs, range(len(dataset.takes)), (), recipe)
    for member in plan.members:
        for rows in (member.network_rows, member.fusion_rows):
            names = {name.partition(":")[0] for name in dataset.inputs.speakers[rows]}
            assert names == {"RAVDESS", "nEMO"}
    only_one = [
        i for i, name in enumerate(dataset.inputs.speakers)
        if name.startswith("RAVDESS") or name == "nEMO:EB0"
    ]  # fmt: skip
    with pytest.raises(ExperimentError, match="1 training actor of nEMO is too few, 2 are needed"):
        make_plan("all", dataset.inputs, only_one, (), recipe)


def test_one_corpus_alone_has_no_supervision(
    tmp_path: Path, nemo_folder: Path, toml: Path, store: Any
) -> None:
    dataset = read_dataset(load_corpora([nemo_folder]), load_recipe(toml), tmp_path, Resources(store=store))
    assert dataset.inputs.supervision is None
    assert dataset.inputs.distinguished == {}
    assert set(dataset.inputs.speakers) == set(SPEAKERS)


def test_options_that_name_no_corpus_say_so(tmp_path: Path, au_folder: Path, nemo_folder: Path) -> None:
    base = ("train", au_folder, nemo_folder, "-o", tmp_path / "b")
    unknown = run(*base, "--weight", "emodb=2")
    assert isinstance(unknown.exception, CorpusError)
    assert "--weight emodb: no corpus is called so, only RAVDESS, nEMO" in str(unknown.exception)
    for option, text, message in (
        ("--weight", "2", "write the name of a corpus and a value, as in nemo=2"),
        ("--weight", "nemo=much", "could not convert"),
        ("--labels", "nemo-7", "unknown label set 'nemo-7'"),
        ("--license", "CC0", "write the name of a corpus and a value"),
    ):
        wrong = run(*base, option, text)
        assert wrong.exit_code == 2
        assert message in " ".join(wrong.output.replace("│", " ").split())
    assert not (tmp_path / "b").exists()


def test_a_table_with_labels_of_its_own_joins(tmp_path: Path, au_folder: Path, nemo_folder: Path) -> None:
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        rows = [(str(path), path.stem.split("_")[1], path.stem[:3]) for path in nemo_folder.glob("*.wav")]
        csv.writer(file).writerows([("path", "emotion", "speaker"), *rows])
    joined = load_corpora(
        [au_folder, tmp_path / "mine.csv"], labels={"mine": "nemo-6"}, licences={"mine": "CC BY 4.0"}
    )
    assert joined.parts[1].emotions == SIX
    assert joined.licence == "CC BY-NC-SA 4.0"
    named = json.loads(json.dumps([clip.emotion for clip in joined.clips if clip.facts["corpus"] == "mine"]))
    assert set(named) == set(SIX)
