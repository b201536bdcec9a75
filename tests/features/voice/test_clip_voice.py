"""A voice in a long recording, of which only a part is held at once: against the same voice alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Float32, Waveform
from emofuse.features.extraction import extract
from emofuse.media import held_audio
from emofuse.media.decoding import decode
from tests.support.media_files import tone, write_wav

RATE = 48000
FIRST = load_recipe("default")
VOICE = FIRST.voice.model_copy(
    update={"features": FIRST.voice.features.model_copy(update={"start_at_speech": True})}
)
SPEECH = FIRST.model_copy(update={"voice": VOICE})
PART_S = 20


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 20 s."""
    monkeypatch.setattr(held_audio.HeldAudio.__init__, "__defaults__", (PART_S * RATE,))


@pytest.fixture
def voice(ravdess: Path) -> Float32:
    audio = decode(ravdess / "audio/Actor_05/03-01-05-02-01-01-05.flac").audio
    assert audio is not None
    return audio.samples


def recorded(at_s: float, total_s: float, voice: Float32) -> Float32:
    samples = np.zeros((1, round(total_s * RATE)), np.float32)
    first = round(at_s * RATE)
    samples[:, first : first + voice.shape[1]] = voice[:, : samples.shape[1] - first]
    return samples


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("at_s", [3.0, 18.5, 28.0])
def test_speech_is_found_in_a_later_part(at_s: float, voice: Float32, tmp_path: Path) -> None:
    """In the first part, across its end, and in the second one; the same array as if all were held."""
    samples = recorded(at_s, 50, voice)
    path = write_wav(tmp_path / "long.wav", samples, RATE)
    found = extract(path, SPEECH, face=False)
    alone = extract(Waveform(voice, RATE), SPEECH, face=False)
    assert found.voice is not None and alone.voice is not None
    assert found.meta["speech_s"] == pytest.approx(at_s + alone.meta["speech_s"], abs=0.1)
    # chunks of the detector start elsewhere in a later part: the same array, a few hops (12.5 ms) to a side
    hops = range(-6, 7)
    inner = slice(6, -6)
    alike = [
        np.corrcoef(np.roll(found.voice, hop, axis=1)[:, inner].ravel(), alone.voice[:, inner].ravel())[0, 1]
        for hop in hops
    ]
    assert max(alike) > 0.9
    read_s = PART_S if at_s + 4 < PART_S else 2 * PART_S - 4
    start = found.meta["speech_s"] - 0.5
    assert found.notes == (
        f"voice read from 3 of the first {read_s} s, from {start:.1f} s on; a timeline reads all",
    )


@pytest.mark.usefixtures("short_parts")
def test_the_search_ends_after_three_parts(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "silent.wav", np.zeros((1, 100 * RATE), np.float32), RATE)
    assert extract(quiet, FIRST, face=False).voice_missing == "the first 52 s of the audio stream are silent"
    hum = write_wav(tmp_path / "hum.wav", tone(100, RATE), RATE)
    for recipe in (FIRST, SPEECH):
        found = extract(hum, recipe, face=False)
        assert found.voice is not None
        assert found.notes == ("voice read from the first 3 of the first 20 s; a timeline reads all",)


@pytest.mark.usefixtures("short_parts")
def test_a_recording_that_ends_with_a_part_is_read(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "silent.wav", np.zeros((1, PART_S * RATE), np.float32), RATE)
    found = extract(quiet, FIRST, face=False)
    assert found.voice_missing is not None and "silent" in found.voice_missing


@pytest.mark.usefixtures("short_parts")
def test_a_voice_after_silence_of_a_part_is_found(voice: Float32, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "late.wav", recorded(27, 50, voice), RATE)
    found, alone = (extract(given, FIRST, face=False) for given in (path, Waveform(voice, RATE)))
    assert found.voice is not None and alone.voice is not None
    assert found.meta["voiced_s"] == pytest.approx(alone.meta["voiced_s"], abs=0.05)


def test_a_mixed_recording_says_how_many_channels_it_has(
    voice: Float32, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "two.wav", np.concatenate([voice, -voice]), RATE)
    monkeypatch.setattr(held_audio.HeldAudio.__init__, "__defaults__", (2 * RATE,))
    found = extract(path, FIRST, face=False)
    assert found.meta["n_channels"] == 2
    assert found.notes[0] == "the channels cancel each other out when mixed: the loudest one was read"
