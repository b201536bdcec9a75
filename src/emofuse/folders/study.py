"""The tables and pictures of a study: many recordings that were read before, with what was changed since."""

from __future__ import annotations

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
from emofuse.folders.tables import Outcome, purposes, write_files, write_summary, write_table
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.annotated import annotated
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.marker_curves import marker_curves
from emofuse.timeline.people import name_voice
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Timeline
from emofuse.timeline.stored import load_timeline
from emofuse.timeline.summary import excluded_s, summary_rows

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
    """The timelines of a study, one at a time: all together may not fit into memory."""

    def __init__(
        self,
        recordings: Sequence[StudyRecording],
        emotions: tuple[str, ...],
        conditions: Sequence[str | None],
        model: EmotionModel | None,
    ) -> None:
        self._recordings, self._model = recordings, model
        self.conditions = conditions
        self.emotions = emotions
        """Of the timelines, once the first of them was read."""

    def timelines(self) -> Iterator[tuple[StudyRecording, Timeline | None]]:
        """Each recording with its timeline as annotated; None, and the recording's error: there is none."""
        first: str | None = None
        for one in self._recordings:
            if one.timeline is None:
                yield one, None
                continue
            try:
                stored = load_timeline(one.timeline)
            except TimelineError:
                yield replace(one, error="its timeline is missing or damaged: have it read again"), None
                continue
            if first is not None and stored.emotions != self.emotions:
                raise BatchError(
                    f"{one.name} was read by a recognizer with other emotions than {first}: have both read "
                    "by the same, or leave one out"
                )
            first, self.emotions = first or one.name, stored.emotions
            timeline = replace(annotated(stored, one.annotations, model=self._model), purpose=one.purpose)
            yield one, timeline if one.participant is None else name_voice(timeline, one.participant)

    def outcomes(self) -> list[Outcome]:
        """What became of each recording."""
        found = []
        for one, timeline in self.timelines():
            about = {
                "name": one.name, "condition": one.condition, "purpose": one.purpose, "consent": one.consent,
            }  # fmt: skip
            if timeline is None:
                found.append(Outcome(**about, error=one.error or "it was not read"))  # type: ignore[arg-type]
                continue
            found.append(Outcome(
                **about,  # type: ignore[arg-type]
                duration_s=timeline.duration_s, n_people=len(timeline.people), notes=timeline.remarks,
                summary=tuple(_summary(timeline, one.condition)),
            ))  # fmt: skip
        return found

    def purpose(self) -> str | None:
        """For what all of them were read."""
        return purposes(Outcome(one.name, purpose=one.purpose) for one in self._recordings)

    def curves(self) -> Iterator[RecordingCurves]:
        """The curves around the markers of each recording."""
        for one, timeline in self.timelines():
            if timeline is not None:
                yield RecordingCurves(one.name, one.condition, tuple(marker_curves(timeline)))

    def windows(self) -> Iterator[Row]:
        """All windows of all recordings."""
        for one, timeline in self.timelines():
            if timeline is not None:
                about = {"file": printable(one.name), "condition": one.condition}
                for row in timeline.rows("windows"):
                    yield about | row | {"purpose": one.purpose}


def _summary(timeline: Timeline, condition: str | None) -> Iterator[Row]:
    for row in summary_rows(timeline, condition):
        more = {"excluded_s": excluded_s(timeline, row["person"])} if timeline.excluded else {}
        yield row | more


def _write_summary(study: _Study, path: Path) -> None:
    outcomes = study.outcomes()
    write_summary(path, outcomes, study.emotions)


def _write_files(study: _Study, path: Path) -> None:
    write_files(path, study.outcomes())


def _write_windows(study: _Study, path: Path) -> None:
    rows = study.windows()
    first = next(rows, None)
    if first is None:
        columns = ("file", "condition", *_no_timeline(study.emotions).columns("windows"), "purpose")
        write_table(path, columns, ())
        return
    write_table(path, first, _with_first(first, rows))


def _no_timeline(emotions: Sequence[str]) -> Timeline:
    return Timeline("", 0.0, 0.0, (), (), tuple(emotions), "")


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
