"""Tiers for ELAN's recognizer interface: the XML of AVATecH (``avatech-tiers.xsd``), which ELAN reads back.

ELAN (``XmlTierIO``) splits the names of tiers at spaces, reads times as float32 seconds, and cuts off what is
below a millisecond. Names therefore have underscores, as in files of ELAN's own, and times have a fourth
decimal, 0.4 ms, that keeps a cut from losing a millisecond.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import IO, Final

from emofuse.exports.tiers import Interval, Tier, complete_tiers, label
from emofuse.timeline.records import Timeline

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SPACE: Final = re.compile(r"\s+")


def write_tiers(timeline: Timeline, file: IO[bytes], *, with_confidence: bool) -> None:
    """One tier of emotions per person, and one of confidences beside it.

    Where there was nothing to read, there is no annotation.
    """
    ET.register_namespace("xsi", _XSI)
    root = ET.Element("TIERS", {f"{{{_XSI}}}noNamespaceSchemaLocation": "file:avatech-tiers.xsd"})
    kinds = ("emotion", "confidence") if with_confidence else ("emotion",)
    used: set[str] = set()
    for tier in complete_tiers(timeline):
        columns = _columns(tier, kinds, used)
        element = ET.SubElement(root, "TIER", columns=" ".join(columns))
        for interval in tier.intervals:
            _add_span(element, interval, with_confidence=with_confidence)
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)


def _columns(tier: Tier, kinds: Sequence[str], used: set[str]) -> list[str]:
    """The names of a person's tiers, without spaces, and of nobody else."""
    plain = [_SPACE.sub("_", tier.name(kind)) for kind in kinds]
    columns, number = plain, 1
    while used & set(columns):
        number += 1
        columns = [f"{name}_({number})" for name in plain]
    used.update(columns)
    return columns


def _add_span(tier: ET.Element, interval: Interval, *, with_confidence: bool) -> None:
    segment = interval.segment
    if segment is None or segment.status == "nothing_to_read":
        return
    span = ET.SubElement(tier, "span", start=seconds(interval.start_ms), end=seconds(interval.end_ms))
    ET.SubElement(span, "v").text = label(segment)
    if with_confidence:
        confidence = segment.confidence
        ET.SubElement(span, "v").text = "" if confidence is None else f"{confidence:.3f}"


def seconds(ms: int) -> str:
    """``12.3454``: seconds with a fourth decimal, so that ELAN's cut to milliseconds gives ``ms``."""
    return f"{ms // 1000}.{ms % 1000:03d}4"
