"""Three small corpora across each other, and what must not happen there."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.common_labels import meet
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.joined import join_corpora
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.cross_corpus import CELLS, cell_of, cross
from emofuse.evaluation.cross_results import CrossResults, headline, read_cross
from emofuse.evaluation.cross_validation import evaluate
from emofuse.recognition.bundle import load_bundle
from emofuse.training.resources import Resources
from tests.support import corpora_apart

NAMES = ["RAVDESS", "nEMO", "EMO-DB"]
FOUR = ["neutral", "happy", "sad", "angry"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[Corpus]:
    return [load_corpus(folder) for folder in corpora_apart.write_corpora(tmp_path_factory.mktemp("corpora"))]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(corpora_apart.RECIPE)
    return load_recipe(path)


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, corpora: list[Corpus], recipe: Recipe, store: Any
) -> tuple[Path, CrossResults]:
    run = tmp_path_factory.mktemp("runs") / "cross"
    seen: list[tuple[str, int, int]] = []
    resources = Resources(store=store, on_progress=lambda *told: seen.append(told))
    results = cross(
        corpora, recipe, run, resources, conditions=["none", "speaker"], bundles={"shipped": load_bundle()}
    )
    assert [told for told in seen if told[0] == "cells"][-1] == ("cells", 24, 24)
    return run, results


def test_every_pair_each_against_all_others_and_each_within_itself(done: tuple[Path, CrossResults]) -> None:
    results = done[1]
    own = [cell for cell in results["cells"] if cell["condition"] == "none" and cell["kind"] != "recognizer"]
    assert {(*cell["train"], "→", cell["test"]) for cell in own} == {
        *((name, "→", name) for name in NAMES),
        *((train, "→", test) for train in NAMES for test in NAMES if train != test),
        ("RAVDESS", "nEMO", "→", "EMO-DB"), ("RAVDESS", "EMO-DB", "→", "nEMO"),
        ("nEMO", "EMO-DB", "→", "RAVDESS"),
    }  # fmt: skip
    assert len(own) == 12
    assert all(cell["problem"] is None and headline(cell) for cell in own)
    assert read_cross(done[0]) == results


def test_labels_are_those_of_both_sides(done: tuple[Path, CrossResults]) -> None:
    cell = cell_of(done[1], "none", ["RAVDESS", "nEMO"], "EMO-DB")
    assert cell is not None
    assert (cell["labels"], cell["merged"]) == (FOUR, {"calm": "neutral"})
    assert {"corpus": "RAVDESS", "label": "disgust", "takes": 8} in cell["left_out"]
    within = cell_of(done[1], "none", ["RAVDESS"], "RAVDESS")
    assert within is not None
    assert len(within["labels"]) == 8
    assert (within["merged"], within["left_out"], within["folds"]) == ({}, [], 4)


def test_figures_follow_from_predictions_and_no_speaker_is_in_both_parts(
    done: tuple[Path, CrossResults],
) -> None:
    run, results = done
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for cell in results["cells"]:
        found = headline(cell)
        assert found is not None
        if cell["kind"] == "recognizer":
            continue
        key = (cell["condition"], cell["kind"], " + ".join(cell["train"]), cell["test"])
        own = [row for row in rows if (row["condition"], row["kind"], row["train"], row["test"]) == key]
        index = cell["labels"].index
        truth, predicted = ([index(row[name]) for row in own] for name in ("emotion", "predicted"))
        speakers = [row["speaker"] for row in own]
        assert found["uar"] == pytest.approx(metrics.uar(truth, predicted), abs=1e-12)
        interval = metrics.bootstrap_interval(metrics.uar, truth, predicted, speakers, seed=3)
        assert found["uar_ci95"] == pytest.approx(list(interval), abs=1e-12)
        assert {speaker.partition(":")[0] for speaker in speakers} == {cell["test"]}
        by_fold: dict[str, set[str]] = {}
        for row in own:
            by_fold.setdefault(row["fold"], set()).add(row["speaker"])
        assert sum(map(len, by_fold.values())) == len(set(speakers))  # in one fold each


def test_a_cell_is_the_same_as_evaluate_with_a_corpus_held_out(
    done: tuple[Path, CrossResults], corpora: list[Corpus], recipe: Recipe, store: Any, tmp_path: Path
) -> None:
    met, notes = meet(corpora[:2], corpora[2])
    results = evaluate(
        join_corpora(met), recipe, "test-on-EMO-DB", tmp_path / "run", Resources(store=store), notes
    )
    cell = cell_of(done[1], "none", ["RAVDESS", "nEMO"], "EMO-DB")
    assert cell is not None
    voice = results["systems"]["voice"]
    assert results["emotions"] == cell["labels"]
    assert (voice["uar"], voice["uar_ci95"]) == (headline(cell)["uar"], headline(cell)["uar_ci95"])  # type: ignore[index]
    assert results["notes"][: len(notes)] == notes
    assert results["protocol"] == "test-on-EMO-DB"
    assert (tmp_path / "run/report.html").exists() is False  # the command writes it
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "voice"]
    of_cell = json.loads(next((done[0] / CELLS).glob("none-ravdess-nemo-to-emo-db-*/cell.json")).read_text())
    assert [row["take"] for row in rows] == [take["take"] for take in of_cell["takes"]]
    for row, take in zip(rows, of_cell["takes"], strict=True):
        assert max(float(row[name]) for name in FOUR) == pytest.approx(take["confidence"], abs=1e-6)


def test_no_label_of_the_test_corpus_reaches_a_prediction(
    done: tuple[Path, CrossResults], corpora: list[Corpus], recipe: Recipe, store: Any, tmp_path: Path
) -> None:
    """With labels of EMO-DB dealt anew, its takes are predicted as before, in every condition."""
    turned = dict(zip(FOUR, [*FOUR[1:], FOUR[0]], strict=True))
    clips = tuple(
        replace(clip, emotion=None if clip.emotion is None else turned[clip.emotion])
        for clip in corpora[2].clips
    )
    cross(
        [*corpora[:2], replace(corpora[2], clips=clips)], recipe, tmp_path / "run", Resources(store=store),
        conditions=["none", "speaker"],
    )  # fmt: skip
    name = "*-ravdess-nemo-to-emo-db-*/cell.json"
    for old in (done[0] / CELLS).glob(name):
        before = json.loads(old.read_text())["takes"]
        after = json.loads((tmp_path / "run" / CELLS / old.parent.name / "cell.json").read_text())["takes"]
        assert [t["emotion"] for t in after] == [turned[t["emotion"]] for t in before]
        assert [(t["take"], t["predicted"], t["confidence"]) for t in after] == [
            (t["take"], t["predicted"], t["confidence"]) for t in before
        ]


def test_an_interrupted_run_resumes_cell_by_cell(
    done: tuple[Path, CrossResults], corpora: list[Corpus], recipe: Recipe, store: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(done[0], run)
    cells = sorted((run / CELLS).iterdir())
    assert len(cells) == 24
    assert not any((cell / "work").exists() for cell in cells)  # networks are gone
    for cell in cells[:2]:
        shutil.rmtree(cell)
    (run / "cross.json").unlink()
    times = {cell: (cell / "cell.json").stat().st_mtime_ns for cell in cells[2:]}
    again = cross(
        corpora, recipe, run, Resources(store=store), conditions=["none", "speaker"],
        bundles={"shipped": load_bundle()},
    )  # fmt: skip
    assert {cell: (cell / "cell.json").stat().st_mtime_ns for cell in cells[2:]} == times
    assert again["cells"] == done[1]["cells"]
    other = recipe.model_copy(update={"seed": 4})
    with pytest.raises(ExperimentError, match="holds another run"):
        cross(corpora, other, run, Resources(store=store), conditions=["none"])


def test_a_recognizer_that_was_trained_on_a_corpus_is_flagged_there(done: tuple[Path, CrossResults]) -> None:
    cells = {cell["test"]: cell for cell in done[1]["cells"] if cell["kind"] == "recognizer"}
    assert {name: cell["seen_before"] for name, cell in cells.items()} == {
        "RAVDESS": ["shipped"], "nEMO": ["shipped"], "EMO-DB": [],
    }  # fmt: skip
    assert cells["EMO-DB"]["labels"] == FOUR
    assert all(not cell["seen_before"] for cell in done[1]["cells"] if cell["kind"] != "recognizer")
    with (done[0] / "cross.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seen_before"] for row in rows if row["kind"] == "recognizer"] == ["shipped", "shipped", ""]
    assert {part["part"] for part in done[1]["pretrained"]} >= {"shipped", "speech encoder (Whisper)"}


def test_a_recording_in_two_corpora_is_a_leak(
    corpora: list[Corpus], recipe: Recipe, store: Any, tmp_path: Path
) -> None:
    for clip in corpora[1].clips[:12]:
        shutil.copy(clip.path, tmp_path / clip.path.name)
    twin = next(tmp_path.glob("EB0_*"))
    shutil.copy(corpora[0].clips[0].path, twin)
    with pytest.raises(ExperimentError, match=r"leaks: identical recording .*EB0"):
        cross(
            [corpora[0], load_corpus(tmp_path)], recipe, tmp_path / "run", Resources(store=store),
            conditions=["none"],
        )  # fmt: skip


def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(
    corpora: list[Corpus], recipe: Recipe, store: Any, tmp_path: Path
) -> None:
    alone = replace(
        corpora[2], name="alone", clips=tuple(c for c in corpora[2].clips if c.speaker == "03")
    )  # fmt: skip
    results = cross(
        [corpora[1], alone], recipe, tmp_path / "run", Resources(store=store), conditions=["none"]
    )
    cells = {(cell["train"][0], cell["test"]): cell for cell in results["cells"]}
    assert len(cells) == 4  # of two corpora, all others are one
    measured = headline(cells["nEMO", "alone"])
    assert measured is not None
    assert (measured["n_speakers"], measured["uar_ci95"]) == (1, None)
    assert "2 speakers or more, got 1" in str(cells["alone", "alone"]["problem"])
    assert "training actor" in str(cells["alone", "nEMO"]["problem"])
    assert headline(cells["alone", "nEMO"]) is None
    assert (tmp_path / "run/matrix.png").read_bytes().startswith(b"\x89PNG")


def test_fewer_than_two_corpora_and_unknown_conditions_are_errors(
    corpora: list[Corpus], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ExperimentError, match="two or more"):
        cross(corpora[:1], recipe, tmp_path)
    with pytest.raises(ExperimentError, match="no normalization is called 'z'"):
        cross(corpora, recipe, tmp_path, conditions=["none", "z"])
    assert np.all([not path.name.endswith(".json") for path in tmp_path.iterdir()])
