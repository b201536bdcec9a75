"""Corpora whose files say in their names who speaks and what is expressed; no file is opened.

One module a corpus describes its names as a :class:`Naming`; all of them are read here in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emofuse.core.errors import CorpusError
from emofuse.core.label_maps import convert_label, label_map
from emofuse.core.records import Clip, Modality
from emofuse.corpus.corpus import Corpus
from emofuse.system.media_files import media_files


@dataclass(frozen=True, slots=True)
class NamedFile:
    """What the name of one file says. ``label`` is the corpus' own."""

    take: str
    speaker: str
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Naming:
    """How one corpus names its files, and where it comes from."""

    corpus: str
    licence: str
    citation: str
    address: str
    labels: str
    """The name of its label set, see :data:`emofuse.core.labels.LABEL_SETS`."""
    suffixes: Mapping[str, Modality]
    example: str
    parse: Callable[[Path], NamedFile]
    """Raises CorpusError, naming the field that is wrong. Reads the path, never the file."""


def read_named(root: str | Path, naming: Naming) -> Corpus:
    """Read a folder tree by the names of its files; the order of the clips is that of takes and suffixes.

    Hidden files are passed over, and so is everything with another suffix. ``emotion`` is one of the eight,
    or None where the corpus' label is dropped; the label as it is written is the fact ``label``.

    Raises:
        CorpusError: ``root`` is not a folder that can be listed, or there is no media file in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder")
    unlistable: list[Path] = []
    paths = sorted(media_files(root, naming.suffixes, unlistable))
    if root in unlistable:
        raise CorpusError(f"{root}: the folder cannot be listed: look at its permissions")
    if not paths and not unlistable:
        raise CorpusError(f"{root}: no {', '.join(naming.suffixes)} file in this folder or below it")
    clips: dict[tuple[str, Modality], Clip] = {}
    misnamed: list[Path] = []
    duplicates: list[tuple[Path, Path]] = []
    for path in paths:
        try:
            named = naming.parse(path)
        except CorpusError:
            misnamed.append(path)
            continue
        clip = _clip(path, named, naming)
        used = clips.setdefault((clip.take, clip.modality), clip)
        if used is not clip:
            duplicates.append((used.path, path))
    return Corpus(
        name=naming.corpus,
        root=root,
        clips=tuple(clips[key] for key in sorted(clips)),
        misnamed=tuple(misnamed),
        duplicate_names=tuple(duplicates),
        unlistable=tuple(sorted(unlistable)),
        licence=naming.licence,
    )


def _clip(path: Path, named: NamedFile, naming: Naming) -> Clip:
    suffix = path.suffix.lower()
    return Clip(
        path=path,
        # The voice and the face of one take have the same name here, but for the suffix.
        clip_id=named.take + suffix,
        take=named.take,
        speaker=named.speaker,
        emotion=convert_label(named.label, label_map(naming.labels, "ravdess-8")),
        modality=naming.suffixes[suffix],
        facts={"label": named.label, **named.facts},
    )
