"""The file with the token of a service."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from emofuse.core.errors import ServiceError
from emofuse.server.settings import SHORTEST_TOKEN
from emofuse.system.json_files import read_bounded

_MOST_BYTES: Final = 4096


def read_token(path: Path) -> str:
    """The token in a file; where there is no file, one is made that only its owner can read.

    Raises:
        ServiceError: the file cannot be read or made, or holds no token.
    """
    try:
        _make(path)
    except FileExistsError:
        pass
    except OSError as error:
        raise ServiceError(f"{path}: the token cannot be written: {error.strerror or error}") from None
    try:
        token = read_bounded(path, _MOST_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ServiceError(f"{path}: the token cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise ServiceError(f"{path} holds no token: a token is one line of ASCII characters") from None
    if len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise ServiceError(
            f"{path} holds no token: a token has {SHORTEST_TOKEN} characters or more and no space in it; "
            "remove the file, and one is made"
        )
    return token


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
