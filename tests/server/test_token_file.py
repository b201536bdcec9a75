from __future__ import annotations

import stat
from pathlib import Path

import pytest

from emofuse.core.errors import ServiceError
from emofuse.server.token_file import read_token


def test_a_token_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = read_token(path)
    assert len(token) >= 32
    assert read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(tmp_path / "other") != token


def test_a_token_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  my-own-token-of-the-lab \n")
    assert read_token(path) == "my-own-token-of-the-lab"


@pytest.mark.parametrize(
    "content", ["", "\n", "short", "two words that are long enough", "é" * 20, "x" * 5000]
)
def test_what_is_no_token(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ServiceError, match="holds no token"):
        read_token(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be"):
        read_token(tmp_path)
