"""Execute the notebooks in docs/notebooks/ and store what they show, the same on every run.

    python docs/notebooks.py                       execute all, and rewrite them
    python docs/notebooks.py --check               execute all, and list where they show something else
    python docs/notebooks.py A.ipynb B.ipynb …     these only

Stored are no times, no paths of a machine, no progress bars and no colors. A cell whose tags name none of
these is compared without its numbers and emotions, which differ a little between processors:

- ``exact``: everything must be as it is stored;
- ``varies``: only the kinds of output must be (text, table, picture).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from emofuse.core.labels import EMOTIONS

DOCS: Final = Path(__file__).parent
FOLDER: Final = DOCS / "notebooks"
TIMEOUT_S: Final = 3000
"""Of a cell, on a machine that has much else to do."""
EXACT: Final = "exact"
VARIES: Final = "varies"

STRICT: Final = """
import warnings

get_ipython().system_raise_on_error = True
warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")
"""
"""Run before a notebook: a warning is an error, and so is a command that fails."""

METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}

_ESCAPE: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_PROGRESS: Final = re.compile(r"^.*\d:\d\d:\d\d( \S*)?\s*$")
"""A line that ends in the time of a progress bar."""
_EMOTION: Final = re.compile(rf"\b({'|'.join(EMOTIONS)}|neutral or calm|not sure|abstained)\b")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_DRAWN: Final = re.compile(r"[━┏┳┓┃┡╇┩│├┼┤└┴┘─█▏▎▍▌▋▊▉]")


def main() -> int:
    """Execute notebooks; the exit status is 1 if one fails or, with ``--check``, differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    given = parser.parse_args()
    bad = False
    for path in given.notebooks or sorted(FOLDER.glob("*.ipynb")):
        stored = nbformat.read(path, as_version=4)
        try:
            fresh = execute(stored, path.name)
        except CellExecutionError as error:
            print(f"{path.name}: {error}")
            bad = True
            continue
        if not given.check:
            path.write_text(text_of(fresh), encoding="utf-8")
            continue
        for difference in differences(stored, fresh):
            print(f"{path.name}: {difference}")
            bad = True
    return int(bad)


def execute(notebook: Any, name: str) -> Any:
    """Run a notebook in a folder of its own, and return it with tidy outputs; the given one stays as it is.

    Raises:
        CellExecutionError: a cell raises an error or a warning, or a command in it fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary).resolve()
        folder = work / "docs" / "notebooks"
        folder.mkdir(parents=True)
        shutil.copy(DOCS / "material.py", folder.parent)
        run = nbformat.from_dict(notebook)
        run.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(
            run, timeout=TIMEOUT_S, startup_timeout=TIMEOUT_S, kernel_name="python3", resources=resources
        )
        client.execute(env=environment(work))
        del run.cells[0]
        fresh = tidy(run)
        paths = {str(work), str(Path.home()), sys.prefix, str(DOCS.resolve().parent)} - {"/"}
        text = text_of(fresh)
        found = sorted(path for path in paths if path in text)
        if found:
            raise ValueError(f"{name} shows paths of this machine: {', '.join(found)}")
    return fresh


def environment(work: Path) -> dict[str, str]:
    """The variables of a kernel that leaves nothing behind and knows nothing of its user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EMOFUSE_", "JUPYTER"))}
    folders = {
        name: str(work / name.lower())
        for name in ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR")
    }
    return {**kept, **folders, "PYTHONIOENCODING": "utf-8", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def tidy(notebook: Any) -> Any:
    """The notebook without what differs from run to run."""
    fresh = nbformat.v4.new_notebook(metadata=METADATA)
    count = 0
    for number, cell in enumerate(notebook.cells):
        tags = {"tags": list(cell.metadata.tags)} if cell.metadata.get("tags") else {}
        if cell.cell_type != "code":
            made = nbformat.v4.new_markdown_cell(cell.source, metadata=tags)
        else:
            count += 1
            made = nbformat.v4.new_code_cell(
                cell.source, metadata=tags, execution_count=count, outputs=outputs(cell.outputs, count)
            )
        made.id = f"cell-{number}"
        fresh.cells.append(made)
    return fresh


def outputs(found: Any, count: int) -> list[Any]:
    """What a cell shows: text as one block per stream, pictures without a second text for them."""
    tidied: list[Any] = []
    for one in found:
        if one.output_type == "stream":
            if tidied and tidied[-1].output_type == "stream" and tidied[-1].name == one.name:
                tidied[-1].text += one.text
            else:
                tidied.append(nbformat.v4.new_output("stream", name=one.name, text=one.text))
            continue
        data = dict(one.data)
        if any(kind.startswith("image/") for kind in data):
            data.pop("text/plain", None)
        numbered = {"execution_count": count} if one.output_type == "execute_result" else {}
        tidied.append(nbformat.v4.new_output(one.output_type, data=data, **numbered))
    for one in tidied:
        if one.output_type == "stream":
            one.text = plain(one.text)
    return [one for one in tidied if one.output_type != "stream" or one.text]


def plain(text: str) -> str:
    """Text as it stands in the end: without colors, overwritten lines and progress bars."""
    lines = (_ESCAPE.sub("", line).rstrip("\r") for line in text.split("\n"))
    shown = (line.rpartition("\r")[2].rstrip() for line in lines)
    kept = "\n".join(line for line in shown if not ("━" in line and _PROGRESS.match(line)))
    return f"{kept.strip()}\n" if kept.strip() else ""


def text_of(notebook: Any) -> str:
    """A notebook as it is stored."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def differences(stored: Any, fresh: Any) -> list[str]:
    """Where two executions of a notebook show something else, a line per cell."""
    found = []
    for number, (before, after) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if before.cell_type != "code":
            continue
        tags = before.metadata.get("tags", [])
        old, new = (seen(cell.outputs, tags) for cell in (before, after))
        if old != new:
            found.append(f"cell {number} showed\n{old}\nand shows\n{new}")
    return found


def seen(found: Any, tags: list[str]) -> list[tuple[str, str]]:
    """The kinds of outputs, and what of their text is compared."""
    texts = []
    for one in found:
        data = {f"stream {one.name}": one.text} if one.output_type == "stream" else one.data
        for kind, text in sorted(data.items()):
            compared = "" if VARIES in tags or kind.startswith("image/") else text
            texts.append((kind, compared if EXACT in tags else loosely(compared)))
    return texts


def loosely(text: str) -> str:
    """Text without numbers, emotions, and what is drawn of signs."""
    return " ".join(_NUMBER.sub("0", _EMOTION.sub("EMOTION", _DRAWN.sub(" ", text))).split())


if __name__ == "__main__":
    sys.exit(main())
