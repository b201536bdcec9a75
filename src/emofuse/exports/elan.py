"""ELAN annotation documents, format 3.0 (EAFv3.0.xsd of the Max Planck Institute for Psycholinguistics)."""

from __future__ import annotations

import mimetypes
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from emofuse.core.text import one_line
from emofuse.exports.marks import MARKER, MarkInterval, mark_tiers
from emofuse.exports.media_links import has_address, relative_address
from emofuse.exports.rating_tiers import RATING, rating_tiers
from emofuse.exports.tiers import ABSTAINED, EXCLUDED, NOTHING, Tier, complete_tiers, label
from emofuse.timeline.records import SpanMs, Timeline

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ENGLISH = {
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00138502-001",
    "LANG_ID": "eng",
    "LANG_LABEL": "English (eng)",
}


def write_eaf(timeline: Timeline, file: IO[bytes], path: Path) -> None:
    """Two tiers per person: ``emotion``, with a dash in gaps, and its dependent tier ``confidence``.

    Markers, excluded spans and ratings have tiers of their own, the purpose is a property of the document.

    Args:
        timeline: what is written.
        file: the document is written to it.
        path: where the document will be, for the relative address of the recording.
    """
    ET.register_namespace("xsi", _XSI)
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "emofuse",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    if timeline.licence:
        ET.SubElement(root, "LICENSE", LICENSE_URL="").text = one_line(timeline.licence)
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    media = _media(timeline.source, path)
    if media:
        ET.SubElement(header, "MEDIA_DESCRIPTOR", media)
    time_order = ET.SubElement(root, "TIME_ORDER")
    tiers = complete_tiers(timeline)
    marks = [(name, lane, MARKER) for name, lane in mark_tiers(timeline)]
    marks += [(name, tuple(lane), RATING) for name, lane in rating_tiers(timeline)]
    spans = [[(one.start_ms, one.end_ms) for one in tier.intervals] for tier in tiers]
    slots = _add_slots(time_order, [*spans, *([one[:2] for one in lane] for _, lane, _ in marks)])
    vocabulary = {name: f"cve{n}" for n, name in enumerate(_vocabulary(timeline))}
    n_annotations = 0
    for tier, tier_slots in zip(tiers, slots, strict=False):
        reader = timeline.recogniser
        if timeline.leading(tier.person) == "own":
            reader += " (against the person's own baseline)"
        n_annotations = _add_tier(root, tier, tier_slots, vocabulary, n_annotations, reader)
    for (name, lane, kind), lane_slots in zip(marks, slots[len(tiers) :], strict=True):
        n_annotations = _add_marks(root, name, lane, lane_slots, n_annotations, kind)
    if timeline.purpose is not None:
        ET.SubElement(header, "PROPERTY", NAME="purpose").text = one_line(timeline.purpose)
    ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(n_annotations)
    _add_types(root, vocabulary, dict.fromkeys(kind for _, _, kind in marks))
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)


def _vocabulary(timeline: Timeline) -> list[str]:
    excluded = [EXCLUDED] if any(one.excluded for one in timeline.segments) else []
    emotions = (one_line(emotion) for emotion in timeline.emotions)
    return list(dict.fromkeys([*emotions, ABSTAINED, NOTHING, *excluded]))


def _media(source: str, path: Path) -> dict[str, str] | None:
    """The address of the recording, relative to the document, where ELAN looks first."""
    if not has_address(source):
        return None
    kind = mimetypes.guess_type(source)[0] or "unknown"
    if "://" in source:
        return {"MEDIA_URL": quote(one_line(source), safe="/:?#[]@!$&'()*+,;=%~"), "MIME_TYPE": kind}
    address = relative_address(source, path)
    return {"MEDIA_URL": address, "MIME_TYPE": kind, "RELATIVE_MEDIA_URL": address}


def _add_slots(time_order: ET.Element, tiers: Sequence[Sequence[SpanMs]]) -> list[list[tuple[str, str]]]:
    """Add two time slots per interval, numbered by time; return their names, tier by tier."""
    edges = [
        (ms, n_tier, n_interval, side)
        for n_tier, tier in enumerate(tiers)
        for n_interval, interval in enumerate(tier)
        for side, ms in enumerate(interval)
    ]
    names: dict[tuple[int, int, int], str] = {}
    for number, (ms, *key) in enumerate(sorted(edges), 1):
        n_tier, n_interval, side = key
        names[n_tier, n_interval, side] = f"ts{number}"
        ET.SubElement(time_order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(ms))
    return [
        [(names[n_tier, n, 0], names[n_tier, n, 1]) for n in range(len(tier))]
        for n_tier, tier in enumerate(tiers)
    ]


def _add_tier(
    root: ET.Element,
    tier: Tier,
    slots: list[tuple[str, str]],
    vocabulary: dict[str, str],
    n_before: int,
    recogniser: str,
) -> int:
    """Add the emotions of a person and their confidences; return the new number of annotations."""
    common = {"ANNOTATOR": one_line(recogniser)}
    if tier.key is not None:
        common["PARTICIPANT"] = tier.key
    emotions = ET.SubElement(
        root, "TIER", {**common, "LINGUISTIC_TYPE_REF": "emotion", "TIER_ID": tier.name("emotion")}
    )
    confidences = ET.SubElement(
        root,
        "TIER",
        {
            **common,
            "LINGUISTIC_TYPE_REF": "confidence",
            "PARENT_REF": tier.name("emotion"),
            "TIER_ID": tier.name("confidence"),
        },
    )
    number = n_before
    for interval, (start_slot, end_slot) in zip(tier.intervals, slots, strict=True):
        number += 1
        parent = f"a{number}"
        text = NOTHING if interval.segment is None else label(interval.segment)
        annotation = ET.SubElement(
            ET.SubElement(emotions, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=parent,
            CVE_REF=vocabulary[text],
            TIME_SLOT_REF1=start_slot,
            TIME_SLOT_REF2=end_slot,
        )
        ET.SubElement(annotation, "ANNOTATION_VALUE").text = text
        confidence = None if interval.segment is None else interval.segment.confidence
        if confidence is not None:
            number += 1
            annotation = ET.SubElement(
                ET.SubElement(confidences, "ANNOTATION"),
                "REF_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                ANNOTATION_REF=parent,
            )
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = f"{confidence:.3f}"
    return number


def _add_marks(
    root: ET.Element,
    name: str,
    lane: Sequence[MarkInterval],
    slots: Sequence[tuple[str, str]],
    n_before: int,
    kind: str,
) -> int:
    """Add a tier of markers, excluded spans or ratings; return the new number of annotations."""
    tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=kind, TIER_ID=name)
    for number, ((_, _, text), (start_slot, end_slot)) in enumerate(zip(lane, slots, strict=True), 1):
        annotation = ET.SubElement(
            ET.SubElement(tier, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{n_before + number}",
            TIME_SLOT_REF1=start_slot,
            TIME_SLOT_REF2=end_slot,
        )
        ET.SubElement(annotation, "ANNOTATION_VALUE").text = text
    return n_before + len(lane)


def _add_types(root: ET.Element, vocabulary: dict[str, str], kinds: Iterable[str]) -> None:
    """Add the linguistic types, and the controlled vocabulary of the emotion tier."""
    association = "Symbolic_Association"
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        CONTROLLED_VOCABULARY_REF="emotions",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="emotion",
        TIME_ALIGNABLE="true",
    )
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        CONSTRAINTS=association,
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="confidence",
        TIME_ALIGNABLE="false",
    )
    for kind in kinds:
        ET.SubElement(
            root,
            "LINGUISTIC_TYPE",
            GRAPHIC_REFERENCES="false",
            LINGUISTIC_TYPE_ID=kind,
            TIME_ALIGNABLE="true",
        )
    ET.SubElement(root, "LANGUAGE", _ENGLISH)
    meaning = "1-1 association with a parent annotation"
    ET.SubElement(root, "CONSTRAINT", DESCRIPTION=meaning, STEREOTYPE=association)
    entries = ET.SubElement(root, "CONTROLLED_VOCABULARY", CV_ID="emotions")
    ET.SubElement(entries, "DESCRIPTION", LANG_REF="eng").text = "Expressed emotions"
    for word, entry_id in vocabulary.items():
        entry = ET.SubElement(entries, "CV_ENTRY_ML", CVE_ID=entry_id)
        ET.SubElement(entry, "CVE_VALUE", DESCRIPTION="", LANG_REF="eng").text = word
