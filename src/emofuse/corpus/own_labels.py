"""The labels of a table: as they are written, or by a map; one per clip, or the shares of several raters."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

import numpy as np

from emofuse.core.label_names import check_label, check_labels, in_order
from emofuse.core.labels import EMOTIONS, LABEL_SETS
from emofuse.core.number_format import percent
from emofuse.core.records import Clip
from emofuse.core.soft_label_metrics import pair_agreement
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.label_files import TableLabels, folded, table_labels

SHARE_PREFIX: Final = "share:"
"""A column ``share:happy`` has the share, or the number, of a clip's raters who chose happy."""
FEW: Final = 0.1
"""A label is called rare where it has less than this share of the clips of the label that it resembles."""

_EMOTION_NAMES: Final = {
    "joy": "happy", "fury": "angry", "scared": "fearful", "afraid": "fearful"
} | {
    label.lower(): emotion
    for labels in LABEL_SETS.values()
    for label, emotion in labels.items()
    if emotion in EMOTIONS and len(label) > 2
} | {emotion: emotion for emotion in EMOTIONS}  # fmt: skip
"""What the emotions are called here and elsewhere."""


class UnknownLabelError(ValueError):
    """A label that the map of a table does not name."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label


@dataclass(frozen=True, slots=True)
class LabelReader:
    """Reads the labels of the rows of a table, one by one.

    ``known``: the map that was given; None: labels are used as they are written.
    """

    known: TableLabels | None

    def label(self, written: str) -> str | None:
        """What a label means; None where there is none, or its clips are to have none.

        Raises:
            UnknownLabelError: the map does not name it.
            ValueError: it cannot be a label.
        """
        if not written:
            return None
        if self.known is None:
            return check_label(written)
        if folded(written) not in self.known.meant:
            raise UnknownLabelError(unicodedata.normalize("NFC", written))
        return self.known.meant[folded(written)]

    def shares(self, row: Mapping[str, object], columns: Iterable[str]) -> dict[str, float]:
        """The shares of a clip's raters, by label, which sum to 1; nothing where it has no rater.

        Args:
            row: of a table.
            columns: those that begin with :data:`SHARE_PREFIX`.

        Raises:
            UnknownLabelError: the map does not name the label of one.
            ValueError: a share is not a number, or is less than 0.
        """
        shares: dict[str, float] = {}
        for column in columns:
            value = _share(column, row.get(column))
            label = self.label(column.removeprefix(SHARE_PREFIX).strip())
            if label is not None:
                shares[label] = shares.get(label, 0.0) + value
        total = sum(shares.values())
        return {label: share / total for label, share in shares.items()} if total > 0 else {}


def _share(column: str, value: object) -> float:
    text = "" if value is None else str(value).strip()
    try:
        share = float(text.replace(",", ".")) if text else 0.0
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a number") from None
    if math.isnan(share):
        return 0.0
    if share < 0 or math.isinf(share):
        raise ValueError(f"{column} {text} must be zero or more")
    return share


def with_labels(
    clips: Sequence[Clip], share_labels: Iterable[str], known: TableLabels | None
) -> tuple[list[Clip], tuple[str, ...]]:
    """The clips of a table with the labels that are told apart, and these, in order.

    Without a map, labels that are all among the eight emotions, in capital or small letters, are those.

    Args:
        clips: as :class:`LabelReader` read them.
        share_labels: of the columns of shares.
        known: the map that was given.

    Raises:
        ValueError: labels differ only in capitals or Unicode form, or there are too many.
    """
    if known is not None:
        return list(clips), known.emotions
    found = list(dict.fromkeys([*(clip.emotion for clip in clips if clip.emotion), *share_labels]))
    if all(folded(label) in EMOTIONS for label in found):
        clips = [
            replace(
                clip,
                emotion=clip.emotion and folded(clip.emotion),
                shares={folded(label): share for label, share in clip.shares.items()},
            )
            for clip in clips
        ]
        return list(clips), in_order(folded(label) for label in found)
    return list(clips), in_order(check_labels(found, fewest=0))


def unknown_labels(unknown: Mapping[str, Sequence[str]], known: TableLabels) -> str:
    """One message for all labels that a map does not name: how often, where first.

    Args:
        unknown: where each label is, such as ``line 3``.
        known: the map.
    """
    labels = sorted(unknown, key=lambda label: -len(unknown[label]))
    described = []
    for label in labels[:_MAX_LISTED]:
        lines = unknown[label]
        kind = lines[0].partition(" ")[0]
        numbers = [line.partition(" ")[2] for line in lines[:_MAX_LINES]]
        where = f"{len(lines)} {kind}s, first {', '.join(numbers)}" if len(lines) > 1 else lines[0]
        described.append(f"{label!r} ({where})")
    rest = len(labels) - _MAX_LISTED
    more = f" and {rest} more" if rest > 0 else ""
    plural = "s" if len(labels) > 1 else ""
    shown = ", ".join(known.names[:_MAX_NAMED]) + (", …" if len(known.names) > _MAX_NAMED else "")
    return f"unknown label{plural} {', '.join(described)}{more}, {known.name} has {shown}"


_MAX_LISTED: Final = 5
"""An error lists this many labels of a table and counts the rest."""
_MAX_LINES: Final = 3
"""Of each label, an error names this many lines and counts all."""
_MAX_NAMED: Final = 12


def corpus_advice(corpus: Corpus) -> list[str]:
    """As :func:`label_advice`, of a corpus that has labels of its own; nothing of any other."""
    return label_advice(Counter(clip.emotion for clip in corpus.clips if clip.emotion is not None))


def rater_notes(corpus: Corpus) -> list[str]:
    """How far the raters of clips agree, one line each; nothing where no clip has shares of raters."""
    rated = [clip for clip in corpus.clips if clip.shares]
    if not rated:
        return []
    shares = np.array([[clip.shares.get(label, 0.0) for label in corpus.emotions] for clip in rated])
    notes = [
        f"{_clips(len(rated))} with shares of raters, of whom two agree in "
        f"{percent(float(pair_agreement(shares).mean()))} % of draws"
    ]
    tied, others = [], []
    for clip in rated:
        most = max(clip.shares.values())
        first = [label for label, share in clip.shares.items() if math.isclose(share, most)]
        if len(first) > 1:
            tied.append(clip.clip_id)
        elif clip.emotion is not None and clip.emotion not in first:
            others.append(clip.clip_id)
    if tied:
        notes.append(
            f"{_listed(tied)}: several labels were chosen equally often; without a label in the column "
            "emotion, the first column of these counts as right"
        )
    if others:
        notes.append(
            f"{_listed(others)}: the label in the column emotion is not the one that most raters chose"
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{_clips(len(names))} ({', '.join(names[:_MAX_LISTED])}{more})"


def label_advice(counts: Mapping[str, int]) -> list[str]:
    """What may be wrong with labels that are used as they are, one line each, with the way out.

    A table says what its labels are, so that nothing here is an error: a label that has few clips and is
    spelled like a frequent one, or like an emotion beside others of the eight, may be a slip of the pen.

    Args:
        counts: clips by label.
    """
    labels = [label for label in counts if label not in EMOTIONS]
    if not labels:
        return []
    sets = sorted(LABEL_SETS, key=lambda name: len(LABEL_SETS[name]))
    fitting = [name for name in sets if {folded(label) for label in counts} <= _folded_set(name)]
    if fitting:
        return [
            f"the labels are those of {' or '.join(fitting)}, and are used as they are written: --labels "
            f"{fitting[0]} makes the eight emotions of them"
        ]
    advice = []
    for label in labels:
        n = counts[label]
        emotion = _meant(label)
        if emotion is not None and any(other in EMOTIONS for other in counts):
            advice.append(f"{label!r} ({_clips(n)}) is a label of its own; if {emotion} is meant, {_WAY_OUT}")
            continue
        others = [other for other in counts if other != label and n < FEW * counts[other]]
        if alike := get_close_matches(label, others, n=1, cutoff=_ALIKE):
            advice.append(
                f"{label!r} ({_clips(n)}) is spelled like {alike[0]!r} ({_clips(counts[alike[0]])}); if that "
                f"is meant, {_WAY_OUT}"
            )
    return advice


_ALIKE: Final = 0.75
_WAY_OUT: Final = "correct the table, or give a map of its labels (--labels FILE)"


def _clips(n: int) -> str:
    return f"{n:,} clip{'' if n == 1 else 's'}"


def _folded_set(name: str) -> frozenset[str]:
    return frozenset(table_labels(name).meant)


def _meant(label: str) -> str | None:
    """The emotion that a label may mean: by the names of other label sets, or one that is spelled alike."""
    alike = get_close_matches(label.lower(), _EMOTION_NAMES, n=1)
    return _EMOTION_NAMES[alike[0]] if alike else None
