from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.core.errors import ProfileError
from emofuse.server.people import People


def profile(folder: Path, content: bytes = b"profile") -> Path:
    path = folder / "made.npz"
    path.write_bytes(content)
    return path


def test_people_are_kept_and_listed_in_order(tmp_path: Path) -> None:
    people = People(tmp_path, 10)
    anna = people.add("Anna", profile(tmp_path, b"a"), clips=8, has_face=True)
    bert = people.add("Bert", profile(tmp_path, b"b"), clips=2, has_face=False)
    again = People(tmp_path, 10)
    assert list(again.list()) == [anna, bert]
    assert again.get(bert.id) == bert
    assert again.profile(anna.id).read_bytes() == b"a"
    assert not (tmp_path / "made.npz").exists()


def test_who_is_erased_leaves_nothing(tmp_path: Path) -> None:
    people = People(tmp_path, 10)
    anna = people.add("Anna", profile(tmp_path), clips=1, has_face=False)
    assert people.erase(anna.id)
    assert not people.erase(anna.id)
    assert people.get(anna.id) is None
    assert list((tmp_path / "people").iterdir()) == []
    with pytest.raises(ProfileError, match="nobody is enrolled"):
        people.profile(anna.id)


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 32, "0" * 31, "/etc", "0" * 32])
def test_only_ids_lead_to_people(tmp_path: Path, name: str) -> None:
    people = People(tmp_path, 10)
    assert people.get(name) is None
    assert not people.erase(name)


def test_room_is_limited(tmp_path: Path) -> None:
    people = People(tmp_path, 1)
    assert people.room()
    people.add("Anna", profile(tmp_path), clips=1, has_face=False)
    assert not people.room()


def test_a_profile_that_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    people = People(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        people.add("Anna", tmp_path / "missing.npz", clips=1, has_face=False)
    assert list((tmp_path / "people").iterdir()) == []


def test_sweep_removes_what_a_killed_service_left(tmp_path: Path) -> None:
    people = People(tmp_path, 10)
    anna = people.add("Anna", profile(tmp_path), clips=1, has_face=False)
    (tmp_path / "people" / ".half").mkdir()
    people.sweep()
    assert [path.name for path in (tmp_path / "people").iterdir()] == [anna.id]
