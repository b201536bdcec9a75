from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import ExperimentError
from emofuse.core.recipes.load import load_recipe
from emofuse.corpus.load import load_corpus
from emofuse.evaluation.learning_curve import kept_rows, learning_curve
from emofuse.evaluation.report.learning_curve import curve_table, write_curve
from emofuse.training.dataset import Dataset, read_dataset
from emofuse.training.resources import Resources


@pytest.fixture(scope="module")
def dataset(au_folder: Path, au_toml: Path, store: Any, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset")
    return read_dataset(load_corpus(au_folder), load_recipe(au_toml), folder, Resources(store=store))


def test_larger_shares_contain_smaller_ones(dataset: Dataset) -> None:
    train = [row for row, who in enumerate(dataset.inputs.speakers.tolist()) if who != "01"]
    before: set[int] = set()
    for share in (0.1, 0.34, 0.5, 0.67, 1.0):
        kept = kept_rows(train, dataset, share, 0)
        assert before <= set(kept) <= set(train)
        groups = {(dataset.inputs.speakers[row], dataset.inputs.labels[row]) for row in kept}
        assert len(groups) == 5 * 8, "nobody and no label is lost"
        assert len(kept) == 40 * {0.1: 1, 0.34: 2, 0.5: 2, 0.67: 3, 1.0: 3}[share]
        before = set(kept)
    assert kept_rows(train, dataset, 0.5, 0) == kept_rows(train, dataset, 0.5, 0)
    assert kept_rows(train, dataset, 0.34, 0) != kept_rows(train, dataset, 0.34, 1)


def test_the_last_point_is_the_evaluation(
    au_folder: Path, au_toml: Path, au_run: Path, store: Any, tmp_path: Path
) -> None:
    found = learning_curve(
        load_corpus(au_folder), load_recipe(au_toml), "actors-2", tmp_path, Resources(store=store),
        shares=(1.0, 0.34),
    )  # fmt: skip
    results = json.loads((au_run / "results.json").read_text(encoding="utf-8"))
    part, whole = found.points
    assert whole.uar == pytest.approx(results["systems"]["fused"]["uar"], abs=1e-9)
    assert (part.share, whole.share) == (0.34, 1.0)
    assert (part.n_tested, whole.n_tested) == (144, 144)
    assert (part.takes, whole.takes) == (48, 72)
    # each recording lasts 0.8 s
    assert part.minutes == pytest.approx(48 * 0.8 / 60, rel=1e-3)
    assert whole.minutes == pytest.approx(72 * 0.8 / 60, rel=1e-3)
    assert json.loads((tmp_path / "learning-curve.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(found.to_dict())
    )
    table = write_curve(tmp_path, found)
    assert len(table.read_text(encoding="utf-8").splitlines()) == 3
    assert "Learning curve: " in table.with_suffix(".svg").read_text(encoding="utf-8")
    assert table.with_suffix(".png").stat().st_size > 1000
    assert curve_table(found).row_count == 2
    unknown = replace(found, points=tuple(replace(one, minutes=None) for one in found.points))
    assert "takes that were trained on" in write_curve(tmp_path, unknown).with_suffix(".svg").read_text()


def test_what_cannot_be_a_curve(au_folder: Path, au_toml: Path, store: Any, tmp_path: Path) -> None:
    corpus, recipe = load_corpus(au_folder), load_recipe(au_toml)
    with pytest.raises(ExperimentError, match="the same people in both parts"):
        learning_curve(corpus, recipe, "rosred-stratified-5", tmp_path, Resources(store=store))
    for shares in ((), (0.0,), (1.5,)):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            learning_curve(corpus, recipe, "actors-2", tmp_path, shares=shares)
