"""int8 bundles: nearly the same predictions from smaller networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import BundleError, FeatureError
from emofuse.recognition.bundle import LICENCE, SHIPPED, load_bundle
from emofuse.recognition.quantization import quantize
from emofuse.recognition.recognizer import Recognizer
from tests.support import small_corpora


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        small_corpora.write_clip(folder / f"{i}.mp4", emotion=2 + i % 2, actor=1 + i // 2) for i in range(6)
    ]


def operators(network: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(network).graph.node}


def test_the_shipped_face_in_int8(clips: list[Path], tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    made = quantize(
        load_bundle(SHIPPED), clips, tmp_path / "int8", on_progress=lambda *stage: reports.append(stage)
    )
    assert reports[-1] == ("reading", 6, 6)
    (face,) = made.networks
    assert face.name == "face-frame.onnx"
    assert face.bytes_after == len(made.bundle.read(face.name)) < 0.6 * face.bytes_before
    assert "QLinearConv" in operators(made.bundle.read(face.name))
    assert "Conv" not in operators(made.bundle.read(face.name))
    before, after = Recognizer.load(SHIPPED), Recognizer.load(tmp_path / "int8")
    changes = []
    for clip in clips:
        one, other = before.predict(clip), after.predict(clip)
        assert one.probabilities is not None and other.probabilities is not None
        changes.append(float(np.abs(one.probabilities - other.probabilities).max()))
        np.testing.assert_array_equal(one.voice, other.voice)
    assert 0 < max(changes) < 0.05
    assert made.compared == 3
    assert made.largest_change == pytest.approx(max(changes[1::2]), rel=1e-3)
    facts = load_bundle(tmp_path / "int8").provenance["int8"]
    assert facts["networks"] == ["face-frame.onnx"] and facts["calibrated_on"] == 3
    assert made.bundle.read(LICENCE) == load_bundle(SHIPPED).read(LICENCE)


def test_the_same_recordings_give_the_same_networks(clips: list[Path], tmp_path: Path) -> None:
    bundle = load_bundle(SHIPPED)
    one, other = (quantize(bundle, clips[:4], tmp_path / name).bundle for name in "ab")
    assert one.files == other.files


def test_a_network_over_time(video_bundle: Path, clips: list[Path], tmp_path: Path) -> None:
    """The LRCN: its CNN in int8, its LSTM unchanged."""
    result = CliRunner().invoke(
        app, ["quantize", str(clips[0].parent), "-b", str(video_bundle), "-o", str(tmp_path / "int8")]
    )
    assert result.exit_code == 0, result.stderr
    assert "face.onnx: " in result.stdout and "on 3 other recordings: 0 predictions changed" in result.stdout
    kinds = operators(load_bundle(tmp_path / "int8").read("face.onnx"))
    assert {"QLinearConv", "LSTM"} <= kinds
    assert "int8" in json.loads((tmp_path / "int8" / "bundle.json").read_text())["provenance"]


def test_invalid_requests_are_refused(ensemble_bundle: Path, clips: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no network of this bundle has convolutions"):
        quantize(load_bundle(ensemble_bundle), clips, tmp_path / "int8")
    with pytest.raises(FeatureError, match=r"3 of 4 recordings can be used, and 4 are needed: .*none\.mp4"):
        quantize(load_bundle(SHIPPED), [*clips[:3], tmp_path / "none.mp4"], tmp_path / "int8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    with pytest.raises(BundleError, match="is not empty"):
        quantize(load_bundle(SHIPPED), clips, tmp_path / "taken")
    assert not (tmp_path / "int8").exists()


def test_an_unreadable_recording_is_named(clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    arguments = ["quantize", *clips, tmp_path / "broken.mp4", "-o", tmp_path / "8"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 1
    assert "emofuse: skipped " in result.stderr and "broken.mp4" in result.stderr
    assert load_bundle(tmp_path / "8").files
