"""The header of a database, db.yaml: what its tables and columns are, read without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError, MissingExtraError
from emofuse.system.json_files import read_bounded

HEADER: Final = "db.yaml"
PICKLES: Final = (".pkl", ".pickle")
"""What is never loaded, and what the format's own library loads before anything else."""
_LARGEST: Final = 4 * 2**20
_LONGEST_NAME: Final = 200
_FACTS: Final = {"gender": "sex", "sex": "sex", "age": "age", "language": "language"}
"""What the labels of a speaker scheme say of a person, and what facts are called here."""
_KINDS: Final = ("filewise", "segmented")


@dataclass(frozen=True, slots=True)
class HeaderTable:
    """One table. ``kind``: filewise or segmented; ``columns``: the scheme of each, or None."""

    name: str
    kind: str
    columns: Mapping[str, str | None]

    def column(self, wanted: str) -> str | None:
        """The column of this name, else the only one whose scheme is called so."""
        if wanted in self.columns:
            return wanted
        found = [column for column, scheme in self.columns.items() if scheme == wanted]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Header:
    """What db.yaml says. ``speakers``: sex, age and language, by speaker."""

    name: str
    licence: str | None
    tables: Mapping[str, HeaderTable]
    speakers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_header(folder: Path) -> Header:
    """Read the header of a database.

    Raises:
        CorpusError: the folder holds pickles, or the header is missing, too large or not one.
        MissingExtraError: PyYAML is not installed.
    """
    _refuse_pickles(folder)
    path = folder / HEADER
    try:
        data = _load(read_bounded(path, _LARGEST))
        return _header(data, folder)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise CorpusError(f"{path}: not the header of an audformat database: {error}") from None


def _refuse_pickles(folder: Path) -> None:
    try:
        found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    except OSError as error:
        raise CorpusError(f"{folder}: {error.strerror or error}") from None
    if found:
        raise CorpusError(
            f"{folder / found[0]}: a database with pickled tables is not read, for loading a pickle runs "
            "what is in it: save it as CSV or Parquet, and remove the .pkl files"
        )


def _load(data: bytes) -> Any:
    """Plain data from YAML: no tags of objects, no merge keys, which can grow without bound."""
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("train", f"{HEADER}: reading an audformat database") from None

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def flatten_mapping(self, node: Any) -> None:
            """Leave merge keys as they are: they are then an error."""

    try:
        return yaml.load(data.decode("utf-8-sig"), Loader)
    except yaml.YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise ValueError(f"not YAML{where}: {problem:.200}") from None
    except RecursionError:
        raise ValueError("its YAML is nested too deeply") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # values that YAML gives a meaning, such as dates and numbers, and that have none
        raise ValueError(f"not YAML that can be read: {error!s:.200}") from None


def _header(data: Any, folder: Path) -> Header:
    data = _mapping(data, "its content")
    tables = {}
    for name, told in _mapping(data.get("tables"), "tables").items():
        table = _mapping(told, f"table {name}")
        if table.get("type") not in _KINDS:
            raise ValueError(f"table {name}: its type must be {' or '.join(_KINDS)}")
        columns = {
            column: _scheme_of(_mapping(about, f"column {column}"))
            for column, about in _mapping(table.get("columns"), f"columns of {name}").items()
        }
        tables[name] = HeaderTable(name, str(table["type"]), columns)
    if not tables:
        raise ValueError("it names no tables")
    schemes = _mapping(data.get("schemes"), "schemes")
    name = data.get("name")
    licence = data.get("license")
    return Header(
        name=str(name)[:_LONGEST_NAME].strip() if isinstance(name, (str, int)) else folder.absolute().name,
        licence=str(licence)[:_LONGEST_NAME] if isinstance(licence, str) and licence.strip() else None,
        tables=tables,
        speakers=_speakers(schemes.get("speaker")),
    )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping whose keys are texts; nothing where there is none."""
    if isinstance(value, dict):
        return {str(key): one for key, one in value.items()}
    if value is None:
        return {}
    raise ValueError(f"{what!s:.100}: not a mapping")


def _scheme_of(column: Mapping[str, Any]) -> str | None:
    scheme = column.get("scheme_id")
    return None if scheme is None else str(scheme)


def _speakers(scheme: Any) -> dict[str, dict[str, str]]:
    """What the labels of the scheme of speakers say; nothing where they say nothing, or are in a table."""
    labels = scheme.get("labels") if isinstance(scheme, dict) else None
    if not isinstance(labels, dict):
        return {}
    return {
        str(speaker): {
            _FACTS[key]: str(value)
            for key, value in about.items()
            if key in _FACTS and isinstance(value, (str, int, float))
        }
        for speaker, about in labels.items()
        if isinstance(about, dict)
    }
