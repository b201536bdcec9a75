from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WEIGHTS


def test_list_shows_which_files_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    known = WEIGHTS["deepface-emotion"]
    result = CliRunner().invoke(app, ["weights", "list"])
    assert result.exit_code == 0
    assert f"weights folder: {tmp_path}" in result.stdout
    assert "deepface-emotion (not here)" in result.stdout
    assert known.sha256 in result.stdout
    assert known.licence in result.stdout
    (tmp_path / known.file_name).write_bytes(b"")
    assert "deepface-emotion (here)" in CliRunner().invoke(app, ["weights", "list"]).stdout


def test_fetch_of_an_unknown_name() -> None:
    result = CliRunner().invoke(app, ["weights", "fetch", "deepface"])
    assert isinstance(result.exception, WeightsError)
    assert "use one of deepface-emotion" in str(result.exception)


def test_fetch_from_a_copy_or_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http_server: Any
) -> None:
    data = b"stands for a network"
    known = replace(WEIGHTS["yunet"], sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    monkeypatch.setitem(WEIGHTS, "yunet", known)
    (tmp_path / "copy.onnx").write_bytes(data)
    for folder, source in (("a", tmp_path / "copy.onnx"), ("b", http_server.serve("/y.onnx", data))):
        monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / folder))
        result = CliRunner().invoke(app, ["weights", "fetch", "yunet", "--from", str(source)])
        assert result.exit_code == 0, result.output
        assert (tmp_path / folder / known.file_name).read_bytes() == data
        assert str(tmp_path / folder / known.file_name) in result.stdout
    result = CliRunner().invoke(app, ["weights", "fetch", "yunet", "--from", str(tmp_path / "none")])
    assert isinstance(result.exception, WeightsError)


def test_fetch_needs_a_name() -> None:
    assert CliRunner().invoke(app, ["weights", "fetch"]).exit_code == 2


def test_an_encoder_is_made_and_found_by_its_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import save_file

    from emofuse.features.voice.speech_encoder import encode_speech, read_encoder_graph
    from emofuse.training.networks.speech_encoder import SpeechEncoder

    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path / "kept"))
    torch.manual_seed(0)
    save_file(SpeechEncoder(512, 8).state_dict(), tmp_path / "w.safetensors")
    sizes = []
    for options in ([], ["--float32"]):
        result = CliRunner().invoke(app, ["weights", "encoder", str(tmp_path / "w.safetensors"), *options])
        assert result.exit_code == 0, result.output
        sha256 = re.findall("encoder_sha256 = ([0-9a-f]{64})", result.stdout)[0]
        sizes.append(len(read_encoder_graph(sha256)))
        assert encode_speech(np.ones(8000, np.float32), sha256).shape == (3072,)
    assert sizes[1] > 3.5 * sizes[0]
    missing = CliRunner().invoke(app, ["weights", "encoder", str(tmp_path / "absent.safetensors")])
    assert isinstance(missing.exception, WeightsError)
