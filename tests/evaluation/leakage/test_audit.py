"""Features that reveal emotions of known speakers only: leaks score, and honest evaluation does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import optuna
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import Fold
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.leakage.audit import leak
from emofuse.evaluation.leakage.conditions import CONDITIONS, SHORTCUTS
from emofuse.evaluation.leakage.fitting import flattering_fusion, flattering_job, scoring_plan, selecting
from emofuse.evaluation.report.leakage import leakage_markdown, leakage_tables, write_leakage
from emofuse.features.extraction import MODALITIES
from emofuse.features.store import FeatureStore
from emofuse.training.dataset import Inputs
from emofuse.training.jobs import run_network_job
from emofuse.training.plan import derive_seed
from emofuse.training.resources import Resources
from emofuse.training.tuning import study_name
from tests.support import small_corpora
from tests.support.typed import not_none

N_ACTORS, N_TAKES = 4, 4
N_UNITS = 8


def recipe_of(**fusion: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "signatures",
            "seed": 2,
            "voice": {
                "features": {"duration_s": 0.5, "n_mels": 26, "hop_length": 800},
                "network": {"channels": [], "hidden": 6, "n_features": 6},
                "training": {"epochs": 1, "batch_size": 16},
            },
            "face": {
                "features": {"kind": "au-table", "table": "units.csv"},
                "network": {"kind": "au-mlp", "hidden": 48},
                "training": {"epochs": 25, "batch_size": 16, "learning_rate": 0.01},
            },
            "fusion": {
                "inner_folds": 2, "trials": 1, "selection_folds": 2, "classifiers": ["lr"], **fusion,
            },
        }
    )  # fmt: skip


def write_signatures(root: Path) -> Path:
    """Faces that show each person's emotions in a way of their own, and voices without information."""
    rng = np.random.default_rng(3)
    signs = rng.uniform(0, 5, (N_ACTORS + 1, len(EMOTIONS), N_UNITS))
    rows = []
    for actor in range(1, N_ACTORS + 1):
        for emotion in range(len(EMOTIONS)):
            for number in range(N_TAKES):
                code = small_corpora.take_code(emotion, number, actor)
                noise = 0.1 * rng.standard_normal(8000).astype(np.float32)
                small_corpora.write_wav(root / f"Actor_{actor:02d}" / f"03-{code}.wav", noise)
                units = np.abs(signs[actor, emotion] + 0.2 * rng.standard_normal(N_UNITS))
                rows.append([f"01-{code}", *units.round(4)])
    with (root / "units.csv").open("w", newline="") as file:
        head = ["code", *(f"AU{n:02d}_r" for n in range(1, N_UNITS + 1))]
        csv.writer(file).writerows([head, *rows])
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_signatures(tmp_path_factory.mktemp("signatures") / "corpus")


@pytest.fixture(scope="module")
def retained(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return FeatureStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def run(folder: Path, retained: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "leak"
    found = leak(load_corpus(folder), recipe_of(), "actors-2", out, Resources(store=retained))
    assert found == json.loads((out / "leak.json").read_text())
    write_leakage(out, found)
    return out


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((run / "leak.json").read_text())
    return data


def accuracies(found: dict[str, Any], system: str) -> dict[str, float]:
    return {one["key"]: one["systems"][system]["accuracy"] for one in found["conditions"]}


def test_leaks_score_where_unseen_speakers_cannot_be_recognized(found: dict[str, Any]) -> None:
    assert [one["key"] for one in found["conditions"]] == ["a", "a+", "b", "c", "d"]
    face, fused = accuracies(found, "face"), accuracies(found, "fused")
    assert face["d"] < 0.25, "chance is 1/8"
    assert fused["d"] < 0.3
    assert min(face["a"], fused["a"], face["b"]) > 0.4
    assert face["a+"] > face["a"]
    assert fused["a+"] > 0.6
    # selection on the test fold finds something in noise, but does not help with unseen speakers
    assert face["d"] <= face["c"] < face["a"] - 0.15
    # voices are noise: only a network that had seen the clips scores, and only after many epochs
    assert max(accuracies(found, "voice")[key] for key in ("b", "d")) < 0.25


def test_every_condition_but_the_honest_one_is_marked_as_flattered(run: Path) -> None:
    for condition in CONDITIONS:
        results = json.loads((run / condition.folder / "results.json").read_text())
        outputs = [note for note in results["notes"] if note.startswith("FLATTERED: ")]
        assert results.get("flattered", False) is (condition.key != "d")
        assert len(outputs) == len(condition.leaks)
        assert results["speaker_independent"] is (condition.folds == "strangers")


def test_every_condition_scores_every_take_once(run: Path, found: dict[str, Any]) -> None:
    for condition in CONDITIONS:
        with (run / condition.folder / "predictions.csv").open(newline="") as file:
            takes = [row["take"] for row in csv.DictReader(file) if row["system"] == "fused"]
        assert len(takes) == len(set(takes)) == N_ACTORS * len(EMOTIONS) * N_TAKES
    for one in found["conditions"]:
        assert {system["n"] for system in one["systems"].values()} == {len(takes)}


def test_differences_are_those_of_the_conditions(found: dict[str, Any]) -> None:
    assert [(d["shortcut"], d["of"], d["over"]) for d in found["differences"]] == list(SHORTCUTS)
    for system in (*MODALITIES, "fused"):
        right = accuracies(found, system)
        for one in found["differences"]:
            outputs = one["systems"][system]
            assert outputs["difference"] == pytest.approx(right[one["of"]] - right[one["over"]])
            assert outputs["ci95"][0] <= outputs["difference"] <= outputs["ci95"][1]
    known = next(d for d in found["differences"] if (d["of"], d["over"]) == ("a", "d"))
    assert known["systems"]["fused"]["ci95"][0] > 0.2


def test_an_interrupted_run_resumes(folder: Path, retained: FeatureStore, run: Path) -> None:
    """Without one condition's results and one of its fusions: only these are made again."""
    lost = [run / "random-selected-on-test" / name for name in ("results.json", "work/fold-2/fusion.json")]
    before = json.loads(lost[0].read_text())["systems"]
    for path in lost:
        path.unlink()
    there = {path: path.stat().st_mtime_ns for path in run.glob("*/work/**/curve.json")}
    others = {path: path.stat().st_mtime_ns for path in run.glob("*/results.json")}
    assert len(there) == 2 * (5 + 5 * 2 + 2 + 2 * 2)
    assert len(others) == 4
    stages: dict[str, int] = {}
    leak(
        load_corpus(folder),
        recipe_of(),
        "actors-2",
        run,
        Resources(store=retained, on_progress=lambda stage, done, _: stages.update({stage: done})),
    )
    assert stages == {"features": 128, "(a) networks": 10, "(a) fusions": 5}
    assert json.loads(lost[0].read_text())["systems"] == before
    assert all(path.stat().st_mtime_ns == then for path, then in (there | others).items())
    assert not list((run / "work").glob("*.npy"))


def test_an_impossible_audit_is_rejected_before_anything_runs(
    tmp_path: Path, folder: Path, retained: FeatureStore, run: Path
) -> None:
    corpus = load_corpus(folder)
    with pytest.raises(ExperimentError, match=r"keep people apart.*rosred-stratified-5 does not"):
        leak(corpus, recipe_of(), "rosred-stratified-5", tmp_path / "x", Resources(store=retained))
    with pytest.raises(ExperimentError, match="unknown protocol 'nope'"):
        leak(corpus, recipe_of(), "nope", tmp_path / "x", Resources(store=retained))
    with pytest.raises(ExperimentError, match="leak_protocol differ"):
        leak(corpus, recipe_of(), "actors-4", run, Resources(store=retained))
    with pytest.raises(ExperimentError, match="recipe differ"):
        leak(corpus, recipe_of(trials=3), "actors-2", run, Resources(store=retained))
    several = recipe_of(inputs="features")
    with pytest.raises(ExperimentError, match="leave a fusion one actor"):
        leak(corpus, several, "actors-2", tmp_path / "few", Resources(store=retained))
    assert not list((tmp_path / "few").glob("*/work/fold-*"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Noise from five people: whatever does well on a test part does so by chance."""
    folder, n = tmp_path_factory.mktemp("noise"), 80
    rng = np.random.default_rng(1)
    np.save(folder / "voice.npy", rng.standard_normal((n, 26, 12)).astype(np.float32))
    np.save(folder / "face.npy", np.abs(rng.standard_normal((n, N_UNITS))).astype(np.float32))
    there = np.ones(n, dtype=bool)
    speakers = np.array([f"{1 + i // 16:02d}" for i in range(n)])
    return Inputs(folder, np.arange(n) % 8, speakers, {"voice": there, "face": there})


FOLDS = tuple(
    Fold(k, f"fold {k + 1}", tuple(i for i in range(80) if i // 8 % 2 != k),
         tuple(i for i in range(80) if i // 8 % 2 == k), ())
    for k in range(2)
)  # fmt: skip


def test_a_network_keeps_the_epoch_that_does_best_on_the_test_part(inputs: Inputs, tmp_path: Path) -> None:
    recipe = recipe_of()
    job = flattering_job(FOLDS[0], "face", inputs, recipe)
    assert (job.train, job.held_out) == (FOLDS[0].train, FOLDS[0].test)
    run_network_job(job, inputs, selecting(recipe), tmp_path)
    losses = [e["held_out_loss"] for e in json.loads((tmp_path / job.name / "curve.json").read_text())]
    assert len(losses) == recipe.face.training.epochs
    assert min(losses) < losses[-1] - 0.01
    with np.load(tmp_path / job.name / "outputs.npz") as outputs:
        tested = np.isin(outputs["rows"], FOLDS[0].test)
        logs = outputs["log_probabilities"][tested]
        assert sorted(outputs["rows"]) == list(range(80))
        own = -logs[np.arange(len(logs)), inputs.labels[outputs["rows"][tested]]].mean()
    assert own == pytest.approx(min(losses), abs=1e-4)


def test_a_recipe_keeps_its_own_patience_and_an_ensemble_has_none(inputs: Inputs) -> None:
    data = recipe_of().model_dump(mode="json")
    data["voice"]["training"] |= {"epochs": 9, "patience": 4}
    data["face"]["network"] = {"kind": "ensemble"}
    recipe = parse_recipe(data)
    assert selecting(recipe).voice.training.patience == 4
    assert selecting(recipe).face == recipe.face
    job = flattering_job(FOLDS[0], "face", inputs, recipe)
    assert job.held_out == ()
    assert not set(job.train) & set(FOLDS[0].test)
    assert recipe_of().face.training.patience is None, "an honest recipe is left as it was"


def test_a_fusion_is_chosen_by_its_mistakes_on_the_test_part(inputs: Inputs, tmp_path: Path) -> None:
    recipe = recipe_of(classifiers=["lr", "pca-lr"], trials=5)
    for modality in MODALITIES:
        job = flattering_job(FOLDS[0], modality, inputs, recipe)
        run_network_job(job, inputs, selecting(recipe), tmp_path / "networks")
    plan = scoring_plan(FOLDS[0], FOLDS, seen=False)
    assert plan.name == "fold-1"
    outputs = flattering_fusion(plan, inputs, recipe, tmp_path / "networks", tmp_path / "f")
    truth = inputs.labels[outputs["rows"]]
    assert tuple(outputs["rows"]) == FOLDS[0].test
    scores = {}
    for one in outputs["tuning"]:
        seed = derive_seed(recipe.seed, "f", "flattered", one["classifier"])
        study = optuna.load_study(
            study_name=study_name(one["classifier"], "f", seed),
            storage=f"sqlite:///{tmp_path}/f/tuning.sqlite3",
        )
        mistakes = np.mean(np.argmax(outputs["probabilities"][one["classifier"]], 1) != truth)
        # exact to the clip: log loss adds less than one
        assert mistakes <= one["score"] < mistakes + 1 / len(truth)
        tried = [not_none(trial.value) for trial in study.trials]
        assert len(tried) == 5
        assert one["score"] == min(tried)
        scores[one["classifier"]] = one["score"]
    assert outputs["chosen"] == min(scores, key=lambda name: scores[name])


def test_seen_networks_are_those_of_the_next_fold_and_have_seen_every_test_clip(inputs: Inputs) -> None:
    jobs = {job.plan: job for job in (flattering_job(f, "face", inputs, recipe_of()) for f in FOLDS)}
    for fold in FOLDS:
        own, seen = (scoring_plan(fold, FOLDS, seen=seen) for seen in (False, True))
        assert tuple(own.test) == tuple(seen.test) == fold.test
        assert not set(jobs[own.name].train) & set(fold.test)
        assert set(fold.test) <= set(jobs[seen.name].train)


def test_the_report_says_first_that_figures_are_flattered(run: Path, found: dict[str, Any]) -> None:
    text = (run / "leak.md").read_text()
    assert text == leakage_markdown(found)
    assert text.splitlines()[2].startswith("**All figures except those of condition d are inflated")
    for one in found["conditions"]:
        low, high = one["systems"]["fused"]["accuracy_ci95"]
        figures = f"{100 * one['systems']['fused']['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        assert f"| {one['key']} | {one['title']} |" in text
        assert figures in text
    assert "85.4" in text
    accuracy, added = leakage_tables(found)
    assert accuracy.row_count == len(CONDITIONS)
    assert added.row_count == len(SHORTCUTS)


def test_hostile_names_are_escaped(found: dict[str, Any]) -> None:
    hostile = "<script>x</script> **bold** [a](b) | `c`\n# heading &lt; R&D"
    named = {**found, "corpus": {**found["corpus"], "name": hostile}, "notes": [hostile]}
    named["recipe"] = {**found["recipe"], "name": hostile}
    tokens = MarkdownIt("commonmark").enable("table").parse(leakage_markdown(named))
    pieces = [child for token in tokens for child in token.children or [token] if child.content]
    one_line = " ".join(hostile.split())
    assert pieces[0].content == f"Leakage audit: {one_line}"
    assert any(f"actors of {one_line}; random folds" in piece.content for piece in pieces)
    assert one_line in [piece.content for piece in pieces]
    assert {piece.type for piece in pieces} == {"text", "code_inline", "image"}
    assert sum(token.type == "heading_open" for token in tokens) == 5


def test_the_figure_stands_alone(run: Path, found: dict[str, Any]) -> None:
    svg = (run / "leak.svg").read_text()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in svg
    assert "#00000" not in svg.replace("#000000", "")
    outputs = "".join(root.itertext())
    for one in found["conditions"]:
        assert f"{one['title']}  ({one['key']})" in outputs
    image = cv2.imread(str(run / "leak.png"))
    assert image is not None
    assert image.shape[1] > 1000
    # the three systems' colors are there, on white
    assert (image[0, 0] == 255).all()
    for blue_green_red in ((181, 109, 47), (26, 89, 185), (106, 120, 23)):
        assert (image == blue_green_red).all(2).sum() > 50


def test_the_command_resumes_a_run_and_prints_what_leaks_are_worth(
    folder: Path, retained: FeatureStore, run: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    """In a finished run nothing is trained again, and the pages are rendered again."""
    toml = tmp_path / "signatures.toml"
    toml.write_text(as_toml(recipe_of().model_dump(mode="json", exclude_none=True)))
    (run / "leak.md").unlink()
    result = CliRunner().invoke(
        app,
        ["leak", str(folder), "-r", str(toml), "-p", "actors-2", "-o", str(run), "-j", "1",
         "--cache", str(retained.root)],
        env={"COLUMNS": "200"},
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    again = json.loads((run / "leak.json").read_text())
    assert again["differences"] == found["differences"]
    assert accuracies(again, "fused") == accuracies(found, "fused")
    assert (run / "leak.md").is_file()
    assert "FLATTERED" in result.stdout
    for one in found["conditions"]:
        assert one["title"] in result.stdout
        assert f"{100 * one['systems']['fused']['accuracy']:.1f} (" in result.stdout


def as_toml(data: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """Plain data as TOML; JSON writes values as TOML does."""
    plain = {key: value for key, value in data.items() if not isinstance(value, dict)}
    head = f"[{'.'.join(path)}]\n" if path else ""
    text = head + "".join(f"{key} = {json.dumps(value)}\n" for key, value in plain.items())
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    return text + "".join(as_toml(value, (*path, key)) for key, value in tables.items())
