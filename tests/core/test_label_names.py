"""What a label may be called, and in what order labels are shown."""

from __future__ import annotations

import doctest
import random
import unicodedata

import pytest

from emofuse.core import label_names
from emofuse.core.label_names import MOST_LABELS, RESERVED, are_emotions, check_label, check_labels, in_order
from emofuse.core.labels import EMOTIONS, LABEL_SETS


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(label_names) == doctest.TestResults(failed=0, attempted=2)


@pytest.mark.parametrize(
    "name",
    ["stressed", "très content", "怒り", "خوش‌حال", "🙂", "not stressed", "A/B", "-1", "+", "100%", "a;b"],
)
def test_any_name_that_nothing_takes_for_something_else_stays_as_it_is(name: str) -> None:
    assert check_label(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (" sad", "begins or ends with a space"),
        ("sad,angry", "has a comma"),
        ("a=b", "has an equals sign"),
        ("line\nbreak", "has a control character"),
        ("a\u2028b", "has a line break"),
        ("a\u202eb", "has an invisible character"),
        ("a\u200bb", "has an invisible character"),
        ("\ud800", "has half a character"),
        ("file", "is the name of a column"),
        ("Used", "is the name of a column"),
        ("ＥＲＲＯＲ", "is the name of a column"),
        ("voice_happy", "begins as columns"),
        ("x" * 61, "has 61 characters"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_label(name)


@pytest.mark.parametrize("column", sorted(RESERVED))
def test_no_label_is_called_as_a_column(column: str) -> None:
    with pytest.raises(ValueError, match="is the name of a column"):
        check_labels([column, "sad"])


def test_decomposed_letters_are_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "fâché")
    assert check_labels([decomposed, "gai"]) == ("fâché", "gai")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["Stress", "stress"], "'Stress' and 'stress' differ only in capitals"),
        (["STRASSE", "straße"], "differ only in capitals"),
        (["é", unicodedata.normalize("NFD", "é")], r"'\\xe9' and 'e\\u0301' differ only in Unicode form"),
        (["①", "1"], "differ only in capitals or Unicode form"),
        (["happy", "happy_low"], "'happy_low' is the name of a column about 'happy'"),
        ([], "there is no label"),
        (["calm"], "only one label"),
        ([f"label {i}" for i in range(MOST_LABELS + 1)], "there are 51 labels"),
    ],
)
def test_sets_that_cannot_be_told_apart_are_refused(labels: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_labels(labels)


def test_as_many_as_fifty_are_allowed_each_once() -> None:
    labels = [f"label {i}" for i in range(MOST_LABELS)]
    assert check_labels(labels * 3) == tuple(labels)


def test_the_eight_are_first_in_their_order_then_the_others_by_alphabet() -> None:
    labels = [*EMOTIONS, "bored", "élan", "tired", "Zorn"]
    shuffled = random.Random(3).sample(labels, len(labels))
    assert in_order(shuffled) == (*EMOTIONS, "Zorn", "bored", "tired", "élan")


def test_every_known_label_set_has_valid_names() -> None:
    for labels in LABEL_SETS.values():
        assert check_labels(labels) == tuple(labels)


def test_emotions_are_among_the_eight() -> None:
    assert are_emotions(["happy", "sad"])
    assert not are_emotions(["happy", "Sad"])
