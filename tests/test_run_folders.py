"""One run at a time in a folder, whatever command works there, and whatever the folder is called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import FolderInUseError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.system.file_lock import LOCK_FILE, locked_folder
from emofuse.training.resources import Resources
from tests.support import small_faces


@pytest.fixture
def evaluated(au_folder: Path, au_toml: Path, store: Any) -> Callable[[Path], None]:
    """Evaluates into a folder."""
    from emofuse.evaluation.cross_validation import evaluate

    def run(out: Path) -> None:
        evaluate(load_corpus(au_folder), load_recipe(au_toml), "actors-2", out, Resources(store=store))

    return run


def refused(folder: Path, run: Callable[[], object]) -> None:
    """Hold a folder while something wants to run in it, which must leave the folder as it was."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with locked_folder(folder):
        with pytest.raises(FolderInUseError, match=r"is in use by another run \(process \d+\)"):
            run()
        after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        after.pop(folder / LOCK_FILE)
    assert after == before


def test_evaluate(tmp_path: Path, evaluated: Callable[[Path], None]) -> None:
    refused(tmp_path / "run", lambda: evaluated(tmp_path / "run"))


def test_robustness(tmp_path: Path, au_run: Path, au_folder: Path, store: Any) -> None:
    from emofuse.evaluation.robustness import measure_robustness

    run = shutil.copytree(au_run, tmp_path / "run")
    refused(run, lambda: measure_robustness(run, load_corpus(au_folder), Resources(store=store)))


def test_leak(tmp_path: Path, au_folder: Path, au_toml: Path, store: Any) -> None:
    from emofuse.evaluation.leakage.audit import leak

    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    refused(
        tmp_path / "run", lambda: leak(corpus, recipe, "actors-2", tmp_path / "run", Resources(store=store))
    )


def test_train(tmp_path: Path, au_folder: Path, au_toml: Path, store: Any) -> None:
    from emofuse.training.train_bundle import train

    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    refused(tmp_path / "b.work", lambda: train(corpus, recipe, tmp_path / "b", Resources(store=store)))
    assert list(tmp_path.iterdir()) == []


def test_ship(tmp_path: Path, au_folder: Path, store: Any) -> None:
    """The face of the bundle that comes with emofuse is taken as it is."""
    from emofuse.recognition.bundle import shipped_bundle
    from emofuse.training.ship.build import ship

    corpus, recipe = load_corpus(au_folder), load_recipe("out-of-the-box")
    refused(
        tmp_path / "b.work",
        lambda: ship(corpus, recipe, shipped_bundle(), tmp_path / "b", resources=Resources(store=store)),
    )


def test_faces_train(tmp_path: Path) -> None:
    from emofuse.training.expression import ExpressionSettings, train_expression

    faces, held_out = small_faces.wave_images(20, 0), small_faces.wave_images(8, 1)
    settings = ExpressionSettings("compact", epochs=1, batch_size=8, bfloat16=False)
    refused(tmp_path / "run", lambda: train_expression(faces, held_out, settings, tmp_path / "run"))


def test_a_bundle_that_another_run_finished_meanwhile_is_not_replaced(
    tmp_path: Path, au_bundle: Path, au_folder: Path, au_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emofuse.core.errors import BundleError
    from emofuse.training import train_bundle

    def finished_first(folder: Path) -> Any:
        shutil.copytree(au_bundle, tmp_path / "b")
        return locked_folder(folder)

    monkeypatch.setattr(train_bundle, "locked_folder", finished_first)
    with pytest.raises(BundleError, match="is not empty"):
        train_bundle.train(load_corpus(au_folder), load_recipe(au_toml), tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_whose_name_means_something_in_an_address(
    tmp_path: Path, au_run: Path, evaluated: Callable[[Path], None]
) -> None:
    """Each fold tunes on its own trials: the figures are those of a folder with a plain name."""
    run = tmp_path / "50% {a}?mode=memory#1"
    evaluated(run)
    assert (run / "predictions.csv").read_bytes() == (au_run / "predictions.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [run.name]
    names = sorted(path.relative_to(au_run) for path in au_run.rglob("*.sqlite3"))
    assert sorted(path.relative_to(run) for path in run.rglob("*.sqlite3")) == names
