"""The one way to read annotation files, whatever program wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from emofuse.coding.elan_files import read_eaf
from emofuse.coding.span_tables import read_span_table
from emofuse.coding.spans import CodedFile
from emofuse.coding.textgrid_files import read_textgrid
from emofuse.core.errors import AnnotationError
from emofuse.core.text import one_line

READERS: Final[dict[str, Callable[[Path], CodedFile]]] = {
    ".eaf": read_eaf,
    ".textgrid": read_textgrid,
    ".csv": read_span_table,
    ".tsv": read_span_table,
    ".txt": read_span_table,
    ".parquet": read_span_table,
}
"""By suffix, in small letters."""
_LONGEST_PROBLEM: Final = 500


def read_annotations(path: str | os.PathLike[str]) -> CodedFile:
    """Read the coded spans of a file of ELAN, Praat, BORIS or audformat, or of any table of spans.

    Args:
        path: its suffix says the format: one of :data:`READERS`.

    Raises:
        AnnotationError: the file is missing or damaged, or of no format that is read.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(
            f"{path}: annotations are read from files with the suffix {', '.join(READERS)}: export it as one"
        )
    try:
        return reader(path)
    except OSError as error:
        raise AnnotationError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        problem = one_line(str(error))
        if len(problem) > _LONGEST_PROBLEM:
            problem = problem[:_LONGEST_PROBLEM] + "…"
        raise AnnotationError(f"{path} cannot be read as annotations: {problem}") from None


def is_annotation_file(path: Path) -> bool:
    """Whether the suffix is that of annotations."""
    return path.suffix.lower() in READERS


def annotation_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files, and those with a suffix of annotations below folders, in order of their names.

    Raises:
        AnnotationError: a folder has none.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(one for one in path.rglob("*") if is_annotation_file(one) and one.is_file())
        if not found:
            raise AnnotationError(f"{path}: the folder has no annotations ({', '.join(READERS)})")
        yield from found
