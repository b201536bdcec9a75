"""How much of a recording is held: against plain numpy arithmetic on what was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.records import Float32, Waveform
from emofuse.media import held_audio
from emofuse.media.arrays import media_from_recording, recording
from emofuse.media.decoding import decode
from emofuse.media.held_audio import HeldAudio
from tests.support import media_files

RATE = 16000


def noise(n_channels: int, n: int) -> Float32:
    return np.random.default_rng(n).normal(0, 0.1, (n_channels, n)).astype(np.float32)


def collected(samples: Float32, most_values: int, block: int = 700) -> HeldAudio:
    held = HeldAudio(most_values)
    for first in range(0, samples.shape[1], block):
        held.add(Waveform(samples[:, first : first + block], RATE, 2.0 + first / RATE))
    return held


@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_what_fits_is_held_to_the_bit(n_channels: int) -> None:
    samples = noise(n_channels, 5000)
    held = collected(samples, 5001 * n_channels)
    whole = held.result()
    assert whole is not None and held.rest_s is None and not held.mixed
    assert whole.start_s == 2.0 and whole.samples.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(whole.samples, samples)


def test_long_audio_is_mixed_and_then_cut() -> None:
    samples = noise(2, 9000)
    held = collected(samples, 8000)
    part = held.result()
    assert part is not None and held.mixed and held.cancelled is None and held.n_channels == 2
    np.testing.assert_array_equal(part.samples, samples[:, :8000].mean(axis=0, keepdims=True))
    assert held.rest_s == pytest.approx(2.0 + 8000 / RATE)


def test_of_channels_that_cancel_the_loudest_is_held() -> None:
    samples = noise(1, 9000)
    held = collected(np.concatenate([0.7 * samples, -samples, 0.2 * samples]).astype(np.float32), 6000)
    part = held.result()
    assert part is not None and held.cancelled == 1
    np.testing.assert_array_equal(part.samples, -samples[:, :6000])


def test_many_channels_are_read_for_a_shorter_time() -> None:
    held = collected(noise(32, 4000), 16000, block=100)
    part = held.result()
    assert part is not None and held.full
    assert part.samples.shape == (1, 8 * 16000 // 32)  # eight times as many values as are held


def test_nothing_is_held_of_nothing() -> None:
    assert HeldAudio().result() is None and HeldAudio().rest_s is None


def test_a_file_comes_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts joined are the samples that were written, and arrays are cut as files are."""
    samples = noise(1, 40 * RATE)
    path = media_files.write_wav(tmp_path / "long.wav", samples, RATE)
    whole = decode(path).audio
    assert whole is not None
    monkeypatch.setattr(held_audio.HeldAudio.__init__, "__defaults__", (15 * RATE,))
    parts, start_s = [], None
    while True:
        media = decode(path, start_s=start_s)
        same = media_from_recording(recording(whole.samples, RATE), span_s=(start_s, None))
        assert media.audio is not None and same.audio is not None and media.audio_rest_s == same.audio_rest_s
        np.testing.assert_array_equal(media.audio.samples, same.audio.samples)
        assert media.notes == media.faults == ()
        parts.append(media.audio.samples)
        start_s = media.audio_rest_s
        if start_s is None:
            break
    assert [part.shape[1] / RATE for part in parts] == [15, 15, 10]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole.samples)
