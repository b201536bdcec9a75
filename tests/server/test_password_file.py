from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.core.errors import ServiceError
from emofuse.server.password_file import read_password


@pytest.mark.parametrize(
    ("content", "password"),
    [
        ("secret\n", "secret"),
        ("secret", "secret"),
        ("se cret: @/?#%\r\n", "se cret: @/?#%"),
        (" ü \n", " ü "),
    ],
)
def test_it_is_the_line_in_the_file(tmp_path: Path, content: str, password: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content.encode())
    assert read_password(path) == password


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"x" * 5000])
def test_anything_else_is_no_password(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ServiceError, match="holds no password") as error:
        read_password(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be read: No such file"):
        read_password(tmp_path / "password")
    assert list(tmp_path.iterdir()) == []
