"""The labels that training and test corpora have in common: a recognizer is fitted and judged among these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.label_names import in_order
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.joined import join_corpora

_MERGED: Final = {"calm": "neutral"}
"""Rule 2 of :mod:`emofuse.core.label_maps`: where one side has no calm, calm is neutral."""


@dataclass(frozen=True, slots=True)
class CommonLabels:
    """``labels``: in the order in which they are shown. ``merged``: labels that become another one."""

    labels: tuple[str, ...]
    merged: Mapping[str, str] = field(default_factory=dict)

    def of(self, label: str | None) -> str | None:
        """What a label is here; None: its takes are left out.

        >>> CommonLabels(("neutral", "sad"), {"calm": "neutral"}).of("calm")
        'neutral'
        """
        meant = self.merged.get(label, label) if label is not None else None
        return meant if meant in self.labels else None

    def of_shares(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Shares of several raters among these labels, which sum to 1; empty if none meant one of them."""
        found: dict[str, float] = {}
        for label, share in shares.items():
            if (meant := self.of(label)) is not None and share > 0:
                found[meant] = found.get(meant, 0.0) + share
        whole = sum(found.values())
        return {label: share / whole for label, share in found.items()}

    def of_all(self, labels: Collection[str]) -> tuple[str, ...]:
        """Those of a corpus with these labels, in order."""
        own = {self.of(label) for label in labels}
        return tuple(label for label in self.labels if label in own)


def common_labels(train: Sequence[Collection[str]], test: Collection[str]) -> CommonLabels:
    """The labels that both sides have; those of several training corpora count together.

    Labels are compared as they are called after the named maps of their corpora
    (:mod:`emofuse.core.label_maps`); calm is neutral where one side has no calm.

    Args:
        train: the labels of each training corpus.
        test: those of the test corpus.

    >>> common_labels([("neutral", "calm", "sad", "disgust")], ("neutral", "sad", "boredom")).labels
    ('neutral', 'sad')
    """
    trained, tested = {label for labels in train for label in labels}, set(test)
    merged = {
        label: into
        for label, into in _MERGED.items()
        if (label in trained) != (label in tested) and into in trained | tested
    }

    def plain(labels: set[str]) -> set[str]:
        return {merged.get(label, label) for label in labels}

    return CommonLabels(in_order(plain(trained) & plain(tested)), merged)


def occurring_labels(corpus: Corpus) -> tuple[str, ...]:
    """The labels that clips of a corpus have, in order."""
    found = {clip.emotion for clip in corpus.clips if clip.emotion is not None}
    return tuple(label for label in corpus.emotions if label in found)


def meet(train: Sequence[Corpus], test: Corpus) -> tuple[list[Corpus], list[str]]:
    """Training corpora and a test corpus with the labels that both have.

    Args:
        train: at least one.
        test: measured, and never trained on.

    Returns:
        All of them, the test corpus last: clips whose label only one side has are without an emotion. And
        notes for whoever reads the results.

    Raises:
        CorpusError: they have fewer than two labels in common.
    """
    common = common_labels([occurring_labels(corpus) for corpus in train], occurring_labels(test))
    names = " + ".join(corpus.name for corpus in train)
    if len(common.labels) < 2:
        listed = ", ".join(common.labels) or "none"
        raise CorpusError(
            f"{names} and {test.name} have fewer than two labels in common ({listed}): map them with --labels"
        )
    notes = [f"labels that {names} and {test.name} both have: {', '.join(common.labels)}"]
    notes += [f"{label} counts as {into}: one side has no {label}" for label, into in common.merged.items()]
    for corpus in [*train, test]:
        lost = Counter(take.emotion for take in corpus.takes() if common.of(take.emotion) is None)
        lost.pop(None, None)
        if lost:
            counts = ", ".join(f"{count} {label}" for label, count in sorted(lost.items()))
            notes.append(f"takes of {corpus.name} that are left out: {counts}")
    return [meet_labels(corpus, common) for corpus in [*train, test]], notes


def join_to_test(
    train: Sequence[Corpus], test: Corpus, weights: Sequence[float] | None = None
) -> tuple[Corpus, list[str]]:
    """Training corpora and, last, a test corpus, as one with the labels that both sides have; and notes.

    It is measured with :func:`emofuse.corpus.folds.held_out_corpus`.

    Args:
        train: at least one.
        test: measured, and never trained on.
        weights: how much a clip of each counts in training, the test corpus last; None: 1 for all.

    Raises:
        CorpusError: they have fewer than two labels in common, or two have the same name.
    """
    met, notes = meet(train, test)
    return join_corpora(met, weights), notes


def meet_labels(corpus: Corpus, common: CommonLabels) -> Corpus:
    """A corpus with the labels that it has in common with others; other clips are without an emotion."""
    clips = tuple(
        replace(clip, emotion=common.of(clip.emotion), shares=common.of_shares(clip.shares))
        for clip in corpus.clips
    )
    return replace(corpus, clips=clips, emotions=common.of_all(occurring_labels(corpus)))
