"""Annotations change what they say, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from emofuse.core.errors import AnnotationError
from emofuse.core.labels import EMOTIONS
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.annotated import annotated
from emofuse.timeline.annotations import Annotations
from emofuse.timeline.own_baselines import with_own_baselines
from emofuse.timeline.people import rename_people
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.records import FaceBox, Timeline, Window
from emofuse.timeline.segments import SegmentRules, make_segments, presence
from emofuse.timeline.summary import summarize
from tests.support import timelines

END_S = 60.0
FRAMES = np.arange(0, 300) / 5
RULES = SegmentRules(0.3, 0.2)
PEOPLE = ("person 1", "person 2", "person 3")


@pytest.fixture(scope="module")
def model() -> Recognizer:
    return Recognizer.load()


def read(
    windows: list[Window], faces: list[FaceBox], people: tuple[str, ...], model: Recognizer | None = None
) -> Timeline:
    """What reading a recording makes of windows and faces; with the model, against own baselines."""
    windows = sorted(windows, key=lambda one: one.start_s)
    faces = sorted(faces, key=lambda one: (one.time_s, one.person))
    baselines: Mapping[str, Any] = {}
    if model is not None:
        windows, baselines = with_own_baselines(model, windows, 3.0)
    segments = make_segments(
        windows, (0.0, END_S), EMOTIONS, presence=presence(faces, FRAMES, END_S), frame_times=FRAMES,
        rules=RULES,
    )  # fmt: skip
    return timelines.timeline(
        duration_s=END_S, windows=tuple(windows), faces=tuple(faces), people=people, segments=segments,
        picture_size=(640, 360), baselines=dict(baselines),
        provenance=Provenance(
            3.0, RULES.change_cost, RULES.abstain_below, FRAMES, model is not None,
            "unknown" if model is None else model.baselines.fingerprint,
        ),
    )  # fmt: skip


def drawn(seed: int, **who: str) -> tuple[list[Window], list[FaceBox]]:
    """Two people over a minute who take turns; ``first`` and ``then``: the first one's names."""
    rng = np.random.default_rng(seed)
    windows, faces = [], []
    for start in range(58):
        talks = "person 2" if start % 20 > 12 else who.get("first", "person 1")
        for person in ("person 1", "person 2"):
            vectors = [rng.dirichlet(np.full(8, 0.3)) for _ in range(3)]
            speaks = person == ("person 2" if start % 20 > 12 else "person 1")
            voice = vectors[0] if speaks else None
            windows.append(Window(
                start, start + 3.0, voice, vectors[1], vectors[2] if speaks else vectors[1],
                speech=0.75, face_present=1.0, person=person, speaker=talks,
                reasons=() if speaks else ("voice:of_another",), quality={"face_size_px": 40.0 + start},
            ))  # fmt: skip
    for time_s in FRAMES.tolist():
        for n, person in enumerate(("person 1", "person 2")):
            if not 30 <= time_s < 33 or n:
                faces.append(FaceBox(time_s, person, 100.0 * n, 0.0, 100.0 * n + 50, 60.0))
    return windows, faces


def change(**data: Any) -> Annotations:
    return Annotations.from_data(data)


def split(windows: list[Window], faces: list[FaceBox], at_s: float) -> tuple[list[Window], list[FaceBox]]:
    """The same, where the tracker lost person 1 at a time and found somebody new, person 3.

    A window over that time has a part of each track.
    """
    found = []
    for window in windows:
        if window.person == "person 1" and window.start_s < at_s < window.end_s:
            share = (at_s - window.start_s) / 3.0
            first = replace(window, face_present=share)
            second = replace(
                window, face_present=1.0 - share, person="person 3", voice=None, fused=window.face,
                reasons=("voice:of_another",),
            )  # fmt: skip
            found += [first, second]
        elif window.start_s >= at_s:
            person = "person 3" if window.person == "person 1" else window.person
            speaker = "person 3" if window.speaker == "person 1" else window.speaker
            found.append(replace(window, person=person, speaker=speaker))
        else:
            found.append(window)
    boxes = [
        replace(one, person="person 3") if one.person == "person 1" and one.time_s >= at_s else one
        for one in faces
    ]
    return found, boxes


@pytest.mark.parametrize("at_s", [14.9, 23.5, 31.5, 40.0])
def test_a_person_who_was_split_is_whole_again(at_s: float, model: Recognizer) -> None:
    """Merged, two tracks are what reading would have made of one: windows, baselines and segments."""
    windows, faces = drawn(1)
    whole = read(windows, faces, PEOPLE[:2], model)
    assert whole.baselines["person 1"].leading == "own"
    parts = read(*split(windows, faces, at_s), PEOPLE, model)
    assert parts.segments != whole.segments
    again = annotated(parts, change(merges={"person 3": "person 1"}), model=model)
    assert again.people == whole.people and again.faces == whole.faces
    assert again.windows == whole.windows
    assert set(again.baselines) == set(whole.baselines)
    for person, baseline in whole.baselines.items():
        assert again.baselines[person].described == baseline.described
    assert again.segments == whole.segments
    assert again == replace(whole, baselines=again.baselines)


def test_without_the_recognizer_merged_people_are_read_plainly(model: Recognizer) -> None:
    windows, faces = drawn(2)
    plain = read(windows, faces, PEOPLE[:2])
    parts = read(*split(windows, faces, 30.0), PEOPLE, model)
    assert set(parts.baselines) == set(PEOPLE)
    other = replace(parts.provenance, model="another") if parts.provenance else None
    for given, stated in ((parts, None), (replace(parts, provenance=other), model)):
        merged = annotated(given, change(merges={"person 3": "person 1"}), model=stated)
        assert list(merged.baselines) == ["person 2"] and "without" in merged.notes[-1]
        mine = [one for one in merged.windows if one.person == "person 1"]
        assert mine == [one for one in plain.windows if one.person == "person 1"]
        assert [one for one in merged.segments if one.person == "person 1"] == [
            one for one in plain.segments if one.person == "person 1"
        ]
        others = [one for one in merged.windows if one.person == "person 2"]
        assert [one.fused is not None and one.baseline for one in others] == [
            one.baseline for one in parts.windows if one.person == "person 2"
        ]
    silent = read(*split(windows, faces, 30.0), PEOPLE)
    assert annotated(silent, change(merges={"person 3": "person 1"})).notes == ()


def test_which_of_two_windows_is_kept() -> None:
    def one(person: str, voice: bool, face: bool, present: float | None) -> Window:
        vector = np.full(8, 0.125)
        return timelines.window(
            0, 3, voice=vector if voice else None, face=vector if face else None,
            fused=vector if voice or face else None, person=person, face_present=present,
            quality={"of": person},
        )  # fmt: skip

    for first, second, kept, present in (
        ((True, False, 0.2), (False, True, 0.5), "person 1", 0.7),
        ((False, True, 0.9), (True, False, 0.5), "person 3", 1.0),
        ((False, False, 0.9), (False, True, 0.3), "person 3", 1.0),
        ((False, True, 0.3), (False, True, 0.4), "person 3", 0.7),
        ((False, True, 0.4), (False, True, 0.4), "person 1", 0.8),
        ((False, True, None), (False, True, None), "person 1", None),
        ((False, True, None), (False, True, 0.1), "person 3", 0.1),
    ):
        whole = timelines.timeline(people=PEOPLE, windows=(one("person 1", *first), one("person 3", *second)))
        (window,) = annotated(whole, change(merges={"person 3": "person 1"})).windows
        assert window.quality["of"] == kept and window.person == "person 1"
        assert window.face_present == (None if present is None else pytest.approx(present))
    boxes = (FaceBox(1.0, "person 1", 0, 0, 9, 9), FaceBox(1.0, "person 3", 5, 5, 20, 20))
    whole = timelines.timeline(people=PEOPLE, faces=boxes, picture_size=(64, 64))
    merged = annotated(whole, change(merges={"person 3": "person 2", "person 2": "person 1"}))
    assert merged.faces == (FaceBox(1.0, "person 1", 5, 5, 20, 20),) and merged.people == ("person 1",)


# --- excluded spans


def spoiled(timeline: Timeline, span: tuple[float, float], person: str | None, seed: int) -> Timeline:
    """The timeline with other values in all windows that touch a span."""
    rng = np.random.default_rng(seed)
    windows = []
    for one in timeline.windows:
        touches = one.start_s < span[1] and span[0] < one.end_s
        if touches and person in {None, one.person}:
            vectors = [rng.dirichlet(np.full(8, 0.2)) for _ in range(3)]
            one = replace(  # noqa: PLW2901 - the next one
                one, voice=None if one.voice is None else vectors[0], face=vectors[1], fused=vectors[2],
                speech=float(rng.random()), face_present=float(rng.random()), reasons=("face:none_seen",),
            )  # fmt: skip
        windows.append(one)
    return replace(timeline, windows=tuple(windows))


@pytest.mark.parametrize("person", [None, "person 1"])
@pytest.mark.parametrize("span", [(0.0, 2.0), (10.2, 31.0), (58.9, 60.0), (-3.0, 70.0)])
def test_nothing_of_an_excluded_span_counts(
    span: tuple[float, float], person: str | None, model: Recognizer
) -> None:
    windows, faces = drawn(3)
    timeline = read(windows, faces, PEOPLE[:2], model)
    entry: dict[str, Any] = {"start_s": span[0], "end_s": span[1], "reason": "a call", "person": person}
    found = annotated(timeline, change(excluded=[entry]), model=model)
    inside = max(span[0], 0.0), min(span[1], END_S)
    touched = [one for one in timeline.windows if one.start_s < span[1] and span[0] < one.end_s]
    gone = [one for one in touched if person in {None, one.person}]
    assert len(found.windows) == len(timeline.windows) - len(gone) and gone
    for who in PEOPLE[:2]:
        own = [one for one in found.segments if one.person == who]
        assert own[0].start_s == 0.0 and own[-1].end_s == END_S
        assert all(one.end_s == two.start_s for one, two in pairwise(own))
        excluded = [(one.start_s, one.end_s) for one in own if one.excluded]
        assert excluded == ([inside] if person in {None, who} else [])
        assert [one.status for one in own if one.excluded] == ["excluded"] * len(excluded)
    assert not [
        one for one in found.faces if inside[0] <= one.time_s < inside[1] and person in {None, one.person}
    ]
    (kept,) = found.excluded
    assert (kept.start_s, kept.end_s, kept.reason, kept.person) == (*inside, "a call", person)
    # whatever was read there, the result is the same
    other = annotated(spoiled(timeline, inside, person, 7), change(excluded=[entry]), model=model)
    assert other.windows == found.windows and other.segments == found.segments
    assert summarize(other) == summarize(found) and other.baselines.keys() == found.baselines.keys()
    if person is not None:
        theirs = [one for one in timeline.segments if one.person == "person 2"]
        assert [one for one in found.segments if one.person == "person 2"] == theirs


def test_speech_in_an_excluded_span_counts_for_nobody() -> None:
    windows, faces = drawn(4)
    timeline = read(windows, faces, PEOPLE[:2])
    before = {one.person: one.talking_s for one in summarize(timeline)}
    found = annotated(
        timeline, change(excluded=[{"start_s": 0, "end_s": 60, "reason": "x", "person": "person 1"}])
    )
    after = {one.person: one for one in summarize(found)}
    assert set(after) == set(before)  # no row of voices that are nobody's
    assert after["person 1"].talking_s == 0 and after["person 1"].read_s == 0
    assert after["person 1"].probabilities is None
    theirs = [one.speech for one in found.windows if one.speaker == "person 2"]
    assert theirs and set(theirs) == {0.75}
    assert {one.speech for one in found.windows if one.speaker is None} == {None}


def test_spans_that_overlap_are_one_stretch() -> None:
    windows, faces = drawn(5)
    timeline = read(windows, faces, PEOPLE[:2])
    spans = [(10, 15, None), (12, 20, "person 1"), (20, 22, "person 1"), (40, 41, "person 2")]
    entries = [{"start_s": a, "end_s": b, "reason": f"{a}", "person": who} for a, b, who in spans]
    found = annotated(timeline, change(excluded=entries))
    stretches = {
        who: [(one.start_s, one.end_s) for one in found.segments if one.person == who and one.excluded]
        for who in PEOPLE[:2]
    }
    assert stretches == {"person 1": [(10, 22)], "person 2": [(10, 15), (40, 41)]}
    assert len(found.excluded) == 4


def test_somebody_who_was_not_there_is_excluded_all_the_same() -> None:
    windows = [one for one in drawn(6)[0] if one.person == "person 1" or one.start_s < 20]
    timeline = read(windows, [], PEOPLE[:2])
    found = annotated(timeline, change(excluded=[{"start_s": 30, "end_s": 40, "reason": "x"}]))
    theirs = [one for one in found.segments if one.person == "person 2"]
    assert [one.status for one in theirs[-3:]] == ["nothing_to_read", "excluded", "nothing_to_read"]


# --- all of them


def everything(timeline: Timeline, seed: int) -> Annotations:
    """Random annotations of a timeline, without those that only fit once."""
    rng = np.random.default_rng(seed)
    spans = timeline.start_s + np.sort(rng.uniform(-0.1, 1.1, (6, 2)) * timeline.duration_s)
    spans = spans[(spans[:, 0] < timeline.end_s) & (spans[:, 1] > timeline.start_s)]
    people = (None, *timeline.people)
    entries = [
        {"start_s": a, "end_s": b, "reason": f"r{n}", "person": people[rng.integers(len(people))]}
        for n, (a, b) in enumerate(spans.tolist())
    ]
    markers = [{"start_s": a, "end_s": b, "text": f"m{n}"} for n, (a, b) in enumerate(spans.tolist())]
    return change(excluded=entries, markers=[*markers, {"start_s": timeline.start_s, "text": "start"}])


@pytest.mark.parametrize("seed", range(20))
def test_any_annotations_of_any_timeline(seed: int) -> None:
    timeline = timelines.random_timeline(seed)
    assert annotated(timeline, Annotations()) is timeline
    marks = everything(timeline, seed)
    once = annotated(timeline, marks)
    assert annotated(once, marks) == once
    # entries in another order
    data = marks.as_data()
    random.Random(seed).shuffle(data["excluded"])
    data["markers"].reverse()
    assert annotated(timeline, Annotations.from_data(data)) == once
    # in two steps
    first = annotated(timeline, Annotations(excluded=marks.excluded[:2]))
    assert annotated(first, marks).excluded == once.excluded
    names = {who: f"N. {number}" for number, who in enumerate(timeline.people[::2])}
    assert annotated(timeline, Annotations(names=names)) == rename_people(timeline, names)[0]
    for one in once.windows:
        for span in once.excluded:
            if span.person in {None, one.person}:
                assert one.end_s <= span.start_s or one.start_s >= span.end_s
    if len(timeline.people) > 1:
        first_one, second_one = timeline.people[:2]
        merged = annotated(timeline, replace(marks, merges={second_one: first_one}, names={first_one: "Ann"}))
        assert merged.people == ("Ann", *timeline.people[2:])
        mentioned = [one.person for one in merged.windows] + [one.person for one in merged.segments]
        assert second_one not in {*mentioned, *(one.person for one in merged.excluded)}


def test_annotations_of_another_recording_are_refused() -> None:
    timeline = timelines.timeline(people=("person 1",))
    for data in ({"names": {"person 2": "x"}}, {"markers": [{"start_s": 11, "text": "x"}]}):
        with pytest.raises(AnnotationError):
            annotated(timeline, change(**data))


def test_what_is_known_of_the_reading_follows() -> None:
    how = Provenance(3.0, 0.5, 0.4, FRAMES, True, "m", ("person 3",))
    timeline = timelines.timeline(people=PEOPLE, provenance=how)
    merged = annotated(timeline, change(merges={"person 3": "person 1"}, names={"person 1": "Ann"}))
    assert merged.provenance == replace(how, enrolled=("Ann",))
