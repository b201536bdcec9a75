"""A network that comes with emofuse is found by its sha256, and read like a file of one's own."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.core.recipes.load import load_recipe
from emofuse.features.embeddings.onnx_files import embed_face, embed_voice, read_embedding
from emofuse.features.face.expression_frames import expression_network
from emofuse.features.shipped_networks import EXPRESSION_SHA256, comes_with_emofuse, shipped_network


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_EMBEDDINGS", str(tmp_path / "tried"))
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "weights"))


def test_a_recipe_names_it_by_its_sha256_alone(tmp_path: Path) -> None:
    embedding = load_recipe("any-labels").face.features.embedding
    assert embedding is not None
    assert embedding.file is None
    content = read_embedding(embedding)
    assert hashlib.sha256(content).hexdigest() == embedding.sha256 == EXPRESSION_SHA256
    assert shipped_network(EXPRESSION_SHA256)[0].name == "fer-plus-frames.onnx"
    elsewhere = embedding.model_copy(update={"file": str(tmp_path / "moved.onnx")})
    assert read_embedding(elsewhere) == content


def test_its_values_are_statistics_of_what_it_says_of_each_frame(tmp_path: Path) -> None:
    embedding = load_recipe("any-labels").face.features.embedding
    assert embedding is not None
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    (frames,) = expression_network(EXPRESSION_SHA256).run(["outputs"], {"inputs": crops})
    expected = [frames.mean(0), frames.std(0), *np.percentile(frames, (10, 90), axis=0)]
    found = embed_face(crops, embedding)
    assert found.shape == (embedding.n_values,)
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-4)
    assert not (tmp_path / "tried").exists()  # it is trusted: no trial in a process of its own
    with pytest.raises(WeightsError, match="must have one input, samples at 16 kHz"):
        embed_voice(np.zeros(16000, np.float32), embedding)


def test_others_do_not_come_with_emofuse() -> None:
    assert comes_with_emofuse(EXPRESSION_SHA256)
    assert not comes_with_emofuse("0" * 64)
    with pytest.raises(WeightsError, match="0000 does not come with this version"):
        shipped_network("0" * 64)


def test_an_altered_or_absent_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="install emofuse again"):
        shipped_network(EXPRESSION_SHA256)
    (tmp_path / "expression").mkdir()
    (tmp_path / "expression" / "fer-plus-frames.onnx").write_bytes(b"other")
    with pytest.raises(WeightsError, match="is altered"):
        shipped_network(EXPRESSION_SHA256)
