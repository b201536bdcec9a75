from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from emofuse.features.voice import rocket
from emofuse.features.voice.descriptors import compute_descriptors, descriptor_size, descriptor_views
from tests.support.rocket_oracle import slow_convolutions

FLOOR = math.log(1e-10)
VIEWS = ["functionals", "percentiles", "correlations", "contours", "convolutions", "level"]
RHYTHM = slice(47 * 19, 47 * 19 + 4)


def utterance(
    n_mels: int = 26, seed: int = 0, *, before: int = 9, speech: int = 40, pad: int = 7
) -> np.ndarray:
    """Rows like a recording's: a quiet room, two groups of syllables with a pause, the room, padding."""
    random = np.random.default_rng(seed)
    n_audible = before + speech + 9
    rows = np.zeros((n_mels + 2, n_audible + pad), np.float32)
    rows[:n_mels] = FLOOR
    mel = -10 + random.normal(0, 0.3, (n_mels, n_audible))
    tilt = np.linspace(2, -2, n_mels)[:, np.newaxis]
    loud = slice(before, before + speech)
    mel[:, loud] += 7 + tilt + random.normal(0, 1.2, (n_mels, speech))
    mel[:, before + speech // 2 : before + speech // 2 + 3] -= 8
    rows[:n_mels, :n_audible] = mel
    rows[n_mels, :n_audible] = 1.5 + random.normal(0, 0.2, n_audible)
    rows[n_mels + 1, :n_audible] = random.uniform(0, 0.4, n_audible)
    rows[n_mels + 1, loud] = random.uniform(0.2, 1, speech)
    return rows


def view(rows: np.ndarray, name: str) -> np.ndarray:
    return compute_descriptors(rows)[descriptor_views(len(rows) - 2)[name]]


# Oracles: the definitions, one number after the other.


def energies(rows: np.ndarray) -> list[float]:
    return [math.log(sum(math.exp(float(v)) for v in frame)) for frame in rows[:-2].T]


def speech_frames(rows: np.ndarray) -> list[int]:
    energy = energies(rows)
    audible = [max(frame) > FLOOR + 0.5 for frame in rows[:-2].T]
    return [t for t, e in enumerate(energy) if e > max(energy) - 6.9 and audible[t]]


def dct(frame: np.ndarray, n: int) -> list[float]:
    n_mels = len(frame)
    return [
        math.sqrt((1 if k == 0 else 2) / n_mels)
        * sum(float(v) * math.cos(math.pi * k * (2 * i + 1) / (2 * n_mels)) for i, v in enumerate(frame))
        for k in range(n)
    ]


def slope(row: list[float]) -> list[float]:
    return [0.0, *[(row[t + 1] - row[t - 1]) / 2 for t in range(1, len(row) - 1)], 0.0]


def percentile(values: list[float], percent: float) -> float:
    values = sorted(values)
    position = percent / 100 * (len(values) - 1)
    low = min(int(position), len(values) - 1)
    high = min(low + 1, len(values) - 1)
    return values[low] + (position - low) * (values[high] - values[low])


def bands_of(frame: np.ndarray) -> list[float]:
    return [float(np.mean(part)) for part in np.array_split(frame.astype(float), 16)]


def mean_over_speech(rows: np.ndarray) -> float:
    return float(np.mean([float(v) for t in speech_frames(rows) for v in rows[:-2, t]]))


def relative_pitch(rows: np.ndarray) -> tuple[list[float], list[bool]]:
    speech = speech_frames(rows)
    voiced = [t in speech and bool(v > 0.5) for t, v in enumerate(rows[-1])]
    pitches = [float(p) for p, v in zip(rows[-2], voiced, strict=True) if v]
    mean = sum(pitches) / len(pitches) if pitches else 0.0
    return [float(p) - mean if v else 0.0 for p, v in zip(rows[-2], voiced, strict=True)], voiced


def slow_percentiles(rows: np.ndarray) -> np.ndarray:
    speech, energy = speech_frames(rows), energies(rows)
    mel = rows[:-2].astype(float) - mean_over_speech(rows)
    shape = np.transpose([dct(frame, 20) + bands_of(frame) for frame in mel.T]).tolist()
    middle = sum(energy[t] for t in speech) / len(speech)
    lines = [*shape, [e - middle for e in energy], *[slope(line) for line in shape]]
    table = [
        [percentile([line[t] for t in speech], p) for line in lines] for p in (5, 20, 35, 50, 65, 80, 95)
    ]
    q = np.array(table)
    return np.concatenate([q.ravel(), q[6] - q[0], q[5] - q[1]])


def slow_correlations(rows: np.ndarray) -> np.ndarray:
    speech = speech_frames(rows)
    cepstrum = np.transpose([dct(frame, 20) for frame in rows[:-2].T]).tolist()
    lines = [*cepstrum, *[slope(line) for line in cepstrum[:13]], *rows[-2:].astype(float).tolist()]
    out = []
    for i, first in enumerate(lines):
        for second in lines[i + 1 :]:
            a, b = np.array([first[t] for t in speech]), np.array([second[t] for t in speech])
            r = np.mean((a - a.mean()) * (b - b.mean())) / ((a.std() + 1e-3) * (b.std() + 1e-3))
            out.append(math.atanh(min(max(r, -0.97), 0.97)))
    return np.array(out)


def slow_contours(rows: np.ndarray) -> np.ndarray:
    speech = speech_frames(rows)
    pitch, voiced = relative_pitch(rows)
    lines = np.transpose([dct(frame, 20) for frame in rows[:-2].T])
    lines = np.vstack([lines, energies(rows)])
    lines -= lines[:, speech].mean(axis=1, keepdims=True)
    lines = np.vstack([lines[:20], 8 * np.array(pitch), 3 * np.array(voiced), lines[20:]])
    times = np.linspace(speech[0], speech[-1], 60)
    points = [np.interp(times, np.arange(lines.shape[1]), line) for line in lines]
    return np.array([[np.mean(line[3 * i : 3 * i + 3]) for i in range(20)] for line in points]).ravel()


def slow_channels(rows: np.ndarray) -> np.ndarray:
    speech = speech_frames(rows)
    pitch, voiced = relative_pitch(rows)
    mel = np.maximum(rows[:-2].astype(float) - mean_over_speech(rows), -8) / 3
    out = []
    for t in range(speech[0], speech[-1] + 1):
        cepstrum = np.array(dct(mel[:, t], 24)) / 2 * math.sqrt(80 / len(mel))
        cepstrum[1] -= 3
        spread = [3 / (k + 1) ** 0.7 for k in range(24)]
        out.append([*(cepstrum / spread), 3 * pitch[t], (voiced[t] - 0.7) / 0.45])
    return np.transpose(out)


def slow_level(rows: np.ndarray) -> np.ndarray:
    speech = speech_frames(rows)
    energy = [energies(rows)[t] for t in speech]
    bands = np.mean([bands_of(rows[:-2, t]) for t in speech], axis=0)
    quantiles = [percentile(energy, p) for p in (10, 25, 50, 75, 90)]
    return np.array([sum(energy) / len(energy), max(energy), *quantiles, *bands])


ORACLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "percentiles": slow_percentiles,
    "correlations": slow_correlations,
    "contours": slow_contours,
    "convolutions": lambda rows: slow_convolutions(slow_channels(rows)),
    "level": slow_level,
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize(
    "rows",
    [utterance(), utterance(33, 1, pad=0), utterance(40, 2, before=0, speech=3)],
    ids=["padded", "not padded", "three frames of speech"],
)
def test_a_view_follows_its_definition(name: str, rows: np.ndarray) -> None:
    np.testing.assert_allclose(view(rows, name), ORACLES[name](rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "rows",
    [
        utterance(),
        utterance(64, 1, pad=0),
        utterance(80, 2, speech=90, pad=60),
        utterance(80, 3, before=0, speech=2),
        np.vstack([np.full((30, 12), FLOOR), np.zeros((2, 12))]).astype(np.float32),
        np.random.default_rng(5).normal(0, 1, (30, 25)).astype(np.float32),
    ],
    ids=["26 bands", "not padded", "80 bands", "two frames of speech", "padding alone", "noise"],
)
def test_functionals_are_those_of_the_network(rows: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    from emofuse.training.networks.functionals import Functionals

    n_mels = len(rows) - 2
    audible = rows[:n_mels].max(axis=0) > FLOOR + 0.5
    network = Functionals(n_mels, pitch=True)
    expected = network(torch.from_numpy(rows)[None], torch.from_numpy(audible)[None, None].float())[0].numpy()
    np.testing.assert_allclose(view(rows, "functionals"), expected, rtol=1e-3, atol=1e-4)


def test_the_views_cover_the_vector() -> None:
    for n_mels in (26, 80, 128):
        views = descriptor_views(n_mels)
        assert list(views) == VIEWS
        ends = [0, *[part.stop for part in views.values()]]
        assert [part.start for part in views.values()] == ends[:-1]
        assert ends[-1] == descriptor_size(n_mels)
        vector = compute_descriptors(utterance(n_mels))
        assert vector.shape == (descriptor_size(n_mels),)
        assert vector.dtype == np.float32
    sizes = [part.stop - part.start for part in views.values()]
    assert sizes == [1108, 657, 595, 460, 3000, 23]


@pytest.mark.parametrize("gain", [-2.0, 5.0])
def test_only_level_depends_on_the_gain(gain: float) -> None:
    rows = utterance(40, pad=6)
    louder = rows.copy()
    louder[:-2, :-6] += np.float32(gain)
    for name in VIEWS[:-1]:
        np.testing.assert_allclose(view(louder, name), view(rows, name), rtol=1e-3, atol=1e-3, err_msg=name)
    np.testing.assert_allclose(view(louder, "level") - view(rows, "level"), gain, rtol=1e-4)


def test_more_padding_changes_only_shares_of_the_array() -> None:
    rows = utterance(40, pad=6)
    n_frames = rows.shape[1]
    more = np.pad(rows, ((0, 0), (0, 50)))
    more[:-2, n_frames:] = FLOOR
    for name in VIEWS[1:]:
        np.testing.assert_allclose(view(more, name), view(rows, name), rtol=1e-5, atol=1e-5, err_msg=name)
    before, after = view(rows, "functionals"), view(more, "functionals")
    # the shares of the array that are speech and that are audible reflect the length of the utterance
    np.testing.assert_allclose(after[RHYTHM][:2] * (n_frames + 50), before[RHYTHM][:2] * n_frames, rtol=1e-5)
    assert after[RHYTHM][0] < before[RHYTHM][0]
    keep = np.delete(np.arange(len(before)), [RHYTHM.start, RHYTHM.start + 1])
    # time is a share of the array too, but only the constant against division by 0 depends on that
    np.testing.assert_allclose(after[keep], before[keep], rtol=1e-3, atol=1e-3)


def _rows(mel: np.ndarray, pitch: float = 0.0, voicing: float = 0.0) -> np.ndarray:
    n_frames = mel.shape[1]
    return np.vstack([mel, np.full((1, n_frames), pitch), np.full((1, n_frames), voicing)]).astype(np.float32)


@pytest.mark.parametrize(
    "rows",
    [
        utterance(before=0, speech=4, pad=0)[:, :1],
        utterance(before=0, speech=4, pad=0)[:, :2],
        _rows(np.full((26, 1), FLOOR)),
        _rows(np.full((26, 30), FLOOR)),
        _rows(np.zeros((26, 30)), 1.5, 1.0),
        _rows(np.full((26, 30), -5.3), 1.5, 0.5),
        _rows(np.where(np.arange(30) == 12, 2.0, FLOOR) + np.zeros((26, 1))),
        _rows(np.where(np.arange(26)[:, None] == 3, 40.0, FLOOR) + np.zeros((1, 30)), 4.0, 1.0),
        _rows(np.where(np.arange(30) % 2, 80.0, FLOOR) + np.zeros((26, 1)), 3.5, 1.0),
    ],
    ids=["a frame", "two", "a silent frame", "silence", "constant", "flat", "click", "tone", "square"],
)
def test_any_audio_has_finite_descriptors(rows: np.ndarray) -> None:
    vector = compute_descriptors(rows)
    assert vector.shape == (descriptor_size(26),)
    assert np.isfinite(vector).all()
    assert np.abs(vector).max() < 1e4


def test_silence_has_no_shape_but_a_level() -> None:
    silence = _rows(np.full((26, 30), FLOOR))
    for name in ("percentiles", "correlations", "contours"):
        np.testing.assert_allclose(view(silence, name), 0, atol=1e-6, err_msg=name)
    # the spread of each row has a small constant under the root
    np.testing.assert_allclose(view(silence, "functionals"), 0, atol=2e-3)
    np.testing.assert_allclose(view(silence, "level")[:7], FLOOR + math.log(26), rtol=1e-6)
    np.testing.assert_allclose(view(silence, "level")[7:], FLOOR, rtol=1e-6)


def test_the_same_audio_has_the_same_descriptors() -> None:
    rows = utterance(80)
    first = compute_descriptors(rows)
    rocket._kernels.cache_clear()
    np.testing.assert_array_equal(compute_descriptors(rows.copy()), first)
    np.testing.assert_array_equal(rows, utterance(80))  # and are unchanged
    assert np.abs(compute_descriptors(utterance(80, seed=1)) - first).max() > 0.1


@pytest.mark.parametrize("shape", [(27, 30), (2, 30), (82, 0), (82,), (1, 82, 30)])
def test_invalid_rows_are_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="descriptors need"):
        compute_descriptors(np.zeros(shape, np.float32))


def test_fewer_bands_are_rejected() -> None:
    with pytest.raises(ValueError, match="26 mel bands, got 25"):
        descriptor_views(25)
    with pytest.raises(ValueError, match="26 mel bands, got 25"):
        descriptor_size(25)


def test_the_plain_install_is_enough() -> None:
    heavy = "{'torch', 'scipy', 'sklearn', 'librosa'}"
    code = f"import sys, emofuse.features.voice.descriptors; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
