"""Label Studio's tasks and labeling configurations, by the rules of its SDK.

``tests/soak/test_label_studio_sdk.py`` has the SDK itself check the same files, in an environment of its own.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.text import one_line
from emofuse.exports.label_studio import LabelingNames, media_address, prediction
from emofuse.exports.write import write_timeline
from emofuse.timeline.records import Segment, Timeline, part_ms
from tests.support import timelines


def checked(path: Path) -> tuple[dict[str, Any], ET.Element]:
    """The one task of a file and its configuration, both by the SDK's rules (``validate_prediction``)."""
    (task,) = json.loads(path.read_text(encoding="utf-8"))
    config = ET.parse(path.with_suffix(".xml")).getroot()
    tags = {one.get("name"): one for one in config.iter() if one.get("name")}
    names = [one.get("name") for one in config.iter() if one.get("name")]
    assert len(set(names)) == len(names)
    for tag in tags.values():
        assert tag.get("toName") is None or tag.get("toName") in tags
        if (value := tag.get("value", "")).startswith("$"):
            assert value[1:] in task["data"]
    labels = {one.get("value") for one in config.iter("Label")}
    assert len(labels) == len(config.findall("*/Label"))
    (found,) = task["predictions"]
    assert 0 <= found["score"] <= 1 and isinstance(found["model_version"], str)
    for region in found["result"]:
        control = tags[region["from_name"]]
        assert control.tag.lower() == region["type"] and control.get("toName") == region["to_name"]
        value = region["value"]
        assert 0 <= value["start"] < value["end"] <= region["original_length"]
        if region["type"] == "labels":
            assert set(value["labels"]) <= labels and len(value["labels"]) == 1
        else:
            assert all(isinstance(text, str) and text for text in value["text"])
    return task, config


def test_predictions_are_the_segments(any_timeline: Timeline, tmp_path: Path) -> None:
    task, _ = checked(write_timeline(any_timeline, tmp_path / "a.label-studio.json"))
    span = 0, max(any_timeline.span_ms[1], 0)
    wanted = []
    for one in any_timeline.segments:
        start, end = part_ms(one, span)
        if start < end and one.status in {"read", "abstained"}:
            wanted.append((start, end, one.emotion or "abstained", one.person is not None))
    regions = task["predictions"][0]["result"]
    people = {one["id"] for one in regions if one["type"] == "textarea"}
    found = [
        (round(1000 * one["value"]["start"]), round(1000 * one["value"]["end"]), one["value"]["labels"][0],
         one["id"] in people)
        for one in regions if one["type"] == "labels"
    ]  # fmt: skip
    assert found == wanted
    ids = [one["id"] for one in regions if one["type"] == "labels"]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", range(5))
def test_excluded_spans_and_purpose(seed: int, tmp_path: Path) -> None:
    whole = timelines.marked_timeline(seed)
    task, config = checked(write_timeline(whole, tmp_path / "a.label-studio.json"))
    assert task["meta"]["purpose"] == one_line(whole.purpose or "")
    assert any(one.get("value") == "excluded" for one in config.iter("Label")) == any(
        one.excluded for one in whole.segments
    )


@pytest.mark.parametrize("emotions", [("ja", "nein"), tuple(f'感情 "{n}" <&> é' for n in range(50))])
def test_any_labels(emotions: tuple[str, ...], tmp_path: Path) -> None:
    segments = tuple(Segment(n / 10, (n + 1) / 10, name, 0.5) for n, name in enumerate(emotions))
    whole = timelines.timeline(emotions=emotions, segments=segments)
    task, config = checked(write_timeline(whole, tmp_path / "a.label-studio.json"))
    assert [one.get("value") for one in config.iter("Label")] == [*emotions, "abstained"]
    assert len(task["predictions"][0]["result"]) == len(emotions)
    assert len({one.get("background") for one in config.iter("Label")}) == len(emotions) + 1


def test_video_is_shown_where_there_is_one(tmp_path: Path) -> None:
    video = timelines.timeline(picture_size=(640, 480))
    task, config = checked(write_timeline(video, tmp_path / "a.label-studio.json"))
    assert list(task["data"]) == ["video"]
    assert [(one.tag, one.get("value"), one.get("sync")) for one in config if one.get("value")] == [
        ("Video", "$video", "video"),
        ("Audio", "$video", "video"),
    ]
    task, config = checked(write_timeline(timelines.timeline(), tmp_path / "b.label-studio.json"))
    assert list(task["data"]) == ["audio"] and config.find("Video") is None


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("takes/Gespräch #1.mp4", "/data/local-files/?d=Gespr%C3%A4ch%20%231.mp4"),
        ("C:\\takes\\a.mp4", "/data/local-files/?d=a.mp4"),
        ("https://example.org/a.mp4?x=1&y=2", "https://example.org/a.mp4?x=1&y=2"),
        ("<bytes>", ""),
    ],
)
def test_addresses(source: str, address: str) -> None:
    assert media_address(source) == address


def test_a_configuration_with_fewer_labels_gets_only_these() -> None:
    segments = (Segment(0, 1, "happy", 0.9, person="A"), Segment(1, 2, "sad", 0.7, person="A"))
    whole = timelines.timeline(people=("A",), segments=segments)
    names = LabelingNames("mood", "sound", None, frozenset({"sad", "other"}))
    found = prediction(whole, names)
    (region,) = found["result"]
    assert region["value"] == {"start": 1.0, "end": 2.0, "channel": 0, "labels": ["sad"]}
    assert (region["from_name"], region["to_name"], region["score"]) == ("mood", "sound", 0.7)
    assert found["score"] == pytest.approx(0.8)
