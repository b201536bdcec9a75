"""A voice is read from where speech starts: against real voices put where the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.recipes.load import load_recipe
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, Waveform
from emofuse.features.extraction import extract
from emofuse.features.voice.segment import trim_silence, voice_segment
from emofuse.features.voice.speech_start import SPEECH_LEAD_S, first_utterance_s
from emofuse.media.decoding import decode

RATE = 48000
RECIPE = load_recipe("default")
FIRST = RECIPE.voice.features
SPEECH = FIRST.model_copy(update={"start_at_speech": True})


@pytest.fixture(scope="module")
def voice(ravdess: Path) -> Float32:
    """Angry, with next to no breath before it: speech from 0.2 s on."""
    audio = decode(ravdess / "audio/Actor_05/03-01-05-02-01-01-05.flac").audio
    assert audio is not None
    assert audio.sample_rate_hz == RATE
    start_s = first_utterance_s(audio)
    assert start_s is not None
    return np.ascontiguousarray(audio.samples[0, round((start_s - 0.2) * RATE) :])


def click() -> NDArray[np.float64]:
    samples = np.zeros(RATE // 2)
    samples[RATE // 4 : RATE // 4 + 200] = 0.9 * np.hanning(200)
    return samples


def ring() -> NDArray[np.float64]:
    """As a telephone rings in Europe: 425 Hz, 1 s on."""
    samples = np.zeros(3 * RATE)
    samples[: 2 * RATE : 1] = 0.4 * np.sin(2 * np.pi * 425 * np.arange(2 * RATE) / RATE)
    samples[RATE : RATE + RATE // 4] = 0
    return samples


def after(before: NDArray[Any], voice: Float32) -> Waveform:
    return Waveform(np.concatenate([before, voice]).astype(np.float32)[None], RATE)


@pytest.mark.parametrize("before", ["click", "ring", "ring, ring", "silence"])
def test_other_sound_before_the_voice_is_left_out(before: str, voice: Float32) -> None:
    gap = np.zeros(RATE)
    sound = {
        "click": np.concatenate([click(), gap]),
        "ring": np.concatenate([ring(), gap]),
        "ring, ring": np.concatenate([ring(), ring(), ring(), gap]),
        "silence": np.concatenate([gap, gap]),
    }[before]
    audio = after(sound, voice)
    alone, _ = voice_segment(
        Waveform(np.concatenate([np.zeros(RATE // 2), voice]).astype(np.float32)[None], RATE), SPEECH
    )
    segment, facts = voice_segment(audio, SPEECH)
    assert facts["speech_s"] == pytest.approx(len(sound) / RATE + 0.2, abs=0.07)
    lag = _lag_s(segment, alone, SPEECH.sample_rate_hz)
    assert abs(lag) < 0.03
    if before != "silence":
        first, _ = voice_segment(audio, FIRST)
        assert np.abs(first - segment).max() > 0.1


def _lag_s(one: Float32, other: Float32, rate: int) -> float:
    n = 2 * len(one)
    both = np.fft.irfft(np.fft.rfft(one, n) * np.fft.rfft(other, n).conj())
    lag = int(np.argmax(both))
    return (lag if lag < len(one) else lag - n) / rate


def test_a_loud_click_does_not_hide_a_quiet_voice(voice: Float32) -> None:
    quiet = (0.01 * voice).astype(np.float32)
    audio = after(np.concatenate([click(), np.zeros(RATE)]), quiet)
    assert voice_segment(audio, FIRST)[1]["voiced_s"] < 0.5
    assert voice_segment(audio, SPEECH)[1]["voiced_s"] > 1


@pytest.mark.parametrize("name", ["03-01-05-02-01-01-05", "03-01-01-01-02-02-13", "03-01-08-01-01-02-01"])
def test_ordinary_recordings_are_read_as_before(name: str, ravdess: Path) -> None:
    audio = decode(ravdess / f"audio/Actor_{name[-2:]}/{name}.flac").audio
    assert audio is not None
    (first, before), (segment, facts) = voice_segment(audio, FIRST), voice_segment(audio, SPEECH)
    np.testing.assert_array_equal(segment, first)
    assert {**before, "speech_s": facts["speech_s"]} == facts


def test_without_speech_everything_is_read() -> None:
    audio = Waveform(ring().astype(np.float32)[None], RATE)
    (first, _), (segment, facts) = voice_segment(audio, FIRST), voice_segment(audio, SPEECH)
    np.testing.assert_array_equal(segment, first)
    assert facts["speech_s"] is None
    for n_samples in (1, 100, 5000):
        short = Waveform(audio.samples[:, :n_samples], RATE)
        np.testing.assert_array_equal(voice_segment(short, SPEECH)[0], voice_segment(short, FIRST)[0])


def test_what_is_cut_does_not_count_for_trimming() -> None:
    rng = np.random.default_rng(0)
    level = np.concatenate(
        [np.full(8000, 0.5), np.full(8000, 1e-4), np.full(8000, 1e-3), np.full(8000, 1e-6)]
    )
    samples = (level * rng.standard_normal(32000)).astype(np.float32)
    cut = trim_silence(samples, 16000, 35.0, from_s=0.75)
    assert len(cut) == pytest.approx(12000, abs=400)
    np.testing.assert_array_equal(cut, samples[12000 : 12000 + len(cut)])
    np.testing.assert_array_equal(
        trim_silence(samples, 16000, 35.0, from_s=0.0), trim_silence(samples, 16000, 35.0)
    )
    assert len(trim_silence(samples, 16000, 35.0, from_s=9.0)) == 1


def test_a_note_says_where_the_voice_was_read(voice: Float32) -> None:
    recipe = RECIPE.with_voice_features(SPEECH)
    audio = after(np.concatenate([ring(), np.zeros(RATE)]), voice)
    found = extract(Waveform(audio.samples, RATE, 10.0), recipe, face=False)
    start_s = 10 + 4.2 - SPEECH_LEAD_S
    (note,) = [note for note in found.notes if note.startswith("voice read from")]
    assert note.endswith(" s on, where speech starts")
    assert float(note.split()[3]) == pytest.approx(start_s, abs=0.1)
    long = after(np.concatenate([ring(), ring(), ring(), ring()]), voice)
    (note,) = [n for n in extract(long, recipe, face=False).notes if n.startswith("voice read from")]
    assert note.startswith(f"voice read from 3 of {long.duration_s:.0f} s, from 11.")
    assert extract(long, RECIPE, face=False).notes == (
        f"voice read from the first 3 of {long.duration_s:.0f} s; a timeline reads all",
    )


def test_the_key_was_added_later() -> None:
    assert VoiceFeatures(start_at_speech=False).hash() == VoiceFeatures().hash()
    assert SPEECH.hash() != FIRST.hash()
