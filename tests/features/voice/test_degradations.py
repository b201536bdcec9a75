from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.records import Waveform
from emofuse.features.voice.degradations import (
    DEGRADATIONS,
    RT60_S,
    active_power,
    active_speech,
    degrade,
    mu_law,
    pink_noise,
    room_response,
)

RATES = [16000, 44100, 48000]


def voice_like(rate: int, level: float = 0.3, seed: int = 0) -> Waveform:
    """1 s of voice in two syllables, with breath noise up to half the rate, between half-second pauses."""
    rng = np.random.default_rng(seed)
    times = np.arange(rate) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * times)) / rate
    buzz = np.sum([np.sin(k * phase) / k**2 for k in range(1, 40)], axis=0)
    shape = np.clip(np.abs(np.sin(2 * np.pi * times)) - 0.1, 0, 1)
    voiced = shape * (buzz + 0.05 * rng.standard_normal(rate))
    samples = np.concatenate([np.zeros(rate // 2), voiced, np.zeros(rate // 2)])
    samples += 1e-4 * rng.standard_normal(len(samples))
    return Waveform((level * samples).astype(np.float32)[None], rate, 0.5)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def share_above(samples: NDArray[np.floating], rate: int, hertz: float) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / rate) > hertz].sum() / power.sum())


def test_names_and_order() -> None:
    assert list(DEGRADATIONS) == [
        "noise-20-db", "noise-10-db", "noise-5-db", "noise-0-db", "telephone", "mp3-32k", "aac-32k",
        "reverberation", "resampled-8k", "clipped", "dc-0.03", "rumble-10hz", "hum-60hz",
    ]  # fmt: skip
    assert len({each.summary for each in DEGRADATIONS.values()}) == len(DEGRADATIONS)
    with pytest.raises(
        ExperimentError,
        match=r"no degradation is called 'noise': choose from noise-20-db, .*, clipped, .*, hum-60hz",
    ):
        degrade(voice_like(16000), "noise", rng())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_rate_length_and_alignment_are_preserved(name: str, rate: int) -> None:
    clean = voice_like(rate)
    before = clean.samples.copy()
    degraded = degrade(clean, name, rng())
    assert (degraded.samples.shape, degraded.sample_rate_hz, degraded.start_s) == (before.shape, rate, 0.5)
    np.testing.assert_array_equal(clean.samples, before)
    assert np.isfinite(degraded.samples).all()
    assert np.abs(degraded.samples).max() <= 1
    if name != "reverberation":  # Has a test of its own: a tail shifts the peak of a steady voice.
        n = 2 * before.shape[1]
        spectra = np.fft.rfft(np.stack([degraded.samples[0], before[0]]), n)
        lag = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())))
        assert min(lag, n - lag) <= 2
    np.testing.assert_array_equal(degrade(clean, name, rng()).samples, degraded.samples)
    other = degrade(clean, name, np.random.default_rng(8)).samples
    random = name.startswith(("noise", "reverberation", "rumble", "hum"))
    assert np.array_equal(other, degraded.samples) != random


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("n_samples", [0, 1, 2, 100])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_short_audio(name: str, n_samples: int, rate: int) -> None:
    samples = (0.3 * np.sin(np.arange(n_samples))).astype(np.float32)[None]
    degraded = degrade(Waveform(samples, rate), name, rng())
    assert degraded.samples.shape == samples.shape
    assert np.isfinite(degraded.samples).all()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_silence_stays_silent(name: str) -> None:
    dither = (2e-5 * np.random.default_rng(0).standard_normal(16000)).clip(-9e-5, 9e-5)
    for samples in (np.zeros(16000), dither):
        degraded = degrade(Waveform(samples.astype(np.float32)[None], 16000), name, rng()).samples
        assert np.isfinite(degraded).all()
        assert np.abs(degraded).max() < 3e-4


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_channels_are_mixed_and_loud_audio_is_scaled_down(name: str) -> None:
    loud = voice_like(16000, level=0.99)
    loud = Waveform(loud.samples / np.abs(loud.samples).max(), 16000)
    degraded = degrade(loud, name, rng()).samples
    assert degraded.max() < 1.000001
    assert degraded.min() > -1.000001
    assert np.abs(degraded).max() > 0.2
    pair = Waveform(np.concatenate([loud.samples, loud.samples]), 16000)
    np.testing.assert_allclose(degrade(pair, name, rng()).samples, degraded, atol=1e-6)


@pytest.mark.parametrize("name", ["mp3-32k", "aac-32k", "reverberation", "resampled-8k", "clipped"])
@pytest.mark.parametrize("level", [0.3, 0.005])
def test_the_level_of_the_speech_is_preserved(name: str, level: float) -> None:
    clean = voice_like(48000, level=level)
    active = active_speech(clean.samples[0], 48000)
    before, after = (active_power(x.samples[0], active) for x in (clean, degrade(clean, name, rng())))
    # A room carries part of the energy into the pauses.
    assert 10 * np.log10(after / before) == pytest.approx(0, abs=2.5 if name == "reverberation" else 0.6)


def test_the_telephone_quantizes_quiet_and_loud_voices_alike() -> None:
    loud, soft = (
        degrade(voice_like(16000, level), "telephone", rng()).samples / level for level in (0.3, 3e-3)
    )
    np.testing.assert_allclose(soft, loud, atol=0.02 * np.abs(loud).max())
    assert np.sqrt(np.square(soft - loud).mean()) < 0.003 * np.abs(loud).max()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("snr_db", [20, 10, 5, 0])
@pytest.mark.parametrize("level", [0.3, 0.005])
def test_noise_has_the_given_ratio_to_the_active_speech(snr_db: int, rate: int, level: float) -> None:
    clean = voice_like(rate, level).samples[0].astype(np.float64)
    noise = degrade(voice_like(rate, level), f"noise-{snr_db}-db", rng()).samples[0] - clean
    # The oracle knows where the voice is: nearly all of it is within 30 dB of the loudest frame.
    voiced = slice(rate // 2, 3 * rate // 2)
    assert 10 * np.log10(np.square(clean[voiced]).mean() / np.square(noise).mean()) == pytest.approx(
        snr_db, abs=1.0
    )
    active = active_speech(clean.astype(np.float32), rate)
    assert 10 * np.log10(active_power(clean, active) / active_power(noise, active)) == pytest.approx(
        snr_db, abs=0.05
    )
    # Pauses do not count: doubling the length with a pause changes the ratio by less than half a decibel.
    longer = np.concatenate([clean, 1e-5 * rng().standard_normal(len(clean))]).astype(np.float32)
    padded = degrade(Waveform(longer[None], rate), f"noise-{snr_db}-db", rng()).samples[0] - longer
    assert 10 * np.log10(np.square(padded).mean() / np.square(noise).mean()) == pytest.approx(0, abs=0.5)


def test_noise_beyond_full_scale_keeps_its_ratio() -> None:
    loud = voice_like(16000, level=0.8)
    noisy = degrade(loud, "noise-0-db", rng()).samples[0]
    assert np.abs(noisy).max() == pytest.approx(1, abs=1e-6)
    assert np.count_nonzero(np.abs(noisy) > 0.9999) == 1  # Scaled down, not clipped.


def test_active_speech_is_where_the_voice_is() -> None:
    active = active_speech(voice_like(16000).samples[0], 16000)
    assert not active[:7600].any()
    assert not active[24400:].any()
    assert active[9000:15000].all()
    assert not active_speech(np.zeros(1000, np.float32), 16000).any()


def test_pink_noise_falls_by_3_db_per_octave() -> None:
    noise = pink_noise(20 * 48000, 48000, rng())
    power = np.abs(np.fft.rfft(noise)) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / 48000)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in 62.5 * 2 ** np.arange(8)]
    np.testing.assert_allclose(10 * np.log10(octaves / np.mean(octaves)), 0, atol=0.7)
    assert power[hertz < 40].sum() < 1e-3 * power.sum()


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("name", ["telephone", "resampled-8k"])
def test_nothing_above_4_khz_is_left(name: str, rate: int) -> None:
    clean = Waveform((0.1 * rng().standard_normal(rate)).astype(np.float32)[None], rate)
    assert share_above(clean.samples[0], rate, 4100) > 0.8
    assert share_above(degrade(clean, name, rng()).samples[0], rate, 4100) < 1e-6


def test_the_telephone_passes_only_its_band() -> None:
    times = np.arange(48000) / 48000
    gains = {}
    for hertz in (100, 250, 320, 1000, 3380, 3600, 6000):
        # A second, constant tone in the band fixes the level of the line.
        tone = 0.2 * np.sin(2 * np.pi * hertz * times)
        both = (tone + 0.2 * np.sin(2 * np.pi * 2000 * times)).astype(np.float32)
        output = degrade(Waveform(both[None], 48000), "telephone", rng()).samples[0]
        gains[hertz] = 20 * np.log10(abs(output @ tone) / (tone @ tone) + 1e-9)
    assert all(abs(gains[hertz]) < 0.5 for hertz in (320, 1000, 3380)), gains
    assert -8 < gains[250] < -4, gains
    assert all(gains[hertz] < -35 for hertz in (100, 3600, 6000)), gains


def test_resampling_preserves_what_8_khz_can_represent() -> None:
    times = np.arange(16000) / 16000
    tone = (0.3 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)
    output = degrade(Waveform(tone[None], 16000), "resampled-8k", rng()).samples[0]
    np.testing.assert_allclose(output[500:-500], tone[500:-500], atol=1e-3)
    narrow = Waveform(tone[None], 8000)
    np.testing.assert_array_equal(degrade(narrow, "resampled-8k", rng()).samples, narrow.samples)


def test_mu_law_is_g711s() -> None:
    linear = np.arange(-32768, 32768, dtype=np.int16)
    frame = av.AudioFrame.from_ndarray(linear[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
    encoder, decoder = av.CodecContext.create("pcm_mulaw", "w"), av.CodecContext.create("pcm_mulaw", "r")
    for codec in (encoder, decoder):
        codec.sample_rate, codec.layout = 8000, "mono"
    encoder.format, encoder.time_base = "s16", Fraction(1, 8000)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    theirs = np.concatenate([f.to_ndarray()[0] for p in packets for f in decoder.decode(p)]).astype(int)
    ours = np.rint(mu_law(linear / 32768) * 32768).astype(int)
    assert set(ours) == set(theirs)
    assert len(set(ours)) == 255
    # FFmpeg decides halfway between two levels, even where the step doubles: there it is one step lower.
    assert np.mean(ours != theirs) < 0.02
    levels = sorted(set(ours))
    assert np.abs(np.searchsorted(levels, ours) - np.searchsorted(levels, theirs)).max() == 1
    # Table 2a of G.711: decision value 4063, levels 3999 and 4191, at 14 bits.
    assert list(mu_law(np.array([4 * 4063 - 1, 4 * 4063]) / 32768) * 8192) == [3999, 4191]


@pytest.mark.parametrize("rate", RATES)
def test_the_room_decays_in_its_time(rate: int) -> None:
    response = room_response(rate, rng())
    energy = np.square(response)
    assert energy.sum() == pytest.approx(1)
    assert energy[0] == pytest.approx(0.5)
    # Schroeder's backward integral; the slope from -5 to -25 dB of the tail, times three (ISO 3382).
    decay = 10 * np.log10(np.cumsum(energy[:0:-1])[::-1] / energy[1:].sum())
    inside = np.flatnonzero((decay < -5) & (decay > -25))
    slope = np.polyfit(inside / rate, decay[inside], 1)[0]
    assert -60 / slope == pytest.approx(RT60_S, rel=0.05)


def test_reverberation_is_the_convolution() -> None:
    click = np.zeros(16000, np.float32)
    click[100] = 0.9
    output = degrade(Waveform(click[None], 16000), "reverberation", rng()).samples[0]
    response = 0.9 * room_response(16000, rng())
    np.testing.assert_allclose(output[100 : 100 + len(response)], response, atol=1e-6)
    assert np.abs(output[:100]).max() < 1e-6
    assert np.abs(output[100 + len(response) :]).max() < 1e-6


@pytest.mark.parametrize("rate", RATES)
def test_a_fifth_of_the_active_speech_is_clipped(rate: int) -> None:
    clean = voice_like(rate)
    clipped = degrade(clean, "clipped", rng()).samples[0]
    active = active_speech(clean.samples[0], rate)
    flat = np.abs(clipped) > 0.9999 * np.abs(clipped).max()
    assert flat[active].mean() == pytest.approx(0.2, abs=0.005)
    assert not flat[~active].any()
    # They are the highest ones; the rest keeps its shape.
    loudness = np.abs(clean.samples[0])
    assert loudness[flat].min() >= loudness[~flat].max() * 0.999
    ratio = clipped[active & ~flat] / clean.samples[0][active & ~flat]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("level", [0.3, 0.005])
@pytest.mark.parametrize(("name", "hertz"), [("dc-0.03", 0), ("rumble-10hz", 10), ("hum-60hz", 60)])
def test_what_lies_below_a_voice_is_added_to_it(name: str, hertz: int, level: float, rate: int) -> None:
    clean = voice_like(rate, level).samples[0].astype(np.float64)
    added = degrade(voice_like(rate, level), name, rng()).samples[0] - clean
    # two seconds hold whole periods, so that all of the power is in one bin
    spectrum = np.abs(np.fft.rfft(added)) / len(added)
    expected = np.zeros(len(spectrum))
    expected[2 * hertz] = 0.03 / (2 if hertz else 1)
    np.testing.assert_allclose(spectrum, expected, atol=1e-8)
