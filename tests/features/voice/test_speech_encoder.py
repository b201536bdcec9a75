"""The speech encoder against its arithmetic in NumPy, and Whisper's log-mel against librosa."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.errors import WeightsError
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Waveform
from emofuse.features.extraction import extract
from emofuse.features.store import part_key
from emofuse.features.voice import speech_encoder
from emofuse.features.voice.inputs import voice_shape, voice_views
from emofuse.features.voice.speech_encoder import (
    SHIPPED_SHA256,
    encode_speech,
    encoder_file,
    encoder_size,
    encoder_views,
    read_encoder_graph,
    whisper_log_mel,
)
from tests.support import whisper_oracle

RATE = 16000


def utterance(seconds: float = 1.0) -> NDArray[np.float32]:
    """Harmonics that glide, over a little noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 60 * np.sin(3 * t)) / RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = np.random.default_rng(0).standard_normal(len(t))
    return np.asarray(0.1 * voiced * (1 + np.sin(9 * t)) + 0.002 * noise, dtype=np.float32)


def test_log_mel_is_whispers() -> None:
    samples = utterance(1.3)
    found = whisper_log_mel(samples)
    assert found.shape == (80, 130) and found.dtype == np.float32
    np.testing.assert_allclose(found, whisper_oracle.log_mel(samples), atol=2e-4)


def test_values_are_mean_and_spread_of_each_block() -> None:
    samples = utterance()
    weights = whisper_oracle.weights_of_graph(read_encoder_graph(SHIPPED_SHA256))
    blocks = whisper_oracle.blocks(whisper_oracle.log_mel(samples), weights)
    found = encode_speech(samples, SHIPPED_SHA256)
    assert found.shape == (encoder_size(),) == (3072,) and found.dtype == np.float32
    for k, view in enumerate(encoder_views().values()):
        expected = np.concatenate([blocks[k].mean(0), blocks[k].std(0)])
        np.testing.assert_allclose(found[view], expected, atol=2e-3)


def test_short_sound_is_padded_and_long_sound_cut() -> None:
    short = utterance(0.1)
    padded = np.pad(short, (0, round(0.1 * RATE)))
    assert np.array_equal(encode_speech(short, SHIPPED_SHA256), encode_speech(padded, SHIPPED_SHA256))
    long = utterance(11)
    assert np.array_equal(
        encode_speech(long, SHIPPED_SHA256), encode_speech(long[: 10 * RATE], SHIPPED_SHA256)
    )


def test_silence_gives_finite_values() -> None:
    assert np.isfinite(encode_speech(np.zeros(RATE, np.float32), SHIPPED_SHA256)).all()


def test_the_graph_that_comes_with_emofuse_is_described_beside_it() -> None:
    folder = resources.files("emofuse.features.voice") / "whisper"
    graph = (folder / "whisper-base-first3.onnx").read_bytes()
    assert hashlib.sha256(graph).hexdigest() == SHIPPED_SHA256
    assert SHIPPED_SHA256 in (folder / "README.md").read_text()
    assert "Copyright (c) 2022 OpenAI" in (folder / "LICENSE.txt").read_text()
    assert len(graph) < 12_000_000


def test_a_graph_of_the_weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    graph = b"not the one"
    sha256 = hashlib.sha256(graph).hexdigest()
    with pytest.raises(WeightsError, match="emofuse weights encoder"):
        read_encoder_graph(sha256)
    path = tmp_path / encoder_file(sha256)
    path.write_bytes(b"altered")
    with pytest.raises(WeightsError, match=f"wrong sha256: expected {sha256}"):
        read_encoder_graph(sha256)
    path.write_bytes(graph)
    assert read_encoder_graph(sha256) == graph
    with pytest.raises(WeightsError, match="cannot be run"):
        encode_speech(utterance(), sha256)


def test_the_shipped_graph_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_encoder, "shipped_encoder", lambda: b"altered")
    with pytest.raises(WeightsError, match="wrong sha256"):
        read_encoder_graph(SHIPPED_SHA256)


def test_descriptors_and_encoder_are_parts_of_their_own() -> None:
    """What was stored of either alone is found again."""
    ensemble = load_recipe("ravdess-ensemble").voice.features
    both = ensemble.model_copy(update={"encoder_sha256": SHIPPED_SHA256, "encoder_parts": 12, "speed": 0.9})
    descriptors, encoder = both.parts
    assert descriptors.hash() == ensemble.model_copy(update={"speed": 0.9}).hash()
    alone = load_recipe("whisper-only").voice.features.model_copy(update={"speed": 0.9})
    assert alone.parts == (alone,)
    assert part_key("voice", "0", encoder, None, None) == part_key("voice", "0", alone, None, None)
    assert voice_shape(both) == (voice_shape(descriptors)[0] + encoder_size(12),)
    views = voice_views(both)
    assert list(views)[-5:] == ["level", "block-1", "block-2", "block-3", "parts"]
    assert views["block-1"].start == views["level"].stop
    assert views["parts"].stop == voice_shape(both)[0]


def test_a_recording_has_both() -> None:
    recipe = load_recipe("ravdess-whisper")
    sound = Waveform(utterance(2.0)[None], RATE)
    both = extract(sound, recipe, face=False).voice
    descriptors = extract(sound, load_recipe("ravdess-ensemble"), face=False).voice
    encoder = extract(sound, load_recipe("whisper-only"), face=False).voice
    assert both is not None and descriptors is not None and encoder is not None
    assert np.array_equal(both, np.concatenate([descriptors, encoder]))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "encoder"}, "needs encoder_sha256"),
        ({"kind": "log-mel", "encoder_sha256": SHIPPED_SHA256}, "goes with kind"),
        ({"kind": "encoder", "encoder_sha256": SHIPPED_SHA256, "duration_s": 11.0}, "at most 10"),
        ({"kind": "encoder", "encoder_sha256": "abc"}, "pattern"),
    ],
)
def test_recipes_that_cannot_be(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        VoiceFeatures.model_validate({"sample_rate_hz": 16000, **changes})


def test_other_networks_do_not_read_an_encoder() -> None:
    features = {"kind": "encoder", "sample_rate_hz": 16000, "encoder_sha256": SHIPPED_SHA256}
    with pytest.raises(Exception, match="reads features"):
        parse_recipe({"name": "a", "voice": {"features": features}})


def test_parts_are_means_of_equal_parts_of_time() -> None:
    samples = utterance(1.0)
    weights = whisper_oracle.weights_of_graph(read_encoder_graph(SHIPPED_SHA256))
    blocks = whisper_oracle.blocks(whisper_oracle.log_mel(samples), weights)
    found = encode_speech(samples, SHIPPED_SHA256, 4)
    assert len(found) == encoder_size(4)
    assert np.array_equal(found[: encoder_size()], encode_speech(samples, SHIPPED_SHA256))
    parts = found[encoder_views(0, 4)["parts"]].reshape(4, 3, 512)
    for k, (first, last) in enumerate([(0, 13), (12, 25), (25, 38), (37, 50)]):  # quarters of 50 moments
        np.testing.assert_allclose(parts[k], blocks[:, first:last].mean(1), atol=2e-3)
    short = encode_speech(samples[:3200], SHIPPED_SHA256, 64)  # more parts than moments
    assert np.isfinite(short).all()


def test_notes_of_short_and_long_sound() -> None:
    recipe = load_recipe("whisper-only")
    short = extract(Waveform(utterance(0.5)[None], RATE), recipe, face=False)
    assert short.notes == ("audio is 0.5 s: little to read a voice from",)
    long = extract(Waveform(utterance(21.0)[None], RATE), recipe, face=False)
    assert long.notes == ("voice read from the first 10 of 21 s; a timeline reads all",)
    assert extract(Waveform(utterance(4.0)[None], RATE), recipe, face=False).notes == ()
