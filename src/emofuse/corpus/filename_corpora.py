"""Corpora whose file names say who speaks and what is expressed; no file is opened.

One module per corpus describes its names as a :class:`Naming`; all of them are read here in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError
from emofuse.core.label_maps import convert_label, label_map
from emofuse.core.labels import emotions_of
from emofuse.core.records import Clip, Modality
from emofuse.corpus.corpus import Corpus
from emofuse.system.media_files import media_files

AUDIO: Final[Mapping[str, Modality]] = {".wav": "audio", ".flac": "audio"}


@dataclass(frozen=True, slots=True)
class NamedFile:
    """What the name of one file says. ``label`` is the corpus's own."""

    take: str
    speaker: str
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Naming:
    """How one corpus names its files, and where it comes from."""

    corpus: str
    parse: Callable[[Path], NamedFile]
    """Raises CorpusError, naming the field that is wrong. Reads the path, never the file."""
    labels: str
    """The name of its label set, see :data:`emofuse.core.labels.LABEL_SETS`."""
    example: str
    licence: str
    citation: str
    address: str
    n_speakers: int
    """Of the whole corpus, as it is published."""
    traps: tuple[str, ...] = ()
    """What misleads those who use it, one sentence each."""
    suffixes: Mapping[str, Modality] = field(default_factory=lambda: AUDIO)
    reader: Callable[[str | Path], Corpus] | None = None
    """In place of the one here, for a corpus with rules of its own."""

    def facts(self) -> dict[str, Any]:
        """What is known of the corpus without any of its files, as plain JSON types."""
        return {
            "name": self.corpus,
            "example": self.example,
            "labels": list(emotions_of(self.labels)),
            "label_set": self.labels,
            "speakers": self.n_speakers,
            "licence": self.licence,
            "citation": self.citation,
            "address": self.address,
            "traps": list(self.traps),
        }

    def read(self, root: str | Path) -> Corpus:
        """Read a folder tree by the names of its files; clips are sorted by take and modality.

        Hidden files and files with another suffix are skipped. ``emotion`` is one of the eight, or None where
        the corpus's label is dropped; the label as it is written is the fact ``label``.

        Raises:
            CorpusError: ``root`` is not a folder that can be listed, or there is no media file in it.
        """
        if self.reader is not None:
            return self.reader(root)
        root, paths, unlistable = find_files(root, self.suffixes)
        clips: dict[tuple[str, Modality], Clip] = {}
        misnamed: list[Path] = []
        duplicates: list[tuple[Path, Path]] = []
        for path in paths:
            try:
                named = self.parse(path)
            except CorpusError:
                misnamed.append(path)
                continue
            clip = self._clip(path, named)
            used = clips.setdefault((clip.take, clip.modality), clip)
            if used is not clip:
                duplicates.append((used.path, path))
        return Corpus(
            name=self.corpus,
            root=root,
            clips=tuple(clips[key] for key in sorted(clips)),
            misnamed=tuple(misnamed),
            duplicate_names=tuple(duplicates),
            unlistable=unlistable,
            licence=self.licence,
            emotions=emotions_of(self.labels),
        )

    def _clip(self, path: Path, named: NamedFile) -> Clip:
        suffix = path.suffix.lower()
        return Clip(
            path=path,
            # The voice and the face of one take have the same name here, but for the suffix.
            clip_id=named.take + suffix,
            take=named.take,
            speaker=named.speaker,
            emotion=convert_label(named.label, label_map(self.labels, "ravdess-8")),
            modality=self.suffixes[suffix],
            facts={"label": named.label, **named.facts},
        )


def find_files(root: str | Path, suffixes: Collection[str]) -> tuple[Path, list[Path], tuple[Path, ...]]:
    """The root, the media files below it, sorted, and the folders that cannot be listed, sorted.

    Raises:
        CorpusError: ``root`` is not a folder that can be listed, or there is no media file in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder")
    unlistable: list[Path] = []
    paths = sorted(media_files(root, suffixes, unlistable))
    if root in unlistable:
        raise CorpusError(f"{root}: the folder cannot be listed: look at its permissions")
    if not paths and not unlistable:
        raise CorpusError(f"{root}: no {', '.join(suffixes)} file in this folder or below it")
    return root, paths, tuple(sorted(unlistable))


def check_code(path: Path, field: str, code: str, known: Collection[str]) -> None:
    """Check that one field of a name has a code that the corpus uses.

    Raises:
        CorpusError: it has not; the text names the field and the codes.
    """
    if code not in known:
        raise CorpusError(f"{path.name}: {field} is {code!r}, must be one of {', '.join(known)}")
