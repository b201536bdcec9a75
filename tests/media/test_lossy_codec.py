from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.errors import EmofuseError
from emofuse.core.records import Waveform
from emofuse.media import lossy_codec
from emofuse.media.lossy_codec import LossyCodec, recode


def voice_like(rate: int, duration_s: float = 1.5, seed: int = 0) -> Waveform:
    """Two syllables: a gliding buzz, overtones falling by 12 dB per octave, and a little breath noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(duration_s * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * times / duration_s)) / rate
    harmonics = range(1, min(40, int(0.45 * rate / 180)))
    buzz = np.sum([np.sin(k * phase) / k**2 for k in harmonics], axis=0)
    level = np.clip(np.sin(2 * np.pi * 2 * times / duration_s), 0, 1)
    samples = level * (0.3 * buzz + 0.002 * rng.standard_normal(len(times)))
    return Waveform(samples.astype(np.float32)[None], rate, 0.25)


def correlation(one: Waveform, other: Waveform) -> float:
    return float(np.corrcoef(one.samples[0], other.samples[0])[0, 1])


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 11000, 96000, 100000])
@pytest.mark.parametrize("codec", ["mp3", "aac"])
def test_the_output_is_aligned(codec: LossyCodec, rate: int) -> None:
    # No codec supports 11 and 100 kHz; MP3 does not support 96 kHz.
    clean = voice_like(rate)
    coded = recode(clean, codec, 32_000)
    assert (coded.samples.shape, coded.sample_rate_hz, coded.start_s) == (clean.samples.shape, rate, 0.25)
    assert correlation(clean, coded) > 0.9
    n = clean.samples.shape[1]
    spectra = np.fft.rfft(np.stack([coded.samples[0], clean.samples[0]]), 2 * n)
    lag = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())))
    assert min(lag, 2 * n - lag) <= 2
    assert np.abs(coded.samples - clean.samples).max() > 1e-4  # It was encoded.


@pytest.mark.parametrize("codec", ["mp3", "aac"])
def test_fewer_bits_lose_more(codec: LossyCodec) -> None:
    clean = voice_like(44100)
    # What a gain cannot explain: LAME scales everything to 95 %.
    lost = [1 - correlation(clean, recode(clean, codec, bps)) for bps in (128_000, 32_000)]
    assert lost[1] > 4 * lost[0] > 0


@pytest.mark.parametrize("codec", ["mp3", "aac"])
def test_the_start_and_the_end_are_preserved(codec: LossyCodec) -> None:
    rate = 16000
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)[None]
    coded = recode(Waveform(tone, rate), codec, 64_000).samples
    for part in (slice(0, 400), slice(-400, None)):
        assert np.corrcoef(tone[0, part], coded[0, part])[0, 1] > 0.97


@pytest.mark.parametrize("codec", ["mp3", "aac"])
@pytest.mark.parametrize("n_samples", [0, 1, 100, 1024, 1153])
def test_short_audio_and_silence(codec: LossyCodec, n_samples: int) -> None:
    for level in (0.0, 0.2):
        samples = np.full((1, n_samples), level, np.float32)
        coded = recode(Waveform(samples, 48000), codec, 32_000).samples
        assert coded.shape == samples.shape
        assert np.isfinite(coded).all()
        if not level:
            assert np.abs(coded).max(initial=0) < 1e-4


def test_recoding_is_deterministic() -> None:
    clean = voice_like(48000)
    for codec in lossy_codec._PAIRS:
        np.testing.assert_array_equal(
            recode(clean, codec, 32_000).samples, recode(clean, codec, 32_000).samples
        )


def test_bad_arguments_are_named() -> None:
    clean = voice_like(16000)
    with pytest.raises(ValueError, match="one channel can be recoded, got 2"):
        recode(Waveform(np.repeat(clean.samples, 2, axis=0), 16000), "mp3", 32_000)
    with pytest.raises(ValueError, match="one of mp3, aac, got 'opus'"):
        recode(clean, "opus", 32_000)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive, got 0"):
        recode(clean, "mp3", 0)


def test_what_the_codec_rejects_is_an_error_of_ours() -> None:
    broken = voice_like(16000).samples.copy()
    broken[0, 5000] = np.nan
    with pytest.raises(EmofuseError, match="aac at 32000 bit/s and 16000 Hz failed"):
        recode(Waveform(broken, 16000), "aac", 32_000)


@pytest.mark.parametrize("pair", [("libnosuch", "mp3float"), ("libmp3lame", "nosuch")])
def test_a_codec_that_ffmpeg_lacks_is_named(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lossy_codec._PAIRS, "mp3", pair)
    with pytest.raises(EmofuseError, match=r"without the (encoder lib|decoder )nosuch: pip install"):
        recode(voice_like(16000), "mp3", 32_000)
