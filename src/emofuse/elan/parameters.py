"""The parameters with which ELAN starts a recognizer: their names, and their values from XML."""

from __future__ import annotations

import locale
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from emofuse.core.errors import ParameterError
from emofuse.system.xml_files import parse_xml

SOURCE: Final = "source"
TIERS: Final = "output_tiers"
CONFIDENCE: Final = "confidence_tiers"
ABSTAIN_BELOW: Final = "abstain_below"
WINDOW_S: Final = "window_s"
BUNDLE: Final = "bundle"
YES: Final = "yes"
NO: Final = "no"

DEFAULT_ABSTAIN_BELOW: Final = 0.4
DEFAULT_WINDOW_S: Final = 3.0
LEAST_WINDOW_S: Final = 1.0
MOST_WINDOW_S: Final = 10.0
_UNTOUCHED: Final = 1.5e-45
"""What ELAN writes of a number that nobody has set: Java's smallest float."""
_DECLARED: Final = re.compile(rb"^\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a user of ELAN has chosen."""

    source: Path
    """The recording."""
    tiers: Path
    """The file for the tiers."""
    with_confidence: bool = True
    """Whether each person has a tier of confidences, too."""
    abstain_below: float = DEFAULT_ABSTAIN_BELOW
    """Segments with less confidence get no emotion."""
    window_s: float = DEFAULT_WINDOW_S
    """Length of a window, in seconds."""
    bundle: Path | None = None
    """The recognizer; None: the one that comes with emofuse."""


def read_parameters(data: bytes) -> Parameters:
    """The parameters that ELAN writes to standard input: ``<PARAM><param name="…">value</param>…</PARAM>``.

    The document says that it is UTF-8, but ELAN writes it in the encoding of its Java: what is not UTF-8 is
    read in that of the system.

    Args:
        data: of standard input, to its end.

    Raises:
        ParameterError: this is no such document, or a value is missing or out of range.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        data = _DECLARED.sub(b"", data).decode(locale.getencoding(), "replace").encode()
    try:
        root = parse_xml(data)
    except ValueError as error:
        raise ParameterError(f"the parameters of ELAN cannot be read: {error}") from None
    values = {one.get("name", ""): (one.text or "").strip() for one in root.iter("param")}
    return Parameters(
        source=_recording(values.get(SOURCE, "")),
        tiers=_file(values.get(TIERS, ""), f"no file for the tiers was chosen ({TIERS})"),
        with_confidence=values.get(CONFIDENCE, YES) != NO,
        abstain_below=_number(values, ABSTAIN_BELOW, DEFAULT_ABSTAIN_BELOW, 0.0, 1.0),
        window_s=_number(values, WINDOW_S, DEFAULT_WINDOW_S, LEAST_WINDOW_S, MOST_WINDOW_S),
        bundle=Path(values[BUNDLE]) if values.get(BUNDLE) else None,
    )


def _file(value: str, missing: str) -> Path:
    if not value:
        raise ParameterError(missing)
    return Path(value)


def _recording(value: str) -> Path:
    """ELAN takes the paths of media from addresses, in which a space may be ``%20``."""
    path = _file(value, f"no recording was chosen ({SOURCE})")
    return path if path.exists() else next((p for p in [Path(unquote(value))] if p.exists()), path)


def _number(values: dict[str, str], name: str, default: float, least: float, most: float) -> float:
    text = values.get(name, "")
    try:
        value = float(text.replace(",", ".")) if text else default
    except ValueError:
        value = -1.0
    if 0 < value <= _UNTOUCHED:
        value = default
    if not least <= value <= most:
        raise ParameterError(f"{name} must be a number from {least:g} to {most:g}, got {text!r}")
    return value
