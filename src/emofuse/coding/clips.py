"""Coded spans → clips to train on: a table of a corpus, made of recordings and what people said of them.

A clip is a span with one label, cut into equal pieces where it is long. Whose it is is said by the file
(ELAN's participant, ``emotion@Anna``, the subject of a table), or by the tier where a recording has several;
people who are only numbered, such as ``person 1``, are other people in each recording. Where several coders
coded the same time, a clip is a stretch in which the label that most of them chose stays the same, and the
table has the shares of the coders for each label, from which networks learn how sure a label is.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.coding.assignment import LEFT_OUT, AssignedSpan, folded
from emofuse.coding.read import is_annotation_file
from emofuse.coding.recordings import Coding, read_codings
from emofuse.coding.spans import CodedSpan
from emofuse.coding.units import SHORTEST_UNIT_S, Grid, unit_labels
from emofuse.core.agreement_metrics import MISSING
from emofuse.core.csv_tables import write_csv
from emofuse.core.errors import AnnotationError
from emofuse.core.label_names import in_order
from emofuse.core.labels import EMOTIONS
from emofuse.core.times import decimal_seconds, milliseconds
from emofuse.corpus.own_labels import SHARE_PREFIX
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.people import is_numbered

LONGEST_S: Final = 4.0
SHORTEST_S: Final = 0.5
_COLUMNS: Final = ("path", "emotion", "speaker", "start", "end")
_FORMULA: Final = ("=", "+", "-", "@")
_MAX_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class ClipRules:
    """How clips are made of spans."""

    longest_s: float = LONGEST_S
    """Longer spans are cut into equal pieces of at most this length."""
    shortest_s: float = SHORTEST_S
    """Shorter ones are left out."""
    labels: Mapping[str, str | None] = field(default_factory=dict)
    """What labels become, by their folded spelling; None: the span is left out. Others stay as written."""
    tiers: Mapping[str, str | None] = field(default_factory=dict)
    """The tiers that are used, and whose they are; empty: those with one of the eight, or a mapped label."""

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s or not math.isfinite(self.longest_s):
            raise ValueError(
                f"clips of {self.shortest_s:g} to {self.longest_s:g} s: the shortest must be above 0, and "
                "the longest not below it"
            )


@dataclass(frozen=True, slots=True)
class CodedClip:
    """A row of the table."""

    recording: Path
    label: str
    speaker: str
    start_ms: int
    end_ms: int
    shares: Mapping[str, float]
    """Of coders, by label; empty where one coder has coded it."""


@dataclass(frozen=True, slots=True)
class CodedClips:
    """All clips, and what was left out."""

    clips: tuple[CodedClip, ...]
    remarks: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Of all clips together."""
        return sum(one.end_ms - one.start_ms for one in self.clips) / 1000


def clips_of_annotations(files: Sequence[str | Path], rules: ClipRules | None = None) -> CodedClips:
    """Read recordings and the annotations of them, which lie beside each other or are named alike.

    Args:
        files: media files, annotation files, and folders of annotations; ``NAME=FILE`` says who coded it.
        rules: which tiers are used, what labels become, and how long clips are.

    Raises:
        AnnotationError: there is no recording or no annotation, one cannot be read, or nothing in it is a
            label.
    """
    rules = rules or ClipRules()
    media, annotations = _sorted_out(files)
    codings, remarks = read_codings([path.name for path in media], annotations)
    notes = list(remarks)
    clips: list[CodedClip] = []
    short = 0
    for number, own in codings.items():
        spoken: dict[str, dict[str, list[AssignedSpan]]] = {}
        for coding in own:
            for speaker, span in _speakers(coding, media[number], rules):
                spoken.setdefault(speaker, {}).setdefault(coding.coder, []).append(span)
        for speaker, by_coder in spoken.items():
            for clip in _clips(media[number], speaker, by_coder, rules):
                if clip.end_ms - clip.start_ms < milliseconds(rules.shortest_s):
                    short += 1
                else:
                    clips.append(clip)
    if short:
        notes.append(f"{short} spans are shorter than {rules.shortest_s:g} s, and are left out")
    if not clips:
        found = dict.fromkeys(
            f"{span.tier}: {span.label}" for own in codings.values() for one in own for span in one.spans
        )
        listed = "; ".join(text[:60] for text in list(found)[:_MAX_LISTED])
        raise AnnotationError(
            f"no span is a clip: name the tier with the labels (--tier), or what they mean (--labels); found "
            f"{listed or 'nothing'}"
        )
    return CodedClips(tuple(clips), tuple(notes))


def write_clip_table(found: CodedClips, path: Path) -> None:
    """Write the table as CSV, with paths relative to it, which ``load_corpus`` reads.

    Raises:
        OSError: it cannot be written.
    """
    raters = in_order({label for one in found.clips for label in one.shares})
    columns = (*_COLUMNS, *(f"{SHARE_PREFIX}{label}" for label in raters))
    folder = path.parent.resolve()
    text = io.StringIO(newline="")
    write_csv(text, columns, (tuple(_row(one, folder, raters)) for one in found.clips))
    write_atomically(path, text.getvalue().encode())


def _row(clip: CodedClip, folder: Path, raters: Sequence[str]) -> Iterator[str]:
    try:
        address = Path(os.path.relpath(clip.recording.resolve(), folder)).as_posix()
    except ValueError:  # on another drive
        address = clip.recording.resolve().as_posix()
    # a spreadsheet runs what begins like a formula, and the mark against it is not part of a file's name
    yield f"./{address}" if address.startswith(_FORMULA) else address
    yield clip.label
    yield clip.speaker
    yield decimal_seconds(clip.start_ms)
    yield decimal_seconds(clip.end_ms)
    shares = clip.shares or {clip.label: 1.0}
    for label in raters:
        yield f"{shares.get(label, 0.0):.4f}"


def _sorted_out(files: Sequence[str | Path]) -> tuple[list[Path], list[str | Path]]:
    """The recordings, each once, and the annotations."""
    media: list[Path] = []
    annotations: list[str | Path] = []
    for given in files:
        path = Path(given)
        if path.is_dir() or is_annotation_file(path):
            annotations.append(given)
        elif path.is_file():
            media.append(path)
        else:
            raise AnnotationError(f"{given}: No such file")
    if not media:
        raise AnnotationError("no recording was named: give each beside its annotations, talk.mp4 talk.eaf")
    if not annotations:
        raise AnnotationError("no annotations were named: give them beside the recordings, talk.mp4 talk.eaf")
    names: dict[str, Path] = {}
    for path in dict.fromkeys(media):
        if path.name in names:
            raise AnnotationError(
                f"{path} and {names[path.name]} have one name: annotations could belong to both"
            )
        names[path.name] = path
    return list(names.values()), annotations


def _speakers(coding: Coding, media: Path, rules: ClipRules) -> Iterator[tuple[str, AssignedSpan]]:
    """The spans of one coder that have a label, and who is speaking or seen in each."""
    tiers: dict[str, list[CodedSpan]] = {}
    for span in coding.spans:
        tiers.setdefault(span.tier, []).append(span)
    known = {*EMOTIONS, *rules.labels}
    used = [
        name
        for name, own in tiers.items()
        if (name in rules.tiers if rules.tiers else any(folded(one.label) in known for one in own))
    ]
    stem = PurePosixPath(media.name).stem
    for name in used:
        for span in tiers[name]:
            plain = folded(span.label)
            label = rules.labels.get(plain, plain if plain in EMOTIONS else span.label)
            if label is None or (span.label in LEFT_OUT and plain not in rules.labels):
                continue
            who = (
                rules.tiers.get(name)
                or span.person
                or name.partition("@")[2]
                or (name if len(used) > 1 else stem)
            )
            speaker = f"{stem}: {who}" if is_numbered(who) else who
            yield speaker, AssignedSpan(speaker, span.start_s, span.end_s, label)


def _clips(
    media: Path, speaker: str, by_coder: Mapping[str, Sequence[AssignedSpan]], rules: ClipRules
) -> Iterator[CodedClip]:
    """The clips of one speaker in a recording."""
    spans = sorted((one for own in by_coder.values() for one in own), key=lambda one: one.start_s)
    apart = all(a.end_s <= b.start_s for a, b in pairwise(spans))
    if len(by_coder) == 1 and apart:
        stretches = [
            (milliseconds(one.start_s), milliseconds(one.end_s), one.label, dict[str, float]())
            for one in spans
            if one.start_s >= 0
        ]
    else:
        stretches = list(_majority(by_coder, spans))
    for start_ms, end_ms, label, shares in stretches:
        n_pieces = max(1, math.ceil((end_ms - start_ms) / milliseconds(rules.longest_s)))
        edges = [start_ms + (end_ms - start_ms) * n // n_pieces for n in range(n_pieces + 1)]
        for first, last in pairwise(edges):
            yield CodedClip(media, label, speaker, first, last, shares)


def _majority(
    by_coder: Mapping[str, Sequence[AssignedSpan]], spans: Sequence[AssignedSpan]
) -> Iterator[tuple[int, int, str, dict[str, float]]]:
    """Stretches with one label that most coders chose, and the shares of the coders in each.

    Where two labels are chosen equally often, there is no clip.
    """
    labels = in_order({one.label for one in spans})
    grid = Grid.of(0.0, max(one.end_s for one in spans), SHORTEST_UNIT_S)
    ratings = np.stack([unit_labels(own, labels, grid)[0] for own in by_coder.values()])
    votes = np.stack([(ratings == n).sum(axis=0) for n in range(len(labels))])
    most = votes.max(axis=0)
    chosen: NDArray[np.int64] = votes.argmax(axis=0)
    chosen[(most == 0) | ((votes == most).sum(axis=0) > 1)] = MISSING
    edges = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(chosen)]
    for start, end in pairwise(edges):
        if start < end and chosen[start] != MISSING:
            counted = votes[:, start:end].sum(axis=1).astype(np.float64)
            shares = dict(zip(labels, (counted / counted.sum()).tolist(), strict=True))
            several = len(by_coder) > 1
            yield (
                start * grid.unit_ms, end * grid.unit_ms, labels[int(chosen[start])],
                {label: share for label, share in shares.items() if share} if several else {},
            )  # fmt: skip
