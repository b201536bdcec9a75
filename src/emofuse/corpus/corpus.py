"""The clips of one corpus, grouped into takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, Modality, Take

SYNTHETIC_MARK: Final = "SYNTHETIC.json"
"""A folder with this file is drawn and synthesized: no real person is in it."""

# A 02- file of RAVDESS has an audio stream, and it is silent: video alone is never a voice.
_VOICE_FROM: Final[tuple[Modality, ...]] = ("audio", "audio-video")
_FACE_FROM: Final[tuple[Modality, ...]] = ("audio-video", "video")


NOT_STATED: Final = "not stated"
"""The licence of a corpus that names none, such as a table."""
CORPUS_FACT: Final = "corpus"
"""The fact of a clip, and of a take, that names its part of a joined corpus."""


@dataclass(frozen=True, slots=True)
class CorpusPart:
    """One of the corpora that were joined into one, see :func:`emofuse.corpus.joined.join_corpora`."""

    name: str
    root: Path
    licence: str
    emotions: tuple[str, ...]
    """The emotions that it distinguishes: its clips are no evidence about any other."""
    weight: float = 1.0
    """In training, one of its clips counts as much as this many clips of weight 1."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The clips of one corpus, in a fixed order, and what else was found."""

    name: str
    root: Path
    clips: tuple[Clip, ...]
    misnamed: tuple[Path, ...] = ()
    """Media files whose names cannot be read."""
    duplicate_names: tuple[tuple[Path, Path], ...] = ()
    """(used, left out): two files of the same name, such as a .wav and a .flac; the first by path is used."""
    unlistable: tuple[Path, ...] = ()
    """Folders that could not be listed."""
    synthetic: bool = False
    licence: str = NOT_STATED
    emotions: tuple[str, ...] = EMOTIONS
    """The labels that it distinguishes, in the order shown: see :func:`emofuse.core.label_names.in_order`."""
    parts: tuple[CorpusPart, ...] = ()
    """Of a joined corpus: what it was joined from; every clip then has the fact :data:`CORPUS_FACT`."""
    dimensions: tuple[str, ...] = ()
    """The numeric scales on which its clips were rated, such as valence; in the order shown."""

    def takes(self, channel: str | None = "speech") -> tuple[Take, ...]:
        """The performances, sorted: each with the file of its voice and the file of its face.

        The voice is the audio file, else the one with audio and video; the face is the file with audio and
        video, else the one with video alone. Either may be None.

        Args:
            channel: only ``"speech"`` or only ``"song"``; clips of a corpus that does not distinguish them
                are always included. None: all.
        """
        groups: defaultdict[str, dict[Modality, Clip]] = defaultdict(dict)
        for clip in self.clips:
            if channel is None or clip.facts.get("channel", channel) == channel:
                groups[clip.take].setdefault(clip.modality, clip)
        return tuple(_take(name, groups[name]) for name in sorted(groups))

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of the speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))


def _take(name: str, clips: dict[Modality, Clip]) -> Take:
    voice = _first(clips, _VOICE_FROM)
    face = _first(clips, _FACE_FROM)
    known = voice or face
    assert known is not None
    ratings = {dimension: value for clip in clips.values() for dimension, value in clip.ratings.items()}
    return Take(name, known.speaker, known.emotion, voice, face, known.facts, ratings, known.shares)


def _first(clips: dict[Modality, Clip], wanted: Iterable[Modality]) -> Clip | None:
    return next((clips[modality] for modality in wanted if modality in clips), None)
