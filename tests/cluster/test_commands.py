"""Commands that train and measure, on a real Ray cluster: they write what they write here, to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.app import app
from emofuse.cluster.connection import Cluster, connected
from tests.cluster.conftest import Pair
from tests.support import corpora_apart, small_corpora, small_faces

TINY = """
extends = "ravdess-au"
name = "tiny"
seed = 6

[voice.features]
duration_s = 0.5
n_mels = 26
hop_length = 800

[voice.network]
channels = [4]
functionals = false
hidden = 6
n_features = 6

[voice.training]
epochs = 1
batch_size = 16

[face.network]
hidden = 6
members = 1

[face.training]
epochs = 1
batch_size = 16

[fusion]
inner_folds = 2
trials = 1
selection_folds = 2
classifiers = ["pool"]
"""
OF_THE_CLOCK = {"started", "finished", "seconds", "trained", "command"}


@pytest.fixture(scope="module")
def cluster(pair: Pair) -> Iterator[Cluster]:
    with connected(pair.address) as found:
        yield found


@dataclass(frozen=True)
class Side:
    """Where tasks are computed: here, or on the nodes; each with features of its own."""

    name: str
    where: tuple[object, ...]
    store: Path

    def run(self, *arguments: object) -> None:
        done = run(*arguments, "--cache", self.store, *self.where)
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def sides(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    home = tmp_path_factory.mktemp("stores")
    return (
        Side("here", ("--jobs", 1), home / "here"),
        Side("there", ("--cluster", cluster.address), home / "there"),
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("corpus") / "tiny"
    return small_corpora.write_au_corpus(folder, actors=4, takes=2)


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def runs(
    sides: tuple[Side, Side], corpus: Path, toml: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The folder of an evaluation by each side."""
    home = tmp_path_factory.mktemp("runs")
    for side in sides:
        side.run("evaluate", corpus, "-r", toml, "-p", "actors-2", "-o", home / side.name)
    return {side.name: home / side.name for side in sides}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})


def content(folder: Path) -> dict[str, Any]:
    """All files with results in a folder, clock times left out; pages follow from them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".csv", ".onnx", ".safetensors", ".toml", ".txt", ".svg"}:
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif path.suffix == ".json":
            found[str(path.relative_to(folder))] = without_clock(json.loads(path.read_bytes()))
    return found


def without_clock(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: without_clock(one) for name, one in entry.items() if name not in OF_THE_CLOCK}
    return [without_clock(one) for one in entry] if isinstance(entry, list) else entry


def check_same(folders: dict[str, Path], *expected: str) -> None:
    here, there = content(folders["here"]), content(folders["there"])
    assert here.keys() == there.keys() >= set(expected)
    for name, entry in here.items():
        assert there[name] == entry, name


def test_an_evaluation(runs: dict[str, Path]) -> None:
    """Features, networks and fusions."""
    check_same(runs, "results.json", "predictions.csv")
    assert len(list(runs["there"].rglob("weights.safetensors"))) >= 4


def test_a_run_on_degraded_recordings(
    sides: tuple[Side, Side], runs: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    for side in sides:
        shutil.copytree(runs[side.name], tmp_path / side.name)
        side.run("robustness", tmp_path / side.name, corpus)
    check_same({side.name: tmp_path / side.name for side in sides}, "results.json")
    figures = json.loads((tmp_path / "there" / "results.json").read_bytes())["robustness"]
    assert len({one["condition"] for one in figures}) >= 13


def test_a_bundle(sides: tuple[Side, Side], corpus: Path, toml: Path, tmp_path: Path) -> None:
    for side in sides:
        side.run("train", corpus, "-r", toml, "-o", tmp_path / side.name)
    bundles = {side.name: tmp_path / side.name for side in sides}
    check_same(bundles, "bundle.json", "voice.onnx", "face.onnx", "fusion-0.onnx")
    assert not list(tmp_path.rglob(".emofuse-probe-*"))


def test_a_leakage_audit(sides: tuple[Side, Side], corpus: Path, toml: Path, tmp_path: Path) -> None:
    for side in sides:
        side.run("leak", corpus, "-r", toml, "-p", "actors-2", "-o", tmp_path / side.name)
    check_same({side.name: tmp_path / side.name for side in sides}, "leak.json", "leak.svg")


def test_a_matrix_of_corpora(sides: tuple[Side, Side], tmp_path: Path) -> None:
    _, *pair = corpora_apart.write_corpora(tmp_path / "corpora")
    (tmp_path / "small.toml").write_text(corpora_apart.RECIPE, encoding="utf-8")
    for side in sides:
        side.run(
            "cross", *pair, "-r", tmp_path / "small.toml", "--normalize", "none,speaker", "-o",
            tmp_path / side.name,
        )  # fmt: skip
    check_same({side.name: tmp_path / side.name for side in sides}, "cross.json", "predictions.csv")
    cells = json.loads((tmp_path / "there" / "cross.json").read_bytes())["cells"]
    assert len(cells) == 8 and all(cell["systems"]["fused"]["n"] for cell in cells)


def test_a_face_network(cluster: Cluster, tmp_path: Path) -> None:
    for split, n in (("train", 140), ("public_test", 60)):
        small_faces.write_split(tmp_path / "fer", split, small_faces.wave_images(n, len(split)))
    for name, more in (("here", []), ("there", ["--cluster", cluster.address])):
        done = run(
            "faces", "train", tmp_path / "fer", "-a", "compact", "--epochs", 1, "--precision", "float32",
            "-o", tmp_path / name, *more,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    here, there = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("here", "there"))
    assert there == here


@pytest.mark.parametrize("command", ["evaluate", "train", "leak", "cross"])
def test_jobs_and_gpus_are_of_this_machine(command: str, corpus: Path, tmp_path: Path) -> None:
    corpora = [corpus] if command != "cross" else corpora_apart.write_corpora(tmp_path / "corpora")[1:]
    done = run(command, *corpora, "-o", tmp_path / "run", "--cluster", "auto", "-j", 2)
    assert done.exit_code == 2
    assert "--jobs are processes of this machine, --cluster has nodes of its own: give one" in done.output
