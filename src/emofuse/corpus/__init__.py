"""Which clips exist, whose they are and what they express; nothing here opens a media file but ``check``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.errors import CorpusError
from emofuse.records import Clip, Modality, Take

SYNTHETIC_MARK: Final = "SYNTHETIC.json"
"""A folder that holds this file was drawn and synthesised: no person is in it."""

TABLE_SUFFIXES: Final = (".csv", ".parquet")

# A 02- file of RAVDESS has an audio stream, and it is silent: video alone is never a voice.
_VOICE_FROM: Final[tuple[Modality, ...]] = ("audio", "audio-video")
_FACE_FROM: Final[tuple[Modality, ...]] = ("audio-video", "video")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The clips of one corpus, in a fixed order, and what was found beside them."""

    name: str
    root: Path
    clips: tuple[Clip, ...]
    misnamed: tuple[Path, ...] = ()
    """Media files whose names say nothing."""
    duplicate_names: tuple[tuple[Path, Path], ...] = ()
    """(used, left out): two files of one name, such as a .wav and a .flac; the first by path is used."""
    unlistable: tuple[Path, ...] = ()
    """Folders that could not be listed."""
    synthetic: bool = False
    licence: str = "not stated"

    def takes(self, channel: str | None = "speech") -> tuple[Take, ...]:
        """The performances, sorted: each with the file of its voice and the file of its face.

        The voice is the audio file, else the one with sound and picture; the face is the file with sound
        and picture, else the one with the picture alone. Either may be None.

        Args:
            channel: ``"speech"`` or ``"song"``: only those; clips of a corpus that does not tell them
                apart always belong. None: all.
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


def load_corpus(path: str | Path) -> Corpus:
    """Read a corpus: a folder of files whose names say everything, or a table of clips (.csv, .parquet).

    Names of RAVDESS are looked for first; if no file has one, those of CREMA-D, SAVEE, TESS and EMO-DB.

    Raises:
        CorpusError: there is nothing at ``path``, or it is neither, or the names in the folder are those of
            several corpora or of none, or the table has mistakes.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    from emofuse.corpus.manifest import read_manifest

    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise CorpusError(f"{path}: no such folder or table")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return read_manifest(path)
    raise CorpusError(f"{path}: a corpus is a folder, or a table that ends in {' or '.join(TABLE_SUFFIXES)}")


def _read_folder(root: Path) -> Corpus:
    from emofuse.corpus import crema_d, emo_db, savee, tess
    from emofuse.corpus.named import read_named
    from emofuse.corpus.ravdess import read_ravdess

    namings = (crema_d.NAMING, savee.NAMING, tess.NAMING, emo_db.NAMING)
    known = "known names: 03-01-05-02-01-01-12.wav (RAVDESS), " + ", ".join(
        f"{naming.example} ({naming.corpus})" for naming in namings
    )
    ravdess: Corpus | None = None
    problem = f"{root}: no file has a name that says who speaks and what is expressed"
    try:
        ravdess = read_ravdess(root)
    except CorpusError as error:
        problem = str(error)
    if ravdess is not None and (ravdess.clips or ravdess.synthetic):
        return ravdess
    found = []
    for naming in namings:
        try:
            corpus = read_named(root, naming)
        except CorpusError:
            continue
        if corpus.clips:
            found.append(corpus)
    if len(found) == 1:
        return found[0]
    if found:
        counts = ", ".join(f"{len(corpus.clips)} of {corpus.name}" for corpus in found)
        raise CorpusError(
            f"{root}: files of several corpora ({counts}): give each a folder of its own; {known}"
        )
    if ravdess is not None and ravdess.unlistable:
        return ravdess
    raise CorpusError(f"{problem}; {known}; or write a table of clips ({' or '.join(TABLE_SUFFIXES)})")


def _take(name: str, clips: dict[Modality, Clip]) -> Take:
    voice = _first(clips, _VOICE_FROM)
    face = _first(clips, _FACE_FROM)
    known = voice or face
    assert known is not None
    return Take(name, known.speaker, known.emotion, voice, face, known.facts)


def _first(clips: dict[Modality, Clip], wanted: Iterable[Modality]) -> Clip | None:
    return next((clips[modality] for modality in wanted if modality in clips), None)
