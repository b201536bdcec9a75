"""The layout that docs/architecture.md promises, where neither ruff nor import-linter checks it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "emofuse"
SOURCES = sorted(PACKAGE.rglob("*.py"))
INITS = [path for path in SOURCES if path.name == "__init__.py"]
LONGEST = 450
"""Lines of a module."""

TESTS_BESIDE_MODULES = {
    "server/page/test_recording.py": "the page of one recording, in a browser",
    "server/page/test_home.py": "the page's recordings, purpose and token, in a browser",
    "server/page/test_viewer.py": "the viewer on the page of the service, in a browser",
    "server/page/test_live.py": "the page's live mode, in a browser",
    "server/page/test_label_sets.py": "the service and its page with 2, 12 and 50 labels",
    "server/page/test_studies.py": "the page's studies, in a browser",
    "server/page/test_people.py": "the page's people, in a browser",
    "server/page/test_record.py": "the page's recorder, in a browser",
    "server/test_container.py": "the Dockerfile and compose.yaml",
    "server/test_examples.py": "the examples of docs/server.md",
    "soak/test_server_uploads.py": "300 malformed uploads; by hand, by make soak",
    "evaluation/test_one_modality.py": "one rule for evaluation, training, prediction and report",
    "evaluation/test_label_sets.py": "2, 12 and 50 labels from their table to the report and every export",
    "evaluation/test_own_embeddings.py": "embeddings in evaluation, training, prediction and timelines",
    "evaluation/test_ratings.py": "one rule for evaluation, training, prediction, timelines and report",
    "evaluation/test_several_corpora.py": "one rule for evaluation, training, prediction and report",
    "evaluation/test_soft_labels.py": "raters' shares from their table to the report and predictions",
    "cli/test_predict_batch.py": "the command predict on many files",
    "cluster/test_commands.py": "commands that train and measure, on a cluster and here",
    "cli/test_streams.py": "one choice of streams in predict, timeline and the overlay",
    "core/recipes/test_recipes.py": "the shipped recipes, and what every recipe shares",
    "exports/test_ten_minutes.py": "one timeline in every format",
    "recognition/test_memory_and_time.py": "what all steps of a prediction cost together",
    "media/test_bad_input.py": "damaged files, whichever module reads them",
    "zoo/test_zoo.py": "a file of every kind, read by predict and timeline",
    "server/test_faults.py": "jobs, workers and services that are killed",
    "soak/test_server_faults.py": "the same for minutes, and a full disk; by hand, by make soak",
    "soak/test_endurance.py": "an hour in one process; by hand, by make soak",
    "soak/test_interrupts.py": "signals to all commands; by hand, by make soak",
    "soak/test_server_load.py": "what the service costs for minutes; by hand, by make soak",
    "soak/test_broken_files.py": "1,000 broken files of each format; by hand, by make soak",
    "soak/test_label_studio_sdk.py": "Label Studio's SDK in an environment of its own; by make soak",
    "soak/test_ray.py": "a Ray cluster of which half dies; by hand, by make soak",
    "soak/test_shared_trials.py": "four workers on one database, two killed; by hand, by make soak",
    "soak/test_cluster_training.py": "evaluations on a cluster beside the same here; by hand, by make soak",
    "soak/test_shards.py": "shards that are killed and run again; by hand, by make soak",
    "soak/test_kills.py": "runs that are killed and resumed; by hand, by make soak",
    "training/test_on_a_gpu.py": "every kind of network on a GPU, beside the CPU",
    "training/test_leaks.py": "plan, jobs and fusion together: no test clip enters a fit",
}
"""Test files that are not named after a module, and why."""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports: modules, or packages where a name is taken from their ``__init__``."""
    modules = {module_name(path) for path in SOURCES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else str(node.module)


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name",
    [
        "core.labels",
        "core.records",
        "core.recipes.load",
        "corpus.load",
        "core.metrics",
        "recognition.recognizer",
    ],
)
def test_prediction_loads_no_training_framework(name: str) -> None:
    code = (
        f"import sys, emofuse.{name}\n"
        "print(*sorted({'torch', 'sklearn', 'librosa', 'matplotlib', 'pandas', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_no_module_is_called_utils() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [path for path in SOURCES if path.stem.strip("_") in vague or path.parent.name in vague] == []


def test_the_top_of_the_package_holds_packages_only() -> None:
    names = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert names == {"__init__.py", "__main__.py", "py.typed"}
    folders = {path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert [path.name for path in folders if not (path / "__init__.py").is_file()] == []
    without_init = {path.parent for path in SOURCES} - {path.parent for path in INITS}
    assert without_init == set(), "a folder without __init__ can be imported as a namespace package"


def test_no_init_defines_a_function_or_a_class() -> None:
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in INITS
        for node in ast.walk(parse(path))
        if isinstance(node, definitions)
    ]
    assert defined == []


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert [f"{path.relative_to(PACKAGE)}: {n}" for path, n in lengths.items() if n > LONGEST] == []


def test_modules_import_modules() -> None:
    """No module takes a name from the ``__init__`` of a package: neither the root nor any other.

    The contract against import circles doesn't see circles that go through an ``__init__``. Imports
    for type checking count.
    """
    packages = {module_name(path) for path in INITS}
    found = [
        f"{path.relative_to(PACKAGE)} imports {target}"
        for path in SOURCES
        for target in imported(parse(path))
        if target in packages
    ]
    assert found == []


def test_imports_of_packages_are_found() -> None:
    code = (
        "import emofuse\n"
        "if TYPE_CHECKING:\n"
        "    from emofuse.exports import write_timeline\n"
        "def f():\n"
        "    from emofuse.core import metrics\n"
    )
    assert list(imported(ast.parse(code))) == ["emofuse", "emofuse.exports", "emofuse.core.metrics"]


def test_tests_mirror_the_package() -> None:
    tests = {
        path.relative_to(ROOT / "tests").as_posix(): path
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent != ROOT / "tests"
    }
    beside_modules = {
        name
        for name, path in tests.items()
        if not (PACKAGE / name).with_name(path.name.removeprefix("test_")).is_file()
    }
    assert beside_modules == set(TESTS_BESIDE_MODULES)


def test_import_contracts_have_no_exceptions() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_nothing_is_pickled() -> None:
    for path in SOURCES:
        tree = parse(path)
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
        }
        assert not imported & {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}, (
            path
        )
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & {"torch.load", "torch.save"}, path
        pickled = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        ]
        assert not pickled, path


def test_lock_pins_what_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
            assert match, f"not a pin that works on every machine: {line}"
            pins[canonicalize_name(match[1])] = match[2]
    project = pyproject["project"]
    required = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    for requirement in map(Requirement, required):
        name = canonicalize_name(requirement.name)
        if name != "emofuse":
            assert name in pins, f"{name} is not in requirements.lock: make lock"
            assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} against {requirement}"


def test_version_is_the_same_everywhere(pyproject: dict[str, Any]) -> None:
    version = pyproject["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    module = (ROOT / "src" / "emofuse" / "core" / "version.py").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"' in module


def test_license_is_complete() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
