"""ELAN documents: of pympi, of our own export, and with all that ELAN writes."""

from __future__ import annotations

from pathlib import Path

import pympi
import pytest

from emofuse.coding.elan_files import read_eaf
from emofuse.coding.spans import CodedSpan
from emofuse.core.times import milliseconds
from emofuse.exports.tiers import NOTHING, complete_tiers, label
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Timeline
from tests.exports.conftest import any_timeline  # noqa: F401
from tests.support.annotation_files import write_eaf

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT FORMAT="3.0" VERSION="3.0">
<HEADER TIME_UNITS="milliseconds">{media}</HEADER>
<TIME_ORDER>{slots}</TIME_ORDER>{tiers}</ANNOTATION_DOCUMENT>"""


def document(path: Path, slots: str, tiers: str, media: str = "") -> Path:
    path.write_text(DOCUMENT.format(slots=slots, tiers=tiers, media=media), encoding="utf-8")
    return path


def slot(number: int, ms: int | None) -> str:
    value = "" if ms is None else f' TIME_VALUE="{ms}"'
    return f'<TIME_SLOT TIME_SLOT_ID="t{number}"{value}/>'


def aligned(key: str, first: int, last: int, text: str) -> str:
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{key}" TIME_SLOT_REF1="t{first}" '
        f'TIME_SLOT_REF2="t{last}"><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
        "</ANNOTATION>"
    )


def referring(key: str, parent: str, text: str, previous: str | None = None) -> str:
    after = "" if previous is None else f' PREVIOUS_ANNOTATION="{previous}"'
    return (
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{key}" ANNOTATION_REF="{parent}"{after}>'
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    )


def times(spans: tuple[CodedSpan, ...]) -> list[tuple[int, int, str]]:
    return [(milliseconds(one.start_s), milliseconds(one.end_s), one.label) for one in spans]


def test_our_export_is_read_back_without_loss(any_timeline: Timeline, tmp_path: Path) -> None:  # noqa: F811
    found = read_eaf(write_timeline(any_timeline, tmp_path / "a.eaf"))
    for tier in complete_tiers(any_timeline):
        own = tuple(one for one in found.spans if one.tier == tier.name("emotion"))
        assert times(own) == [
            (one.start_ms, one.end_ms, NOTHING if one.segment is None else label(one.segment))
            for one in tier.intervals
        ]
        assert {one.person for one in own} <= {None if tier.key is None else tier.key.strip() or None}
        confidences = [one for one in found.spans if one.tier == tier.name("confidence")]
        assert times(tuple(confidences)) == [
            (one.start_ms, one.end_ms, f"{one.segment.confidence:.3f}")
            for one in tier.intervals
            if one.segment is not None and one.segment.confidence is not None
        ]


def test_pympi_reads_the_same(any_timeline: Timeline, tmp_path: Path) -> None:  # noqa: F811
    path = write_timeline(any_timeline, tmp_path / "a.eaf")
    found, other = read_eaf(path), pympi.Eaf(str(path))
    for name in other.tiers:
        own = times(tuple(one for one in found.spans if one.tier == name))
        assert own == sorted(tuple(one[:3]) for one in other.get_annotation_data_for_tier(name))


def test_what_pympi_writes_is_read(tmp_path: Path) -> None:
    tiers = {"Anna": [(0.0, 1.5, "happy"), (1.5, 2.25, "très content")], "Bert": [(0.5, 3.0, "<&>")]}
    found = read_eaf(write_eaf(tmp_path / "a.eaf", tiers, participants={"Bert": "B. B."}))
    assert found.tiers == ("Anna", "Bert") and found.notes == ()
    assert {
        name: [(s.start_s, s.end_s, s.label) for s in found.spans if s.tier == name] for name in tiers
    } == tiers
    assert {one.person for one in found.spans if one.tier == "Bert"} == {"B. B."}


def test_slots_without_a_time_lie_evenly(tmp_path: Path) -> None:
    """As ELAN does it with a time subdivision: only its ends have times."""
    slots = slot(1, 1000) + slot(2, None) + slot(3, None) + slot(4, 4000)
    tier = '<TIER TIER_ID="w">' + "".join(aligned(f"a{n}", n, n + 1, f"w{n}") for n in (1, 2, 3)) + "</TIER>"
    found = read_eaf(document(tmp_path / "a.eaf", slots, tier))
    assert times(found.spans) == [(1000, 2000, "w1"), (2000, 3000, "w2"), (3000, 4000, "w3")]


def test_annotations_that_refer_have_the_time_of_their_parent(tmp_path: Path) -> None:
    child = '<TIER TIER_ID="child" PARENT_REF="top">' + referring("c2", "a1", "two", "c1") + referring(
        "c1", "a1", "one"
    ) + "</TIER>"  # fmt: skip
    grandchild = '<TIER TIER_ID="grand" PARENT_REF="child">' + referring("g", "c2", "deep") + "</TIER>"
    top = '<TIER TIER_ID="top" ANNOTATOR="Eva">' + aligned("a1", 1, 2, "whole") + "</TIER>"
    found = read_eaf(document(tmp_path / "a.eaf", slot(1, 0) + slot(2, 1000), grandchild + child + top))
    assert set(times(found.spans)) == {
        (0, 1000, "whole"),
        (0, 500, "one"),
        (500, 1000, "two"),
        (500, 1000, "deep"),
    }
    assert {one.tier: one.coder for one in found.spans} == {"grand": None, "child": None, "top": "Eva"}


def test_the_first_recording_says_the_name_and_the_offset(tmp_path: Path) -> None:
    media = (
        '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/Gespr%C3%A4ch 1.mp4" MIME_TYPE="v" TIME_ORIGIN="250"/>'
    )
    tier = '<TIER TIER_ID="t">' + aligned("a", 1, 2, "x") + "</TIER>"
    (span,) = read_eaf(document(tmp_path / "a.eaf", slot(1, 0) + slot(2, 1000), tier, media)).spans
    assert (span.recording, span.start_s, span.end_s) == ("Gespräch 1.mp4", 0.25, 1.25)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    tier = '<TIER TIER_ID="t">' + aligned("a", 1, 2, "x") + aligned("b", 2, 3, " ") + aligned("c", 3, 3, "y")
    loop = referring("l1", "l2", "never") + referring("l2", "l1", "ends") + "</TIER>"
    found = read_eaf(document(tmp_path / "a.eaf", slot(1, 0) + slot(2, 10) + slot(3, 20), tier + loop))
    assert times(found.spans) == [(0, 10, "x")]
    assert found.notes == (
        "3 annotations have no time or no length, and are left out",
        "1 annotations are empty, and count as not coded",
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<html/>", "not an ELAN document"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><ANNOTATION_DOCUMENT>&x;</ANNOTATION_DOCUMENT>', "document type"),
        (
            '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>',
            "times are in 'PAL-frames'",
        ),
        (DOCUMENT.format(media="", slots=slot(1, 0), tiers="<TIER/>"), "no TIER_ID"),
        (
            DOCUMENT.format(media="", slots="", tiers=f'<TIER TIER_ID="t">{aligned("a", 1, 2, "x")}</TIER>'),
            "time slot 't1', which there is not",
        ),
        (
            DOCUMENT.format(media="", slots=slot(1, 0), tiers='<TIER TIER_ID="t"><ANNOTATION>'
            '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a" TIME_SLOT_REF1="t1"/></ANNOTATION></TIER>'),
            "time slot '', which there is not",
        ),
        (DOCUMENT.format(media="", slots=slot(1, 10**15), tiers=""), "not a time in a recording"),
        ('<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1.5"/></TIME_ORDER>'
         "</ANNOTATION_DOCUMENT>", "not a time in milliseconds"),
    ],
)  # fmt: skip
def test_damaged_documents_say_why(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_eaf(tmp_path / "a.eaf")
