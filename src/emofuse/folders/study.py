"""The tables and pictures of a study: many recordings that were read before, with what was changed since."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emofuse.core.errors import BatchError, ExportError, TimelineError
from emofuse.core.text import printable
from emofuse.folders.condition_means import condition_means, write_condition_means
from emofuse.folders.condition_picture import draw_conditions
from emofuse.folders.marker_means import RecordingCurves, marker_means, write_marker_means
from emofuse.folders.marker_picture import draw_markers
from emofuse.folders.recording_digest import RecordingDigest
from emofuse.folders.tables import Outcome, purposes, write_files, write_summary, write_table
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.annotated import annotated
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.people import name_voice
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Timeline
from emofuse.timeline.stored import load_timeline

if TYPE_CHECKING:
    from emofuse.timeline.model_interface import EmotionModel


@dataclass(frozen=True, slots=True)
class StudyRecording:
    """One recording of a study."""

    name: str
    """As the tables call it; no two of a study have the same."""
    timeline: Path | None
    """Where the timeline is stored; None: there is none."""
    condition: str | None = None
    participant: str | None = None
    """Whose voice it is, if nobody is in view."""
    annotations: Annotations = field(default_factory=Annotations)
    purpose: str | None = None
    """For what it was read."""
    consent: str | None = None
    """What the people in it have agreed to."""
    error: str | None = None
    """Why there is no timeline."""
    digest: Path | None = None
    """Where to keep what means need of it; no other annotations and no other participant share it."""


def write_study(
    recordings: Sequence[StudyRecording],
    result: str,
    path: Path,
    *,
    emotions: Sequence[str],
    conditions: Sequence[str | None] = (),
    model: EmotionModel | None = None,
    dark: bool = False,
) -> None:
    """Write one table or picture of a study: the whole file, or nothing.

    Recordings whose timeline is missing or damaged are in ``files`` with the reason, and nowhere else.

    Args:
        recordings: in the order of the tables.
        result: one of :data:`RESULTS`.
        path: the file.
        emotions: of a study without any timeline.
        conditions: their order where there are means of them; others come after them.
        model: the recognizer, to make baselines again that annotations change.
        dark: whether a picture is for a dark page.

    Raises:
        ExportError: there is no such result.
        BatchError: recordings were read by recognizers with different emotions.
        AnnotationError: annotations do not fit their recording.
        OSError: the file cannot be written.
    """
    if result not in RESULTS:
        raise ExportError(f"a study has no result {result!r}: use {', '.join(RESULTS)}")
    study = _Study(recordings, tuple(emotions), conditions, model)
    if result in _TABLES:
        _TABLES[result](study, path)
    else:
        write_atomically(path, _PICTURES[result](study, dark).encode())


class _Study:
    """The recordings of a study, one at a time: all timelines together may not fit into memory."""

    def __init__(
        self,
        recordings: Sequence[StudyRecording],
        emotions: tuple[str, ...],
        conditions: Sequence[str | None],
        model: EmotionModel | None,
    ) -> None:
        self._recordings, self._model = recordings, model
        self.conditions = conditions
        self.dimensions = () if model is None else model.dimensions
        """Of the recognizer."""
        self.emotions = emotions
        """Of the timelines, once the first of them was read."""
        self._first: str | None = None
        """The recording whose emotions they are."""

    def timelines(self) -> Iterator[tuple[StudyRecording, Timeline]]:
        """Each recording that has a timeline, and the timeline as annotated."""
        for one in self._recordings:
            with contextlib.suppress(TimelineError):
                if one.timeline is not None:
                    yield one, self._timeline(one, one.timeline)

    def digests(self) -> Iterator[tuple[StudyRecording, RecordingDigest | None, str | None]]:
        """Each recording with what the means need of it; or None, and why there is nothing."""
        for one in self._recordings:
            if one.timeline is None:
                yield one, None, one.error or "it was not read"
                continue
            digest = None if one.digest is None else RecordingDigest.load(one.digest)
            if digest is None:
                try:
                    digest = RecordingDigest.of(self._timeline(one, one.timeline))
                except TimelineError:
                    yield one, None, "its timeline is missing or damaged: have it read again"
                    continue
                if one.digest is not None:
                    digest.save(one.digest)
            self._check_emotions(one, digest.emotions)
            yield one, digest, None

    def _timeline(self, one: StudyRecording, path: Path) -> Timeline:
        stored = load_timeline(path)
        self._check_emotions(one, stored.emotions)
        timeline = annotated(stored, one.annotations, model=self._model)
        return timeline if one.participant is None else name_voice(timeline, one.participant)

    def _check_emotions(self, one: StudyRecording, emotions: tuple[str, ...]) -> None:
        if self._first is not None and emotions != self.emotions:
            raise BatchError(
                f"{one.name} was read by a recognizer with other emotions than {self._first}: have both read "
                "by the same, or leave one out"
            )
        self._first, self.emotions = self._first or one.name, emotions

    def outcomes(self) -> list[Outcome]:
        """What became of each recording."""
        found = []
        for one, digest, error in self.digests():
            outcome = Outcome(one.name, one.condition, error, purpose=one.purpose, consent=one.consent)
            if digest is not None:
                outcome = replace(
                    outcome, duration_s=digest.duration_s, n_people=digest.n_people, notes=digest.notes,
                    summary=tuple(row | {"condition": one.condition} for row in digest.summary),
                )  # fmt: skip
            found.append(outcome)
        return found

    def purpose(self) -> str | None:
        """For what all of them were read."""
        return purposes(Outcome(one.name, purpose=one.purpose) for one in self._recordings)

    def curves(self) -> Iterator[RecordingCurves]:
        """The curves around the markers of each recording."""
        for one, digest, _ in self.digests():
            if digest is not None:
                yield RecordingCurves(one.name, one.condition, digest.curves)

    def windows(self) -> Iterator[Row]:
        """All windows of all recordings."""
        for one, timeline in self.timelines():
            about = {"file": printable(one.name), "condition": one.condition}
            for row in timeline.rows("windows"):
                yield about | row | {"purpose": one.purpose}


def _write_summary(study: _Study, path: Path) -> None:
    outcomes = study.outcomes()
    write_summary(path, outcomes, study.emotions)


def _write_files(study: _Study, path: Path) -> None:
    write_files(path, study.outcomes())


def _write_windows(study: _Study, path: Path) -> None:
    rows = study.windows()
    first = next(rows, None)
    if first is None:
        columns = ("file", "condition", *_no_timeline(study).columns("windows"), "purpose")
        write_table(path, columns, ())
        return
    write_table(path, first, _with_first(first, rows))


def _no_timeline(study: _Study) -> Timeline:
    return Timeline("", 0.0, 0.0, (), (), study.emotions, "", dimensions=study.dimensions)


def _with_first(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _write_conditions(study: _Study, path: Path) -> None:
    means = condition_means(study.outcomes(), study.emotions, study.conditions)
    write_condition_means(path, means, study.emotions, study.purpose())


def _write_markers(study: _Study, path: Path) -> None:
    means = marker_means(study.curves(), study.conditions)
    write_marker_means(path, means, study.emotions, study.purpose())


def _draw_conditions(study: _Study, dark: bool) -> str:
    means = condition_means(study.outcomes(), study.emotions, study.conditions)
    return draw_conditions(means, study.emotions, study.purpose(), dark=dark)


def _draw_markers(study: _Study, dark: bool) -> str:
    means = marker_means(study.curves(), study.conditions)
    return draw_markers(means, study.emotions, study.purpose(), dark=dark)


_TABLES: Final[Mapping[str, Callable[[_Study, Path], None]]] = {
    "summary": _write_summary,
    "files": _write_files,
    "windows": _write_windows,
    "conditions": _write_conditions,
    "markers": _write_markers,
}
_PICTURES: Final[Mapping[str, Callable[[_Study, bool], str]]] = {
    "conditions.svg": _draw_conditions,
    "markers.svg": _draw_markers,
}
RESULTS: Final[Mapping[str, str]] = dict.fromkeys(_TABLES, ".csv") | dict.fromkeys(_PICTURES, ".svg")
"""What there is of a study, and the suffix of its file."""
