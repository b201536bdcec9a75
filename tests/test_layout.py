"""What the house promises and neither ruff nor import-linter can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "emofuse").rglob("*.py"))


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


def test_no_room_is_called_utils() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [path for path in SOURCES if path.stem.strip("_") in vague or path.parent.name in vague] == []


def test_nothing_is_pickled() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
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
        allowed = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        ]
        assert not allowed, path


def test_lock_pins_what_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
            assert match, f"not a pin that every machine can follow: {line}"
            pins[canonicalize_name(match[1])] = match[2]
    project = pyproject["project"]
    asked = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != "emofuse":
            assert name in pins, f"{name} is not in requirements.lock: make lock"
            assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} against {requirement}"


def test_one_version(pyproject: dict[str, Any]) -> None:
    version = pyproject["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    module = (ROOT / "src" / "emofuse" / "core" / "version.py").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"' in module


def test_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
