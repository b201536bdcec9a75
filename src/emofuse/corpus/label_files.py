"""Maps of labels that a study writes itself: a small CSV or TOML file with a line for each label."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.label_maps import convert_label, label_map
from emofuse.core.label_names import are_emotions, check_label, check_labels, in_order
from emofuse.core.labels import LABEL_SETS, emotions_of
from emofuse.system.csv_files import read_csv_table
from emofuse.system.json_files import read_bounded

SUFFIXES: Final = (".csv", ".tsv", ".toml")
COLUMNS: Final = ("label", "becomes")
_LARGEST_BYTES: Final = 2**20
_MAX_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class TableLabels:
    """What the labels of a table mean.

    ``meant``: by each label as the table writes it, folded by :func:`folded`, the label that it becomes; None
    where its clips are left without one. ``emotions``: those that are then told apart, in order.
    """

    name: str
    names: tuple[str, ...]
    """The labels as they may be written, for messages."""
    meant: Mapping[str, str | None]
    emotions: tuple[str, ...]


def folded(label: str) -> str:
    """A label as it is compared: capitals and Unicode form do not matter."""
    return unicodedata.normalize("NFC", label).casefold()


def table_labels(given: str | Path) -> TableLabels:
    """The labels that ``--labels`` names: a known label set, or the file of a map.

    Args:
        given: the name of a set, such as ``nemo-6``, whose labels become the eight emotions, or the path of a
            file that ends in .csv or .toml, see :func:`read_label_file`.

    Raises:
        ValueError: there is no set of this name, and it is not the name of such a file.
        CorpusError: the file cannot be read, or has errors.
    """
    name = str(given)
    if name in LABEL_SETS:
        to_emotions = label_map(name, "ravdess-8")
        labels = tuple(LABEL_SETS[name])
        return TableLabels(
            name, labels, {folded(one): convert_label(one, to_emotions) for one in labels}, emotions_of(name)
        )
    if Path(name).suffix.lower() in SUFFIXES:
        return read_label_file(Path(name))
    raise ValueError(
        f"unknown label set {name!r}: use one of {', '.join(LABEL_SETS)}, or the file of a map that ends in "
        f"{' or '.join(SUFFIXES)}"
    )


def read_label_file(path: Path) -> TableLabels:
    """Read a map of labels: TOML, ``"as written" = "as used"``, or CSV with the columns ``label, becomes``.

    A label that becomes nothing (an empty text) leaves its clips without a label. Labels are shown in the
    order in which the file first names them on the right, where not all are among the eight emotions.

    Raises:
        CorpusError: the file cannot be read, maps a label twice, or to what cannot be a label.
    """
    try:
        pairs = _toml_pairs(path) if path.suffix.lower() == ".toml" else _csv_pairs(path)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: cannot be read as a map of labels: {reason}") from None
    meant: dict[str, str | None] = {}
    for written, becomes in pairs:
        if not written:
            raise CorpusError(f"{path}: a label on the left is empty")
        if folded(written) in meant:
            raise CorpusError(f"{path}: {written!r} is mapped twice")
        try:
            meant[folded(written)] = check_label(becomes) if becomes else None
        except ValueError as error:
            raise CorpusError(f"{path}: {written!r}: {error}") from None
    used = [label for label in meant.values() if label is not None]
    try:
        labels = check_labels(used, fewest=1)
    except ValueError as error:
        raise CorpusError(f"{path}: {error}") from None
    emotions = in_order(labels) if are_emotions(labels) else labels
    return TableLabels(str(path), tuple(written for written, _ in pairs), meant, emotions)


def _toml_pairs(path: Path) -> list[tuple[str, str]]:
    data = tomllib.loads(read_bounded(path, _LARGEST_BYTES).decode("utf-8-sig"))
    wrong = [key for key, value in data.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f'{wrong[0]!r} must become a text: "as written" = "as used"')
    return [(key.strip(), value.strip()) for key, value in data.items()]


def _csv_pairs(path: Path) -> list[tuple[str, str]]:
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_BYTES // 2**20} MiB")
    table = read_csv_table(path, COLUMNS)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(
            f"no column {', '.join(missing)}; the first line names the columns ({', '.join(COLUMNS)}), found "
            f"{', '.join(table.columns) or 'none'}"
        )
    return [tuple((row.get(column) or "").strip() for column in COLUMNS) for _, row in table.rows()]  # type: ignore[misc]
