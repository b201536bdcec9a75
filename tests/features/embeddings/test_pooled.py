from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import FeatureError, RecipeError
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.recipes.load import parse_recipe
from emofuse.features.embeddings.pooled import PARTS, embedding_views, pooled


def embedding(size: int = 4, **more: Any) -> Embedding:
    return Embedding.model_validate({
        "sha256": "0" * 64, "size": size, "trained_on": "nothing", "licence": "CC0-1.0", **more
    })  # fmt: skip


VALUES = np.array([[1.0, 2, 3, 4], [3, 2, 1, 0], [5, 2, 2, 5]])


def test_poolings_are_those_of_numpy() -> None:
    found = pooled(VALUES, embedding(pooling=("mean", "std", "min", "max", "p10", "p90")), "x")
    expected = [VALUES.mean(0), VALUES.std(0), VALUES.min(0), VALUES.max(0)]
    expected += [np.percentile(VALUES, q, axis=0) for q in (10, 90)]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-6)
    assert found.dtype == np.float32


def test_views_come_one_after_the_other_and_parts_at_the_end() -> None:
    of_two = embedding(views=2)
    found, views = pooled(VALUES, of_two, "x", n_parts=3), embedding_views(of_two, 3)
    np.testing.assert_allclose(found[views["view-1"]], [*VALUES.mean(0)[:2], *VALUES.std(0)[:2]], rtol=1e-6)
    np.testing.assert_allclose(found[views["view-2"]], [*VALUES.mean(0)[2:], *VALUES.std(0)[2:]], rtol=1e-6)
    np.testing.assert_allclose(found[views[PARTS]], VALUES.ravel())
    assert max(view.stop for view in views.values()) == len(found)


def test_one_vector_of_a_recording_is_not_pooled() -> None:
    np.testing.assert_array_equal(pooled(VALUES[0], embedding(pooling=()), "x"), VALUES[0])


@pytest.mark.parametrize(
    ("values", "pooling", "problem"),
    [
        (VALUES.T, ("mean",), r"x gives \(4, 3\) values, and the recipe reads \(n_times, 4\)"),
        (VALUES[0], ("mean",), r"takes pooling = \[\]"),
        (VALUES, (), "values of many times take a pooling"),
        (VALUES[:0], ("mean",), r"\(0, 4\)"),
        (VALUES[None], ("mean",), r"\(1, 3, 4\)"),
        (np.where(VALUES == 5, np.nan, VALUES), ("mean",), "not finite"),
        (VALUES * 1e31, ("mean",), "not finite"),
        (VALUES.astype(str), ("mean",), "not numbers"),
        (VALUES.astype(complex), ("mean",), "not numbers"),
    ],
)
def test_wrong_values(values: Any, pooling: tuple[str, ...], problem: str) -> None:
    with pytest.raises(FeatureError, match=problem):
        pooled(values, embedding(pooling=pooling), "x")


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ({"kind": "onnx"}, "embedding goes with kind 'onnx' or 'table'"),
        ({"kind": "log-mel", "embedding": {}}, "embedding goes with kind"),
        (
            {"kind": "onnx", "sample_rate_hz": 8000, "fmax_hz": 4000.0, "embedding": {}},
            "sample_rate_hz = 16000",
        ),
        ({"kind": "table", "encoder_parts": 3, "embedding": {"pooling": []}}, "with pooling"),
        ({"kind": "onnx", "embedding": {"views": 3}}, "cannot be divided into 3 views"),
        ({"kind": "onnx", "embedding": {"pooling": ["mean", "mean"]}}, "each once"),
        ({"kind": "onnx", "embedding": {"trained_on": ""}}, "trained_on"),
    ],
)
def test_wrong_recipes(features: dict[str, Any], problem: str) -> None:
    given = embedding().model_dump() | features.get("embedding", {})
    whole = features | ({"embedding": given} if "embedding" in features else {})
    recipe = {
        "name": "x", "modalities": ["voice"],
        "voice": {"features": whole, "network": {"kind": "ensemble"}},
    }  # fmt: skip
    with pytest.raises(RecipeError, match=problem):
        parse_recipe(recipe)


def test_the_place_of_a_file_is_no_part_of_a_hash() -> None:
    assert embedding(file="/a").hash() == embedding(file="/b").hash() != embedding(views=2).hash()
