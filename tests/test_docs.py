"""Run the commands and code of the README and the pages of docs/, page by page, in order.

Blocks of ``sh``, ``console`` (with the output that is shown, compared loosely) and ``python`` are run in one
folder per page. An HTML comment just before a block, which readers do not see, changes that:

- ``not run: REASON``: its commands are only parsed by the command line, and Python is only compiled.
- ``exit status N``: its commands exit with this status.
- ``file: NAME``: the block is saved as this file.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from emofuse.cli.app import app
from emofuse.core.label_maps import convert_label, label_map
from emofuse.core.labels import EMOTIONS
from emofuse.features.voice.degradations import DEGRADATIONS

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
REASONS = {
    "make target", "needs RAVDESS", "needs FER2013", "needs CREMA-D", "needs the network",
    "needs a camera and a microphone", "needs a bundle trained on RAVDESS", "trains for minutes",
    "needs Whisper's weights", "starts the service", "needs a SLURM cluster", "needs Snakemake",
    "needs a Ray cluster", "needs a PostgreSQL server",
    "needs Docker",
}  # fmt: skip
WHOLE = {
    "results.md": "needs RAVDESS", "CONTRIBUTING.md": "make target", "server.md": "starts the service",
}  # fmt: skip
"""Pages whose blocks are all not run."""
MATERIAL = ("emofuse corpus synth ", "python docs/material.py ")
"""Commands whose output is made once and linked into the folder of every page with the command."""

_FENCE = re.compile(r"^```(\w*)\s*$")
_MARK = re.compile(r"^<!-- (.*?) -->$")
_DRAWN = re.compile(r"[━┏┳┓┃┡╇┩│├┼┤└┴┘─█▏▎▍▌▋▊▉]")
_EMOTION_TEXT = re.compile(rf"\b({'|'.join(EMOTIONS)}|not sure|nothing to read|abstained)\b")
_NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?")


@dataclass(frozen=True)
class Block:
    language: str
    lines: tuple[str, ...]
    line: int
    marks: tuple[str, ...]

    def marked(self, kind: str) -> str | None:
        found = [mark.partition(kind)[2].strip() for mark in self.marks if mark.startswith(kind)]
        return found[0] if found else None

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True)
class Command:
    words: str
    shown: tuple[str, ...] | None
    """The output on the page; None: there is none."""


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    marks: list[str] = []
    inside: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is not None:
            if line == "```":
                language, start, lines = inside
                found.append(Block(language, tuple(lines), start, tuple(marks)))
                inside, marks = None, []
            else:
                inside[2].append(line)
        elif fence := _FENCE.match(line):
            inside = fence[1], number, []
        elif mark := _MARK.match(line):
            marks.append(mark[1])
        elif line.strip():
            marks = []
    assert inside is None, f"{page.name}: a block is not closed"
    return found


def commands(block: Block) -> list[Command]:
    found: list[tuple[str, list[str] | None]] = []
    if block.language == "console":
        for line in block.lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                assert found and found[-1][1] is not None, f"line {block.line}: output before a command"
                found[-1][1].append(line)
    elif block.language in {"sh", "bash"}:
        text = "\n".join(block.lines).replace("\\\n", " ")
        for line in text.splitlines():
            words = re.sub(r"(^|\s)#\s.*$", "", line).strip()
            if words:
                found.append((words, None))
    return [Command(words, None if shown is None else tuple(shown)) for words, shown in found]


def loosely(line: str) -> str:
    """A line without what depends on the recognizer or the terminal width: numbers, emotions, boxes."""
    return " ".join(_NUMBER.sub("0", _EMOTION_TEXT.sub("EMOTION", _DRAWN.sub(" ", line))).split())


def fits(shown: tuple[str, ...], got: str) -> bool:
    """Whether the output matches; a line … stands for any lines, … within a line for any text."""
    wanted = []
    for line in map(loosely, shown):
        if line == "…":
            wanted.append(r"(?:.*\n)*")
        elif line:
            wanted.append(".*".join(map(re.escape, line.split("…"))) + r"\n")
    lines = [line for line in map(loosely, got.splitlines()) if line]
    return re.fullmatch("".join(wanted), "".join(f"{line}\n" for line in lines)) is not None


class Page:
    """A page whose commands are run in a folder of its own."""

    def __init__(self, page: Path, folder: Path, material: Path) -> None:
        self.page, self.folder, self.material = page, folder, material
        self.names: dict[str, Any] = {"__name__": page.stem}
        self._made: list[str] = []
        folder.mkdir()
        (folder / "docs").symlink_to(DOCS)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("EMOFUSE_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
            "COLUMNS": "100",
            "PYTHONIOENCODING": "utf-8",
        }

    def run_blocks(self) -> None:
        for block in blocks(self.page):
            where = f"{self.page.name}, line {block.line}"
            reason = block.marked("not run:") or WHOLE.get(self.page.name)
            if (name := block.marked("file:")) is not None:
                (self.folder / name).write_text(block.text, encoding="utf-8")
            elif reason is not None:
                assert reason in REASONS, f"{where}: unknown reason {reason!r}"
                for command in commands(block) if reason != "needs Docker" else ():
                    check_syntax(command.words, where)
                if block.language == "python":
                    compile(block.text, where, "exec")
            elif block.language == "python":
                self.python(block, where)
            else:
                status = int(block.marked("exit status") or 0)
                for command in commands(block):
                    self.execute(command, status, where)

    def execute(self, command: Command, status: int, where: str) -> None:
        if command.words.startswith(MATERIAL):
            self.make(command.words)
            return
        code, out = run(command.words, self.folder, self.environment)
        assert code == status, f"{where}: {command.words}: exit status {code}\n{out}"
        if command.shown is not None:
            shown = "\n".join(command.shown)
            assert fits(command.shown, out), f"{where}: {command.words}\nshown:\n{shown}\nprinted:\n{out}"

    def make(self, words: str) -> None:
        """Make material once for all pages; a page's folder depends on its own commands only."""
        self.material.mkdir(exist_ok=True)
        before = self._key()
        self._made.append(words)
        cached = self.material / self._key()
        with (self.material / f"{self._key()}.lock").open("w") as lock:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not cached.exists():
                work = self.material / f"{self._key()}.work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                if before:
                    link_tree(self.material / before, work)
                (work / "docs").symlink_to(DOCS)
                code, out = run(words, work, self.environment)
                assert code == 0, f"{words}: exit status {code}\n{out}"
                (work / "docs").unlink()
                work.rename(cached)
        link_tree(cached, self.folder)

    def _key(self) -> str:
        return hashlib.sha256("\n".join(self._made).encode()).hexdigest()[:12] if self._made else ""

    def python(self, block: Block, where: str) -> None:
        """Run the block; an expression followed by a comment that looks like a value must have that value."""
        tree = ast.parse(block.text, where)
        for node in tree.body:
            if not isinstance(node, ast.Expr):
                exec(compile(ast.Module([node], []), where, "exec"), self.names)
                continue
            value = eval(compile(ast.Expression(node.value), where, "eval"), self.names)
            assert node.end_lineno is not None
            _, _, comment = block.lines[node.end_lineno - 1][node.end_col_offset :].partition("#")
            if re.match(r"[(\['\d]|None\b", comment.strip()):
                shown = comment.strip()
                got = repr(value) if not shown.endswith("…") or "…" in shown[:-1] else repr(value) + "\n"
                assert fits((shown,), got), f"{where}: {shown} is shown, the value is {got}"


def link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def link(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def run(words: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", words], cwd=folder, env=environment, text=True, encoding="utf-8", check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout


def check_syntax(words: str, where: str) -> None:
    """Parse a command that is not run, to its last option."""
    first, *rest = shlex.split(words.split(" > ", maxsplit=1)[0])
    if first == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert f"\n{rest[0]}:" in targets, f"{where}: there is no make {rest[0]}"
        return
    if first == "python":
        assert (ROOT / rest[0]).is_file(), f"{where}: there is no {rest[0]}"
        return
    if first in ("mkdir", "sbatch", "snakemake") or "$(sbatch " in words:
        assert where.startswith("cluster.md"), f"{where}: {first} is for the page of clusters"
        return  # tests/test_cluster_recipes.py runs it
    if first == "ray":
        from ray.scripts.scripts import cli

        name = rest.pop(0)
        cli.commands[name].make_context(name, rest)
        return
    if first == "curl":  # tests/server/test_examples.py runs it
        assert where.startswith("server.md"), f"{where}: curl is for the page of the service"
        return
    assert first == "emofuse", f"{where}: unknown command {first}"
    command: Any = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        name = rest.pop(0)
        assert name in subcommands, f"{where}: there is no command {name}"
        command = subcommands[name]
    try:
        command.make_context(command.name, rest)
    except Exception as error:
        pytest.fail(f"{where}: {words}: {error}")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder shared by the processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "docs-material"


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "page"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("EMOFUSE_")]:
        monkeypatch.delenv(name)
    before = Path.cwd()
    yield folder
    os.chdir(before)


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="the commands need a POSIX shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(page: Path, in_folder: Path, material: Path) -> None:
    page_run = Page(page, in_folder, material)
    if page.name == "README.md" and page.parent == ROOT:
        add_readers_files(page_run)
    os.chdir(in_folder)
    with contextlib.redirect_stdout(io.StringIO()):
        page_run.run_blocks()


def add_readers_files(page: Page) -> None:
    """The README names files of the reader: synthetic ones take their place."""
    page.make("emofuse corpus synth toy --actors 3 --takes 1")
    page.make("python docs/material.py conversation toy talk.mp4")
    (page.folder / "talk.mp4").rename(page.folder / "interview.mp4")
    (page.folder / "toy/Actor_01").rename(page.folder / "clips")
    os.link(page.folder / "clips/01-01-03-01-01-01-01.mp4", page.folder / "clip.mp4")


def test_the_page_runner_detects_errors(tmp_path: Path) -> None:
    page = tmp_path / "wrong.md"

    def run_page(text: str) -> None:
        page.write_text(text)
        folder = tmp_path / f"wrong-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        Page(page, folder, tmp_path / "material").run_blocks()

    run_page("```console\n$ echo is 12 % happy\nis 9 % sad\n```\n")
    run_page("```console\n$ printf 'a\\nb\\nc\\n'\na\n…\n```\n")
    run_page("<!-- exit status 3 -->\n\n```sh\nexit 3\n```\n")
    run_page("<!-- not run: needs RAVDESS -->\n```sh\nemofuse train ravdess --out b  # hours\n```\n")
    run_page("```python\n(1, 'sad')  # (2, 'happy')\n```\n")
    for text in (
        "```sh\nfalse\n```\n",
        "```console\n$ echo b\na\n```\n",
        "```console\n$ printf 'a\\nb\\n'\na\n```\n",
        "<!-- exit status 3 -->\n\n```sh\ntrue\n```\n",
        "<!-- not run: no time -->\n```sh\nemofuse live\n```\n",
        "<!-- not run: needs RAVDESS -->\n```sh\nemofuse train ravdess --out b --color\n```\n",
        "<!-- not run: needs RAVDESS -->\n```sh\nemofuse tran ravdess\n```\n",
        "<!-- not run: needs RAVDESS -->\n```sh\nrm -r ravdess\n```\n",
        "<!-- not run: needs RAVDESS -->\nSome words between.\n```sh\nfalse\n```\n",
        "```python\n(1, 'sad')  # (2, 'sad', None)\n```\n",
        "```python\nraise KeyError\n```\n",
    ):
        with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
            run_page(text)


@pytest.mark.parametrize("name", ["predict", "timeline", "live", "enroll", "serve"])
def test_a_page_mentions_every_option(name: str) -> None:
    command: Any = typer.main.get_command(app)
    named = {"enroll": "enrollment", "serve": "server"}.get(name, name)
    page = (DOCS / f"{named}.md").read_text(encoding="utf-8")
    options = {option for one in command.commands[name].params for option in one.opts if option[:2] == "--"}
    assert sorted(option for option in options - {"--help"} if f"{option}" not in page) == []


def test_links_are_valid() -> None:
    headings = {
        page: {
            re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in page.read_text(encoding="utf-8").splitlines()
            if line.startswith("#")
        }
        for page in PAGES
    }
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith("https://"):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in headings[path], f"{page.name}: {target}"


def test_images_are_used_and_small() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for image in sorted((DOCS / "pictures").iterdir()):
        assert f"pictures/{image.name}" in text, image
        assert image.stat().st_size < 300_000, image
        if image.suffix == ".svg":
            assert "url(http" not in image.read_text(encoding="utf-8"), image


def test_the_table_of_labels_matches_the_maps() -> None:
    lines = (DOCS / "labels.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| RAVDESS"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first : first + 10]]
    sets = [re.sub(r"[^a-z0-9-]", "", cell) for cell in rows[0][1:]]
    assert tuple(row[0] for row in rows[2:]) == EMOTIONS
    for row in rows[2:]:
        assert [convert_label(row[0], label_map("ravdess-8", name)) or "–" for name in sets] == row[1:]


def test_all_window_reasons_are_explained() -> None:
    code = re.compile(r"\b(?:voice|face):[a-z_]+")
    modules = ("windows.py", "still_faces.py")
    source = "".join((ROOT / "src/emofuse/timeline" / one).read_text(encoding="utf-8") for one in modules)
    assert set(code.findall((DOCS / "timeline.md").read_text(encoding="utf-8"))) == set(code.findall(source))


def test_figures_match_their_sources() -> None:
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    page = (DOCS / "enrollment.md").read_text(encoding="utf-8")
    for clips, words in ((0, "without enrollment"), (1, "with one"), (4, "with four"), (8, "with eight")):
        stated = re.search(rf"([\d.]+) %,? {words}", page)
        row = re.search(rf"^\| {clips} \|.*\| \*\*([\d.]+)\*\*;[^|]*\| \d+ \|$", results, re.MULTILINE)
        assert stated and row and stated[1] == row[1], words
    card = (ROOT / "src/emofuse/recognition/shipped/out-of-the-box/MODEL-CARD.md").read_text(encoding="utf-8")
    figures = (DOCS / "figures.md").read_text(encoding="utf-8")
    measured, videos = re.search(r"had not heard: ([\d.]+) %", card), re.search(r"Videos: (\d+ of \d+)", card)
    assert measured and f"right in {float(measured[1]):.0f} %" in figures
    assert videos and f"{videos[1]} were right" in figures
    titles = {
        "none": "as recorded", "noise-20-db": "noise at 20 dB", "telephone": "telephone",
        "mp3-32k": "MP3 at 32 kbit/s", "reverberation": "a room",
    }  # fmt: skip
    for name, title in titles.items():
        damage = "none" if name == "none" else DEGRADATIONS[name].summary
        shown = next(line for line in card.splitlines() if line.startswith(f"| {damage} |"))
        assert shown.replace(damage, title, 1) in results, name


def test_the_matrix_across_corpora_is_that_of_its_table() -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    with (DOCS / "cross.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    picture = (DOCS / "pictures" / "matrix.svg").read_text(encoding="utf-8")
    assert len(cells) == 39
    for cell in cells:
        uar, low, high = (100 * float(cell[name]) for name in ("uar", "uar_low", "uar_high"))
        assert f"| {uar:.1f} ({low:.1f} to {high:.1f})" in page, cell
        assert f">{uar:.1f}</text>" in picture, cell
        assert f">{low:.1f} to {high:.1f}</text>" in picture, cell
