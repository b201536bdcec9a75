from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.system.json_files import parse_json, read_bounded, read_json


def test_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, "é"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, "é"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "digits"),
        (b"\xff\xfe\xfa", "decode"),
        (b"", "Expecting value"),
        (b"{", "Expecting"),
    ],
)
def test_what_is_not_json_is_a_value_error(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 2**20)
    assert read_bounded(path, 2**20) == b"x" * 2**20
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_bounded(path, 2**20 - 1)
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        read_json(path)
