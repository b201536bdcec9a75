from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.core.errors import CorpusError, ExperimentError
from tests.support import corpora_apart


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return corpora_apart.write_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(corpora_apart.RECIPE)
    return path


def test_the_matrix_is_printed_and_written(
    folders: tuple[Path, Path, Path], toml: Path, store: Any, tmp_path: Path
) -> None:
    result = run(
        "cross", folders[1], folders[2], "-r", toml, "--normalize", "none", "-o", tmp_path / "run", "-j", 1,
        "--cache", store.root,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"nEMO in {folders[1]}: 36 recordings of 3 speakers; license: CC BY-NC-SA 4.0" in result.stderr
    cells = json.loads((tmp_path / "run/cross.json").read_text())["cells"]
    for cell in cells:
        assert f"{100 * cell['systems']['fused']['uar']:.1f} (" in result.stdout
    for name in ("cross.csv", "predictions.csv", "matrix.svg", "matrix-dark.svg", "matrix.png"):
        assert (tmp_path / "run" / name).stat().st_size > 100, name


@pytest.fixture(scope="module")
def held_out_run(
    folders: tuple[Path, Path, Path], toml: Path, store: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("held-out") / "run"
    result = run(
        "evaluate", "--train", folders[0], "--train", folders[1], "--test", folders[2], "-r", toml,
        "--weight", "nemo=2", "-o", out, "-j", 1, "--cache", store.root,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out


def test_one_corpus_held_out_has_a_report(held_out_run: Path) -> None:
    results = json.loads((held_out_run / "results.json").read_text())
    assert results["protocol"] == "test-on-EMO-DB"
    assert results["emotions"] == ["neutral", "happy", "sad", "angry"]
    assert "labels that RAVDESS + nEMO and EMO-DB both have: neutral, happy, sad, angry" in results["notes"]
    (fold,) = results["systems"]["voice"]["folds"]
    assert fold["test_actors"] == ["EMO-DB:03", "EMO-DB:08", "EMO-DB:09"]
    assert fold["n"] == 24
    report = (held_out_run / "report.html").read_text()
    assert "calm counts as neutral: one side has no calm" in report


def test_it_is_read_again_with_degraded_audio(
    held_out_run: Path, folders: tuple[Path, Path, Path], store: Any
) -> None:
    """Corpora in any order, with the labels and the weights of the run, and only the test corpus is read."""
    for given, message in (
        (folders[2:], "was made on RAVDESS, nEMO, EMO-DB: give these corpora, all of them, not EMO-DB"),
        (folders[:2], "give these corpora, all of them, not RAVDESS, nEMO"),
    ):
        wrong = run("robustness", held_out_run, *given, "-j", 1, "--cache", store.root)
        assert isinstance(wrong.exception, ExperimentError)
        assert message in str(wrong.exception)
    before = json.loads((held_out_run / "results.json").read_text())
    assert "robustness" not in before
    result = run("robustness", held_out_run, *folders[::-1], "-j", 1, "--cache", store.root)
    assert result.exit_code == 0, result.output
    found = json.loads((held_out_run / "results.json").read_text())["robustness"]
    assert {one["n"] for one in found} == {24}
    clean = next(one for one in found if (one["condition"], one["system"]) == ("clean", "voice"))
    assert clean["accuracy"] == pytest.approx(before["systems"]["voice"]["accuracy"])
    assert "noise-5-db" in result.stdout


def test_wrong_combinations_are_errors(folders: tuple[Path, Path, Path], toml: Path, tmp_path: Path) -> None:
    given = ("-r", toml, "-o", tmp_path / "run")
    for args in (
        (), (folders[0], "--train", folders[1]), ("--train", folders[0]), ("--test", folders[0]),
        (folders[0], "--train", folders[1], "--test", folders[2]),
    ):  # fmt: skip
        result = run("evaluate", *args, *given)
        assert result.exit_code == 2, result.output
        assert "--train" in result.output
    same = run("cross", folders[0], folders[0], *given)
    assert isinstance(same.exception, CorpusError)
    assert "two corpora are called RAVDESS" in str(same.exception)
    assert isinstance(run("cross", folders[0], *given).exception, ExperimentError)
    assert not (tmp_path / "run").exists()
