"""Two runs on the same takes: the differences, their intervals, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.evaluation.comparison import FIGURES, Difference, better_run, compare_runs
from emofuse.evaluation.run_files import read_run

SPEAKERS = 12
TAKES = 16


def write_run(folder: Path, skill: float, seed: int, systems: tuple[str, ...] = ("voice", "fused")) -> Path:
    """Twelve speakers, of whom some are harder in every run, and sixteen takes of each."""
    hard = np.random.default_rng(99).uniform(0.2, 2.0, SPEAKERS)
    rng = np.random.default_rng(seed)
    rows = []
    for system in systems:
        for speaker in range(SPEAKERS):
            for take in range(TAKES):
                truth = take % len(EMOTIONS)
                scores = rng.normal(0, 1, len(EMOTIONS))
                scores[truth] += skill * hard[speaker]
                shares = np.exp(scores) / np.exp(scores).sum()
                name = f"{speaker:02d}-{take:02d}"
                rows.append([name, f"{name}.wav", f"s{speaker}", EMOTIONS[truth], "1", system, *shares])
    folder.mkdir(parents=True)
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["take", "clip", "actor", "emotion", "fold", "system", *EMOTIONS], *rows])
    results = {
        "schema": 1,
        "systems": {system: {"accuracy": 0.5} for system in systems},
        "recipe": {"name": f"skill-{skill:g}"},
        "protocol": "six-fold",
        "protocol_hash": "abc",
        "speaker_independent": True,
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("runs")
    return write_run(root / "good", 2.0, 1), write_run(root / "poor", 1.0, 2)


def changed(run: Path, out: Path, change: Any) -> Path:
    """A copy of a run whose rows (lists of cells, without the header) went through ``change``."""
    out.mkdir()
    (out / "results.json").write_bytes((run / "results.json").read_bytes())
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *change(rows)])
    return out


def test_the_differences_are_those_of_the_runs(runs: tuple[Path, Path]) -> None:
    good, poor = map(read_run, runs)
    found = compare_runs(good, poor)
    assert (found.n_takes, found.n_actors, found.only_first, found.only_second) == (192, 12, 0, 0)
    assert [(one.system, one.figure) for one in found.differences] == [
        (system, figure) for system in ("voice", "fused") for figure in FIGURES
    ]
    fused = {one.figure: one for one in found.differences if one.system == "fused"}
    one, other = good.scores["fused"], poor.scores["fused"]
    assert fused["uar"].first == metrics.uar(one.truth, one.predicted)
    assert fused["ece"].second == metrics.expected_calibration_error(other.truth, other.probabilities)
    for figure, difference in fused.items():
        assert difference.difference == difference.first - difference.second
        assert difference.ci95[0] <= difference.difference <= difference.ci95[1] or figure == "ece"
    assert fused["accuracy"].better == "first"
    assert fused["log_loss"].better == "first", "less of it is better"


def test_paired_intervals_are_narrower_than_those_of_each_run(runs: tuple[Path, Path]) -> None:
    good, poor = map(read_run, runs)
    by_figure = {one.figure: one for one in compare_runs(good, poor).differences if one.system == "fused"}
    low, high = by_figure["accuracy"].ci95
    widths = [
        np.diff(metrics.bootstrap_interval(metrics.accuracy, s.truth, s.predicted, s.actors, seed=0))[0]
        for s in (good.scores["fused"], poor.scores["fused"])
    ]
    assert high - low < sum(widths) * 0.8, "speakers who are hard for both cancel out"


def test_where_nothing_is_fused_the_fusion_has_no_rows(runs: tuple[Path, Path], tmp_path: Path) -> None:
    def voice_alone(rows: list[list[str]]) -> list[list[str]]:
        voice = [row for row in rows if row[5] == "voice"]
        return voice + [[*row[:5], "fused", *row[6:]] for row in voice]

    alone = [read_run(changed(run, tmp_path / run.name, voice_alone)) for run in runs]
    assert {one.system for one in compare_runs(*alone).differences} == {"voice"}
    assert {one.system for one in compare_runs(alone[0], read_run(runs[1])).differences} == {"voice", "fused"}


def test_swapping_the_runs_swaps_the_signs(runs: tuple[Path, Path]) -> None:
    good, poor = map(read_run, runs)
    one, other = compare_runs(good, poor), compare_runs(poor, good)
    for a, b in zip(one.differences, other.differences, strict=True):
        assert a.difference == -b.difference
        assert a.ci95 == pytest.approx((-b.ci95[1], -b.ci95[0]), abs=1e-12)
        assert (a.better, b.better) in {("first", "second"), ("second", "first"), (None, None)}


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path]) -> None:
    run = read_run(runs[0])
    for one in compare_runs(run, run).differences:
        assert (one.difference, one.ci95, one.better) == (0, (0, 0), None)


def test_different_takes_are_refused_unless_the_common_ones_are_asked_for(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    fewer = changed(runs[1], tmp_path / "fewer", lambda rows: [row for row in rows if row[0] >= "01-04"])
    good, short = read_run(runs[0]), read_run(fewer)
    with pytest.raises(ExperimentError, match=r"20 only in .*good \(00-00, 00-01, 00-02, …\); add --common"):
        compare_runs(good, short)
    found = compare_runs(good, short, common=True)
    assert (found.n_takes, found.only_first, found.only_second) == (172, 20, 0)
    assert {one.n for one in found.differences} == {172}
    other = changed(runs[1], tmp_path / "other", lambda rows: [["x" + row[0], *row[1:]] for row in rows])
    with pytest.raises(ExperimentError, match="share no take"):
        compare_runs(good, read_run(other), common=True)


def test_runs_of_different_corpora_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    def other_label(rows: list[list[str]]) -> list[list[str]]:
        return [[*r[:3], "angry" if r[0] == "00-00" else r[3], *r[4:]] for r in rows]

    def other_speaker(rows: list[list[str]]) -> list[list[str]]:
        return [[*r[:2], "nobody" if r[0] == "00-00" else r[2], *r[3:]] for r in rows]

    for name, change in (("label", other_label), ("speaker", other_speaker)):
        run = read_run(changed(runs[1], tmp_path / name, change))
        with pytest.raises(ExperimentError, match=f"disagree on the {name} of 1 takes, such as 00-00"):
            compare_runs(read_run(runs[0]), run)


def test_what_a_reader_must_know_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    one = changed(runs[1], tmp_path / "one", lambda rows: [row for row in rows if row[2] == "s3"])
    path = one / "results.json"
    edited = json.loads(path.read_text()) | {"protocol": "random", "protocol_hash": "x", "flattered": True}
    path.write_text(json.dumps(edited))
    found = compare_runs(read_run(runs[0]), read_run(one), common=True)
    text = " ".join(found.notes)
    for says in ("flatters its figures", "the folds differ (six-fold, random)", "single points"):
        assert says in text
    assert all(one.better is None for one in found.differences)


def test_better_needs_an_interval_without_zero() -> None:
    assert better_run((0.1, 0.2), more_is_better=True, n_actors=5) == "first"
    assert better_run((0.1, 0.2), more_is_better=False, n_actors=5) == "second"
    assert better_run((-0.2, -0.1), more_is_better=True, n_actors=5) == "second"
    for bounds, n in (((0.0, 0.2), 5), ((-0.1, 0.1), 5), ((0.1, 0.1), 1)):
        assert better_run(bounds, more_is_better=True, n_actors=n) is None


def test_the_command_prints_a_table_and_writes_json_and_pictures(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "comparison"
    command = ["compare", str(runs[0]), str(runs[1]), "--out", str(out)]
    done = CliRunner().invoke(app, command, terminal_width=200)
    assert done.exit_code == 0, done.output
    assert "fused" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.json", "comparison.png", "comparison.svg",
    ]  # fmt: skip
    data = json.loads((out / "comparison.json").read_text())
    found = compare_runs(*map(read_run, runs))
    assert data["schema"] == 1
    assert data["n_takes"] == 192
    written = [Difference(**{**one, "ci95": tuple(one["ci95"])}) for one in data["differences"]]
    assert tuple(written) == found.differences
    svg = (out / "comparison.svg").read_text()
    assert "#00000" not in svg, "no placeholder color is left"
    assert re.search(r"Fusion, accuracy: \+\d", svg)
    refused = CliRunner().invoke(app, ["compare", str(runs[0]), str(tmp_path / "none")])
    assert isinstance(refused.exception, ExperimentError)
