from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core.records import Waveform
from emofuse.corpus.synthetic.clip import TakeCode, take_speech
from emofuse.features.voice.degradations import active_speech, degrade
from emofuse.features.voice.segment import resample
from emofuse.features.voice.vad import (
    CHUNK_S,
    SPEECH_ABOVE,
    SpeechChunk,
    SpeechDetector,
    as_arrays,
    speech_probability,
    speech_share,
)
from emofuse.media.decoding import decode


def spoken(actor: int = 1, rate: int = 48_000) -> Waveform:
    """A sentence of the synthetic corpus, with silence before and after it."""
    take = TakeCode(emotion=1, intensity=1, statement=1, repetition=1, actor=actor)
    return Waveform(resample(take_speech(0, take).samples, 48_000, rate)[None], rate)


def blocks_of(whole: Waveform, sizes: list[int]) -> list[Waveform]:
    """The recording cut into blocks of these sizes, repeatedly."""
    blocks: list[Waveform] = []
    start = 0
    while start < whole.samples.shape[1]:
        size = sizes[len(blocks) % len(sizes)]
        start_s = whole.start_s + start / whole.sample_rate_hz
        blocks.append(Waveform(whole.samples[:, start : start + size], whole.sample_rate_hz, start_s))
        start += size
    return blocks


@pytest.mark.ravdess
def test_real_voices_over_a_telephone_line_are_detected(ravdess: Path) -> None:
    """At 8 kHz, as on a telephone line; resampled to 16 kHz, a tenth less would be detected."""
    recalls = []
    for path in sorted(ravdess.glob("audio/*/*-05-*-01-01-*.flac"))[::4]:
        whole = decode(path).audio
        assert whole is not None
        narrow = Waveform(resample(whole.samples.mean(axis=0), whole.sample_rate_hz, 8000)[None], 8000)
        present, found = (speech_probability(one)[1] > SPEECH_ABOVE for one in (whole, narrow))
        n = min(len(present), len(found))
        if present.sum() > 10:
            recalls.append((present[:n] & found[:n]).sum() / present.sum())
    assert np.mean(recalls) > 0.85


def detected_in(blocks: list[Waveform]) -> list[SpeechChunk]:
    detector = SpeechDetector()
    chunks = [chunk for block in blocks for chunk in detector.add(block)]
    return chunks + detector.finish()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("actor", [1, 2])
def test_a_sentence_is_detected_where_it_is(rate: int, actor: int) -> None:
    voice = spoken(actor, rate)
    times, probabilities = speech_probability(voice)
    loud = np.flatnonzero(active_speech(voice.samples[0], rate)) / rate
    speech_times = times[probabilities > SPEECH_ABOVE]
    assert abs(speech_times[0] - loud[0]) < 0.25
    assert abs(speech_times[-1] - loud[-1]) < 0.25
    assert speech_share(times, probabilities, loud[0] + 0.1, loud[-1] - 0.1) > 0.9
    assert speech_share(times, probabilities, 0, loud[0] - 0.1) < 0.1
    assert times[0] == CHUNK_S / 2
    assert len(times) == np.ceil(voice.duration_s / CHUNK_S)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_blocks_of_any_size_give_the_same_result(rate: int) -> None:
    voice = spoken(rate=rate)
    whole = as_arrays(detected_in([voice]))
    for sizes in ([1024], [511, 1, 0, 4000], [rate]):
        times, probabilities = as_arrays(detected_in(blocks_of(voice, sizes)))
        np.testing.assert_allclose(times, whole[0], atol=1e-9)
        np.testing.assert_array_equal(probabilities, whole[1])


def test_results_come_while_the_audio_continues() -> None:
    voice = spoken(rate=48_000)
    detector = SpeechDetector()
    for block in blocks_of(voice, [4800]):
        chunks = detector.add(block)
        if chunks and block.start_s > 0.2:
            assert chunks[-1].time_s > block.start_s + block.duration_s - 0.1


def test_stereo_is_like_mono_and_opposite_channels_do_not_cancel() -> None:
    voice = spoken()
    times, mono = speech_probability(voice)
    for samples in (np.repeat(voice.samples, 2, axis=0), np.repeat(voice.samples, 6, axis=0)):
        np.testing.assert_allclose(speech_probability(Waveform(samples, 48_000))[1], mono, atol=1e-3)
    opposite = Waveform(np.concatenate([voice.samples, -voice.samples]), 48_000)
    np.testing.assert_allclose(speech_probability(opposite)[1], mono, atol=1e-3)
    hiss = 0.002 * np.random.default_rng(0).standard_normal(opposite.samples.shape).astype(np.float32)
    hissing = Waveform(opposite.samples + hiss, 48_000)
    first = Waveform(hissing.samples[:1], 48_000)
    found, expected = (speech_probability(one)[1] > SPEECH_ABOVE for one in (hissing, first))
    assert (found == expected).mean() > 0.95 and expected.sum() > 20
    assert times[mono > SPEECH_ABOVE].size > 20


def test_times_are_presentation_times() -> None:
    voice = spoken()
    late = Waveform(voice.samples, 48_000, start_s=0.5)
    times, probabilities = speech_probability(late)
    early_times, early = speech_probability(voice)
    np.testing.assert_allclose(times, early_times + 0.5)
    np.testing.assert_array_equal(probabilities, early)


def test_a_gap_starts_a_new_clock_and_jitter_does_not() -> None:
    voice = spoken()
    end_s = voice.duration_s
    after_gap = Waveform(voice.samples, 48_000, start_s=end_s + 2.0)
    times, probabilities = as_arrays(detected_in([voice, after_gap]))
    first, alone = speech_probability(voice)
    np.testing.assert_allclose(times, np.concatenate([first, first + end_s + 2.0]))
    np.testing.assert_array_equal(probabilities, np.concatenate([alone, alone]))
    rounded = [Waveform(block.samples, 48_000, round(block.start_s, 3)) for block in blocks_of(voice, [1024])]
    np.testing.assert_array_equal(as_arrays(detected_in(rounded))[0], first)


def test_another_rate_or_number_of_channels_starts_again() -> None:
    voice = spoken()
    other = Waveform(np.repeat(spoken(rate=16_000).samples, 2, axis=0), 16_000, start_s=voice.duration_s)
    times, probabilities = as_arrays(detected_in([voice, other]))
    assert np.all(np.diff(times) > 0)
    for start_s in (0.0, voice.duration_s):
        assert speech_share(times, probabilities, start_s + 1.0, start_s + 2.0) > 0.9


def sound_of(kind: str) -> np.ndarray:
    rng, t = np.random.default_rng(3), np.arange(3 * 48_000) / 48_000
    plucked = 0.1 + np.exp(-4 * (2 * t % 1))
    return {
        "silence": np.zeros_like(t),
        "offset": np.full_like(t, 0.5),
        "dither": 1e-5 * rng.standard_normal(t.shape),
        "noise": 0.1 * rng.standard_normal(t.shape),
        "soft noise": 0.001 * rng.standard_normal(t.shape),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "chord": 0.1 * plucked * sum(np.sin(2 * np.pi * f * t) for f in (261.6, 329.6, 392.0)),
    }[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["silence", "offset", "dither", "noise", "soft noise", "tone", "chord"])
def test_what_is_not_speech(kind: str) -> None:
    times, probabilities = speech_probability(Waveform(sound_of(kind)[None], 48_000))
    assert len(times) == len(probabilities) == 94
    assert probabilities.min() >= 0
    assert speech_share(times, probabilities, 0, 3) < 0.1


def test_speech_in_noise_is_detected() -> None:
    voice = spoken()
    noisy = degrade(voice, "noise-5-db", np.random.default_rng(0))
    times, clean = speech_probability(voice)
    detected = speech_probability(noisy)[1]
    assert np.mean((detected > SPEECH_ABOVE) == (clean > SPEECH_ABOVE)) > 0.85
    assert speech_share(times, detected, 0, 0.5) < 0.1


def test_broken_samples_do_not_stop_detection() -> None:
    voice = spoken()
    samples = voice.samples.copy()
    samples[0, 1000:1100], samples[0, 2000], samples[0, 3000] = np.nan, np.inf, -3e38
    times, probabilities = speech_probability(Waveform(samples, 48_000))
    assert np.isfinite(probabilities).all()
    assert speech_share(times, probabilities, 1.0, 2.0) > 0.9


def test_no_audio_at_all() -> None:
    detector = SpeechDetector()
    assert detector.finish() == []
    assert detector.add(Waveform(np.zeros((1, 0), np.float32), 44_100)) == []
    assert detector.finish() == []
    times, probabilities = speech_probability(Waveform(np.zeros((2, 0), np.float32), 8000))
    assert times.shape == probabilities.shape == (0,)
    assert speech_share(times, probabilities, 0, 1) == 0


def test_a_share_counts_seconds() -> None:
    times: Any = (np.arange(100) + 0.5) * CHUNK_S
    probabilities = np.where(np.arange(100) < 50, 0.9, 0.1)
    assert speech_share(times, probabilities, 0, 1.6) == pytest.approx(1.0)
    assert speech_share(times, probabilities, 0, 3.2) == pytest.approx(0.5)
    assert speech_share(times, probabilities, 1.55, 1.65) == pytest.approx(0.5)
    assert speech_share(times, probabilities, 0, 32.0) == pytest.approx(0.05)
    assert speech_share(times, np.full(100, SPEECH_ABOVE), 0, 3.2) == 0
    with pytest.raises(ValueError, match="end after it starts"):
        speech_share(times, probabilities, 1, 1)
    with pytest.raises(ValueError, match=r"must be \(n,\) each"):
        speech_share(times, probabilities[1:], 0, 1)


@pytest.mark.ravdess
def test_real_clips_are_silent_at_both_ends_and_spoken_between(ravdess: Path) -> None:
    paths = sorted((ravdess / "audio").glob("Actor_*/*.flac"))[::60]
    assert len(paths) >= 20
    for path in paths:
        recording = decode(path).audio
        assert recording is not None
        times, probabilities = speech_probability(recording)
        speech_times = times[probabilities > SPEECH_ABOVE]
        assert speech_share(times, probabilities, 0, 0.5) == 0, path
        assert speech_share(times, probabilities, recording.duration_s - 0.3, recording.duration_s) == 0, path
        assert 0.5 < speech_times[0] < 1.8, path
        assert speech_share(times, probabilities, float(speech_times[0]), float(speech_times[-1])) > 0.5, path


@pytest.mark.ravdess
@pytest.mark.parametrize(("condition", "at_least"), [("noise-10-db", 0.93), ("telephone", 0.9)])
def test_real_clips_under_degradation(ravdess: Path, condition: str, at_least: float) -> None:
    """Balanced accuracy against the energy of the clean recording, pauses under 0.25 s filled."""
    rng = np.random.default_rng(0)
    truth, network, energy = [], [], []
    for path in sorted((ravdess / "audio").glob("Actor_*/*.flac"))[7::60]:
        recording = decode(path).audio
        assert recording is not None
        times, probabilities = speech_probability(degrade(recording, condition, rng))
        truth.append(_spoken(recording, len(times)))
        network.append(probabilities > SPEECH_ABOVE)
        energy.append(_loud(degrade(recording, condition, rng), len(times)))
    y = np.concatenate(truth)

    def balanced(outputs: list[np.ndarray]) -> float:
        joined = np.concatenate(outputs)
        return float(joined[y].mean() + (~joined[~y]).mean()) / 2

    assert balanced(network) > at_least
    if condition == "noise-10-db":  # In the clean pauses of the telephone, an energy threshold does as well.
        assert balanced(network) > balanced(energy) + 0.1


def _frames(samples: np.ndarray, rate: int, n: int) -> np.ndarray:
    size = round(CHUNK_S * rate)
    return np.pad(samples, (0, max(0, n * size - len(samples))))[: n * size].reshape(n, size)


def _spoken(recording: Waveform, n: int) -> np.ndarray:
    active = active_speech(recording.samples[0], recording.sample_rate_hz)
    loud: np.ndarray = _frames(active, recording.sample_rate_hz, n).mean(axis=1) > 0.5
    indices = np.flatnonzero(loud)
    for start, end in pairwise(indices):
        loud[start:end] |= end - start <= 8
    return loud


def _loud(recording: Waveform, n: int) -> np.ndarray:
    """The baseline: 12 dB above the recording's own floor."""
    power = np.square(_frames(recording.samples[0], recording.sample_rate_hz, n)).mean(axis=1)
    level = 10 * np.log10(power + 1e-10)
    return np.asarray(level > np.quantile(level, 0.1) + 12)
