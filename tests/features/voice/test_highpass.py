from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Waveform
from emofuse.features.extraction import extract
from emofuse.features.voice.highpass import highpass, kernel, reach_s
from emofuse.features.voice.segment import trim_silence, voice_segment

RATES = [8000, 16000, 44100, 48000]
PLAIN, HIGH = VoiceFeatures(), VoiceFeatures(highpass_hz=80.0)


def tone(hertz: float, rate: int, seconds: float = 2.0) -> NDArray[np.float64]:
    return 0.03 * np.cos(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate + 0.7)


def passed(samples: NDArray[np.floating], rate: int) -> NDArray[np.float32]:
    out: NDArray[np.float32] = highpass(Waveform(samples.astype(np.float32)[None], rate), 80.0).samples[0]
    return out


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("from_hz", [60.0, 80.0, 120.0])
def test_the_kernel_is_scipys(rate: int, from_hz: float) -> None:
    taps = kernel(rate, from_hz)
    assert len(taps) == 2 * round(reach_s(from_hz) * rate) + 1
    expected = scipy.signal.firwin(
        len(taps), 0.875 * from_hz, window=("kaiser", scipy.signal.kaiser_beta(80)), fs=rate
    )
    np.testing.assert_allclose(taps, expected, atol=1e-12)
    hertz, low = scipy.signal.freqz(taps, worN=1 << 17, fs=rate)
    gain = np.abs(1 - low * np.exp(2j * np.pi * hertz / rate * (len(taps) // 2)))
    assert gain[hertz <= 0.75 * from_hz].max() < 2e-4
    assert np.abs(gain[hertz >= from_hz] - 1).max() < 2e-4


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.1, 0.4, 3.0, 40.0])
def test_blocks_give_scipys_convolution(rate: int, seconds: float) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, round(seconds * rate)).astype(np.float32)
    taps = kernel(rate, 80.0)
    extended = np.pad(samples.astype(np.float64), len(taps) // 2, mode="symmetric")
    expected = samples - scipy.signal.fftconvolve(extended, taps, mode="valid")
    np.testing.assert_allclose(passed(samples, rate), expected, atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("offset", [0.03, -0.1, 0.5])
def test_an_offset_leaves_nothing_from_the_first_sample_to_the_last(rate: int, offset: float) -> None:
    voice = 0.1 * np.random.default_rng(1).standard_normal(rate)
    np.testing.assert_allclose(passed(voice + offset, rate), passed(voice, rate), atol=2e-7)
    assert np.abs(passed(np.full(rate, offset), rate)).max() < 1e-7


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [5, 10, 25, 50, 60])
def test_what_lies_below_is_gone_and_voices_stay(rate: int, hertz: float) -> None:
    inside = slice(round(reach_s(80.0) * rate) + 1, -round(reach_s(80.0) * rate) - 1)
    assert np.abs(passed(tone(hertz, rate), rate)[inside]).max() < 0.03 * 2e-4
    for kept in (80, 110, 440, 3000):
        samples = tone(kept, rate)
        np.testing.assert_allclose(passed(samples, rate)[inside], samples[inside], atol=0.03 * 2e-4)


def test_channels_rate_start_and_ends_stay() -> None:
    rng = np.random.default_rng(2)
    stereo = Waveform(rng.uniform(-0.5, 0.5, (2, 5000)).astype(np.float32), 16000, 1.5)
    out = highpass(stereo, 80.0)
    assert (out.samples.shape, out.samples.dtype) == ((2, 5000), np.float32)
    assert (out.sample_rate_hz, out.start_s) == (16000, 1.5)
    for channel in (0, 1):
        np.testing.assert_array_equal(out.samples[channel], passed(stereo.samples[channel], 16000))
    for n_samples in (0, 1, 2, 50):
        short = highpass(Waveform(np.full((1, n_samples), 0.2, np.float32), 48000), 80.0)
        assert short.samples.shape == (1, n_samples)
        assert np.abs(short.samples).max(initial=0) < 1e-6


def voice_in_silence(rate: int) -> NDArray[np.float64]:
    """Two seconds, of voice in the middle one."""
    voice = scipy.signal.chirp(np.arange(rate) / rate, 150, 1, 900) * np.hanning(rate)
    return np.concatenate([np.zeros(rate // 2), 0.05 * voice, np.zeros(rate // 2)])


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("added", ["offset", "rumble", "hum"])
def test_trimming_finds_the_voice_under_it(rate: int, added: str) -> None:
    clean = voice_in_silence(rate)
    below = {"offset": np.full(len(clean), 0.03), "rumble": tone(10, rate), "hum": tone(60, rate)}[added]
    sounds = [Waveform(each.astype(np.float32)[None], rate) for each in (clean, clean + below)]
    plain, under_plain = (voice_segment(sound, PLAIN)[1]["voiced_s"] for sound in sounds)
    assert under_plain - plain > 0.5
    high, under_high = (voice_segment(sound, HIGH)[1]["voiced_s"] for sound in sounds)
    assert under_high == pytest.approx(high, abs=0.011) == pytest.approx(plain, abs=0.03)


def test_the_ends_are_as_loud_as_what_is_next_to_them() -> None:
    samples = 0.1 * voice_in_silence(16000).astype(np.float32)
    ringing = samples.copy()
    ringing[:1000] += 0.01 * np.hanning(2000)[1000:]
    expected = trim_silence(samples, 16000, 35.0, 0.1)
    assert len(trim_silence(ringing, 16000, 35.0, 0.1)) > len(expected)
    np.testing.assert_array_equal(trim_silence(ringing, 16000, 35.0, 0.1, unsure_s=0.125), expected)
    loud = samples[10000:20000]  # a voice that goes on beyond both ends keeps them
    np.testing.assert_array_equal(trim_silence(loud, 16000, 35.0, 0.1, unsure_s=0.125), loud)
    for n_samples in (1, 100, 400):
        np.testing.assert_array_equal(
            trim_silence(loud[:n_samples], 16000, 35.0, 0.1, unsure_s=0.125), loud[:n_samples]
        )


def test_the_filter_comes_before_everything_and_only_where_the_recipe_says_so() -> None:
    assert PLAIN.hash() == VoiceFeatures(highpass_hz=None).hash() != HIGH.hash()
    assert "highpass_hz" not in PLAIN.model_dump(mode="json")
    rate = 16000
    voice = voice_in_silence(rate)
    left_out = Waveform(np.stack([voice + 0.03, 0.02 - voice]).astype(np.float32), rate)
    found, _ = voice_segment(left_out, HIGH)  # the offset would hide that the channels cancel
    expected, _ = voice_segment(Waveform(voice.astype(np.float32)[None], rate), HIGH)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_offset_alone_is_silence() -> None:
    from emofuse.core.recipes.load import load_recipe

    recipe = load_recipe("default")
    still = Waveform(np.full((1, 16000), 0.03, np.float32), 16000)
    assert extract(still, recipe, face=False).voice is not None
    heard = extract(
        still,
        recipe.with_voice_features(recipe.voice.features.model_copy(update={"highpass_hz": 80.0})),
        face=False,
    )
    assert heard.voice is None
    assert heard.voice_missing == "the audio stream is silent, apart from what lies below a voice"


@pytest.mark.parametrize("name", ["03-01-05-02-01-01-05", "03-01-02-01-01-01-11", "03-01-04-01-02-02-12"])
def test_a_real_voice_is_found_at_the_same_place(name: str, ravdess: Path) -> None:
    from emofuse.media.decoding import decode

    audio = decode(ravdess / f"audio/Actor_{name[-2:]}/{name}.flac", audio=True).audio
    assert audio is not None
    rate, n_samples = audio.sample_rate_hz, audio.samples.shape[1]
    clean, facts = voice_segment(audio, HIGH)
    for below in (np.full(n_samples, 0.03), tone(10, rate, 60)[:n_samples], tone(60, rate, 60)[:n_samples]):
        segment, under = voice_segment(Waveform(audio.samples + below.astype(np.float32), rate), HIGH)
        assert under["voiced_s"] == facts["voiced_s"]
        np.testing.assert_allclose(segment, clean, atol=2e-5)
