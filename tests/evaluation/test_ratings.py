"""A study of valence and arousal, with labels and without: from the table to every export and the report."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse import Recognizer
from emofuse.cli.app import app
from emofuse.core.errors import ExperimentError
from emofuse.core.rating_metrics import concordance
from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.comparison import compare_runs
from emofuse.evaluation.cross_validation import evaluate
from emofuse.evaluation.leakage.audit import leak
from emofuse.evaluation.robustness import measure_robustness
from emofuse.evaluation.run_files import read_run
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.training.train_bundle import train
from tests.support import rated_corpus, report_page, small_corpora

STUDIES = ("both", "alone", "shuffled")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small-rated.toml"
    path.write_text(rated_corpus.RECIPE)
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = rated_corpus.make_voices(tmp_path_factory.mktemp("corpora"), speakers=10)
    return {
        name: rated_corpus.write_table(
            made, f"{name}.csv", labels=name == "both", shuffled=name == "shuffled"
        )
        for name in STUDIES
    }


@pytest.fixture(scope="module")
def runs(tables: dict[str, Path], recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    settings: Recipe = load_recipe(recipe)
    for name, table in tables.items():
        evaluate(load_corpus(table), settings, "actors-5", root / name)
    return {name: root / name for name in tables}


def figures(run: Path, dimension: str) -> Any:
    results = json.loads((run / "results.json").read_text())
    (found,) = [one for one in results["dimensions"] if one["name"] == dimension]
    return found


@pytest.mark.parametrize("study", ["both", "alone"])
def test_nested_concordance_is_high_where_ratings_are_heard(runs: dict[str, Path], study: str) -> None:
    for dimension in ("valence", "arousal"):
        found = figures(runs[study], dimension)["systems"]["fused"]
        assert found["ccc"] >= 0.6, dimension
        assert found["ccc_ci95"][0] <= found["ccc"] <= found["ccc_ci95"][1]


def test_nested_concordance_is_near_zero_where_ratings_are_shuffled(runs: dict[str, Path]) -> None:
    values = [figures(runs["shuffled"], name)["systems"]["fused"]["ccc"] for name in ("valence", "arousal")]
    assert all(abs(value) <= 0.1 for value in values), values


def test_labels_beside_ratings_change_no_rating(runs: dict[str, Path]) -> None:
    both, alone = (read_run(runs[name]).ratings["valence"]["fused"] for name in ("both", "alone"))
    np.testing.assert_array_equal(both.takes, alone.takes)
    np.testing.assert_allclose(both.predicted, alone.predicted, atol=1e-5)


def test_figures_are_those_of_the_ratings_in_the_run(runs: dict[str, Path]) -> None:
    run = read_run(runs["alone"])
    assert run.emotions == ()
    assert run.systems == ()
    rated = run.ratings["arousal"]["fused"]
    assert np.isnan(rated.truth).sum() == 1, "the take that was not rated"
    found = figures(runs["alone"], "arousal")
    assert found["n"] == 159
    known = ~np.isnan(rated.truth)
    assert found["systems"]["fused"]["ccc"] == concordance(rated.truth[known], rated.predicted[known])


def test_runs_are_compared_by_their_ratings_too(runs: dict[str, Path]) -> None:
    alone = read_run(runs["alone"])
    same = compare_runs(alone, alone).differences
    assert [one.figure for one in same if one.system == "fused"] == [
        "ccc valence", "mae valence", "ccc arousal", "mae arousal",
    ]  # fmt: skip
    assert all(one.difference == 0 for one in same)
    with pytest.raises(ExperimentError, match="disagree on the valence of"):
        compare_runs(alone, read_run(runs["shuffled"]))
    with pytest.raises(ExperimentError, match="have different labels"):
        compare_runs(alone, read_run(runs["both"]))


def test_what_measures_labels_refuses_ratings_alone(
    tables: dict[str, Path], runs: dict[str, Path], recipe: Path, tmp_path: Path
) -> None:
    corpus, settings = load_corpus(tables["alone"]), load_recipe(recipe)
    for attempt in (
        lambda: leak(corpus, settings, "actors-5", tmp_path / "leak"),
        lambda: measure_robustness(runs["alone"], corpus),
        lambda: train(corpus, settings, tmp_path / "bundle", measure_on=[corpus]),
    ):
        with pytest.raises(ExperimentError, match="measures labels, and this corpus has ratings alone"):
            attempt()


@pytest.mark.parametrize("study", ["both", "alone"])
def test_the_report_and_the_cards_show_the_ratings(runs: dict[str, Path], study: str) -> None:
    page = report_page.render(runs[study])
    assert "ratings" in page.sections
    assert ("results" in page.sections) == (study == "both")
    rows = page.table("valence")
    ccc = figures(runs[study], "valence")["systems"]["fused"]["ccc"]
    assert any(f"{ccc:.3f}" in cell for row in rows for cell in row)
    for card in ("model-card.md", "data-card.md"):
        text = (runs[study] / card).read_text(encoding="utf-8")
        assert "## Ratings on numeric scales" in text
        assert ("## Emotions" in text or "## Results\n" in text) == (study == "both")


@pytest.mark.parametrize("study", ["both", "alone"])
def test_a_bundle_rates_recordings_in_every_form(
    tables: dict[str, Path], recipe: Path, tmp_path: Path, study: str
) -> None:
    def run(*command: object) -> str:
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    table, bundle = tables[study], tmp_path / "bundle"
    run("train", table, "--recipe", recipe, "--out", bundle, "--jobs", 1, "--quiet")
    recognizer = Recognizer.load(bundle)
    assert [one.name for one in recognizer.dimensions] == ["valence", "arousal"]
    assert recognizer.emotions == load_corpus(table).emotions
    clips = [table.parent / f"Actor_01/03-01-{emotion}-01-01-01-01.wav" for emotion in ("04", "03")]
    low, high = (recognizer.predict(clip) for clip in clips)
    assert low.dimensions["valence"] is not None
    assert high.dimensions["valence"] is not None
    assert low.dimensions["valence"].value < high.dimensions["valence"].value
    assert low.error is None
    assert low.used == ("voice",)
    rows = list(csv.DictReader(io.StringIO(run("predict", *clips, "--bundle", bundle, "--format", "csv"))))
    assert [float(row["rated_valence"]) for row in rows] == pytest.approx(
        [low.dimensions["valence"].value, high.dimensions["valence"].value], abs=1e-5
    )
    assert "valence" in run("predict", clips[0], "--bundle", bundle)
    out = tmp_path / "many.csv"
    CliRunner().invoke(app, ["predict", str(clips[0]), str(tmp_path / "no.wav"), "--bundle", str(bundle),
                             "--out", str(out), "--jobs", "1"])  # fmt: skip
    many = list(csv.DictReader(io.StringIO(out.read_text())))
    assert {row["rated_valence"] == "" for row in many} == {True, False}
    long = tmp_path / "talk.wav"
    small_corpora.write_wav(long, np.concatenate([small_corpora.speech(k % 8, 0, 1) for k in range(10)]))
    timeline = recognizer.timeline(long)
    assert timeline.dimensions == recognizer.dimensions
    for name, suffix in FORMATS.items():
        assert write_timeline(timeline, tmp_path / f"talk{suffix}", name).stat().st_size
