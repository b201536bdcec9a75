from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import TimelineError
from emofuse.core.records import Waveform
from emofuse.exports.waveform import PeakMeter, Peaks


def peaks_of(samples: np.ndarray, rate: int, block: int, start_s: float = 0.0, **how: float) -> Peaks:
    meter = PeakMeter(**how)  # type: ignore[arg-type]
    for first in range(0, samples.shape[1], block):
        meter.add(Waveform(samples[:, first : first + block], rate, start_s + first / rate))
    return meter.peaks()


@pytest.mark.parametrize("block", [1, 7, 100, 441, 100_000])
def test_peaks_are_the_lowest_and_the_highest_sample(block: int) -> None:
    rng = np.random.default_rng(1)
    samples = rng.uniform(-1, 1, (2, 4410)).astype(np.float32)
    peaks = peaks_of(samples, 44100, block)
    assert (peaks.bin_s, peaks.start_s, len(peaks.low)) == (0.01, 0.0, 10)
    bins = samples.reshape(2, 10, 441)
    close_outside(peaks, bins.min(axis=(0, 2)), bins.max(axis=(0, 2)), np.abs(samples).max())


def close_outside(peaks: Peaks, low: np.ndarray, high: np.ndarray, loudest: float) -> None:
    """127 stands for the loudest sample; values between two steps are rounded away from zero."""
    step = loudest / 127
    below, above = low - peaks.low * step, peaks.high * step - high
    assert min(below.min(), above.min()) > -1e-5 and max(below.max(), above.max()) < step + 1e-5
    assert max(peaks.high.max(), -peaks.low.min()) == 127


def test_a_soft_recording_keeps_its_shape() -> None:
    samples = 0.004 * np.sin(np.arange(16_000) / 300).astype(np.float32)[None]
    peaks = peaks_of(samples, 16_000, 500)
    bins = samples.reshape(100, 160)
    close_outside(peaks, bins.min(axis=1), bins.max(axis=1), 0.004)
    hiss = peaks_of(samples / 40, 16_000, 500)
    assert hiss.high.max() == 13, "very soft audio is not amplified"
    assert not peaks_of(samples * 0, 16_000, 500).high.any()


def test_bins_double_in_constant_memory() -> None:
    rng = np.random.default_rng(2)
    samples = rng.uniform(-1, 1, (1, 100 * 1000)).astype(np.float32)
    samples[0, 77_777] = 1.0
    peaks = peaks_of(samples, 1000, 333, max_bins=64)
    assert (peaks.bin_s, len(peaks.low)) == (2.56, 40)
    whole = np.concatenate([samples[0], np.zeros(40 * 2560 - 100_000, np.float32)]).reshape(40, 2560)
    close_outside(peaks, whole.min(axis=1), whole.max(axis=1), 1.0)
    assert peaks.high[77_777 // 2560] == 127


def test_late_audio_and_gaps_are_silent() -> None:
    meter = PeakMeter()
    loud = np.full((1, 100), 0.5, np.float32)
    meter.add(Waveform(loud, 1000, 0.5))
    meter.add(Waveform(-loud, 1000, 0.8))
    meter.add(Waveform(loud[:, :0], 1000, 2.0))
    peaks = meter.peaks()
    assert np.flatnonzero(peaks.high > 0).tolist() == list(range(50, 60))
    assert np.flatnonzero(peaks.low < 0).tolist() == list(range(80, 90))
    assert len(peaks.low) == 90


def test_what_lies_before_the_start_is_left_out() -> None:
    samples = np.linspace(0, 1, 1000, dtype=np.float32)[None]
    peaks = peaks_of(samples, 1000, 300, start_s=-0.5)
    assert len(peaks.low) == 50
    assert peaks.low[0] == np.floor(samples[0, 500] * 127)  # the loudest sample is 1


def test_damaged_samples_do_not_spread() -> None:
    samples = np.array([[np.nan, 0.25, np.inf, -np.inf]], np.float32)
    peaks = peaks_of(samples, 4, 4, bin_s=0.25)
    assert (peaks.high.tolist(), peaks.low.tolist()) == ([0, 32, 127, -127], [0, 31, 127, -127])


def test_no_samples() -> None:
    assert len(PeakMeter().peaks().low) == 0


@pytest.mark.parametrize(
    ("low", "high", "bin_s", "problem"),
    [
        (np.zeros(2, np.int16), np.zeros(2, np.int8), 1.0, "int8"),
        (np.zeros(2, np.int8), np.zeros(3, np.int8), 1.0, "same length"),
        (np.ones(2, np.int8), np.zeros(2, np.int8), 1.0, "above"),
        (np.zeros(2, np.int8), np.zeros(2, np.int8), 0.0, "length"),
    ],
)
def test_peaks_check_themselves(low: np.ndarray, high: np.ndarray, bin_s: float, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Peaks(bin_s, low, high)


def test_stored_peaks_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for samples, start_s in ((rng.normal(size=(1, 9000)), -0.1), (np.zeros((1, 0)), 1 / 3)):
        peaks = peaks_of(samples.astype(np.float32), 8000, 900, start_s)
        peaks.save(tmp_path / "waveform.npz")
        again = Peaks.load(tmp_path / "waveform.npz")
        assert (again.bin_s, again.start_s) == (peaks.bin_s, peaks.start_s)
        np.testing.assert_array_equal(again.low, peaks.low)
        np.testing.assert_array_equal(again.high, peaks.high)
        assert again.low.dtype == again.high.dtype == np.int8


def test_what_is_not_stored_peaks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "waveform.npz"
    with pytest.raises(TimelineError, match="No such file"):
        Peaks.load(path)
    low, high = np.zeros(3, np.int8), np.ones(3, np.int8)
    for arrays in (
        {}, {"clock": np.array([0.1]), "low": low, "high": high},
        {"clock": np.array([np.nan, 0.0]), "low": low, "high": high},
        {"clock": np.array([0.1, 0.0]), "low": high, "high": low},
        {"clock": np.array([0.1, 0.0]), "low": low, "high": high[:2]},
        {"clock": np.array([0.1, 0.0]), "low": low.astype(float), "high": high},
        {"clock": np.array(["a", "b"]), "low": low, "high": high},
    ):  # fmt: skip
        np.savez(path, **arrays)  # type: ignore[arg-type]
        with pytest.raises(TimelineError, match="no stored waveform, or is damaged"):
            Peaks.load(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(TimelineError, match="no stored waveform"):
        Peaks.load(path)
