"""How far coders agree, with each other and with emofuse, weighted by time.

Time is cut into units (:mod:`emofuse.coding.units`); each unit counts once, so long spans count more than
short ones. A unit counts for two coders where both have a label, and for Krippendorff's alpha where two or
more have: what nobody has coded is missing, and neither agreement nor disagreement. Intervals are of whole
recordings drawn with replacement or, of one recording, of its minutes: neighboring units are alike, and would
make an interval far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.coding.assignment import Assignment, CodingRules
from emofuse.coding.recordings import CodedRecording
from emofuse.coding.timeline_files import EMOFUSE
from emofuse.coding.units import UNIT_S, Grid, Labels, unit_labels
from emofuse.core.agreement_metrics import (
    MISSING,
    cohen_kappa,
    coincidences,
    krippendorff_alpha,
    observed_agreement,
    pair_confusion,
)
from emofuse.core.errors import AnnotationError
from emofuse.folders.resampling import LEAST, LEVEL, N_RESAMPLES
from emofuse.timeline.people import is_numbered

Resampled = Literal["recordings", "minutes"]
Interval = tuple[float, float]

_BLOCK_S: Final = 60.0
_SEED: Final = 0
_MOST_UNITS: Final = 50_000_000
"""Of all recordings, people and coders: days of coding in tenths of a second."""


@dataclass(frozen=True, slots=True)
class CodedPerson:
    """One person of one recording: what each coder says in each unit."""

    recording: str
    person: str | None
    """As the timeline calls them; None: the one voice of a recording in which nobody is seen."""
    start_s: float
    labels: Mapping[str, Labels]
    """By coder, emofuse last; each (n_units,)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval; None where it cannot be said."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two coders, about one person or everybody."""

    first: str
    second: str
    person: str | None
    """None: everybody."""
    n_units: int
    """That both have coded."""
    agreement: Figure
    """The share of time with the same label."""
    kappa: Figure
    """Cohen's."""
    confusion: tuple[tuple[int, ...], ...]
    """Units by label: rows of the first coder, columns of the second."""


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """All coders at once, about one person or everybody."""

    coders: tuple[str, ...]
    person: str | None
    n_units: int
    """That two or more of them have coded."""
    alpha: Figure
    """Krippendorff's, of nominal labels."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Everything that was compared."""

    labels: tuple[str, ...]
    coders: tuple[str, ...]
    """People, and emofuse last."""
    recordings: tuple[str, ...]
    people: tuple[CodedPerson, ...]
    unit_s: float
    resampled: Resampled
    n_blocks: int
    """How many recordings or minutes were resampled."""
    pairs: tuple[PairAgreement, ...]
    groups: tuple[GroupAgreement, ...]
    remarks: tuple[str, ...]
    """What was left out, and why."""

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough recordings or minutes for intervals."""
        return self.n_blocks >= LEAST

    def coded_s(self, coder: str) -> float:
        """For how many seconds, of all people together, a coder has said something."""
        units = sum(int((one.labels[coder] != MISSING).sum()) for one in self.people if coder in one.labels)
        return units * self.unit_s


def compare_codings(
    recordings: Sequence[CodedRecording], rules: CodingRules | None = None, *, unit_s: float = UNIT_S
) -> Agreement:
    """Compare everybody with everybody.

    Args:
        recordings: of :func:`~emofuse.coding.recordings.read_recordings`.
        rules: which tiers are whose, and what labels mean.
        unit_s: seconds of a unit of time.

    Raises:
        AnnotationError: nothing of the annotations is about somebody in the recordings, or a rule names
            nobody in them, or there is more than can be compared.
        ValueError: an invalid unit.
    """
    rules = rules or CodingRules()
    remarks: list[str] = []
    labels = tuple(
        dict.fromkeys(label for one in recordings for label in Assignment(one.timeline, rules).labels)
    )
    people = [person for one in recordings for person in _people(one, rules, labels, unit_s, remarks)]
    named = dict.fromkeys(coder for one in people for coder in one.labels if coder != EMOFUSE)
    if not named:
        why = f": {remarks[0]}" if remarks else ""
        raise AnnotationError(f"nothing that was coded is about somebody in the recordings{why}")
    coders = (*named, EMOFUSE)
    if sum(len(own) for one in people for own in one.labels.values()) > _MOST_UNITS:
        raise AnnotationError("more than can be compared at once: use longer units (--unit), or fewer files")
    resampled: Resampled = "recordings" if len(recordings) > 1 else "minutes"
    blocks = [_blocks(people, number, resampled, unit_s) for number in range(len(people))]
    n_blocks = 1 + max((int(one.max()) for one in blocks if len(one)), default=-1)
    scope = _Scope(people, blocks, n_blocks, len(labels))
    several = len(recordings) > 1
    by_person: dict[str | None, list[int]] = {None: list(range(len(people)))}
    for number, one in enumerate(people):
        if one.person is not None:
            by_person.setdefault(_key(one, several=several), []).append(number)
    if len(by_person) == 2:
        by_person.popitem()  # one person is everybody
    pairs = [
        scope.pair(first, second, person, numbers)
        for first, second in combinations(coders, 2)
        for person, numbers in by_person.items()
    ]
    groups = [
        scope.group(group, person, numbers)
        for group in ((*named,), coders)
        if len(group) > 1
        for person, numbers in by_person.items()
    ]
    return Agreement(
        labels, coders, tuple(one.name for one in recordings), tuple(people), unit_s, resampled, n_blocks,
        tuple(one for one in pairs if one.n_units), tuple(one for one in groups if one.n_units),
        tuple(dict.fromkeys(remarks)),
    )  # fmt: skip


def _key(one: CodedPerson, *, several: bool) -> str:
    """What somebody is called among several recordings, where numbers are other people in each."""
    assert one.person is not None
    return f"{one.person} in {one.recording}" if several and is_numbered(one.person) else one.person


def _people(
    recording: CodedRecording,
    rules: CodingRules,
    labels: Sequence[str],
    unit_s: float,
    remarks: list[str],
) -> Iterator[CodedPerson]:
    """The people of a recording of whom somebody has coded something."""
    timeline, assignment = recording.timeline, Assignment(recording.timeline, rules)
    grid = Grid.of(timeline.start_s, timeline.end_s, unit_s)
    found: dict[str | None, dict[str, Labels]] = {}
    for coding in recording.codings:
        where = f"{coding.coder}, {coding.path.name}"
        spans = list(assignment.of(coding.spans, remarks, where))
        outside = sum(one.end_s <= timeline.start_s or one.start_s >= timeline.end_s for one in spans)
        if outside:
            remarks.append(
                f"{where}: {outside} spans lie outside of {timeline.name}, which has "
                f"{timeline.end_s - timeline.start_s:.1f} s: are they of this recording?"
            )
        for person in dict.fromkeys(one.person for one in spans):
            own, contradicted = unit_labels((one for one in spans if one.person == person), labels, grid)
            if contradicted:
                remarks.append(
                    f"{where}: {contradicted * unit_s:.1f} s have two labels at once, and count as not coded"
                )
            found.setdefault(person, {})[coding.coder] = own
    # what labels mean holds for emofuse as well: where calm is neutral, it is in both
    own_rules = Assignment(timeline, CodingRules(rules.labels))
    told = list(own_rules.of(timeline.spans, [], EMOFUSE))
    for person in (*timeline.people, None):
        if person in found:
            own, _ = unit_labels((one for one in told if one.person == person), labels, grid)
            yield CodedPerson(recording.name, person, timeline.start_s, {**found[person], EMOFUSE: own})


def _blocks(
    people: Sequence[CodedPerson], number: int, resampled: Resampled, unit_s: float
) -> NDArray[np.int64]:
    """(n_units,) in which recording or minute each unit of a person lies."""
    one = people[number]
    n_units = len(next(iter(one.labels.values())))
    if resampled == "minutes":
        return (np.arange(n_units) * unit_s // _BLOCK_S).astype(np.int64)
    names = list(dict.fromkeys(each.recording for each in people))
    return np.full(n_units, names.index(one.recording), dtype=np.int64)


class _Scope:
    """The units of everybody, in the blocks that are resampled."""

    def __init__(
        self,
        people: Sequence[CodedPerson],
        blocks: Sequence[NDArray[np.int64]],
        n_blocks: int,
        n_labels: int,
    ) -> None:
        self._people, self._blocks, self._n_blocks, self._n_labels = people, blocks, n_blocks, n_labels
        rng = np.random.default_rng(_SEED)
        even = np.full(max(n_blocks, 1), 1 / max(n_blocks, 1))
        self._drawn = rng.multinomial(max(n_blocks, 1), even, N_RESAMPLES).astype(np.float64)

    def pair(self, first: str, second: str, person: str | None, numbers: Iterable[int]) -> PairAgreement:
        k = self._n_labels
        counts = np.zeros((self._n_blocks, k, k))
        for number in numbers:
            labels = self._people[number].labels
            if first in labels and second in labels:
                for block, units in self._parts(number):
                    counts[block] += pair_confusion(labels[first][units], labels[second][units], k)
        whole = counts.sum(axis=0)
        drawn = self._resampled(counts)
        return PairAgreement(
            first, second, person, int(whole.sum()),
            _figure(observed_agreement, whole, drawn), _figure(cohen_kappa, whole, drawn),
            tuple(tuple(int(n) for n in row) for row in whole),
        )  # fmt: skip

    def group(self, coders: tuple[str, ...], person: str | None, numbers: Iterable[int]) -> GroupAgreement:
        k = self._n_labels
        matrices = np.zeros((self._n_blocks, k, k))
        n_units = 0
        for number in numbers:
            labels = self._people[number].labels
            own = [labels[coder] for coder in coders if coder in labels]
            if len(own) < 2:
                continue
            ratings = np.stack(own)
            n_units += int(((ratings != MISSING).sum(axis=0) > 1).sum())
            for block, units in self._parts(number):
                matrices[block] += coincidences(ratings[:, units], k)
        drawn = self._resampled(matrices)
        return GroupAgreement(
            coders, person, n_units,
            _figure(krippendorff_alpha, matrices.sum(axis=0), drawn),
        )  # fmt: skip

    def _parts(self, number: int) -> Iterator[tuple[int, slice]]:
        """The blocks of a person's units, which are in order."""
        blocks = self._blocks[number]
        edges = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(blocks)]
        for start, end in pairwise(edges):
            if start < end:
                yield int(blocks[start]), slice(start, end)

    def _resampled(self, matrices: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(n_resamples, k, k) sums over drawn blocks; None: too few blocks have something in them."""
        if (matrices.sum(axis=(1, 2)) > 0).sum() < LEAST:
            return None
        k = self._n_labels
        return (self._drawn @ matrices.reshape(self._n_blocks, -1)).reshape(-1, k, k)


def _figure(
    metric: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    whole: NDArray[np.float64],
    drawn: NDArray[np.float64] | None,
) -> Figure:
    """The figure with its percentile interval; none where half of the resamples have no figure."""
    value = metric(whole)
    if np.isnan(value):
        return Figure(None, None)
    values = None if drawn is None else metric(drawn)
    if values is None or np.isnan(values).mean() > 0.5:
        return Figure(float(value), None)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(values, (tail, 100 - tail))
    return Figure(float(value), (float(low), float(high)))
