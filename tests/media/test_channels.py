"""Several channels become one: against arithmetic on the signals that were mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.records import Waveform
from emofuse.media.channels import channels_cancel, is_silent, to_mono
from emofuse.media.decoding import decode
from tests.support import media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

RATE = 16000


def noise(seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(RATE)).astype(np.float32)


def rumble(level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 4 * np.arange(RATE) / RATE)).astype(np.float32)


CANCELLING: dict[str, tuple[list[np.ndarray], int]] = {
    "opposite": ([noise(), -noise()], 0),
    "opposite, one softer": ([0.6 * noise(), -noise()], 1),
    "opposite, hiss in each": ([noise() + noise(1, 0.02), noise(2, 0.02) - noise()], 0),
    "opposite, on a constant": ([noise() + 0.3, 0.3 - noise()], 0),
    "opposite, over rumble": ([noise() + rumble(), rumble() - noise()], 0),
    "four, two of them reversed": ([noise(), -noise(), 1.3 * noise(), -noise()], 2),
}
MIXED: dict[str, list[np.ndarray]] = {
    "equal": [noise(), noise()],
    "one silent": [noise(), np.zeros(RATE, np.float32)],
    "unrelated": [noise(), noise(1)],
    "one of six": [noise(), *[np.zeros(RATE, np.float32)] * 5],
    "on opposite constants": [noise() + 0.3, noise() - 0.3],
    "dither": [noise(0, 1e-6), noise(1, 1e-6)],
    "nothing": [np.zeros(RATE, np.float32)] * 2,
    "a quarter reversed": [noise(), noise() * np.repeat([1, 1, 1, -1], RATE // 4).astype(np.float32)],
    "very short": [noise()[:3], noise(1)[:3]],
}


@pytest.mark.parametrize("name", CANCELLING)
def test_channels_that_cancel_give_the_loudest(name: str) -> None:
    channels, loudest = CANCELLING[name]
    waveform = Waveform(np.stack(channels), RATE)
    assert channels_cancel(waveform)
    np.testing.assert_array_equal(to_mono(waveform), channels[loudest])


@pytest.mark.parametrize("name", MIXED)
def test_other_channels_are_averaged(name: str) -> None:
    waveform = Waveform(np.stack(MIXED[name]), RATE)
    assert not channels_cancel(waveform)
    np.testing.assert_array_equal(to_mono(waveform), np.mean(MIXED[name], axis=0, dtype=np.float32))


def test_one_channel_is_itself() -> None:
    assert not channels_cancel(Waveform(noise()[None], RATE))
    np.testing.assert_array_equal(to_mono(Waveform(noise()[None], RATE)), noise())


@needs_ffmpeg
@pytest.mark.parametrize(
    ("suffix", "bit_rate"), [("m4a", "128k"), ("m4a", "64k"), ("opus", "48k"), ("mp3", "64k")]
)
def test_codecs_leave_a_residue_that_is_not_the_voice(tmp_path: Path, suffix: str, bit_rate: str) -> None:
    wave = media_files.write_wav(tmp_path / "one.wav", 0.5 * media_files.tone(2.0, 48000), 48000)
    reversed_, equal = tmp_path / f"reversed.{suffix}", tmp_path / f"equal.{suffix}"
    ffmpeg("-i", wave, "-af", "pan=stereo|c0=c0|c1=-1*c0", "-b:a", bit_rate, reversed_)
    ffmpeg("-i", wave, "-af", "pan=stereo|c0=c0|c1=c0", "-b:a", bit_rate, equal)
    cancelled, clean = decode(reversed_).audio, decode(equal).audio
    assert cancelled is not None and clean is not None
    assert channels_cancel(cancelled) and not channels_cancel(clean)
    level = np.std(to_mono(cancelled)) / np.std(to_mono(clean))
    assert level == pytest.approx(1, abs=0.05)


def test_silence_is_recognized_and_quiet_speech_is_not_silence() -> None:
    assert is_silent(np.zeros(100, np.float32)) and is_silent(np.zeros(0, np.float32))
    assert is_silent(np.full(100, 3e-5, np.float32))
    assert not is_silent(np.full(100, 0.006, np.float32))
