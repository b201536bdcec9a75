from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import AnnotationError
from emofuse.timeline.annotations import LARGEST_BYTES, Annotations
from emofuse.timeline.marks import ExcludedSpan, Marker

WHOLE: dict[str, Any] = {
    "names": {"person 1": "Zoë", "person 2": "Bert"},
    "merges": {"person 3": "person 1", "person 4": "person 3"},
    "excluded": [
        {"start_s": 2.0, "end_s": 3.5, "reason": "the interviewer"},
        {"start_s": 2.0, "end_s": 3.5, "reason": "a phone", "person": "person 2"},
    ],
    "markers": [{"start_s": 1.0, "text": "question 1"}, {"start_s": 4.0, "end_s": 5.0, "text": "two\nlines"}],
}


def test_annotations_are_read_and_written() -> None:
    read = Annotations.from_data(WHOLE)
    assert read.as_data() == WHOLE
    assert (
        Annotations.from_json(json.dumps(WHOLE)) == read == Annotations.from_json(json.dumps(WHOLE).encode())
    )
    assert read.excluded[1] == ExcludedSpan(2.0, 3.5, "a phone", "person 2")
    assert read.markers == (Marker(1.0, "question 1"), Marker(4.0, "two\nlines", 5.0))
    assert read.targets == {"person 3": "person 1", "person 4": "person 1"}
    assert Annotations.from_data({}) == Annotations()
    assert Annotations().as_data() == {"names": {}, "merges": {}, "excluded": [], "markers": []}


def test_the_order_of_entries_and_repeated_ones_mean_nothing() -> None:
    twice = {
        kind: [*reversed(entries), *entries] if isinstance(entries, list) else dict(reversed(entries.items()))
        for kind, entries in reversed(WHOLE.items())
    }
    assert Annotations.from_data(twice) == Annotations.from_data(WHOLE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "annotations must be an object, got a list"),
        (None, "annotations must be an object, got null"),
        ({"name": {}}, "annotations has no 'name': use names, merges, excluded, markers"),
        ({"x" * 10**6: 1}, "annotations has no 'x{60}…': use"),
        ({"names": []}, "names must be an object, got a list"),
        ({"names": {"person 1": 3}}, r"names\['person 1'\] must be a text, got a number"),
        ({"names": {"person 1": " "}}, r"names\['person 1'\]: ' ' is not a valid name"),
        ({"names": {"person 1": "x" * 201}}, "at most 200 characters, got 201"),
        ({"names": {"person 1": "a\ud800"}}, "not a valid name"),
        ({"names": {str(n): "x" for n in range(1001)}}, "names has at most 1000 entries, got 1001"),
        ({"merges": {"a": None}}, r"merges\['a'\] must be a text, got null"),
        ({"merges": {"a": "a"}}, "merges: 'a' is merged into themselves"),
        ({"merges": {"a": "b", "b": "c", "c": "a"}}, "is merged into themselves, at once or over others"),
        ({"excluded": {}}, "excluded must be a list, got an object"),
        ({"excluded": [3]}, r"excluded\[0\] must be an object, got a number"),
        ({"excluded": [{"start_s": 1, "end_s": 2}]}, r"excluded\[0\] needs 'reason'"),
        ({"excluded": [{"start_s": 2, "end_s": 2, "reason": "x"}]}, "must start before it ends, got 2 to"),
        ({"excluded": [{"start_s": True, "end_s": 2, "reason": "x"}]}, "must be a number of seconds, got a"),
        ({"excluded": [{"start_s": "1", "end_s": 2, "reason": "x"}]}, r"\[0\].start_s must be a number of"),
        ({"excluded": [{"start_s": 1, "end_s": 2, "reason": "\t"}]}, "reason must not be blank"),
        ({"excluded": [{"start_s": 1, "end_s": 2, "reason": "x" * 501}]}, "at most 500 characters"),
        ({"excluded": [{"start_s": 1, "end_s": 2, "reason": "x", "who": "a"}]}, "has no 'who': use start_s"),
        ({"excluded": [{"start_s": 1, "end_s": 2, "reason": "x", "person": ""}]}, r"\.person: '' is not"),
        ({"markers": [{"start_s": 1}]}, r"markers\[0\] needs 'text'"),
        ({"markers": [{"start_s": 1, "text": "a\x1b[31m"}]}, "control character"),
        ({"markers": [{"start_s": 1, "text": "\udce9"}]}, "not valid Unicode"),
        ({"markers": [{"start_s": float("nan"), "text": "x"}]}, "must be a time within a recording, in sec"),
        ({"markers": [{"start_s": 1e300, "text": "x"}]}, "must be a time within a recording"),
        ({"markers": [{"start_s": 10**400, "text": "x"}]}, "must be a time within a recording"),
        ({"markers": [{"start_s": 3, "end_s": 1, "text": "x"}]}, "must start before it ends"),
        ({"markers": [{"start_s": 3, "text": "x"}] * 10_001}, "markers has at most 10000 entries"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(data: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        Annotations.from_data(data)
    assert "\n" not in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(WHOLE), encoding="utf-8")
    assert Annotations.load(path) == Annotations.from_data(WHOLE)
    with pytest.raises(AnnotationError, match=r"none\.json: No such file"):
        Annotations.load(tmp_path / "none.json")
    for content in (b"{", b"\xff", b"[" * 200_000, b"3", b'{"names": {"a": 1}}', b" " * (LARGEST_BYTES + 1)):
        path.write_bytes(content)
        with pytest.raises(AnnotationError, match=r"a\.json: "):
            Annotations.load(path)
    with pytest.raises(AnnotationError, match="at most 4 MiB"):
        Annotations.from_json(" " * (LARGEST_BYTES + 1))


def test_a_patch_changes_what_it_names() -> None:
    whole = Annotations.from_data(WHOLE)
    assert whole.patched({}) == whole
    named = whole.patched({"names": {"person 1": None, "person 9": "Ida"}})
    assert named.names == {"person 2": "Bert", "person 9": "Ida"} and named.excluded == whole.excluded
    assert whole.patched({"markers": None, "merges": None}).as_data() == {
        **WHOLE, "markers": [], "merges": {}
    }  # fmt: skip
    assert whole.patched({"excluded": []}).excluded == ()
    # taken back, a change leaves what was before
    assert named.patched({"names": {"person 1": "Zoë", "person 9": None}}) == whole
    deep: Any = {}
    for _ in range(50_000):
        deep = {"names": deep}
    with pytest.raises(AnnotationError, match="must be a text, got an object"):
        whole.patched(deep)
    while deep:  # one after the other: Python frees what is nested by recursion
        deep = deep["names"]
    wrongs: tuple[Any, ...] = ([], None, "x", {"names": 3}, {"merges": {"person 1": "person 4"}}, {"a": {}})
    for wrong in wrongs:
        with pytest.raises(AnnotationError):
            whole.patched(wrong)


def test_annotations_of_another_recording() -> None:
    people, span = ("person 1", "person 2", "person 3", "person 4"), (0.0, 60.0)
    Annotations.from_data(WHOLE).check_fits(people, span)
    for data, message in (
        (
            {"names": {"person 7": "x"}},
            "names: there is no 'person 7' in the recording, but person 1, person 2",
        ),
        ({"merges": {"person 1": "person 7"}}, "merges: there is no 'person 7'"),
        (
            {"excluded": [{"start_s": 1, "end_s": 2, "reason": "x", "person": "x"}]},
            "excluded: there is no 'x'",
        ),
        (
            {"names": {"person 1": "person 2"}},
            "'person 1' and 'person 2' would both be 'person 2': merge t",
        ),
        ({"names": {"person 1": "A", "person 3": "A"}}, "would both be 'A'"),
        ({"excluded": [{"start_s": 60, "end_s": 62, "reason": "x"}]}, "excluded: 60 to 62 s is outside"),
        (
            {"markers": [{"start_s": 61, "text": "x"}]},
            "markers: 61 s is outside the recording, 0.000 to",
        ),
    ):
        with pytest.raises(AnnotationError, match=message):
            Annotations.from_data(data).check_fits(people, span)
    # who is merged into another has no name of their own
    for data in (
        {"names": {"person 1": "A", "person 3": "A"}, "merges": {"person 3": "person 2"}},
        {"names": {"person 1": "person 2", "person 2": "person 1"}},
        {
            "excluded": [{"start_s": -5, "end_s": 99, "reason": "x"}],
            "markers": [{"start_s": 60, "text": "x"}],
        },
    ):
        Annotations.from_data(data).check_fits(people, span)
    with pytest.raises(AnnotationError, match="but nobody"):
        Annotations.from_data({"names": {"person 1": "x"}}).check_fits((), span)
