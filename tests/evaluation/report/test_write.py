"""The page is well-formed, fetches nothing, and shows what the files of the run say."""

from __future__ import annotations

import doctest
import io
import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
from rich.console import Console

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.evaluation.report import provenance
from emofuse.evaluation.report.terminal import summary_table
from emofuse.evaluation.report.write import write_report
from emofuse.evaluation.results import SYSTEMS, read_results
from emofuse.evaluation.run_files import read_run
from tests.support import report_page


@pytest.fixture(scope="module")
def page_text(full_run: Path) -> str:
    return write_report(full_run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(page_text: str) -> Any:
    return report_page.Page(page_text)


@pytest.fixture
def bare_run(full_run: Path, tmp_path: Path) -> Path:
    """Only the required files."""
    for name in ("results.json", "predictions.csv"):
        shutil.copy(full_run / name, tmp_path)
    return tmp_path


def test_every_section_is_there_in_order(page: Any) -> None:
    assert page.sections == [
        "results", "folds", "mistakes", "actors", "calibration", "map", "learning", "tuning",
        "examples", "skipped", "settings", "versions", "reproduce",
    ]  # fmt: skip
    for phrase in (
        "Eight acted emotions in 600 clips of 20 actors",
        "trained without its actor",
        "fold 6 dropped",
        "not what a person feels",
        "CC BY-NC-SA 4.0",
        "1 h 2 min",
        "emofuse evaluate CORPUS --recipe ravdess-au --protocol six-fold --out RUN",
        "by t-SNE",
    ):
        assert phrase in page.text


def test_the_page_fetches_nothing_over_the_network(page: Any, page_text: str) -> None:
    assert "http://" not in page_text
    assert "https://" not in page_text
    assert "@import" not in page_text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attrs in page.tags:
        for key in ("src", "href", "srcset", "data"):
            value = attrs.get(key)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page_text))
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy


def test_identifiers_are_unique_and_references_resolve(page: Any, page_text: str) -> None:
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    wanted = re.findall(r'url\(#([^)]+)\)|(?:href|aria-labelledby)="#?([^"]+)"', page_text)
    assert {a or b for a, b in wanted} <= set(identifiers)


def test_images_and_tables_are_accessible(page: Any) -> None:
    assert dict(page.tags)["html"]["lang"] == "en"
    for tag, attrs in page.tags:
        if tag == "img":
            assert attrs.get("alt")
        if tag == "svg":
            assert attrs.get("role") == "img"
            assert attrs.get("aria-label")
        if tag == "th":
            assert attrs.get("scope") in ("row", "col")
    assert sum(tag == "table" for tag, _ in page.tags) == sum(tag == "caption" for tag, _ in page.tags)
    assert all(page.tables)


def test_charts_take_the_colors_of_the_page(page_text: str) -> None:
    svg = "".join(re.findall(r"<svg.*?</svg>", page_text, flags=re.S))
    assert svg.count("var(--text)") > 20
    assert re.findall(r"#0000\d\d", svg) == []
    assert "font-family: inherit" in svg


def test_systems_have_the_figures_of_results_json(page: Any, full_run: Path) -> None:
    results = read_results(full_run / "results.json")
    rows = {row[0].split()[-1]: row[1:] for row in page.table("All systems")[1:]}
    assert list(rows) == [name for name in SYSTEMS if name in results["systems"]]
    for name, system in results["systems"].items():
        low, high = system["accuracy_ci95"]
        bottom, top = system["uar_ci95"]
        assert rows[name] == [
            f"{100 * system['accuracy']:.1f} {100 * low:.1f} to {100 * high:.1f}",
            f"{100 * system['uar']:.1f} {100 * bottom:.1f} to {100 * top:.1f}",
            f"{100 * system['f1_macro']:.1f}",
            f"{system['log_loss']:.3f}",
            f"{100 * system['ece']:.1f}",
            str(sum(fold["n"] for fold in system["folds"])),
        ]


def test_folds_have_the_figures_of_results_json(page: Any, full_run: Path) -> None:
    results = read_results(full_run / "results.json")
    table = page.table("Accuracy % in each fold")
    columns = ["voice", "face", "fused:lr", "fused:pca-lr", "fused:svm", "fused:nn", "fused"]
    for index, row in enumerate(table[1:-1]):
        folds = [results["systems"][name]["folds"][index] for name in columns]
        assert row[0] == folds[0]["fold"]
        assert row[1] == ", ".join(folds[0]["test_actors"])
        assert row[3:-1] == [f"{100 * f['accuracy']:.1f} {100 * f['uar']:.1f}" for f in folds]
        assert row[-1].strip() == results["fused_choice"][row[0]]
    voice = [fold["accuracy"] for fold in results["systems"]["voice"]["folds"]]
    assert table[-1][3] == f"{100 * np.mean(voice):.1f} ± {100 * np.std(voice, ddof=1):.1f}"


def test_the_best_of_each_column_is_bold(page_text: str, full_run: Path) -> None:
    systems = read_results(full_run / "results.json")["systems"].values()
    assert f"<b>{100 * max(s['accuracy'] for s in systems):.1f}</b>" in page_text
    assert f"<b>{min(s['log_loss'] for s in systems):.3f}</b>" in page_text


@pytest.mark.parametrize("name", ["voice", "face", "fused"])
def test_confusions_and_recalls_are_scikit_learns(page: Any, full_run: Path, name: str) -> None:
    scores = read_run(full_run).scores[name]
    expected = oracle.confusion_matrix(scores.truth, scores.predicted, normalize="true")
    shown = page.table(f"{SYSTEMS[name]}, % of row")
    assert [row[0] for row in shown[1:]] == list(EMOTIONS)
    assert [row[1:] for row in shown[1:]] == [[f"{100 * v:.0f}" for v in row] for row in expected]
    column = page.table("Recall")[0].index(f"{SYSTEMS[name].split(',')[0]} %")
    assert [row[column] for row in page.table("Recall")[1:]] == [
        f"{100 * v:.1f}" for v in expected.diagonal()
    ]


def test_gain_is_over_the_clips_both_classified(page: Any, full_run: Path) -> None:
    run = read_run(full_run)
    face, fused = run.scores["face"], run.scores["fused"]
    assert len(face.takes) < len(fused.takes)
    both = np.isin(fused.takes, face.takes)
    gain = np.mean((fused.predicted == fused.truth)[both]) - np.mean(face.predicted == face.truth)
    row = page.table("What fusion adds")[2]
    assert row[1] == f"{100 * gain:+.1f}"
    assert row[-1] == str(both.sum())
    low, high = (float(bound) for bound in row[2].split(" to "))
    assert low < 100 * gain < high


def test_text_from_a_run_is_escaped(page: Any, page_text: str) -> None:
    assert "no &lt;audio&gt; stream &amp; nothing else" in page_text
    assert page.table("Clips that could not be used")[1][1] == "no <audio> stream & nothing else"


def test_hostile_names_stay_text(full_run: Path, tmp_path: Path) -> None:
    hostile = "<script>x</script> \" onload='x' **b** {{ 1 }}\n& &lt; caf\udce9"
    run = tmp_path / "run"
    shutil.copytree(full_run, run)

    def edit(results: dict[str, Any]) -> None:
        results["corpus"].update(name=hostile, licence=hostile)
        results["recipe"].update(name=hostile, hash=hostile)
        results["recipe"]["settings"]["description"] = hostile
        results["notes"], results["protocol"], results["software"][hostile] = [hostile], hostile, hostile
        results["systems"][hostile] = results["systems"]["voice"]
        results["fused_choice"]["1"] = hostile

    report_page.edit_results(run, edit)
    details = json.loads((run / "details.json").read_text(encoding="utf-8"))
    details["tuning"].append({"fold": hostile, "classifier": hostile, "best": {hostile: hostile}})
    details["failed"] = [{"clip": hostile, "error": hostile}]
    details["features_notes"] = {hostile: [hostile]}
    details["sources"] = {take: {hostile: hostile} for take in details["sources"]}
    (run / "details.json").write_text(json.dumps(details), encoding="utf-8")
    page = report_page.render(run)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if "onload" in attrs]
    hostile = hostile.replace("\udce9", "\\xe9")  # a byte that is not UTF-8
    assert f"{hostile} on {hostile}" in page.words
    one_line = " ".join(hostile.split())
    assert page.text.count(one_line) > 20
    assert page.table("Clips that could not be used")[1] == [f" {hostile}", hostile]


def test_settings_are_a_recipe_again(page: Any) -> None:
    import tomllib

    text = next(words for words in page.words if words.startswith('name = "ravdess-au"'))
    recipe = tomllib.loads(text)
    assert recipe["voice"]["training"]["augmentation"] == {"strength": 1.0, "mixup": 0.2}
    assert recipe["fusion"]["classifiers"] == ["lr", "pca-lr", "svm", "nn"]
    assert "# fmax_hz: none" in text


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(provenance) == doctest.TestResults(failed=0, attempted=2)


def test_the_page_is_reproducible(full_run: Path, page_text: str) -> None:
    assert write_report(full_run).read_text(encoding="utf-8") == page_text


def test_without_optional_parts(bare_run: Path) -> None:
    page = report_page.render(bare_run)
    assert page.sections == [
        "results", "folds", "mistakes", "actors", "calibration", "settings", "versions", "reproduce",
    ]  # fmt: skip
    assert sorted(path.name for path in bare_run.iterdir()) == [
        "data-card.md",
        "model-card.md",
        "predictions.csv",
        "report.html",
        "results.json",
    ]


def test_with_minimal_results(bare_run: Path) -> None:
    def least(results: dict[str, Any]) -> None:
        figures: dict[str, Any] = {
            "accuracy": 0.4625,
            "uar": 0.46,
            "f1_macro": 0.45,
            "log_loss": None,
            "folds": [],
        }
        systems = {"voice": figures, "tea-leaves": {**figures, "accuracy": 0.1234}}
        results.clear()
        results.update(schema=1, systems=systems, pretrained_sha256=None)

    report_page.edit_results(bare_run, least)
    lines = (bare_run / "predictions.csv").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if ",voice," in line and ",01,neutral" in line]
    (bare_run / "predictions.csv").write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    page = report_page.render(bare_run)
    assert [row[1] for row in page.table("All systems")[1:]] == ["46.2", "12.3"]
    assert page.table("All systems")[1][4] == "–"
    assert "folds" not in page.sections
    assert "actors" not in page.sections


def test_warnings_are_shown_when_they_apply(bare_run: Path, page: Any) -> None:
    assert "Synthetic corpus" not in page.text
    assert "Not speaker-independent" not in page.text

    def speaker_dependent_toy(results: dict[str, Any]) -> None:
        results["speaker_independent"] = False
        results["corpus"]["synthetic"] = True

    report_page.edit_results(bare_run, speaker_dependent_toy)
    warned = report_page.render(bare_run)
    assert "they say nothing about people" in warned.text
    assert "The test actors were also in the training part" in warned.text
    assert "trained without its actor" not in warned.text


def test_damaged_optional_parts_are_named_and_left_out(full_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(full_run, run)
    (run / "details.json").write_text('{"curves": [', encoding="utf-8")
    whole = (run / "maps" / "fused-fold-1.npz").read_bytes()
    (run / "maps" / "fused-fold-1.npz").write_bytes(whole[: len(whole) // 2])
    (run / "examples" / "0.npz").write_bytes(b"")
    np.savez(run / "examples" / "1.npz", take="x", emotion="sad", predicted="calm", probabilities=np.ones(3))
    np.savez(run / "examples" / "2.npz", take=np.array([object()]), probabilities=np.ones(8))
    page = report_page.render(run)
    for name in ("details.json", "fused-fold-1.npz", "0.npz", "1.npz", "2.npz"):
        assert name in page.text
    assert "probabilities must be (8,)" in page.text
    assert "map" not in page.sections
    assert sum(tag == "article" for tag, _ in page.tags) == 1


def test_few_clips_are_placed_by_principal_components(full_run: Path, bare_run: Path) -> None:
    with np.load(full_run / "maps" / "fused-fold-1.npz") as arrays:
        few = {key: arrays[key][:12] for key in arrays}
    (bare_run / "maps").mkdir()
    np.savez(bare_run / "maps" / "fused-fold-1.npz", **few)
    np.savez(bare_run / "maps" / "fused-fold-2.npz", **{key: value[:2] for key, value in few.items()})
    page = report_page.render(bare_run)
    assert "by principal components" in page.text
    assert "fold 2:" not in page.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("results.json", None, "results.json is missing: run emofuse evaluate first"),
        ("results.json", "{", "cannot be read"),
        ("results.json", "[]", "not a JSON object"),
        ("results.json", '{"schema": 2, "systems": {"voice": {}}}', "schema 1"),
        ("predictions.csv", None, "predictions.csv is missing"),
        ("predictions.csv", "take,clip\n1,2\n", "no column 'system'"),
        ("predictions.csv", "system,take,actor,fold,emotion\nvoice,1,1,1,bored\n", "cannot be read"),
    ],
)
def test_a_run_that_cannot_be_read_leaves_the_old_page(
    bare_run: Path, name: str, text: str | None, message: str
) -> None:
    (bare_run / "report.html").write_text("old", encoding="utf-8")
    (bare_run / name).unlink()
    if text is not None:
        (bare_run / name).write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match=re.escape(message)):
        write_report(bare_run)
    assert (bare_run / "report.html").read_text(encoding="utf-8") == "old"


def test_a_page_that_cannot_be_written_leaves_the_old_one(bare_run: Path) -> None:
    (bare_run / "report.html").write_text("old", encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(ExperimentError, match=r"report\.html cannot be written: File too large"):
            write_report(bare_run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (bare_run / "report.html").read_text(encoding="utf-8") == "old"
    assert not list(bare_run.glob(".*"))


def test_the_summary_table_has_the_figures_of_results_json(full_run: Path) -> None:
    results = read_results(full_run / "results.json")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(results))
    text = console.export_text()
    for name, system in results["systems"].items():
        line = next(line for line in text.splitlines() if f" {name} " in line)
        low, high = system["accuracy_ci95"]
        for figure in (
            f"{100 * system['accuracy']:.1f}",
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{100 * system['uar']:.1f}",
            f"{100 * system['f1_macro']:.1f}",
            f"{system['log_loss']:.3f}",
            f"{100 * system['ece']:.1f}",
        ):
            assert figure in line
    assert "NOT" not in text
    results["speaker_independent"] = False
    results["corpus"]["synthetic"] = True
    assert "NOT speaker-independent; synthetic" in str(summary_table(results).caption)


def test_the_summary_needs_no_training_packages() -> None:
    heavy = "{'matplotlib', 'sklearn', 'torch', 'pandas'}"
    for module in ("terminal", "write"):
        code = f"import sys, emofuse.evaluation.report.{module}; sys.exit(bool({heavy} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("systems", "voice"), 5, r"systems\.voice must be an object, got 5"),
        (("systems", "voice", "accuracy_ci95"), [0.5], r"systems\.voice\.accuracy_ci95 must be 2 numbers"),
        (("systems", "voice", "folds"), {}, r"systems\.voice\.folds must be a list"),
        (("corpus", "clips"), "many", r"corpus\.clips must be a whole number, got 'many'"),
        (("notes",), "a note", "notes must be a list"),
        (
            ("recipe", "settings", "face", "features"),
            [],
            r"recipe\.settings\.face\.features must be an object",
        ),
        (("seconds",), {}, "seconds must be a number"),
    ],
)
def test_results_of_other_types_are_named(
    full_run: Path, tmp_path: Path, where: tuple[str, ...], value: Any, message: str
) -> None:
    run = shutil.copytree(full_run, tmp_path / "run")

    def edit(results: dict[str, Any]) -> None:
        for key in where[:-1]:
            results = results[key]
        results[where[-1]] = value

    report_page.edit_results(run, edit)
    with pytest.raises(ExperimentError, match=rf"results\.json: not results of .*: {message}") as caught:
        write_report(run)
    assert "\n" not in str(caught.value)
