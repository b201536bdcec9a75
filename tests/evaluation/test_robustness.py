"""A finished run on degraded recordings: its own networks, and nothing fitted again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.results import RobustnessFigures
from emofuse.evaluation.robustness import CLEAN, measure_robustness
from emofuse.features.extraction import extract
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.training.resources import Resources


@pytest.fixture(scope="module")
def measured(
    au_run: Path, au_folder: Path, store: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[RobustnessFigures]]:
    run = tmp_path_factory.mktemp("robust") / "run"
    shutil.copytree(au_run, run)
    return run, measure_robustness(run, load_corpus(au_folder), Resources(store=store))


def figure(records: list[RobustnessFigures], condition: str, system: str) -> Any:
    (one,) = [r for r in records if (r["condition"], r["system"]) == (condition, system)]
    return one["accuracy"]


def test_clean_recordings_give_the_figures_of_the_run(
    measured: tuple[Path, list[RobustnessFigures]], au_run: Path
) -> None:
    _, records = measured
    systems = json.loads((au_run / "results.json").read_text())["systems"]
    for name in ("voice", "face", "fused"):
        assert figure(records, CLEAN, name) == pytest.approx(systems[name]["accuracy"])
    assert figure(records, "no voice", "fused") == pytest.approx(systems["face"]["accuracy"])
    assert figure(records, "no face", "fused") == pytest.approx(systems["voice"]["accuracy"])


def test_every_degradation_is_there_and_joins_the_results(
    measured: tuple[Path, list[RobustnessFigures]],
) -> None:
    run, records = measured
    assert {one["condition"] for one in records} == {CLEAN, "no voice", "no face", *DEGRADATIONS}
    assert json.loads((run / "results.json").read_text())["robustness"] == records
    assert all(one["ci95"][0] <= one["accuracy"] <= one["ci95"][1] for one in records)


def test_nothing_is_fitted(measured: tuple[Path, list[RobustnessFigures]], au_run: Path) -> None:
    run, _ = measured
    for path in au_run.rglob("weights.safetensors"):
        assert (run / path.relative_to(au_run)).read_bytes() == path.read_bytes()


def test_a_degradation_changes_the_features_the_same_way_each_time(au_folder: Path, au_toml: Path) -> None:
    recipe = load_recipe(au_toml)
    clip = sorted(au_folder.rglob("*.wav"))[0]

    def valid(condition: str | None) -> Any:
        features = recipe.voice.features.model_copy(update={"condition": condition})
        voice = recipe.voice.model_copy(update={"features": features})
        return extract(clip, recipe.model_copy(update={"voice": voice}), face=False).voice

    assert np.array_equal(valid("noise-5-db"), valid("noise-5-db"))
    assert not np.allclose(valid("noise-5-db"), valid(None), atol=0.1)
    assert not np.allclose(valid("noise-5-db"), valid("noise-20-db"), atol=0.1)


def test_a_folder_without_a_run_is_rejected(tmp_path: Path, au_folder: Path) -> None:
    with pytest.raises(ExperimentError, match="no finished run"):
        measure_robustness(tmp_path, load_corpus(au_folder))


def test_missing_networks_are_an_error(tmp_path: Path, au_run: Path, au_folder: Path, store: Any) -> None:
    shutil.copytree(au_run, tmp_path / "run")
    for path in (tmp_path / "run").rglob("weights.safetensors"):
        path.unlink()
    with pytest.raises(ExperimentError, match="are gone"):
        measure_robustness(tmp_path / "run", load_corpus(au_folder), Resources(store=store))
