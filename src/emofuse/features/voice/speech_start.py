"""Where in a recording somebody starts to speak."""

from __future__ import annotations

from collections import deque
from typing import Final

from emofuse.core.records import Waveform
from emofuse.features.voice.vad import CHUNK_S, SPEECH_ABOVE, SpeechDetector

SPEECH_LEAD_S: Final = 0.5
"""A voice is read from this long before its first utterance is detected: breath and the first consonant are
part of it. Nine tenths of RAVDESS' recordings have no other sound further ahead."""
_UTTERANCE_S: Final = 0.3
"""The least speech in an utterance; a click may pass for speech in a chunk or two."""
_WITHIN_S: Final = 1.0
"""How close together that must be."""


def first_utterance_s(audio: Waveform) -> float | None:
    """The presentation time at which somebody starts to speak; None if nobody does. Reads no further."""
    detector, recent = SpeechDetector(), deque[float]()
    n_block = round(_WITHIN_S * audio.sample_rate_hz)
    for first in (*range(0, audio.samples.shape[1], n_block), None):
        if first is None:
            chunks = detector.finish()
        else:
            start_s = audio.start_s + first / audio.sample_rate_hz
            block = audio.samples[:, first : first + n_block]
            chunks = detector.add(Waveform(block, audio.sample_rate_hz, start_s))
        for chunk in chunks:
            if chunk.probability <= SPEECH_ABOVE:
                continue
            recent.append(chunk.time_s)
            while chunk.time_s - recent[0] > _WITHIN_S:
                recent.popleft()
            if len(recent) * CHUNK_S >= _UTTERANCE_S:
                return recent[0] - CHUNK_S / 2
    return None
