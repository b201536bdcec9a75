"""Agreement as files: the suffix of a name says which."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from emofuse.coding.agreement import Agreement
from emofuse.coding.agreement_page import write_agreement_page
from emofuse.coding.agreement_tables import write_agreement_csv, write_agreement_json
from emofuse.coding.tier_picture import tiers_document
from emofuse.core.errors import ExportError
from emofuse.system.atomic_write import write_atomically


def _write_svg(found: Agreement, file: IO[bytes]) -> None:
    file.write(tiers_document(found).encode())


WRITERS: Final[dict[str, Callable[[Agreement, IO[bytes]], None]]] = {
    ".html": write_agreement_page,
    ".csv": write_agreement_csv,
    ".json": write_agreement_json,
    ".svg": _write_svg,
}
"""By suffix, in small letters."""


def check_suffix(path: Path) -> None:
    """Fail early if there is no such file of an agreement.

    Raises:
        ExportError: the suffix is of none.
    """
    if path.suffix.lower() not in WRITERS:
        raise ExportError(f"{path}: agreement is written to files with the suffix {', '.join(WRITERS)}")


def write_agreement(found: Agreement, path: str | os.PathLike[str]) -> Path:
    """Write a page, a table, JSON or the picture of the tiers: the whole file, or nothing.

    Args:
        found: what is written.
        path: its suffix says what: one of :data:`WRITERS`.

    Raises:
        ExportError: there is no such file of an agreement.
        OSError: it cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    with write_atomically(path) as file:
        WRITERS[path.suffix.lower()](found, file)
    return path
