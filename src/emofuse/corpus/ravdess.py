"""RAVDESS: the meaning of its file names, and a reader for any folder tree of its files.

Livingstone SR, Russo FA (2018) The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS):
A dynamic, multimodal set of facial and vocal expressions in North American English.
PLoS ONE 13(5): e0196391. https://doi.org/10.1371/journal.pone.0196391
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, Modality
from emofuse.corpus.corpus import SYNTHETIC_MARK, Corpus
from emofuse.corpus.filename_corpora import NamedFile, Naming, find_files

CITATION: Final = (
    "Livingstone SR, Russo FA (2018) The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS): A dynamic, multimodal set of facial and vocal expressions in North American English. "
    "PLoS ONE 13(5): e0196391. https://doi.org/10.1371/journal.pone.0196391"
)
NAME: Final = "RAVDESS"
LICENCE: Final = "CC BY-NC-SA 4.0"
SYNTHETIC_LICENCE: Final = "CC0-1.0"
ADDRESS: Final = "https://zenodo.org/records/1188976"
ZENODO_RECORD: Final = "1188976"

N_ACTORS: Final = 24
ACTOR_WITHOUT_SONG: Final = 18
SUFFIXES: Final = (".wav", ".flac", ".mp4")
TRAPS: Final = (
    "One performance is up to three files (audio-video, video, audio): as takes, they share a fold.",
    "Video-only files (02-…) have an audio stream, and it is silent.",
    "Calm and neutral are close, and are often taken for each other.",
    "Actor 18 sang nothing; a few audio files are stereo.",
    "Two sentences, each spoken twice: figures are of these words.",
)
"""What misleads those who use it."""

MODALITIES: Final[dict[str, Modality]] = {"01": "audio-video", "02": "video", "03": "audio"}
CHANNELS: Final = {"01": "speech", "02": "song"}
INTENSITIES: Final = {"01": "normal", "02": "strong"}
STATEMENTS: Final = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_ONE_OR_TWO: Final = {"01": 1, "02": 2}
_EMOTION_CODES: Final = {f"{i:02d}": emotion for i, emotion in enumerate(EMOTIONS, start=1)}

SUNG: Final = ("neutral", "calm", "happy", "sad", "angry", "fearful")
"""Disgust and surprise were spoken only."""

T = TypeVar("T")

# fields of a name: modality, channel, emotion, intensity, statement, repetition, actor
_FIELDS: Final = 7


@dataclass(frozen=True, slots=True)
class RavdessName:
    """What the name of a RAVDESS file says.

    ``channel``: speech or song; ``intensity``: normal or strong; ``take``: the name without its modality, the
    same for all files of one performance.
    """

    modality: Modality
    channel: str
    emotion: str
    intensity: str
    statement: int
    repetition: int
    actor: int
    take: str

    @property
    def speaker(self) -> str:
        """The actor as the two digits of the name."""
        return f"{self.actor:02d}"

    @property
    def sex(self) -> str:
        """``"male"`` for odd actors, ``"female"`` for even ones."""
        return sex_of_actor(self.actor)


def sex_of_actor(actor: int) -> str:
    """``"male"`` for odd actors, ``"female"`` for even ones."""
    return "male" if actor % 2 else "female"


def parse_name(stem: str, *, n_actors: int = N_ACTORS) -> RavdessName:
    """Read a file name without its suffix, such as ``03-01-05-02-01-01-12``.

    Args:
        stem: the name.
        n_actors: the highest actor allowed; synthetic corpora may have more than the real 24.

    Raises:
        CorpusError: the name is not one of RAVDESS; the message names the field that is wrong.
    """
    fields = stem.split("-")
    if len(fields) != _FIELDS:
        raise CorpusError(
            f"{stem}: a RAVDESS name has 7 fields of two digits "
            f"(modality-channel-emotion-intensity-statement-repetition-actor), this has {len(fields)}"
        )
    modality, channel, emotion, intensity, statement, repetition, actor = fields
    name = RavdessName(
        modality=_decoded(stem, "modality", modality, MODALITIES),
        channel=_decoded(stem, "channel", channel, CHANNELS),
        emotion=_decoded(stem, "emotion", emotion, _EMOTION_CODES),
        intensity=_decoded(stem, "intensity", intensity, INTENSITIES),
        statement=_decoded(stem, "statement", statement, _ONE_OR_TWO),
        repetition=_decoded(stem, "repetition", repetition, _ONE_OR_TWO),
        actor=_decoded(stem, "actor", actor, {f"{n:02d}": n for n in range(1, n_actors + 1)}),
        take="-".join(fields[1:]),
    )
    if name.emotion == "neutral" and name.intensity == "strong":
        raise CorpusError(f"{stem}: intensity is 02 (strong), but neutral has no strong intensity")
    if name.channel == "song" and name.emotion not in SUNG:
        raise CorpusError(f"{stem}: emotion is {emotion} ({name.emotion}), which was spoken only, not sung")
    return name


def design(channel: str = "speech") -> tuple[str, ...]:
    """The takes of each actor, as codes without modality and actor: 60 spoken or 44 sung ones."""
    emotions = SUNG if channel == "song" else EMOTIONS
    code = next(key for key, value in CHANNELS.items() if value == channel)
    return tuple(
        "-".join((code, emotion, intensity, statement, repetition))
        for emotion, intensity, statement, repetition in itertools.product(
            _EMOTION_CODES, INTENSITIES, STATEMENTS, _ONE_OR_TWO
        )
        if _EMOTION_CODES[emotion] in emotions
        and not (_EMOTION_CODES[emotion] == "neutral" and INTENSITIES[intensity] == "strong")
    )


def read_ravdess(root: str | Path) -> Corpus:
    """Read a folder tree of RAVDESS files (.wav, .flac, .mp4) by their names; no file is opened.

    Hidden files (and the ``._`` files that macOS leaves) and files with another suffix are skipped. Clips are
    sorted by name, whatever their folder.

    Raises:
        CorpusError: ``root`` is not a folder that can be listed, or there is no media file in it.
    """
    root, paths, unlistable = find_files(root, SUFFIXES)
    synthetic = (root / SYNTHETIC_MARK).is_file()
    clips: dict[str, Clip] = {}
    misnamed: list[Path] = []
    duplicates: list[tuple[Path, Path]] = []
    for path in paths:
        try:
            name = parse_name(path.stem, n_actors=99 if synthetic else N_ACTORS)
        except CorpusError:
            misnamed.append(path)
            continue
        if path.stem in clips:
            duplicates.append((clips[path.stem].path, path))
        else:
            clips[path.stem] = _clip(path, name)
    return Corpus(
        name="synthetic" if synthetic else NAME,
        root=root,
        clips=tuple(clips[stem] for stem in sorted(clips)),
        misnamed=tuple(misnamed),
        duplicate_names=tuple(duplicates),
        unlistable=unlistable,
        synthetic=synthetic,
        licence=SYNTHETIC_LICENCE if synthetic else LICENCE,
    )


def _decoded(stem: str, field: str, code: str, table: Mapping[str, T]) -> T:
    try:
        return table[code]
    except KeyError:
        codes = sorted(table)
        raise CorpusError(f"{stem}: {field} is {code!r}, must be {codes[0]} to {codes[-1]}") from None


def _clip(path: Path, name: RavdessName) -> Clip:
    return Clip(
        path=path,
        clip_id=path.stem,
        take=name.take,
        speaker=name.speaker,
        emotion=name.emotion,
        modality=name.modality,
        facts={
            "channel": name.channel,
            "intensity": name.intensity,
            "statement": STATEMENTS[f"{name.statement:02d}"],
            "repetition": str(name.repetition),
            "sex": name.sex,
        },
    )


def _named_file(path: Path) -> NamedFile:
    name = parse_name(path.stem)
    facts = {"channel": name.channel, "intensity": name.intensity, "sex": name.sex}
    return NamedFile(name.take, name.speaker, name.emotion, facts)


NAMING: Final = Naming(
    NAME, _named_file, labels="ravdess-8", example="03-01-05-02-01-01-12.wav",
    licence=LICENCE, citation=CITATION, address=ADDRESS, n_speakers=N_ACTORS, traps=TRAPS,
    reader=read_ravdess,
)  # fmt: skip
"""What its names say, as of other corpora; :func:`read_ravdess` reads folders."""
