from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emofuse.cli.faces import app
from emofuse.core.errors import CorpusError, ExperimentError, WeightsError
from emofuse.corpus.fer2013 import read_fer2013
from emofuse.training.expression import DEFAULTS, train_expression
from tests.support import small_faces


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fer ä")
    small_faces.write_split(root, "train", small_faces.wave_images(140, 0))
    small_faces.write_split(root, "public_test", small_faces.wave_images(60, 1))
    return root


def figure(text: str, labels: str) -> str:
    """The accuracy and n of one label set, as printed."""
    match = re.search(rf"  {re.escape(labels)} +([\d.]+%)  (?:\[.*\]  )?(n = \d+)", text)
    assert match, text
    return " ".join(match.groups())


@pytest.mark.parametrize("architecture", ["compact", "emotion"])
def test_train_then_test(architecture: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = (
        "train", folder, "-a", architecture, "--epochs", 1, "--seed", 3, "--precision", "float32", "-o", out,
    )  # fmt: skip
    trained = run(*args)
    assert trained.exit_code == 0, trained.output
    assert "research use" in trained.stdout
    assert f"weights: {out / 'weights.safetensors'}" in trained.stdout
    assert "already done" not in trained.output
    assert ("not in the weights" in trained.stdout) == (architecture == "emotion")
    assert figure(trained.stdout, "FER+ most voted").endswith("n = 60")

    again = run(*args)
    assert "1 of 1 epochs are already done: nothing is left to train" in again.stderr
    assert again.stdout == trained.stdout

    tested = run("test", out / "weights.safetensors", folder)
    assert tested.exit_code == 0, tested.output
    sets = ["FER2013", "FER+ majority", "FER+ most voted"][: 3 if architecture == "compact" else 1]
    for labels in sets:
        assert figure(tested.stdout, labels) == figure(trained.stdout, labels)
    assert ("FER+" in tested.stdout.partition("note:")[0]) == (architecture == "compact")
    tables = tested.stdout.split("confusion on ")[1:]
    assert len(tables) == min(len(sets), 2)
    for table, size in zip(tables, (7, 8), strict=False):
        rows = [[int(x) for x in line.split()[1:]] for line in table.splitlines()[2 : 2 + size]]
        assert [len(row) for row in rows] == [size] * size
        assert sum(map(sum, rows)) == 60
        assert len({len(line) for line in table.splitlines()[1 : 2 + size]}) == 1  # columns are aligned
        right, n = sum(rows[i][i] for i in range(size)), 60
        assert f"{right / n:.1%}" in figure(tested.stdout, table.partition(",")[0])
    assert "research use" in tested.stdout


def test_train_resumes_and_refuses_another_run(folder: Path, tmp_path: Path) -> None:
    settings = replace(DEFAULTS["compact"], epochs=2)

    def kill(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    faces, held_out = (read_fer2013(folder, split) for split in ("train", "public_test"))
    with pytest.raises(KeyboardInterrupt):
        train_expression(faces, held_out, settings, tmp_path, on_epoch=kill)
    refused = run("train", folder, "-a", "compact", "--epochs", 2, "--seed", 1, "--out", tmp_path)
    assert isinstance(refused.exception, ExperimentError)
    assert "holds another run" in str(refused.exception)
    done = run("train", folder, "-a", "compact", "--epochs", 2, "--out", tmp_path)
    assert done.exit_code == 0
    assert "1 of 2 epochs are already done: resuming with epoch 2" in done.stderr
    assert (tmp_path / "weights.safetensors").is_file()


def test_defaults_match_the_settings() -> None:
    for settings in DEFAULTS.values():
        assert (settings.epochs, settings.seed, settings.threads, settings.bfloat16) == (40, 0, 1, True)
    text = " ".join(run("train", "--help").stdout.split())
    assert "[default: 40]" in text
    assert "[default: bfloat16]" in text


def test_errors_propagate_to_the_top(folder: Path, tmp_path: Path) -> None:
    result = run("train", tmp_path, "-a", "compact", "-o", tmp_path / "out")
    assert isinstance(result.exception, CorpusError)
    assert not (tmp_path / "out").exists()
    result = run("test", tmp_path / "none.safetensors", folder)
    assert isinstance(result.exception, WeightsError)


@pytest.mark.parametrize(
    "args",
    [
        ("train", "x", "-o", "y"),
        ("train", "x", "-a", "vgg13", "-o", "y"),
        ("train", "x", "-a", "compact"),
        ("train", "x", "-a", "compact", "-o", "y", "--epochs", 0),
        ("train", "x", "-a", "compact", "-o", "y", "--threads", 0),
        ("train", "x", "-a", "compact", "-o", "y", "--seed", -1),
        ("train", "x", "-a", "compact", "-o", "y", "--precision", "int8"),
        ("test", "x"),
    ],
)
def test_usage_errors_exit_with_2(args: tuple[object, ...]) -> None:
    assert run(*args).exit_code == 2


def test_each_command_has_an_example() -> None:
    for command in ("train", "test"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert f"emofuse faces {command}" in " ".join(result.stdout.split())
