"""Annotation files and timelines → recordings, each with what every coder says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from emofuse.coding.assignment import name_of_coder
from emofuse.coding.read import annotation_files, read_annotations
from emofuse.coding.spans import CodedFile, CodedSpan
from emofuse.coding.timeline_files import EMOFUSE, TimelineCoding, read_timeline_coding
from emofuse.core.errors import AnnotationError, TimelineError

_UNNAMED: Final = "coder"
"""Who has coded a file whose name says nobody."""


@dataclass(frozen=True, slots=True)
class Coding:
    """What one coder says of one recording."""

    coder: str
    path: Path
    spans: tuple[CodedSpan, ...]


@dataclass(frozen=True, slots=True)
class CodedRecording:
    """A recording, as emofuse and as people read it."""

    timeline: TimelineCoding
    codings: tuple[Coding, ...]

    @property
    def name(self) -> str:
        """The file name of the recording."""
        return self.timeline.name


def read_recordings(
    timeline: Path, annotations: Sequence[str | Path]
) -> tuple[tuple[CodedRecording, ...], tuple[str, ...]]:
    """Read a timeline, or all below a folder, and the annotation files that belong to them.

    Of a single timeline, every file is of its recording. Of a folder, a file belongs to the recording with
    which its name begins (``talk.mp4``: ``talk.eaf``, ``talk.anna.eaf``), or that it names inside. What the
    name of the file adds is the coder, or else the folder in which it lies; several coders in one file
    are those that it names.

    Args:
        timeline: a JSON export or a stored timeline, or a folder of JSON exports.
        annotations: files and folders of them; ``NAME=FILE`` says who has coded it.

    Returns:
        The recordings of which there are annotations, and remarks about what was left out.

    Raises:
        TimelineError: there is no timeline, or a damaged one.
        AnnotationError: a file cannot be read, or belongs to no recording, or somebody is called emofuse.
    """
    timelines = [read_timeline_coding(timeline)] if not timeline.is_dir() else list(_below(timeline))
    found, remarks = read_codings([one.name for one in timelines], annotations)
    return tuple(CodedRecording(timelines[n], codings) for n, codings in found.items()), remarks


def read_codings(
    names: Sequence[str], annotations: Sequence[str | Path]
) -> tuple[dict[int, tuple[Coding, ...]], tuple[str, ...]]:
    """Read annotation files, and find out of which recording each is.

    Args:
        names: the file names of the recordings.
        annotations: files and folders of them; ``NAME=FILE`` says who has coded it.

    Returns:
        What coders say, by the number of the recording, in order; and remarks about what was left out.

    Raises:
        AnnotationError: a file cannot be read, or belongs to no recording, or somebody is called emofuse.
    """
    remarks: list[str] = []
    found: dict[int, list[tuple[str, CodedFile, tuple[CodedSpan, ...]]]] = {}
    for given in annotations:
        name, path = _named(given)
        for one in annotation_files([path]):
            file = read_annotations(one)
            remarks += (f"{one}: {note}" for note in file.notes)
            for number, coder, spans in _placed(file, names, remarks):
                found.setdefault(number, []).append((name or coder, file, spans))
    if not found:
        listed = ", ".join(names[:3])
        raise AnnotationError(f"no annotation file is of {listed}: name the files after their recordings")
    if len(names) > len(found):
        remarks.append(f"{len(names) - len(found)} recordings have no annotations, and are left out")
    return {number: tuple(_codings(found[number])) for number in sorted(found)}, tuple(remarks)


def _below(folder: Path) -> Iterator[TimelineCoding]:
    names: dict[str, Path] = {}
    count = 0
    for path in sorted(folder.rglob("*.json")):
        try:
            one = read_timeline_coding(path)
        except TimelineError:
            continue  # another JSON file
        if one.name in names:
            raise TimelineError(
                f"{path} and {names[one.name]} are of recordings of one name, {one.name}: annotations could "
                "belong to both"
            )
        names[one.name] = path
        count += 1
        yield one
    if not count:
        raise TimelineError(
            f"{folder}: there is no timeline below it: emofuse timeline DIR --out-dir {folder} --format .json"
        )


def _named(given: str | Path) -> tuple[str | None, Path]:
    """``NAME=FILE`` in parts; a file whose own name has an equals sign is one if it exists."""
    name, sign, path = str(given).partition("=")
    if not sign or Path(given).exists() or not name.strip():
        return None, Path(given)
    return name.strip(), Path(path)


def _placed(
    file: CodedFile, names: Sequence[str], remarks: list[str]
) -> Iterator[tuple[int, str, tuple[CodedSpan, ...]]]:
    """The recordings that a file is of, what its name adds to theirs, and the spans of each."""
    by_name = [
        (len(name), number, coder)
        for number, name in enumerate(names)
        if (coder := name_of_coder(file.path, name)) is not None
    ]
    named = {span.recording for span in file.spans if span.recording is not None}
    if by_name and len(named) < 2:
        _, number, coder = max(by_name)
        yield number, coder, file.spans
    elif len(names) == 1 and len(named) < 2:
        yield 0, file.path.stem, file.spans
    else:
        left = 0
        of: dict[int, list[CodedSpan]] = {}
        stems = {_stem(name): number for number, name in enumerate(names)}
        for span in file.spans:
            number = stems.get(_stem(span.recording or ""), -1)
            if number < 0:
                left += 1
            else:
                of.setdefault(number, []).append(span)
        if left or not file.spans:
            remarks.append(f"{file.path}: {left} spans belong to no recording, and are left out")
        for number, spans in of.items():
            yield number, "" if len(named) > 1 else file.path.stem, tuple(spans)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


def _codings(files: Iterable[tuple[str, CodedFile, tuple[CodedSpan, ...]]]) -> Iterator[Coding]:
    """What each coder says; files of one name in several folders are told apart by the folders."""
    files = list(files)
    folders = {file.path.parent for name, file, _ in files if not name}
    used: set[str] = set()
    for name, file, spans in files:
        coders = {span.coder for span in spans}
        by_coder: dict[str, list[CodedSpan]] = {}
        for span in spans:
            unnamed = name or (file.path.parent.name if len(folders) > 1 else _UNNAMED) or _UNNAMED
            by_coder.setdefault((len(coders) > 1 and span.coder) or unnamed, []).append(span)
        for coder, own in by_coder.items():
            if coder == EMOFUSE:
                raise AnnotationError(
                    f"{file.path}: a coder cannot be called {EMOFUSE}: write NAME={file.path}"
                )
            if coder in used:
                raise AnnotationError(
                    f"{file.path}: {coder!r} has annotated it already: say whose this is, NAME={file.path}"
                )
            used.add(coder)
            yield Coding(coder, file.path, tuple(own))
