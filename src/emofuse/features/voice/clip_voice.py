"""A clip's audio becomes the array that a voice network reads, with notes for the user."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32, Waveform
from emofuse.features.store import ModalityFeatures
from emofuse.features.voice.inputs import voice_array
from emofuse.features.voice.quality import quality_notes
from emofuse.features.voice.segment import voice_segments
from emofuse.features.voice.speech_start import SPEECH_LEAD_S
from emofuse.media.channels import SILENT_BELOW, channels_cancel, is_silent
from emofuse.media.decoding import Media

CHANNELS_CANCEL: Final = "the channels cancel each other out when mixed: the loudest one was read"

_SHORTEST_S: Final = 0.1
"""Audio shorter than this tells nothing about a voice."""
_SHORT_S: Final = 1.0
"""Audio shorter than this is padded, with a note."""
_OTHER_SOUND_S: Final = 2.0
"""Where speech starts later than this, there is a note. RAVDESS' actors start within 1.4 s."""
_LONG_S: Final = 10.0
"""Audio longer than this has more to tell than its start; there is a note."""
_MOST_PARTS: Final = 3
"""A voice is searched in so many parts of a long recording: in ten minutes at 48 kHz."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a part of a recording holds: a segment of voice, or the reason why there is none."""

    segment: Float32 | None
    missing: str | None
    notes: tuple[str, ...]
    final: bool
    """Whether the voice need not be searched in the next part."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def computed(self, features: VoiceFeatures) -> ModalityFeatures:
        """What the voice network reads of it."""
        if self.segment is None:
            return ModalityFeatures(None, self.missing, self.notes)
        return ModalityFeatures(voice_array(self.segment, features), None, self.notes, self.facts)


def voice_parts(
    media: Media,
    settings: Sequence[VoiceFeatures],
    rest: Callable[[float], Media],
    *,
    judge_speech: bool = False,
) -> list[ModalityFeatures]:
    """What a voice network reads of a recording, or the reason why there is nothing, by setting.

    A long recording comes part by part; the next one is read only as long as there is no voice.

    Args:
        media: the recording, or its first part.
        settings: what to compute: :attr:`VoiceFeatures.parts` of a recipe, or some of them.
        rest: reads the audio from a time on.
        judge_speech: whether to note if there is hardly any speech, or if it is clipped.
    """
    from_s = 0.0 if media.audio is None else media.audio.start_s
    best: dict[VoiceFeatures, _Found] = {}
    left = list(settings)
    for number in range(_MOST_PARTS):
        found = _in_part(media, left, from_s, judge_speech=judge_speech)
        for features, one in zip(left, found, strict=True):
            if one.final or features not in best or best[features].segment is None:
                best[features] = one
        left = [features for features, one in zip(left, found, strict=True) if not one.final]
        if not left or number == _MOST_PARTS - 1 or media.audio_rest_s is None:
            break
        # What starts at the very end of a part is read as a whole in the next one.
        next_s, notes = media.audio_rest_s - max(map(_reach_s, left)), media.notes
        del media  # two parts are not held at once
        media = replace(rest(next_s), notes=notes)
        if media.audio is None:
            break
    del media  # a network that reads the segment needs memory as well
    return [best[features].computed(features) for features in settings]


def join_parts(parts: Sequence[ModalityFeatures]) -> ModalityFeatures:
    """The parts of a voice as one array, in their order; facts are those of the first one."""
    if len(parts) == 1:
        return parts[0]
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    missing = next((part.missing for part in parts if part.missing is not None), None)
    if missing is not None:
        return ModalityFeatures(None, missing, notes)
    array = np.concatenate([part.array for part in parts if part.array is not None])
    return ModalityFeatures(array, None, notes, parts[0].meta)


def _reach_s(features: VoiceFeatures) -> float:
    """How much audio a voice needs from where speech starts."""
    return features.duration_s * features.speed + 2 * SPEECH_LEAD_S


def _in_part(
    media: Media, settings: Sequence[VoiceFeatures], from_s: float, *, judge_speech: bool
) -> list[_Found]:
    """The voice in one part of a recording whose audio starts at ``from_s``."""
    audio, first = media.audio, settings[0]
    goes_on = media.audio_rest_s is not None

    def nothing(reason: str, *, final: bool = True) -> list[_Found]:
        return [_Found(None, reason, media.notes, final)] * len(settings)

    if not media.has_audio:
        return nothing("no audio stream")
    if audio is None:
        return nothing("no audio could be decoded")
    read_s = audio.start_s + audio.duration_s - from_s
    stream = f"first {read_s:.0f} s of the audio stream are" if goes_on else "audio stream is"
    if is_silent(audio.samples):
        return nothing(f"the {stream} silent", final=False)
    if audio.duration_s < _SHORTEST_S:
        return nothing(f"audio too short: {audio.duration_s:.2f} s")
    cancelled = media.cancelled or channels_cancel(audio)
    if first.condition is not None:
        audio = _degraded(audio, first.condition)
    segments = voice_segments(audio, settings)
    if first.highpass_hz is not None and segments[0][1]["peak"] < SILENT_BELOW:
        return nothing(f"the {stream} silent, apart from what lies below a voice", final=False)
    before_s = audio.start_s - from_s
    found = []
    for features, (segment, facts) in zip(settings, segments, strict=True):
        speech_s = facts.get("speech_s")
        starts_s = None
        if speech_s is not None and before_s + speech_s >= _OTHER_SOUND_S:
            starts_s = audio.start_s + speech_s - SPEECH_LEAD_S
        notes = media.notes + ((CHANNELS_CANCEL,) if cancelled else ())
        notes += _place_notes(features, audio.duration_s, read_s, starts_s, goes_on=goes_on)
        if judge_speech and features is first:
            notes += quality_notes(audio, segment, facts, features)
        if media.mixed:
            facts["n_channels"] = media.n_channels
        if before_s > 0:  # facts about all that was read
            facts["sound_s"] = round(read_s, 4)
            if speech_s is not None:
                facts["speech_s"] = round(before_s + speech_s, 4)
        complete = speech_s is not None and speech_s + _reach_s(features) <= audio.duration_s
        final = complete or not features.start_at_speech
        found.append(_Found(segment.copy(), None, notes, final, facts))  # not a view of all that was read
    return found


def _place_notes(
    features: VoiceFeatures, part_s: float, read_s: float, starts_s: float | None, *, goes_on: bool
) -> tuple[str, ...]:
    """From where the voice was read, if that is not all of it.

    ``part_s``: length of the part that has it; ``read_s``: of all that was read; ``starts_s``: where speech
    starts, if other sound before it was left out.
    """
    if part_s < min(_SHORT_S, features.duration_s):
        if not features.pads:  # but reads what there is
            return (f"audio is {part_s:.1f} s: little to read a voice from",)
        return (f"audio is {part_s:.1f} s, padded to {features.duration_s:g} s",)
    if read_s > max(_LONG_S, 2 * features.duration_s):
        read = f"{features.duration_s:g} of {'the first ' if goes_on else ''}{read_s:.0f} s"
        where = f"the first {read}" if starts_s is None else f"{read}, from {starts_s:.1f} s on"
        return (f"voice read from {where}; a timeline reads all",)
    if starts_s is not None:
        return (f"voice read from {starts_s:.1f} s on, where speech starts",)
    return ()


def _degraded(audio: Waveform, condition: str) -> Waveform:
    """The audio under a degradation; its random numbers are seeded by the audio itself."""
    from emofuse.features.voice.degradations import degrade

    return degrade(audio, condition, np.random.default_rng(zlib.crc32(audio.samples.tobytes())))
