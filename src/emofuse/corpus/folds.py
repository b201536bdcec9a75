"""Protocols: which takes are tested in which fold, as established in the literature.

A protocol with ``speaker_independent`` puts all takes of a speaker in one fold; the files of one take and
byte-identical recordings share their speaker, so they share their fold too. Of several corpora that were
joined, the speakers of each are dealt apart, so that every fold has speakers of every corpus.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ExperimentError
from emofuse.core.records import Take
from emofuse.corpus.corpus import CORPUS_FACT
from emofuse.corpus.joined import local_name
from emofuse.corpus.ravdess import NAME as RAVDESS
from emofuse.corpus.ravdess import sex_of_actor

TEST_ON: Final = "test-on-"
"""Begins the name of a protocol that tests one of several corpora."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One split. ``train`` and ``test`` are indices into the given sequence of takes."""

    index: int
    """Index of the fold in its protocol, from 0; it stays the same when another fold is dropped."""
    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    test_actors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """The folds of a protocol on a corpus, and what a reader of the results must know."""

    folds: tuple[Fold, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to split takes into folds.

    ``kind``: ``named-actors``: ``actors`` lists who of RAVDESS is tested in which fold, and speakers of
    corpora that were joined with it are distributed over these folds; ``any-actors``: the speakers of the
    corpus, distributed over ``n_folds``; ``held-out-corpus``: all takes of the one corpus in ``actors`` are
    tested, those of all others that were joined with it train; ``stratified``: takes by emotion, regardless
    of the speaker.
    """

    name: str
    kind: Literal["named-actors", "any-actors", "held-out-corpus", "stratified"]
    n_folds: int
    citation: str
    used_by: str = ""
    actors: tuple[tuple[str, ...], ...] = ()
    seed: int | None = None

    @property
    def speaker_independent(self) -> bool:
        """Whether no speaker is in both parts of a fold."""
        return self.kind != "stratified"

    def hash(self) -> str:
        """Sixteen hexadecimal digits of the sha256 of what determines the folds."""
        determinants = {key: asdict(self)[key] for key in ("kind", "n_folds", "actors", "seed")}
        text = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folds(self, takes: Sequence[Take]) -> tuple[Fold, ...]:
        """The folds of :meth:`plan`."""
        return self.plan(takes).folds

    def plan(self, takes: Sequence[Take]) -> FoldPlan:
        """Split takes into folds.

        Raises:
            ExperimentError: there are fewer than two speakers, or too few takes, or none of the protocol's
            actors.
        """
        speakers = {take.speaker for take in takes}
        if len(speakers) < 2:
            raise ExperimentError(
                f"protocol {self.name} needs takes of 2 speakers or more, got {len(speakers)}"
            )
        if self.kind == "stratified":
            return self._stratified(takes)
        if self.kind == "named-actors":
            return self._named(takes, speakers)
        if self.kind == "held-out-corpus":
            return self._held_out(takes)
        groups = _deal(
            sorted(speakers), _sexes(takes), self.n_folds, f"protocol {self.name}", corpora_of(takes)
        )
        return FoldPlan(tuple(_fold(i, group, takes) for i, group in enumerate(groups)), ())

    def _named(self, takes: Sequence[Take], speakers: set[str]) -> FoldPlan:
        folds, notes = [], []
        corpora, dealt = corpora_of(takes), dict[int, tuple[str, ...]]()
        named = {local_name(s, corpora.get(s)): s for s in speakers if corpora.get(s, RAVDESS) == RAVDESS}
        filled = [i for i, actors in enumerate(self.actors) if named.keys() & set(actors)]
        others = sorted(speakers.difference(named.values()))
        if others and len(filled) > 1:
            who = f"protocol {self.name}, beside {RAVDESS}"
            dealt = dict(zip(filled, _deal(others, _sexes(takes), len(filled), who, corpora), strict=True))
        for index, actors in enumerate(self.actors):
            present = tuple(named[actor] for actor in actors if actor in named)
            absent = [actor for actor in actors if actor not in named]
            if not present:
                notes.append(f"fold {index + 1} is dropped: actors {', '.join(absent)} are absent")
                continue
            if absent:
                notes.append(f"fold {index + 1} is run without the absent actors {', '.join(absent)}")
            folds.append(_fold(index, (*present, *dealt.get(index, ())), takes))
        untested = sorted(set(named.values()).difference(*(fold.test_actors for fold in folds)))
        if untested:
            notes.append(f"speakers {', '.join(untested)} are in no test part of {self.name}")
        if not folds or any(not fold.train for fold in folds):
            raise ExperimentError(
                f"protocol {self.name} names RAVDESS actors, and the {len(speakers)} speakers of this corpus "
                f"({_abridged(sorted(speakers))}) do not fill two parts of it: use actors-2, actors-3, …"
            )
        return FoldPlan(tuple(folds), tuple(notes))

    def _held_out(self, takes: Sequence[Take]) -> FoldPlan:
        ((held_out,),) = self.actors
        corpora = corpora_of(takes)
        tested = tuple(sorted(speaker for speaker, corpus in corpora.items() if corpus == held_out))
        fold = _fold(0, tested, takes)
        if not fold.train or not fold.test:
            raise ExperimentError(
                f"protocol {self.name} tests {held_out} and trains on other corpora, found "
                f"{', '.join(sorted(set(corpora.values()))) or 'a single one'}"
            )
        return FoldPlan((fold,), ())

    def _stratified(self, takes: Sequence[Take]) -> FoldPlan:
        if len(takes) < self.n_folds:
            raise ExperimentError(f"protocol {self.name} needs {self.n_folds} takes, got {len(takes)}")
        order = sorted(range(len(takes)), key=lambda i: (takes[i].take, takes[i].clip_id))
        labels = [takes[i].emotion or "" for i in order]
        part = _stratified_parts(labels, self.n_folds, self.seed or 0)
        part_of = dict(zip(order, part.tolist(), strict=True))
        folds = tuple(
            Fold(
                index=index,
                name=f"fold {index + 1}",
                train=tuple(i for i in range(len(takes)) if part_of[i] != index),
                test=tuple(i for i in range(len(takes)) if part_of[i] == index),
                test_actors=tuple(sorted({takes[i].speaker for i in order if part_of[i] == index})),
            )
            for index in range(self.n_folds)
        )
        notes = [
            f"{self.name} is speaker-dependent: the same people are in both parts, so its figures say "
            "little about a new person"
        ]
        counts = {label: labels.count(label) for label in labels}
        rare = sorted(label for label, count in counts.items() if count < self.n_folds)
        if rare:
            notes.append(f"too few takes to be in every fold: {', '.join(rare)}")
        return FoldPlan(folds, tuple(notes))


def get_protocol(name: str) -> Protocol:
    """A protocol by name: one of :data:`PROTOCOLS`, ``actors-K`` for K folds of any speakers, or
    ``test-on-NAME`` for one corpus against those that were joined with it.

    Raises:
        ExperimentError: there is no protocol of this name; the message lists those there are.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.startswith(TEST_ON) and len(name) > len(TEST_ON):
        return held_out_corpus(name.removeprefix(TEST_ON))
    match = re.fullmatch(r"actors-([1-9][0-9]{0,2})", name)
    if match and int(match[1]) >= 2:
        return _any_actors(int(match[1]))
    raise ExperimentError(
        f"unknown protocol {name!r}: use one of {', '.join(PROTOCOLS)}, "
        "or actors-K for K folds of the speakers in the corpus, K from 2"
    )


def inner_folds(
    speakers: Sequence[str],
    k: int,
    *,
    sexes: Mapping[str, str] | None = None,
    corpora: Mapping[str, str] | None = None,
) -> list[tuple[str, ...]]:
    """Split training speakers into ``k`` groups for selection inside a fold, the same groups every time.

    Groups differ by at most one speaker, and so do their numbers of men and of women. If ``sexes`` is not
    given, two-digit names are taken for RAVDESS actors (odd male, even female). ``corpora`` names the corpus
    of each speaker where several were joined; every group then has speakers of every corpus.

    Raises:
        ExperimentError: fewer than two groups, or fewer speakers (of one of the corpora) than groups.
    """
    unique = sorted(set(speakers))
    corpora = corpora or {}
    if sexes is None:
        sexes = {}
        for corpus in {corpora.get(speaker) for speaker in unique}:
            own = {s: local_name(s, corpus) for s in unique if corpora.get(s) == corpus}
            if all(re.fullmatch(r"[0-9]{2}", name) for name in own.values()):
                sexes |= {speaker: sex_of_actor(int(name)) for speaker, name in own.items()}
    return _deal(unique, sexes, k, f"{k} inner folds", corpora)


def corpora_of(takes: Sequence[Take]) -> dict[str, str]:
    """The corpus of each speaker, where several were joined; empty otherwise."""
    return {take.speaker: take.facts[CORPUS_FACT] for take in takes if CORPUS_FACT in take.facts}


def _sexes(takes: Sequence[Take]) -> dict[str, str]:
    return {take.speaker: take.facts.get("sex", "") for take in takes}


def _deal(
    speakers: Sequence[str], sexes: Mapping[str, str], k: int, who: str, corpora: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Deal speakers round robin: corpus by corpus, first one sex, then the other, so that no group has one
    sex by accident, or lacks a corpus.

    RAVDESS alternates men and women: two folds dealt by number alone would be one of men and one of women.
    """
    sizes = Counter(corpora.get(speaker, "") for speaker in speakers)
    smallest = min(sizes, key=lambda corpus: sizes[corpus], default="")
    if k < 2 or sizes[smallest] < k:
        of = f" of {smallest}" if smallest else ""
        raise ExperimentError(
            f"{who}: {k} groups: there must be 2 or more, with a speaker each, got {sizes[smallest]} "
            f"speakers{of}"
        )
    ordered = sorted(
        speakers, key=lambda speaker: (corpora.get(speaker, ""), sexes.get(speaker, ""), speaker)
    )
    return [tuple(sorted(ordered[i::k])) for i in range(k)]


def _fold(index: int, test_actors: tuple[str, ...], takes: Sequence[Take]) -> Fold:
    tested = set(test_actors)
    return Fold(
        index=index,
        name=f"fold {index + 1}",
        train=tuple(i for i, take in enumerate(takes) if take.speaker not in tested),
        test=tuple(i for i, take in enumerate(takes) if take.speaker in tested),
        test_actors=test_actors,
    )


def _stratified_parts(labels: Sequence[str], n_folds: int, seed: int) -> NDArray[np.int64]:
    """The test fold of each label: (n,), as by scikit-learn's StratifiedKFold(shuffle=True).

    Reimplemented because reading a corpus must not load scikit-learn; a test compares the two.
    """
    codes: dict[str, int] = {}
    encoded = np.array([codes.setdefault(label, len(codes)) for label in labels])
    in_order = np.sort(encoded)
    generator = np.random.RandomState(seed)
    parts = np.empty(len(labels), dtype=np.int64)
    for code in range(len(codes)):
        # how many of this emotion each fold gets when all takes, sorted by emotion, are dealt round robin
        shares = [int((in_order[i::n_folds] == code).sum()) for i in range(n_folds)]
        folds = np.arange(n_folds).repeat(shares)
        generator.shuffle(folds)
        parts[encoded == code] = folds
    return parts


def _abridged(names: Sequence[str], shown: int = 6) -> str:
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")


def _actors(*folds: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{actor:02d}" for actor in fold) for fold in folds)


def _any_actors(k: int) -> Protocol:
    return Protocol(
        name=f"actors-{k}",
        kind="any-actors",
        n_folds=k,
        citation="The speakers of the corpus, dealt into folds by sex and name; for corpora of any size.",
    )


def held_out_corpus(name: str) -> Protocol:
    """The protocol that tests one of several joined corpora, and trains on all others."""
    return Protocol(
        name=f"{TEST_ON}{name}",
        kind="held-out-corpus",
        n_folds=1,
        citation=f"All of {name} is tested; the other corpora train.",
        actors=((name,),),
    )


def _named_actors(name: str, citation: str, used_by: str, actors: tuple[tuple[str, ...], ...]) -> Protocol:
    return Protocol(name, "named-actors", len(actors), citation, used_by, actors)


_ALL: Final = (
    _named_actors(
        "six-fold",
        "Sun L, Lian Z, Liu B, Tao J (2024) HiCMAE: Hierarchical contrastive masked autoencoder for "
        "self-supervised audio-visual emotion recognition. Information Fusion 108: 102382.",
        "HiCMAE, MSAF, CFN-SR: the usual one for audio-visual RAVDESS",
        _actors(
            (1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20), (21, 22, 23, 24)
        ),
    ),
    _named_actors(
        "emobox-6",
        "Ma Z et al. (2024) EmoBox: Multilingual multi-corpus speech emotion recognition toolkit and "
        "benchmark. Interspeech 2024.",
        "EmoBox (voice)",
        _actors(
            (1, 11, 20, 21), (4, 10, 12, 14), (8, 9, 19, 23), (3, 5, 7, 24), (2, 15, 16, 18), (6, 13, 17, 22)
        ),
    ),
    _named_actors(
        "luna-5",
        "Luna-Jiménez C, Kleinlein R, Griol D, Callejas Z, Montero JM, Fernández-Martínez F (2022) A "
        "proposal for multimodal emotion recognition using aural transformers and action units on RAVDESS "
        "dataset. Applied Sciences 12(1): 327.",
        "MMEmotionRecognition",
        _actors(
            (2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22)
        ),
    ),
    Protocol(
        name="rosred-stratified-5",
        kind="stratified",
        n_folds=5,
        citation="RosRed (2022) Multimodal-Emotion-Recognition-on-RAVDESS-dataset: notebooks.",
        used_by="the original notebooks; speaker-dependent",
        seed=7,
    ),
)

PROTOCOLS: Final[Mapping[str, Protocol]] = {protocol.name: protocol for protocol in _ALL}
"""The named protocols; :func:`get_protocol` also knows ``actors-K``."""
