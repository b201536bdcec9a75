"""The file with the password of a database, of jobs or of trials."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emofuse.core.errors import ServiceError
from emofuse.system.json_files import read_bounded

_MOST_BYTES: Final = 4096


def read_password(path: Path) -> str:
    """The password in a file: its text without the line break at its end.

    Raises:
        ServiceError: the file cannot be read, or holds no password.
    """
    try:
        password = read_bounded(path, _MOST_BYTES).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ServiceError(
            f"{path}: the password of the database cannot be read: {error.strerror or error}"
        ) from None
    except ValueError:
        raise ServiceError(f"{path} holds no password: a password is one line of text") from None
    if not password or not password.isprintable():
        raise ServiceError(f"{path} holds no password: a password is one line of text")
    return password
