"""Read XML that others may have written: of a size that is checked first, and without entities.

A document type is refused, and with it every entity: none can be expanded, and nothing outside of the file is
ever opened.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final, NoReturn
from xml.parsers import expat

from emofuse.system.json_files import read_bounded

LARGEST_BYTES: Final = 64 * 2**20
"""Of an XML file: annotations of ten hours, word by word, take half of it."""
MOST_ELEMENTS: Final = 2_000_000
DEEPEST: Final = 64


def read_xml(path: Path, *, limit_bytes: int = LARGEST_BYTES) -> ET.Element:
    """The root element of an XML file.

    Args:
        path: of the file, in an encoding that it declares, or UTF-8 or UTF-16.
        limit_bytes: a larger file is not read.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, not XML, too deeply nested, or declares a document type or entities.
    """
    return parse_xml(read_bounded(path, limit_bytes))


def parse_xml(data: bytes) -> ET.Element:
    """The root element of an XML document.

    Raises:
        ValueError: see :func:`read_xml`.
    """
    parser, tree = expat.ParserCreate(), _Tree()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML: {error}") from None
    except LookupError:
        raise ValueError("it is not XML in an encoding that can be read: use UTF-8") from None
    return tree.root()


def _refuse(*_: object) -> NoReturn:
    raise ValueError("it declares a document type (DTD) or entities, which are not read: remove <!DOCTYPE …>")


class _Tree:
    """Elements as they come, counted."""

    def __init__(self) -> None:
        self._builder = ET.TreeBuilder()
        self._depth = self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > DEEPEST or self._count > MOST_ELEMENTS:
            raise ValueError(
                f"it has more than {MOST_ELEMENTS} elements, or more than {DEEPEST} inside of each other"
            )
        self._builder.start(name, attributes)

    def end(self, name: str) -> None:
        self._depth -= 1
        self._builder.end(name)

    def data(self, text: str) -> None:
        self._builder.data(text)

    def root(self) -> ET.Element:
        return self._builder.close()
