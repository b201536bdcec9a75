"""Which coded span is of which person of a timeline, and which of its labels it means."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from emofuse.coding.spans import CodedSpan
from emofuse.coding.timeline_files import TimelineCoding
from emofuse.core.errors import AnnotationError
from emofuse.corpus.label_files import table_labels
from emofuse.exports.tiers import ABSTAINED, EXCLUDED, NOTHING

LEFT_OUT: Final = frozenset({ABSTAINED, EXCLUDED, NOTHING, "-", "–"})
"""Labels that say that there is none: of emofuse's own tiers, and as people write it."""
_OWN_TIERS: Final = frozenset({"confidence", "baseline", "purpose", "marker", "excluded"})
"""Of emofuse's exports, which hold no label of a person's."""
_MAX_LISTED: Final = 8
_SEPARATORS: Final = " ._-@"

Labels = Mapping[str, str | None]
"""What labels mean, by their folded spelling; None: nothing, the time counts as not coded."""


def folded(text: str) -> str:
    """Equal for texts that differ in capitals, in Unicode form, or in how words are joined.

    >>> folded("Person_1") == folded("person 1")
    True
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(plain.replace("_", " ").replace("-", " ").split()) or plain


def read_labels(given: Sequence[str]) -> dict[str, str | None]:
    """The labels of the option ``--labels``: pairs, the file of a map, or a label set.

    ``joy=happy,fine=`` maps joy to happy and leaves fine out. Later ones win.

    Raises:
        AnnotationError: one is none of these.
        CorpusError: the file of a map is damaged.
    """
    found: dict[str, str | None] = {}
    for one in given:
        if "=" in one and not Path(one).is_file():
            for pair in filter(None, (part.strip() for part in one.split(","))):
                label, sign, emotion = pair.partition("=")
                if not sign or not label.strip():
                    raise AnnotationError(
                        f"--labels {pair!r}: write LABEL=EMOTION, or LABEL= to leave it out"
                    )
                found[folded(label)] = emotion.strip() or None
        else:
            found |= _named_labels(one)
    return found


def _named_labels(name: str) -> dict[str, str | None]:
    """Of a label set, or of the file of a map, as everywhere in emofuse."""
    try:
        return {folded(label): meant for label, meant in table_labels(name).meant.items()}
    except ValueError as error:
        raise AnnotationError(f"--labels: {error}; or pairs, joy=happy,anger=angry") from None


def read_tiers(given: Sequence[str]) -> dict[str, str | None]:
    """The tiers of the option ``--tier``: ``TIER``, or ``TIER=PERSON``.

    Raises:
        AnnotationError: one names no tier, or one tier is named twice.
    """
    found: dict[str, str | None] = {}
    for one in given:
        tier, sign, person = one.rpartition("=")
        name, whose = (tier, person.strip() or None) if sign else (one, None)
        if not name.strip() or name in found:
            raise AnnotationError(f"--tier {one!r}: write TIER or TIER=PERSON, each tier once")
        found[name] = whose
    return found


@dataclass(frozen=True, slots=True)
class CodingRules:
    """How spans are read against a timeline."""

    labels: Labels = field(default_factory=dict)
    """Beside those that are equal to an emotion of the timeline but for capitals."""
    tiers: Mapping[str, str | None] = field(default_factory=dict)
    """The tiers that are used, and of whom they are; None: as their names say. Empty: all tiers."""


@dataclass(frozen=True, slots=True)
class AssignedSpan:
    """A span of a person of the timeline, with one of its labels."""

    person: str | None
    start_s: float
    end_s: float
    label: str


class Assignment:
    """Spans → people and labels of one recording; what has no place is counted, and said."""

    def __init__(self, timeline: TimelineCoding, rules: CodingRules) -> None:
        self._timeline, self._rules = timeline, rules
        self._people = {folded(name): name for name in timeline.people}
        emotions = {folded(name): name for name in timeline.emotions}
        self._labels: dict[str, str | None] = dict(emotions)
        self._labels |= {
            label: None if meant is None else emotions.get(folded(meant), meant)
            for label, meant in rules.labels.items()
        }
        unknown = [who for who in rules.tiers.values() if who and folded(who) not in self._people]
        if unknown and timeline.people:
            raise AnnotationError(
                f"--tier: there is no {unknown[0]} in {timeline.name}, whose people are "
                f"{', '.join(timeline.people)}"
            )

    def of(self, spans: Iterable[CodedSpan], remarks: list[str], where: str) -> Iterator[AssignedSpan]:
        """The spans of people, tier by tier.

        Args:
            spans: of one coder.
            remarks: what could not be used is added to it.
            where: what the remarks call the coder's file.
        """
        tiers: dict[str, list[CodedSpan]] = {}
        for span in spans:
            if not self._rules.tiers or span.tier in self._rules.tiers:
                tiers.setdefault(span.tier, []).append(span)
        unknown: Counter[str] = Counter()
        for name, own in tiers.items():
            if name.partition("@")[0] in _OWN_TIERS and name not in self._rules.tiers:
                continue
            if not any(folded(span.label) in self._labels for span in own):
                if any(span.label not in LEFT_OUT for span in own):
                    remarks.append(
                        f"{where}: tier {name[:60]!r} has no label that is known: it is left out (--labels)"
                    )
                continue
            nobody = 0
            for span in own:
                if not self._has_person(span):
                    nobody += 1
                    continue
                label = self._labels.get(folded(span.label))
                if label is not None:
                    yield AssignedSpan(self._person(span), span.start_s, span.end_s, label)
                elif folded(span.label) not in self._labels and span.label not in LEFT_OUT:
                    unknown[span.label] += round(1000 * span.duration_s)
            if nobody:
                remarks.append(
                    f"{where}: {nobody} spans of tier {name[:60]!r} are of nobody in {self._timeline.name}: "
                    f"they are left out (--tier '{name[:60]}={self._timeline.people[0]}')"
                )
        if unknown:
            listed = ", ".join(
                f"{label[:40]} ({ms / 1000:.1f} s)" for label, ms in unknown.most_common(_MAX_LISTED)
            )
            rest = len(unknown) - _MAX_LISTED
            more = f" and {rest} more" if rest > 0 else ""
            remarks.append(
                f"{where}: labels that are not mapped count as not coded: {listed}{more} "
                "(--labels LABEL=EMOTION)"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that spans may get: the emotions of the timeline, then others that are mapped to."""
        names = (name for name in self._labels.values() if name is not None)
        return tuple(dict.fromkeys((*self._timeline.emotions, *names)))

    def _has_person(self, span: CodedSpan) -> bool:
        return len(self._timeline.people) < 2 or self._named(span) is not None

    def _person(self, span: CodedSpan) -> str | None:
        if len(self._timeline.people) < 2:
            return next(iter(self._timeline.people), None)
        return self._named(span)

    def _named(self, span: CodedSpan) -> str | None:
        given = self._rules.tiers.get(span.tier)
        candidates = [given] if given else [span.person, span.tier.partition("@")[2], span.tier]
        return next(
            (self._people[folded(one)] for one in candidates if one and folded(one) in self._people), None
        )


def name_of_coder(path: Path, recording: str) -> str | None:
    """What the name of an annotation file adds to that of its recording: ``talk.anna.eaf`` → anna.

    None: the file does not belong to it; empty: it adds nothing.

    >>> name_of_coder(Path("talk_anna.eaf"), "talk.mp4"), name_of_coder(Path("talks.eaf"), "talk.mp4")
    ('anna', None)
    """
    stem = path.stem
    for name in (recording, PurePosixPath(recording).stem):
        if stem.casefold() == name.casefold():
            return ""
        if stem.casefold().startswith(name.casefold()) and stem[len(name)] in _SEPARATORS:
            return stem[len(name) :].strip(_SEPARATORS)
    return None
