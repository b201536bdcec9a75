from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from tests.support.postgres import Postgres


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_trials_may_lie_in_a_database(
    tmp_path: Path, postgres: Postgres, au_folder: Path, au_toml: Path, store: Any
) -> None:
    """By two processes, of which one helps; without history, the figures are those of a run of its own."""
    recipe = tmp_path / "random.toml"
    recipe.write_text(
        f'extends = "{au_toml}"\n[fusion]\nsampler = "random"\nclassifiers = ["lr"]\ntrials = 3\n', "utf-8"
    )
    command = ["evaluate", au_folder, "-r", recipe, "-p", "actors-2", "--cache", store.root, "-q", "-o"]
    for options in (["alone", "-j", 1], ["shared", "-j", 3, "--study", postgres.new_database()]):
        result = run(*command, tmp_path / str(options[0]), *options[1:])
        assert result.exit_code == 0, result.output
    alone, shared = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("alone", "shared")
    )
    for results in (alone, shared):
        for clock in ("started", "finished", "seconds", "software"):
            del results[clock]
    assert shared == alone


def test_a_run_with_shared_trials_that_learn_is_not_continued_without(
    tmp_path: Path, postgres: Postgres, au_run: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    out = shutil.copytree(au_run, tmp_path / "run")
    result = run(
        "evaluate", au_folder, "-r", au_toml, "-p", "actors-2", "-o", out, "--cache", store.root,
        "--study", postgres.new_database(),
    )  # fmt: skip
    assert result.exit_code == 1
    assert "holds another run (trials differ)" in str(result.exception)


def test_a_password_needs_its_database(tmp_path: Path, au_folder: Path) -> None:
    result = run(
        "evaluate", au_folder, "-o", tmp_path / "run", "--study-password-file", tmp_path / "password"
    )
    assert result.exit_code == 2
    assert "--study-password-file is the password of a --study" in result.output


def test_evaluate_prints_the_results_and_writes_the_report(
    tmp_path: Path, au_run: Path, au_folder: Path, au_toml: Path, store: Any
) -> None:
    """The run is already complete: nothing is trained again."""
    out = shutil.copytree(au_run, tmp_path / "run")
    result = run(
        "evaluate", au_folder, "-r", au_toml, "-p", "actors-2", "-o", out, "-j", 1, "--cache", store.root
    )
    assert result.exit_code == 0, result.output
    assert (out / "predictions.csv").read_bytes() == (au_run / "predictions.csv").read_bytes()
    assert (out / "report.html").is_file()
    assert "report.html" in result.stdout
    accuracy = json.loads((out / "results.json").read_text())["systems"]["fused"]["accuracy"]
    assert f"{100 * accuracy:.1f}" in result.stdout
    (out / "report.html").unlink()
    again = run("report", out)
    assert again.exit_code == 0, again.output
    assert (out / "report.html").is_file()
