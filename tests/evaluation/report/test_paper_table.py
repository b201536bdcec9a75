"""Tables for papers: the figures of results.json, read again by parsers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import ExperimentError
from emofuse.evaluation.report.paper_table import paper_rows, write_paper_table
from emofuse.evaluation.run_files import read_run


def edited(run: Path, out: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a run whose results were changed."""
    shutil.copytree(run, out)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    edit(results)
    (out / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return out


def written(tmp_path: Path, suffix: str, *runs: Path) -> str:
    path = tmp_path / f"table{suffix}"
    write_paper_table(path, [read_run(run) for run in runs])
    return path.read_text(encoding="utf-8")


def markdown_cells(text: str) -> list[list[str]]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows: list[list[str]] = []
    for token in tokens[: [one.type for one in tokens].index("table_close")]:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            assert token.children is not None
            rows[-1].append("".join(child.content for child in token.children))
    return rows


def test_rows_are_the_systems_of_results_json(full_run: Path) -> None:
    run = read_run(full_run)
    rows = paper_rows([run])
    assert [row.system for row in rows] == ["voice", "face", "voice and face"]
    for row, system in zip(rows, ("voice", "face", "fused"), strict=True):
        assert row.figures == run.results["systems"][system]
        assert (row.n, row.n_speakers, row.n_labels) == (len(run.scores[system].takes), 20, 8)
        truth, predicted = run.scores[system].truth, run.scores[system].predicted
        assert row.figures["accuracy"] == pytest.approx(np.mean(truth == predicted))


def test_markdown_latex_and_csv_agree(full_run: Path, tmp_path: Path) -> None:
    systems = json.loads((full_run / "results.json").read_text(encoding="utf-8"))["systems"]
    heading, *rows = markdown_cells(written(tmp_path, ".md", full_run))
    assert heading[:4] == ["Recipe", "Read from", "Takes", "Speakers"]
    latex = written(tmp_path, ".tex", full_run)
    lines = [line.removesuffix(r" \\").split(" & ") for line in latex.splitlines() if " & " in line]
    assert [line[-5:] for line in lines[1:]] == [row[-5:] for row in rows]
    assert lines[0] == [name.replace("%", r"\%") for name in heading]
    table = list(csv.DictReader(io.StringIO(written(tmp_path, ".csv", full_run))))
    for row, numbers, system in zip(rows, table, ("voice", "face", "fused"), strict=True):
        found = systems[system]
        assert (
            row[2:4]
            == [numbers["takes"], numbers["speakers"]]
            == [str(sum(fold["n"] for fold in found["folds"])), "20"]
        )
        low, high = found["uar_ci95"]
        assert row[5] == f"{100 * found['uar']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        for name in ("accuracy", "uar", "f1_macro", "log_loss", "ece"):
            assert float(numbers[name]) == pytest.approx(found[name], abs=1e-6)
        assert [float(numbers["uar_low"]), float(numbers["uar_high"])] == pytest.approx([low, high], abs=1e-6)


def test_the_caption_says_on_whom_and_how(full_run: Path, tmp_path: Path) -> None:
    text = written(tmp_path, ".md", full_run)
    assert "95 % intervals over speakers" in text
    assert "8 labels, of which chance gets 12.5 % (UAR)" in text
    assert "No test speaker is in the training data." in text

    def flattering(results: dict[str, Any]) -> None:
        results["speaker_independent"] = False
        results["recipe"]["name"] = "leaky"
        results["corpus"]["synthetic"] = True

    leaky = edited(full_run, tmp_path / "leaky", flattering)
    text = written(tmp_path, ".md", full_run, leaky)
    assert "leaky: test speakers are in the training data, which flatters the figures." in text
    assert "No test speaker" not in text
    assert "the figures say nothing about people" in text
    assert text.count("95 % intervals") == 1


def test_runs_are_told_apart(full_run: Path, tmp_path: Path) -> None:
    other = edited(full_run, tmp_path / "other", lambda results: results.update(protocol="actors-2"))
    heading, *rows = markdown_cells(written(tmp_path, ".md", full_run, other))
    assert heading[1:3] == ["Corpus", "Protocol"]
    assert {row[0] for row in rows} == {str(full_run), str(other)}  # both are of one recipe
    assert [row[2] for row in rows][3:] == ["actors-2"] * 3


@pytest.mark.parametrize("name", [r"a|b_c&d%e$f#g{h}~i^j\k", "*bold* <i> `code`", "–"])
def test_names_stay_text(full_run: Path, tmp_path: Path, name: str) -> None:
    run = edited(full_run, tmp_path / "run", lambda results: results["recipe"].update(name=name))
    rows = markdown_cells(written(tmp_path, ".md", run))
    assert [row[0] for row in rows[1:]] == [name] * 3
    latex = written(tmp_path, ".tex", run)
    cell = next(line for line in latex.splitlines() if " & voice & " in line).partition(" & voice")[0]
    assert not re.search(r"(?<!\\)[&%$#_]", cell)
    for code, sign in (("backslash", "\\"), ("asciitilde", "~"), ("asciicircum", "^")):
        cell = cell.replace(rf"\text{code}{{}}", sign)
    assert re.sub(r"\\([&%$#_{}])", r"\1", cell).replace("--", "–") == name


def test_the_command_writes_every_format_and_refuses_others(full_run: Path, tmp_path: Path) -> None:
    def run(*words: object) -> Any:
        return CliRunner().invoke(app, ["report", *map(str, words)])

    paths = [tmp_path / f"t{suffix}" for suffix in (".md", ".tex", ".csv")]
    result = run(full_run, *(word for path in paths for word in ("--table", path)))
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == list(map(str, paths))
    assert all(path.stat().st_size for path in paths)
    refused = run(tmp_path / "nowhere", "--table", tmp_path / "t.docx")
    assert refused.exit_code == 1
    assert "t.docx: a table for a paper ends in .md, .tex, .csv" in str(refused.exception)
    assert "results.json is missing" in str(run(tmp_path, "--table", tmp_path / "t.md").exception)


def test_ratings_alone_have_no_rows(full_run: Path) -> None:
    run = read_run(full_run)
    run.results["systems"].clear()
    with pytest.raises(ExperimentError, match="no figures about labels"):
        paper_rows([run])
