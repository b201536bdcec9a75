"""ELAN annotation documents (.eaf, format 2.7 to 3.0; EAF Annotation Format, MPI for Psycholinguistics).

Annotations of every tier become spans. Those that refer to others have their time: several that share one
parent divide it evenly, as ELAN shows them. Time slots without a time lie evenly between those with one.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from emofuse.coding.spans import MOST_SPANS, CodedFile, CodedSpan
from emofuse.system.xml_files import read_xml

Milliseconds = float
_LARGEST_MS: Final = 1e12


def read_eaf(path: Path) -> CodedFile:
    """Read an ELAN document.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an ELAN document, or a damaged one.
    """
    root = read_xml(path)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise ValueError(f"it is not an ELAN document: its root is <{root.tag[:40]}>")
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise ValueError(f"its times are in {units[:40]!r}: save it from ELAN, in milliseconds")
    media = [] if header is None else header.findall("MEDIA_DESCRIPTOR")
    origin_ms = _milliseconds(media[0].get("TIME_ORIGIN", "0")) if media else 0.0
    slots = _slots(root)
    tiers = [_Tier.of(element) for element in root.iterfind("TIER")]
    if sum(len(tier.annotations) for tier in tiers) > MOST_SPANS:
        raise ValueError(f"it has more than {MOST_SPANS} annotations")
    times = _times(tiers, slots)
    recording = _name(media[0].get("MEDIA_URL", "")) if media else None
    spans: list[CodedSpan] = []
    unplaced = empty = 0
    for tier in tiers:
        for one in tier.annotations:
            found = times.get(one.key)
            if not one.text:
                empty += 1
            elif found is None or found[0] >= found[1]:
                unplaced += 1
            else:
                start_s, end_s = ((ms + origin_ms) / 1000 for ms in found)
                spans.append(
                    CodedSpan(tier.name, start_s, end_s, one.text, tier.participant, tier.coder, recording)
                )
    notes = [f"{unplaced} annotations have no time or no length, and are left out"] if unplaced else []
    notes += [f"{empty} annotations are empty, and count as not coded"] if empty else []
    return CodedFile(path, tuple(spans), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Annotation:
    key: str
    text: str
    slots: tuple[str, str] | None
    """Of an annotation with times of its own."""
    parent: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class _Tier:
    name: str
    participant: str | None
    coder: str | None
    annotations: tuple[_Annotation, ...]

    @classmethod
    def of(cls, element: ET.Element) -> _Tier:
        name = element.get("TIER_ID")
        if name is None:
            raise ValueError("a tier has no TIER_ID")
        return cls(
            name,
            element.get("PARTICIPANT", "").strip() or None,
            element.get("ANNOTATOR", "").strip() or None,
            tuple(_annotations(element)),
        )


def _annotations(tier: ET.Element) -> Iterator[_Annotation]:
    for wrapper in tier.iterfind("ANNOTATION"):
        for one in wrapper:
            key = one.get("ANNOTATION_ID")
            if key is None:
                raise ValueError("an annotation has no ANNOTATION_ID")
            text = (one.findtext("ANNOTATION_VALUE") or "").strip()
            if one.tag == "ALIGNABLE_ANNOTATION":
                slots = one.get("TIME_SLOT_REF1", ""), one.get("TIME_SLOT_REF2", "")
                yield _Annotation(key, text, slots, None, None)
            elif one.tag == "REF_ANNOTATION":
                yield _Annotation(
                    key, text, None, one.get("ANNOTATION_REF", ""), one.get("PREVIOUS_ANNOTATION")
                )


def _slots(root: ET.Element) -> dict[str, Milliseconds | None]:
    found: dict[str, Milliseconds | None] = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        key, value = slot.get("TIME_SLOT_ID"), slot.get("TIME_VALUE")
        if key is None:
            raise ValueError("a time slot has no TIME_SLOT_ID")
        found[key] = None if value is None else _milliseconds(value)
    return found


def _milliseconds(text: str) -> Milliseconds:
    try:
        value = float(int(text))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time in milliseconds") from None
    if abs(value) > _LARGEST_MS:
        raise ValueError(f"{text[:40]} ms is not a time in a recording")
    return value


def _times(
    tiers: Sequence[_Tier], slots: Mapping[str, Milliseconds | None]
) -> dict[str, tuple[Milliseconds, Milliseconds]]:
    """Start and end of each annotation, by its name; those without are left out."""
    found: dict[str, tuple[Milliseconds, Milliseconds]] = {}
    families: list[tuple[str, list[_Annotation]]] = []
    for tier in tiers:
        aligned = [one for one in tier.annotations if one.slots is not None]
        names = [name for one in aligned for name in one.slots or ()]
        if (unknown := next((name for name in names if name not in slots), None)) is not None:
            raise ValueError(f"a tier names the time slot {unknown[:40]!r}, which there is not")
        known = _filled(names, slots)
        for one, start, end in zip(aligned, known[::2], known[1::2], strict=True):
            if start is not None and end is not None:
                found[one.key] = start, end
        by_parent: dict[str, list[_Annotation]] = {}
        for one in tier.annotations:
            if one.parent is not None:
                by_parent.setdefault(one.parent, []).append(one)
        families += by_parent.items()
    waiting: dict[str, list[list[_Annotation]]] = {}
    for parent, children in families:
        waiting.setdefault(parent, []).append(_in_order(children))
    ready = [key for key in found if key in waiting]
    while ready:
        parent = ready.pop()
        start, end = found[parent]
        for children in waiting.pop(parent, ()):
            for number, child in enumerate(children):
                length = (end - start) / len(children)
                found[child.key] = start + number * length, start + (number + 1) * length
                ready.append(child.key)
    return found


def _in_order(children: Sequence[_Annotation]) -> list[_Annotation]:
    """Those that share a parent: each after the one that it names as the previous."""
    following = {one.previous: one for one in children if one.previous is not None}
    ordered: dict[str, _Annotation] = {}
    for first in children:
        one: _Annotation | None = first if first.previous is None else None
        while one is not None and one.key not in ordered:
            ordered[one.key] = one
            one = following.get(one.key)
    return [*ordered.values(), *(one for one in children if one.key not in ordered)]


def _filled(names: Sequence[str], slots: Mapping[str, Milliseconds | None]) -> list[Milliseconds | None]:
    """The times of a tier's slots in their order; those without one lie evenly between their neighbors."""
    distinct = [name for n, name in enumerate(names) if not n or names[n - 1] != name]
    values = [slots[name] for name in distinct]
    known = [n for n, value in enumerate(values) if value is not None]
    for before, after in pairwise(known):
        first, last = values[before], values[after]
        assert first is not None and last is not None
        for n in range(before + 1, after):
            values[n] = first + (last - first) * (n - before) / (after - before)
    filled, place = [], -1
    for n, name in enumerate(names):
        if not n or names[n - 1] != name:
            place += 1
        filled.append(values[place])
    return filled


def _name(address: str) -> str | None:
    """The file name of a media address."""
    return unquote(address.replace("\\", "/").rpartition("/")[2]).strip() or None
