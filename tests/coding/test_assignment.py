from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.coding.assignment import (
    AssignedSpan,
    Assignment,
    CodingRules,
    folded,
    name_of_coder,
    read_labels,
)
from emofuse.coding.spans import CodedSpan
from emofuse.coding.timeline_files import TimelineCoding
from emofuse.core.errors import AnnotationError, CorpusError
from emofuse.core.labels import EMOTIONS


def coding(*people: str) -> TimelineCoding:
    return TimelineCoding("talk.mp4", 0.0, 60.0, EMOTIONS, people, ())


def span(tier: str, label: str, person: str | None = None, at_s: float = 0.0) -> CodedSpan:
    return CodedSpan(tier, at_s, at_s + 1.0, label, person)


def assigned(
    timeline: TimelineCoding, *spans: CodedSpan, **rules: object
) -> tuple[list[AssignedSpan], list[str]]:
    remarks: list[str] = []
    found = list(Assignment(timeline, CodingRules(**rules)).of(spans, remarks, "a.eaf"))  # type: ignore[arg-type]
    return found, remarks


@pytest.mark.parametrize(
    ("tier", "participant"),
    [("Anna", None), ("emotion@ANNA", None), ("mood", "anna"), ("x", "Anna"), ("person_1", None)],
)
def test_tiers_name_people(tier: str, participant: str | None) -> None:
    people = ("person 1", "Bert") if tier == "person_1" else ("Bert", "Anna")
    found, remarks = assigned(coding(*people), span(tier, "Happy", participant))
    wanted = "person 1" if tier == "person_1" else "Anna"
    assert found == [AssignedSpan(wanted, 0.0, 1.0, "happy")]
    assert remarks == []


def test_of_one_person_or_nobody_all_tiers_are_theirs() -> None:
    assert assigned(coding("person 1"), span("whatever", "sad"))[0][0].person == "person 1"
    assert assigned(coding(), span("whatever", "sad"))[0][0].person is None


def test_a_tier_of_nobody_is_said_with_the_way_out() -> None:
    found, remarks = assigned(coding("Anna", "Bert"), span("mood", "sad"))
    assert found == []
    assert remarks == [
        "a.eaf: 1 spans of tier 'mood' are of nobody in talk.mp4: they are left out (--tier 'mood=Anna')"
    ]
    found, remarks = assigned(coding("Anna", "Bert"), span("mood", "sad"), tiers={"mood": "bert"})
    assert (found[0].person, remarks) == ("Bert", [])
    with pytest.raises(AnnotationError, match=r"there is no Carl in talk\.mp4, whose people are Anna, Bert"):
        assigned(coding("Anna", "Bert"), tiers={"mood": "Carl"})


def test_only_named_tiers_are_used() -> None:
    spans = span("Anna", "sad"), span("Bert", "happy")
    assert {one.person for one in assigned(coding("Anna", "Bert"), *spans, tiers={"Anna": None})[0]} == {
        "Anna"
    }


def test_labels_that_are_not_mapped_are_said() -> None:
    spans = [span("Anna", label) for label in ("sad", "joy", "boredom", "abstained", "—", "joy")]
    found, remarks = assigned(coding("Anna"), *spans)
    assert [one.label for one in found] == ["sad"]
    assert remarks == [
        "a.eaf: labels that are not mapped count as not coded: joy (2.0 s), boredom (1.0 s) "
        "(--labels LABEL=EMOTION)"
    ]
    labels = {"joy": "Happy", "boredom": "boredom", "sad": None}
    found, remarks = assigned(coding("Anna"), *spans, labels=labels)
    assert [one.label for one in found] == ["happy", "boredom", "happy"]
    assert remarks == []
    assert Assignment(coding(), CodingRules(labels)).labels == (*EMOTIONS, "boredom")


def test_tiers_of_something_else_are_one_remark() -> None:
    words = [span("words", f"word{n}", at_s=float(n)) for n in range(30)]
    own = [span("confidence@Anna", "0.412"), span("excluded", "a break")]
    found, remarks = assigned(coding("Anna"), *words, *own, span("Anna", "sad"))
    assert len(found) == 1
    assert remarks == ["a.eaf: tier 'words' has no label that is known: it is left out (--labels)"]


def test_maps_of_labels(tmp_path: Path) -> None:
    assert read_labels(["Joy=happy, Très content = happy ,dull="]) == {
        "joy": "happy", "très content": "happy", "dull": None,
    }  # fmt: skip
    (tmp_path / "map.csv").write_text("label;becomes\nJoy;happy\nDull;\n", encoding="utf-8")
    assert read_labels([str(tmp_path / "map.csv")]) == {"joy": "happy", "dull": None}
    assert read_labels(["crema-d-6"])["hap"] == "happy"
    assert read_labels(["crema-d-6", "HAP=surprised"])["hap"] == "surprised"
    (tmp_path / "other.csv").write_text("a,b\n")
    for wrong in ("=happy", "joy=happy,sad", "nope"):
        with pytest.raises(AnnotationError, match="--labels"):
            read_labels([wrong])
    for wrong in ("other.csv", "none.csv"):
        with pytest.raises(CorpusError, match="cannot be read as a map of labels"):
            read_labels([str(tmp_path / wrong)])


def test_folded_texts() -> None:
    assert folded("Person-1") == folded("person_1") == "person 1"
    assert folded("É") == folded("é")
    assert folded("—") == "—" and folded("-") == "-"


@pytest.mark.parametrize(
    ("file", "coder"),
    [
        ("talk.eaf", ""), ("talk.mp4.eaf", ""), ("Talk.eva.eaf", "eva"), ("talk.mp4-eva.csv", "eva"),
        ("talk_eva_2.eaf", "eva_2"), ("talking.eaf", None), ("tal.eaf", None), ("eva.eaf", None),
    ],
)  # fmt: skip
def test_names_of_coders(file: str, coder: str | None) -> None:
    assert name_of_coder(Path("x") / file, "talk.mp4") == coder
