"""What to say about a recording whose voice may be read wrongly: clipped, or hardly any speech in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, Waveform
from emofuse.features.voice.segment import resample
from emofuse.features.voice.vad import CHUNK_S, SPEECH_ABOVE, SpeechDetector

CLIPPED_FROM: Final = 0.99
"""Of full scale. A sample from here up is as high as samples get."""
CLIPPED_SHARE: Final = 1e-4
"""From this share of such samples on, a recording is clipped. Of 20 loud RAVDESS recordings that are turned
up until they peak at full scale, none has over 0.00003; overdriven by 3.5 dB, none has under 0.00027. Lossy
codecs round flat peaks: after one, it takes about 12 dB."""
_LEAST_SPEECH_S: Final = 0.3
"""Of 134 RAVDESS recordings, one has less than 0.6 s of speech by the detector: next to none."""


def clipped_share(samples: Float32) -> float:
    """The share of samples at full scale, 0 to 1, in the channel that has most; (n_channels, n_samples)."""
    if samples.size == 0:
        return 0.0
    return max(float(((row >= CLIPPED_FROM) | (row <= -CLIPPED_FROM)).mean()) for row in samples)


def quality_notes(
    audio: Waveform, segment: Float32, facts: Mapping[str, Any], features: VoiceFeatures
) -> tuple[str, ...]:
    """Notes for whoever reads the result.

    Args:
        audio: the recording as it was decoded.
        segment: what is read of it, as :func:`emofuse.features.voice.segment.voice_segment` returns it.
        facts: what that function says of it.
        features: what it was cut by.
    """
    notes: tuple[str, ...] = ()
    clipped = clipped_share(audio.samples)
    if clipped >= CLIPPED_SHARE:
        share = f"{clipped:.2%}" if clipped < 0.01 else f"{clipped:.0%}"
        notes += (f"the audio is clipped ({share} at full scale): the voice may be read wrongly",)
    speech = facts.get("speech_s") is not None  # an utterance was found, and the segment starts with it
    if not speech and not _has_speech(segment, features.sample_rate_hz, audio.sample_rate_hz):
        notes += ("hardly any speech was detected: the result for the voice may be meaningless",)
    return notes


def _has_speech(segment: Float32, rate_hz: int, from_hz: int) -> bool:
    """Whether the voice segment, recorded at the rate ``from_hz``, holds any speech."""
    if from_hz < rate_hz:  # the detector tells narrow-band audio by its rate
        segment, rate_hz = resample(segment, rate_hz, from_hz), from_hz
    detector, step, speech_s = SpeechDetector(), round(_LEAST_SPEECH_S * rate_hz), 0.0
    for first in range(0, len(segment), step):
        block = Waveform(segment[None, first : first + step], rate_hz, first / rate_hz)
        speech_s += CHUNK_S * sum(one.probability > SPEECH_ABOVE for one in detector.add(block))
        if speech_s >= _LEAST_SPEECH_S:  # usually early on
            return True
    return False
