"""What a label may be called, and the order of labels: the one check of the names of any label set.

A label is a column of tables, a key of JSON, a tier or a class of files that other programs read. What would
be ambiguous there is refused, with the way out; anything else is used as it is written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from emofuse.core.labels import EMOTIONS

FEWEST_LABELS: Final = 2
MOST_LABELS: Final = 50
LONGEST_LABEL: Final = 60
"""Characters; a label is the name of a column and the heading of one."""

RESERVED: Final = frozenset({
    "abstained", "actor", "clip", "confidence", "emotion", "error", "file", "fold", "notes", "system", "take",
    "unlabelled", "used",
})  # fmt: skip
"""Columns that stand beside those of labels in some table."""
RESERVED_PREFIXES: Final = ("voice_", "face_", "share:")
"""In tables, ``voice_happy`` is what the voice alone says of happy."""
_BOUNDS: Final = ("low", "high")
"""``share_happy_low`` is the lower bound of what is known of happy."""
_FORBIDDEN: Final = {
    ",": "a comma",
    "=": "an equals sign",
}
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of the spelling in Persian, in Indic scripts and of emoji."""
_KINDS: Final = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half a character",
    "Cn": "what is no character",
    "Zl": "a line break",
    "Zp": "a line break",
}
_MAX_LISTED: Final = 5


def check_label(name: str) -> str:
    """The label, in Unicode's composed form (NFC).

    >>> check_label("très content")
    'très content'

    Raises:
        ValueError: it cannot be a label; the text says why.
    """
    label = unicodedata.normalize("NFC", name)
    if not label.strip():
        raise ValueError("a label is empty: give it a name, or leave out its clips")
    if label != label.strip():
        raise ValueError(f"the label {name!r} begins or ends with a space: remove it")
    if len(label) > LONGEST_LABEL:
        raise ValueError(
            f"the label {label[:LONGEST_LABEL]!r}… has {len(label)} characters: at most {LONGEST_LABEL}"
        )
    found = [_FORBIDDEN[character] for character in label if character in _FORBIDDEN]
    found += [
        _KINDS[kind]
        for character in label
        if (kind := unicodedata.category(character)) in _KINDS and character not in _JOINERS
    ]
    if found:
        raise ValueError(f"the label {name!r} has {found[0]}, which names of labels must not: rename it")
    folded = _folded(label)
    if folded in RESERVED:
        raise ValueError(f"the label {name!r} is the name of a column of tables: rename it")
    for prefix in RESERVED_PREFIXES:
        if folded.startswith(prefix):
            raise ValueError(
                f"the label {name!r} begins as columns of tables do that begin with {prefix}: rename it"
            )
    return label


def check_labels(names: Iterable[str], *, fewest: int = FEWEST_LABELS) -> tuple[str, ...]:
    """The labels of a set in Unicode's composed form (NFC), each once, in the order given.

    Args:
        names: as they are written.
        fewest: how many there must be.

    Raises:
        ValueError: one cannot be a label, two differ only in capitals or Unicode form, or there are fewer
            than ``fewest`` or more than 50.
    """
    written = tuple(dict.fromkeys(names))
    labels = tuple(check_label(name) for name in written)
    alike: dict[str, str] = {}
    for name, label in zip(written, labels, strict=True):
        other = alike.setdefault(_folded(label), name)
        if other != name:
            how = "Unicode form" if check_label(other) == label else "capitals or Unicode form"
            raise ValueError(
                f"the labels {ascii_if_alike(other, name)} differ only in {how}: spell them alike"
            )
    for label in labels:
        base, _, end = label.rpartition("_")
        if end in _BOUNDS and base in labels:
            raise ValueError(f"the label {label!r} is the name of a column about {base!r}: rename it")
    if len(labels) > MOST_LABELS:
        raise ValueError(
            f"there are {len(labels)} labels ({', '.join(labels[:_MAX_LISTED])} …), at most {MOST_LABELS} "
            "are told apart: map them to fewer with --labels"
        )
    if len(labels) < fewest:
        raise ValueError(
            f"there is {'only one' if labels else 'no'} label{f' ({labels[0]})' if labels else ''}: at least "
            f"{fewest} are told apart"
        )
    return labels


def ascii_if_alike(one: str, other: str) -> str:
    """Two labels for a message; in ASCII where they would look the same."""
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return f"{one!a} and {other!a}"
    return f"{one!r} and {other!r}"


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order in which they are shown: the eight emotions in theirs, then others by alphabet.

    The order of a table's rows makes no difference, and neither does a clip more or less.

    >>> in_order(["stressed", "calm", "angry", "neutral"])
    ('neutral', 'calm', 'angry', 'stressed')
    """
    found = set(labels)
    return (*(name for name in EMOTIONS if name in found), *sorted(found - set(EMOTIONS)))


def are_emotions(labels: Sequence[str]) -> bool:
    """Whether all of them are among the eight emotions."""
    return set(labels) <= set(EMOTIONS)


def _folded(label: str) -> str:
    """Equal for labels that differ only in capitals or Unicode form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
