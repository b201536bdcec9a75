"""The voice of the synthetic corpus: a source-filter model.

A train of glottal pulses (with jitter, tremor and breath) passes through five formants that move from phone
to phone; bursts and fricatives are filtered noise. It speaks two sentences modeled on the two statements of
RAVDESS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import MissingExtraError
from emofuse.core.records import Float32
from emofuse.corpus.synthetic.expression import Float64, VoiceExpression

try:
    from scipy.signal import butter, lfilter, sosfilt
except ModuleNotFoundError as error:  # pragma: no cover - needs an environment without scipy
    raise MissingExtraError("train", "making a synthetic corpus") from error

SAMPLE_RATE_HZ: Final = 48_000
CONTROL_HZ: Final = 200
"""How often the control parameters are updated: every 5 ms, 240 samples."""
_STEP: Final = SAMPLE_RATE_HZ // CONTROL_HZ

# formants of an adult man in Hz (after Peterson & Barney 1952, rounded), and how open the mouth is
_VOWELS: Final = {
    "i": ((300, 2250, 2950), 0.25),
    "I": ((400, 1950, 2550), 0.35),
    "A": ((720, 1150, 2450), 1.0),
    "O": ((560, 860, 2400), 0.8),
    "aI": ((650, 1450, 2450), 0.9),
    "@": ((500, 1450, 2450), 0.4),
    "r": ((420, 1250, 1650), 0.35),
    "N": ((280, 1300, 2300), 0.1),
    "m": ((280, 1000, 2200), 0.0),
    "d": ((260, 1650, 2600), 0.1),
    "b": ((230, 850, 2200), 0.0),
}
_NASAL: Final = frozenset("Nm")
_STOPPED: Final = frozenset("db")
# noise: band in Hz, and level relative to a vowel
_NOISES: Final = {
    "s": ((4500, 9000), 0.28),
    "z": ((4200, 8500), 0.15),
    "k": ((1600, 3600), 0.30),
    "t": ((3000, 6500), 0.28),
    "D": ((1500, 6000), 0.05),
}
# phone, length in ms, and whether it is stressed, which raises the pitch
_STATEMENTS: Final[dict[int, tuple[tuple[str, int, bool], ...]]] = {
    # "Kids are talking by the door"
    1: (
        ("k", 60, False), ("I", 130, True), ("d", 50, False), ("z", 80, False), ("A", 90, False),
        ("r", 70, False), ("t", 70, False), ("O", 170, True), ("k", 60, False), ("I", 80, False),
        ("N", 80, False), ("b", 60, False), ("aI", 150, False), ("D", 40, False), ("@", 70, False),
        ("d", 50, False), ("O", 180, True), ("r", 160, False),
    ),
    # "Dogs are sitting by the door"
    2: (
        ("d", 50, False), ("O", 150, True), ("d", 50, False), ("z", 80, False), ("A", 90, False),
        ("r", 70, False), ("s", 100, False), ("I", 130, True), ("t", 60, False), ("I", 80, False),
        ("N", 80, False), ("b", 60, False), ("aI", 150, False), ("D", 40, False), ("@", 70, False),
        ("d", 50, False), ("O", 180, True), ("r", 160, False),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VoiceIdentity:
    """One person's voice, whatever the emotion."""

    pitch_hz: float
    pitch_range_st: float
    tract: float  # factor on the formants: the longer the vocal tract, the lower
    cutoff_hz: float  # of the source
    breath: float
    rate: float
    level_db: float  # of a vowel, dBFS
    hiss_db: float  # of the room

    @classmethod
    def sample(cls, female: bool, rng: np.random.Generator) -> VoiceIdentity:
        """Draw a random voice."""
        return cls(
            pitch_hz=float((200 if female else 115) * np.exp(0.07 * rng.standard_normal())),
            pitch_range_st=float(rng.uniform(1.8, 2.4)),
            tract=float((1.16 if female else 1.0) * np.exp(0.03 * rng.standard_normal())),
            cutoff_hz=float((1300 if female else 1100) * np.exp(0.12 * rng.standard_normal())),
            breath=float(rng.uniform(0.03, 0.08)),
            rate=float(np.exp(0.05 * rng.standard_normal())),
            level_db=float(-24 + 1.0 * rng.standard_normal()),
            hiss_db=float(rng.uniform(-98, -92)),
        )


@dataclass(frozen=True, slots=True)
class Speech:
    """One spoken sentence with the silence around it.

    ``samples``: (n,) float32 at :data:`SAMPLE_RATE_HZ`; ``opening``: (n_control,) float64 at
    :data:`CONTROL_HZ`, how open the mouth is, 0 to 1.
    """

    samples: Float32
    opening: Float64

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class _Targets:
    """The control parameters of a sentence over time; every array is (n_control,) or (n_control, 3)."""

    formants: Float64
    voicing: Float64
    stress: Float64
    opening: Float64
    noises: dict[str, Float64]
    speaking: slice


def speak(
    identity: VoiceIdentity, expression: VoiceExpression, statement: int, rng: np.random.Generator
) -> Speech:
    """Synthesize statement 1 or 2 with this voice and expression.

    The sentence is 1.6 to 3 s long, with 0.4 to 0.8 s of room noise before and after it.
    """
    targets = _plan(identity, expression, statement, rng)
    n_control = len(targets.voicing)
    pitch = _pitch(identity, expression, targets, rng)
    tremor = np.clip(expression.tremor, 0, 1.5)
    shake = 1 + 0.35 * tremor * np.sin(
        2 * np.pi * 6.2 * np.arange(n_control) / CONTROL_HZ + rng.uniform(0, 6)
    )
    level = targets.voicing * (1 + (0.25 + 0.25 * expression.attack) * targets.stress) * shake
    voiced = _resonate(
        _source(identity, expression, pitch, level, rng), targets.formants, expression, identity
    )
    gain = 10 ** ((identity.level_db + expression.loudness) / 20)
    voiced *= gain / max(_loud_rms(voiced), 1e-9)
    # a raised voice amplifies consonants less than vowels
    consonant_gain = gain * 10 ** (-0.3 * expression.loudness / 20)
    out = voiced + consonant_gain * _frication(targets.noises, len(voiced), rng)
    out += 10 ** (identity.hiss_db / 20) * rng.standard_normal(len(out))
    return Speech(_limited(out), targets.opening)


def _plan(
    identity: VoiceIdentity, expression: VoiceExpression, statement: int, rng: np.random.Generator
) -> _Targets:
    rate = identity.rate * float(np.exp(np.clip(expression.rate, -0.4, 0.4)))
    before, after = rng.uniform(0.4, 0.8, 2)
    phones = _STATEMENTS[statement]
    lengths = np.array([ms for _, ms, _ in phones]) * np.exp(0.06 * rng.standard_normal(len(phones)))
    edges = np.round((before + np.concatenate([[0], np.cumsum(lengths)]) / (860 * rate)) * CONTROL_HZ)
    edges = edges.astype(int)
    n = int(edges[-1] + round(after * CONTROL_HZ))
    formants = np.tile(np.array(_VOWELS["@"][0], float), (n, 1))
    voicing, stress, opening = np.zeros(n), np.zeros(n), np.zeros(n)
    noises = {name: np.zeros(n) for name in _NOISES}
    for (phone, _, stressed), start, stop in zip(phones, edges[:-1], edges[1:], strict=True):
        span = slice(start, stop)
        if phone in _NOISES:
            # a stop is silence and then a burst; a fricative lasts
            first = start + (stop - start) // 2 if phone in "kt" else start
            noises[phone][first:stop] = 1
            voicing[span] = 0.3 if phone in "zD" else 0.0
            opening[span] = 0.12
        else:
            formants[span], opening[span] = _VOWELS[phone]
            voicing[span] = 0.45 if phone in _NASAL else 0.12 if phone in _STOPPED else 1.0
            stress[span] = float(stressed)
    _hold(formants, voicing > 0)
    softness = float(np.clip(1 - 0.6 * expression.attack, 0.4, 2.0))
    return _Targets(
        formants=np.stack([_smooth(column, 9) for column in formants.T], axis=1),
        voicing=_smooth(voicing, round(7 * softness)),
        stress=_smooth(stress, 15),
        opening=_smooth(opening, 15),
        noises={name: _smooth(track, 3) for name, track in noises.items()},
        speaking=slice(int(edges[0]), int(edges[-1])),
    )


def _hold(formants: Float64, known: NDArray[np.bool_]) -> None:
    """Let unvoiced steps keep the formants of the phone before."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    formants[:] = np.where((last >= 0)[:, None], formants[np.maximum(last, 0)], formants)


def _pitch(
    identity: VoiceIdentity, expression: VoiceExpression, targets: _Targets, rng: np.random.Generator
) -> Float64:
    """(n_control,) Hz: declination, stress, slope, vibrato and tremor."""
    n = len(targets.voicing)
    progress = np.clip(
        (np.arange(n) - targets.speaking.start) / (targets.speaking.stop - targets.speaking.start), 0, 1
    )
    spread = identity.pitch_range_st * float(np.exp(np.clip(expression.pitch_range, -1, 1.3)))
    drift = _smooth(rng.standard_normal(n), 61) * 4
    time = np.arange(n) / CONTROL_HZ
    semitones = (
        expression.pitch
        + spread * (1.1 * targets.stress - 0.8 * progress + 0.35 * drift)
        + expression.slope * (progress**2 - 0.4)
        + 0.15 * np.sin(2 * np.pi * 5.1 * time)
        + 0.8 * np.clip(expression.tremor, 0, 1.5) * np.sin(2 * np.pi * 6.2 * time + 1)
    )
    hertz: Float64 = identity.pitch_hz * 2 ** (semitones / 12)
    return np.clip(hertz, 60, 600)


def _source(
    identity: VoiceIdentity,
    expression: VoiceExpression,
    pitch: Float64,
    level: Float64,
    rng: np.random.Generator,
) -> Float64:
    """(n_samples,) the derivative of the glottal flow, plus breath noise that follows the cycle."""
    n = len(pitch) * _STEP
    at = np.arange(n) / _STEP
    steps = np.arange(len(pitch))
    hertz = np.interp(at, steps, pitch)
    jitter = 0.012 + 0.06 * float(np.clip(expression.jitter, 0, 1.5))
    # irregular periods: noise about as fast as the pitch itself
    wobble = lfilter([0.02], [1, -0.98], rng.standard_normal(n)) * 7
    phase = np.cumsum(hertz * (1 + jitter * wobble)) / SAMPLE_RATE_HZ % 1.0
    open_part = float(np.clip(0.62 - 0.12 * expression.bright, 0.4, 0.8))
    within = phase / open_part
    flow = np.where(within < 1, within**2 * (1 - within) * 6.75, 0.0)
    pulse = np.diff(flow, prepend=0.0) * SAMPLE_RATE_HZ / hertz
    cutoff = float(np.clip(identity.cutoff_hz * np.exp(expression.bright), 300, 6000))
    keep = float(np.exp(-2 * np.pi * cutoff / SAMPLE_RATE_HZ))
    pulse = lfilter([1 - keep], [1, -keep], pulse)
    breath = float(np.clip(identity.breath + 0.28 * expression.breath, 0.01, 0.6))
    noise = lfilter([1, -0.9], [1], rng.standard_normal(n)) * (0.4 + flow)
    pulse /= np.std(pulse) + 1e-9
    noise /= np.std(noise) + 1e-9
    shaped: Float64 = ((1 - breath) * pulse + 0.6 * breath * noise) * np.interp(at, steps, level)
    return shaped


def _resonate(
    source: Float64, formants: Float64, expression: VoiceExpression, identity: VoiceIdentity
) -> Float64:
    """Five formants in cascade, updated at each control step; the filter state is kept."""
    factor = identity.tract * float(np.exp(np.clip(expression.formants, -0.15, 0.15)))
    upper = np.tile([3500.0, 4500.0], (len(formants), 1))
    center = np.concatenate([formants, upper], axis=1) * factor
    width = np.array([80.0, 100.0, 130.0, 200.0, 260.0])
    radius = np.exp(-np.pi * width / SAMPLE_RATE_HZ)
    sections = np.zeros((len(formants), 5, 6))
    sections[:, :, 3] = 1
    sections[:, :, 4] = -2 * radius * np.cos(2 * np.pi * center / SAMPLE_RATE_HZ)
    sections[:, :, 5] = radius**2
    sections[:, :, 0] = 1 + sections[:, :, 4] + sections[:, :, 5]  # gain 1 at 0 Hz
    state = np.zeros((5, 2))
    out = np.empty_like(source)
    for index, sos in enumerate(sections):
        span = slice(index * _STEP, (index + 1) * _STEP)
        out[span], state = sosfilt(sos, source[span], zi=state)
    return out


def _frication(noises: dict[str, Float64], n_samples: int, rng: np.random.Generator) -> Float64:
    out = np.zeros(n_samples)
    at = np.arange(n_samples) / _STEP
    for name, track in noises.items():
        if not track.any():
            continue
        band, level = _NOISES[name]
        hiss = sosfilt(
            butter(2, band, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), rng.standard_normal(n_samples)
        )
        out += level * hiss / np.std(hiss) * np.interp(at, np.arange(len(track)), track)
    return out


def _smooth(track: Float64, width: int) -> Float64:
    window = np.hanning(max(width, 1) + 2)
    smoothed: Float64 = np.convolve(track, window / window.sum(), mode="same")
    # "same" pads with zeros: keep the ends of tracks that do not start or end at rest
    half = len(window) // 2
    smoothed[:half], smoothed[len(track) - half :] = track[:half], track[len(track) - half :]
    return smoothed


def _loud_rms(samples: Float64) -> float:
    """The root mean square of the louder 40% of the blocks."""
    power = np.sort((samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP) ** 2).mean(axis=1))
    return float(np.sqrt(power[len(power) * 6 // 10 :].mean()))


def _limited(samples: Float64) -> Float32:
    """Compress what exceeds 0.7 of full scale, so that nothing clips."""
    over = np.abs(samples) - 0.7
    bent = np.where(over > 0, np.sign(samples) * (0.7 + 0.28 * np.tanh(over / 0.28)), samples)
    return bent.astype(np.float32)
