"""The notebooks of docs/notebooks: executed from start to end, and compared with what they show.

``docs/notebooks.py`` runs them: a warning, an error or a command that fails ends the run.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "notebooks.py"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
nbformat: Any = importlib.import_module("nbformat")  # its functions have no types
posix = pytest.mark.skipif(not Path("/bin/sh").exists(), reason="the commands need a POSIX shell")


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("docs_notebooks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def check(path: Path) -> tuple[int, str]:
    """Execute a notebook as it is done by hand, and compare."""
    done = subprocess.run(
        [sys.executable, SCRIPT, path, "--check"], capture_output=True, text=True, check=False, timeout=3000
    )
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


@posix
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored(path: Path) -> None:
    status, said = check(path)
    assert status == 0, said


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_is_tidy_and_small(script: Any, path: Path) -> None:
    """Executed from start to end, with no trace of the machine or of a failure."""
    stored = read(path)
    nbformat.validate(stored)
    assert path.read_text(encoding="utf-8") == script.text_of(script.tidy(stored))
    assert path.stat().st_size < 300_000
    assert stored.metadata.kernelspec == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    for cell in stored.cells:
        for one in cell.get("outputs", ()):
            assert one.output_type != "error", cell.source
            text = one.text if one.output_type == "stream" else "".join(map(str, one.data.values()))
            assert not re.search(r"(^|[\s\"'=(])(/home|/root|/tmp|/Users|[A-Z]:\\)", text), cell.source
            assert "Traceback" not in text and "Warning" not in text, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere_and_one_cell_takes_own_files(path: Path) -> None:
    stored = read(path)
    assert [cell.cell_type for cell in stored.cells if "own-files" in cell.metadata.get("tags", [])] == [
        "code"
    ]
    texts = [cell.source for cell in stored.cells if cell.cell_type == "markdown"]
    assert [text.startswith("# ") for text in texts].count(True) == 1, "one title"
    for target in re.findall(r"\]\(([^)\s#]+)", "\n".join(texts)):
        assert target.startswith("https://") or (path.parent / target).exists(), target


@posix
def test_errors_warnings_failing_commands_and_other_results_are_found(script: Any, tmp_path: Path) -> None:
    """One notebook per kind: each ends at its first error."""

    def run(*sources: str, **shown: str) -> tuple[int, str]:
        path = tmp_path / "small.ipynb"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
        for cell in notebook.cells[-1:]:
            cell.outputs = [
                nbformat.v4.new_output("stream", name="stdout", text=one) for one in shown.values()
            ]
        path.write_text(script.text_of(script.tidy(notebook)), encoding="utf-8")
        return check(path)

    assert run("!echo 3 angry people", shown="4 happy people\n") == (0, "")
    status, said = run("!echo 3 angry people", shown="4 happy persons\n")
    assert status == 1 and "0 EMOTION persons" in said and "0 EMOTION people" in said
    status, said = run("!exit 3")
    assert status == 1 and "non-zero exit status 3" in said
    status, said = run("import warnings", "warnings.warn('mind the gap')")
    assert status == 1 and "mind the gap" in said


def test_what_is_compared_depends_on_the_tags(script: Any) -> None:
    def shown(text: str) -> list[Any]:
        return [nbformat.v4.new_output("stream", name="stdout", text=text)]

    sad, angry, other = shown("a: sad 40 % ██\n"), shown("a: angry 7 % ▏\n"), shown("b: angry 7 %\n")
    assert script.seen(sad, []) == script.seen(angry, []) != script.seen(other, [])
    assert script.seen(sad, ["exact"]) != script.seen(angry, ["exact"])
    assert script.seen(sad, ["varies"]) == script.seen(other, ["varies"])


def test_streams_are_stored_as_they_end(script: Any) -> None:
    bar = "\x1b[2Kdrawing ━━━━━━━ 16/16 0:00:07 0:00:00"
    assert script.plain(f"\x1b[1mdone\x1b[0m\r\n{bar}\r\nhalf\rwhole\r\n") == "done\nwhole\n"
    assert script.plain("\x1b[?25l\r\n") == ""
    streams = [nbformat.v4.new_output("stream", name="stdout", text=one) for one in ("a", "b\n")]
    assert [one.text for one in script.outputs(streams, 1)] == ["ab\n"]
