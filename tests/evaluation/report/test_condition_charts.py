"""Groups, abstaining, enrollment and degradations: the page shows the figures of results.json."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core import metrics
from emofuse.evaluation.group_metrics import group_figures
from emofuse.evaluation.report import condition_charts as conditions
from emofuse.evaluation.report.write import write_report
from emofuse.evaluation.results import EnrollmentPoint
from emofuse.evaluation.run_files import read_run
from tests.support import report_page

STEPS: tuple[int | str, ...] = (0, 1, 2, 4, 8, 16, 30, "all")
Redrawn = Callable[[Callable[[dict[str, Any]], object]], Any]


def _blocks(run: Path) -> dict[str, Any]:
    """The optional parts as an evaluation measures them; enrollment and robustness are made up."""
    results: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    results["groups"] = {}
    for name in ("voice", "face", "fused"):
        scores, system = read_run(run).scores[name], results["systems"][name]
        table = (scores.truth, scores.probabilities)
        coverage, right, _ = metrics.coverage_curve(*table)
        of_80 = partial(metrics.accuracy_at_coverage, coverage=0.8)
        between = partial(metrics.bootstrap_interval, n_resamples=100, seed=0)
        system["coverage"] = {
            "coverage": coverage.tolist(),
            "accuracy": right.tolist(),
            "at": {
                "0.8": {
                    "accuracy": of_80(*table),
                    "ci95": between(of_80, *table, scores.actors),
                    "threshold": metrics.threshold_for_coverage(scores.probabilities, 0.8),
                }
            },
        }
        system["ece_ci95"] = between(metrics.expected_calibration_error, *table, scores.actors)
        found = group_figures(scores.takes.tolist(), *table, scores.actors, 0)
        results["groups"][name] = [group.as_dict() for group in found]
    results["enrolment"] = {
        "systems": {
            name: [
                {
                    "clips": k,
                    "accuracy": base + 0.01 * i,
                    "ci95": [base - 0.03, base + 0.11],
                    "draws": 1 + 4 * (i > 0),
                }
                for i, k in enumerate(STEPS)
            ]
            for name, base in (("fused", 0.76), ("voice", 0.58))
        }
    }
    results["robustness"] = [
        {
            "condition": condition,
            "system": name,
            "accuracy": base - lost,
            "ci95": [base - 0.1, base],
            "n": 600,
        }
        for condition, lost in (("noise at 10 dB", 0.123), ("clean", 0.0), ("R$&D <band> x$", 0.03))
        for name, base in (("voice", 0.6), ("fused", 0.77))
        if (condition, name) != ("noise at 10 dB", "fused")
    ]
    return results


@pytest.fixture(scope="module")
def run(full_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every optional part of results.json, and without the optional files."""
    folder = tmp_path_factory.mktemp("blocks")
    for name in ("results.json", "predictions.csv"):
        shutil.copy(full_run / name, folder)
    (folder / "results.json").write_text(json.dumps(_blocks(folder)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    return dict(read_run(run).results)


@pytest.fixture(scope="module")
def page(run: Path) -> Any:
    return report_page.render(run)


@pytest.fixture
def redrawn(run: Path, tmp_path: Path) -> Redrawn:
    """The page of the run when its results.json is changed."""

    def draw(edit: Callable[[dict[str, Any]], object]) -> Any:
        for name in ("results.json", "predictions.csv"):
            shutil.copy(run / name, tmp_path)
        report_page.edit_results(tmp_path, edit)
        return report_page.render(tmp_path)

    return draw


def charts_of(page: Any) -> list[str]:
    return [str(attrs["aria-label"]) for tag, attrs in page.tags if tag == "svg"]


def chart(page: Any, start: str) -> str:
    (label,) = [label for label in charts_of(page) if label.startswith(start)]
    return label


def percent_text(record: dict[str, Any], key: str = "accuracy", bounds: str = "ci95") -> str:
    low, high = record[bounds]
    return f"{100 * record[key]:.1f} {100 * low:.1f} to {100 * high:.1f}"


def test_each_part_has_a_section_in_order(page: Any) -> None:
    assert page.sections == [
        "results", "folds", "mistakes", "actors", "groups", "calibration", "abstaining", "enrolment",
        "robustness", "settings", "versions", "reproduce",
    ]  # fmt: skip


def test_absent_and_empty_parts_have_no_section(redrawn: Redrawn, page: Any) -> None:
    def groups_alone(results: dict[str, Any]) -> None:
        del results["enrolment"], results["robustness"]
        for system in results["systems"].values():
            system.pop("coverage", None)

    def empty(results: dict[str, Any]) -> None:
        groups_alone(results)
        results.update(groups={"fused": []}, enrolment={"systems": {"fused": []}}, robustness=[])

    optional = ["abstaining", "enrolment", "robustness"]
    expected = [name for name in page.sections if name not in optional]
    only = redrawn(groups_alone)
    assert only.sections == expected
    assert len(charts_of(only)) == len(charts_of(page)) - 3
    assert redrawn(empty).sections == [name for name in expected if name != "groups"]


def test_groups_have_the_figures_of_results_json(page: Any, results: dict[str, Any]) -> None:
    table = page.table("Accuracy on each group")
    rows = {(row[1], row[0]): row[2:] for row in table[1:]}
    fused = {(r["kind"], r["value"]): r for r in results["groups"]["fused"] if r["kind"] != "actor"}
    assert list(rows) == list(fused)
    voice = {(r["kind"], r["value"]): r for r in results["groups"]["voice"]}
    for key, record in fused.items():
        assert rows[key][0] == percent_text(voice[key], bounds="accuracy_ci95")
        assert rows[key][2] == percent_text(record, bounds="accuracy_ci95")
        assert rows[key][3] == percent_text(record, "uar", "uar_ci95")
        assert rows[key][4] == f"{record['n']} {record['n_actors']} actors"
        assert f"{key[1]} {record['accuracy']:.1%}" in chart(page, "Accuracy by group")
    # a single actor has no interval over actors
    actors = page.table("Accuracy on each actor")
    assert [row[0] for row in actors[1:]] == [f"{n:02d}" for n in range(1, 21)]
    assert [row[4] for row in actors[1:]] == [
        f"{100 * r['accuracy']:.1f}" for r in results["groups"]["fused"] if r["kind"] == "actor"
    ]


def test_groups_of_actors_alone_have_a_table_and_no_chart(redrawn: Redrawn) -> None:
    def actors_alone(results: dict[str, Any]) -> None:
        results["groups"] = {"fused": [r for r in results["groups"]["fused"] if r["kind"] == "actor"]}

    page = redrawn(actors_alone)
    assert "groups" in page.sections
    assert len(page.table("Accuracy on each actor")) == 21
    assert not any(label.startswith("Accuracy by group") for label in charts_of(page))


def test_calibration_has_its_interval(page: Any, results: dict[str, Any]) -> None:
    fused = results["systems"]["fused"]
    shown = next(row for row in page.table("All systems") if row[0].endswith(" fused"))
    assert shown[5] == percent_text(fused, "ece", "ece_ci95")
    low, high = (100 * bound for bound in fused["ece_ci95"])
    assert f"error {100 * fused['ece']:.1f} % (95 % interval {low:.1f} to {high:.1f} %" in page.text


def test_abstaining_has_the_figures_of_results_json(page: Any, results: dict[str, Any]) -> None:
    head, row = page.table("Accuracy on the answered clips")
    assert head[0] == "Answered %"
    assert row[0] == "80"
    label = chart(page, "Accuracy against coverage")
    for index, (name, title) in enumerate(
        (("voice", "Voice alone"), ("face", "Face alone"), ("fused", "Fusion, chosen on inner folds"))
    ):
        point = results["systems"][name]["coverage"]["at"]["0.8"]
        assert row[1 + 2 * index] == percent_text(point)
        assert row[2 + 2 * index] == f"{point['threshold']:.3f}"
        assert f"{title} {point['accuracy']:.1%} at 80%" in label
        # when every clip is answered, it is the accuracy of the first table
        assert f"{title} {results['systems'][name]['accuracy']:.1%} when all are answered" in label


def test_a_curve_without_measured_shares_is_drawn_alone(redrawn: Redrawn) -> None:
    def fewer(results: dict[str, Any]) -> None:
        for system in results["systems"].values():
            system.pop("coverage", None)
        results["systems"]["fused"]["coverage"] = {"coverage": [0.01, 0.5, 1.0], "accuracy": [1.0, 0.9, 0.8]}

    page = redrawn(fewer)
    assert chart(page, "Accuracy against coverage").endswith(
        "Fusion, chosen on inner folds 80.0% when all are answered."
    )
    assert not any(caption.startswith("Accuracy on the answered clips") for caption in page.tables)


def test_enrollment_has_the_figures_and_says_what_is_transductive(page: Any, results: dict[str, Any]) -> None:
    systems = results["enrolment"]["systems"]
    table = page.table("Accuracy by number of")
    assert table[0] == ["Clips", "Voice alone %", "Fusion %", "Draws"]
    assert [row[0].split()[0] for row in table[1:]] == [str(step) for step in STEPS]
    assert [row[0] for row in table[1:] if " " in row[0]] == ["0  not enrolled", "all  transductive"]
    for index, row in enumerate(table[1:]):
        points = [systems[name][index] for name in ("voice", "fused")]
        assert row[1:] == [*map(percent_text, points), str(points[0]["draws"])]
    listed = ", ".join(f"{p['clips']}: {p['accuracy']:.1%}" for p in systems["fused"])
    assert f"Fusion, chosen on inner folds {listed}" in chart(page, "Accuracy by number")
    assert "transductive: compare it only with other transductive figures" in page.text


def test_robustness_has_the_figures_clean_first(page: Any, results: dict[str, Any]) -> None:
    found = {(r["condition"], r["system"]): r for r in results["robustness"]}
    table = page.table("Accuracy under each degradation")
    assert table[0] == ["Degradation", "Voice alone %", "change", "Fusion %", "change", "Clips"]
    assert [row[0] for row in table[1:]] == ["clean", "noise at 10 dB", "R$&D <band> x$"]
    assert table[1][1:] == [
        percent_text(found["clean", "voice"]), "–", percent_text(found["clean", "fused"]), "–", "600",
    ]  # fmt: skip
    assert table[2][1:] == [percent_text(found["noise at 10 dB", "voice"]), "-12.3", "–", "–", "600"]
    assert table[3][2] == table[3][4] == "-3.0"
    label = chart(page, "Accuracy by degradation")
    assert "noise at 10 dB: Voice alone 47.7%; R$&D" in label
    assert "Dashed: each system on clean recordings" in page.text


def test_without_clean_recordings_there_is_no_change(redrawn: Redrawn) -> None:
    def no_clean(results: dict[str, Any]) -> None:
        results["robustness"] = [
            {"condition": "noise", "system": "tea-leaves", "accuracy": 0.5, "ci95": None, "n": 7}
        ]

    page = redrawn(no_clean)
    assert page.table("Accuracy under each degradation")[1] == ["noise", "50.0", "–", "7"]
    assert "Dashed: each system" not in page.text


def test_the_chart_marks_each_point_at_its_accuracy() -> None:
    """The heights of the dots in the drawing, read back, are the accuracies."""
    systems: dict[str, list[EnrollmentPoint]] = {
        "fused": [{"clips": k, "accuracy": a} for k, a in ((0, 0.5), (8, 0.7), ("all", 0.9))]
    }
    svg = conditions.enrollment_curves(systems)
    path = re.search(
        r'<path d="M ([\d.]+) ([\d.]+) L ([\d.]+) ([\d.]+) ?" clip-path[^>]*stroke: var\(--fused\)', svg
    )
    assert path is not None
    dots = re.findall(
        r'<use href="#enrolment-[^"]*" x="([\d.]+)" y="([\d.]+)" style="[^"]*var\(--(?:fused|paper)\)', svg
    )
    positions = np.array(sorted({(float(x), float(y)) for x, y in dots})[-3:])
    rise = -np.diff(positions[:, 1])
    assert rise[0] == pytest.approx(rise[1], rel=1e-3)
    # "all" is further away than one step
    gap = np.diff(positions[:, 0])
    assert gap[1] > 1.4 * gap[0]


def test_charts_take_the_colors_of_the_page(run: Path) -> None:
    text = write_report(run).read_text(encoding="utf-8")
    svg = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    assert re.findall(r"#0000\d\d", svg) == []
    assert ">R$&amp;D &lt;band&gt; x$</text>" in svg
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
