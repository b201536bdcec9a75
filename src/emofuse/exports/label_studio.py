"""Predictions for Label Studio: a task with pre-annotations, and the labeling configuration that shows them.

Regions are ``Labels`` on an ``Audio`` tag, with times in seconds, which Label Studio shows under a video too
(its template *Video timeline segmentation*). ``TimelineLabels`` count frames of a constant rate, which a
recording need not have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from emofuse.core.colors import label_colors
from emofuse.core.text import encodable, one_line
from emofuse.exports.media_links import has_address
from emofuse.exports.tiers import ABSTAINED, EXCLUDED, label, plain_names
from emofuse.timeline.records import Segment, Timeline, part_ms

LOCAL_FILES: Final = "/data/local-files/?d="
"""How Label Studio names a file of its local storage; the path after it is below the document root."""
_GRAY: Final = "#999999"


@dataclass(frozen=True, slots=True)
class LabelingNames:
    """The names of the tags of a labeling configuration that a prediction fills."""

    labels: str = "emotion"
    """Of the ``Labels`` tag."""
    media: str = "audio"
    """Of the ``Audio`` tag that it belongs to."""
    person: str | None = "person"
    """Of the ``TextArea`` of a region; None: the configuration has none."""
    values: frozenset[str] | None = None
    """The labels that the configuration has; None: all that a timeline can have."""


def media_key(timeline: Timeline) -> str:
    """The key of a task's data that holds the address of the recording: ``video`` or ``audio``."""
    return "audio" if timeline.picture_size is None else "video"


def regions(timeline: Timeline, names: LabelingNames) -> Iterator[dict[str, Any]]:
    """The result of a prediction: a region per segment with an emotion, abstained, or excluded.

    A segment that the configuration has no label for is left out, and so is one in which there was nothing to
    read. Each region has a result of the ``Labels`` and, if its person is known, one of the ``TextArea``.
    """
    start_ms, end_ms = timeline.span_ms
    span = max(start_ms, 0), max(end_ms, 0)
    people = plain_names(timeline.people)
    for number, segment in enumerate(_labeled(timeline.segments), 1):
        first, last = part_ms(segment, span)
        name = label(segment)
        if first >= last or (names.values is not None and name not in names.values):
            continue
        place = {"start": first / 1000, "end": last / 1000, "channel": 0}
        common = {
            "id": f"emofuse{number}",
            "to_name": names.media,
            "original_length": end_ms / 1000,
        }
        result = {
            **common,
            "from_name": names.labels,
            "type": "labels",
            "value": {**place, "labels": [name]},
        }
        if segment.confidence is not None:
            result["score"] = round(segment.confidence, 6)
        yield result
        if names.person is not None and segment.person is not None:
            text = [people[segment.person]]
            yield {
                **common,
                "from_name": names.person,
                "type": "textarea",
                "value": {**place, "text": text},
            }


def _labeled(segments: Collection[Segment]) -> Iterator[Segment]:
    return (one for one in segments if one.status != "nothing_to_read")


def prediction(timeline: Timeline, names: LabelingNames | None = None) -> dict[str, Any]:
    """A prediction: its regions, the recognizer, and the mean confidence by length as its score."""
    found = list(regions(timeline, names or LabelingNames()))
    sure = [
        (one.confidence, one.duration_s)
        for one in timeline.segments
        if one.emotion is not None and one.confidence is not None
    ]
    total_s = math.fsum(length for _, length in sure)
    score = math.fsum(confidence * length for confidence, length in sure) / total_s if total_s else 0.0
    return {
        "model_version": one_line(timeline.recogniser),
        "score": round(min(score, 1.0), 6),
        "result": found,
    }


def media_address(source: str) -> str:
    """The address of a recording for a task: its own, or its file name in Label Studio's local storage."""
    if not has_address(source):
        return ""
    if "://" in source:
        return encodable(source)
    name = PurePath(source.replace("\\", "/")).name
    return LOCAL_FILES + quote(encodable(name))


def write_label_studio(timeline: Timeline, file: IO[bytes]) -> None:
    """A list of one task with its prediction, for *Import* in Label Studio."""
    meta = {"licence": timeline.licence, "purpose": timeline.purpose}
    task = {
        "data": {media_key(timeline): media_address(timeline.source)},
        "meta": {name: one_line(text) for name, text in meta.items() if text is not None},
        "predictions": [prediction(timeline)],
    }
    file.write(encodable(json.dumps([task], ensure_ascii=False, indent=1, allow_nan=False)).encode() + b"\n")


def write_labeling_config(timeline: Timeline, file: IO[bytes]) -> None:
    """The labeling configuration (XML) for the tasks of this recognizer."""
    excluded = any(one.excluded for one in timeline.segments)
    config = labeling_config(timeline.emotions, media_key(timeline), excluded=excluded)
    file.write(config.encode("utf-8", "replace"))


def labeling_config(emotions: Collection[str], key: str, *, excluded: bool = False) -> str:
    """A labeling configuration.

    Args:
        emotions: the labels of the recognizer, in any script.
        key: ``video`` or ``audio``, as in a task's data.
        excluded: whether there is a label for spans that somebody left out.

    Returns:
        XML, for *Settings, Labeling Interface, Code*.
    """
    colors = {one_line(name): color for name, color in label_colors(tuple(emotions)).items()}
    colors |= dict.fromkeys((ABSTAINED, *([EXCLUDED] if excluded else [])), _GRAY)
    lines = ["<View>"]
    with_video = key == "video"
    if with_video:
        lines.append('  <Video name="video" value="$video" sync="video"/>')
    lines.append('  <Labels name="emotion" toName="audio">')
    for name, color in colors.items():
        value = escape(name, {'"': "&quot;"})
        lines.append(f'    <Label value="{value}" background="{color}"/>')
    lines.append("  </Labels>")
    synced = ' sync="video"' if with_video else ""
    lines.append(f'  <Audio name="audio" value="${key}"{synced}/>')
    lines.append(
        '  <TextArea name="person" toName="audio" perRegion="true" editable="true" maxSubmissions="1"/>'
    )
    return "\n".join([*lines, "</View>", ""])
